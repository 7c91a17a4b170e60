//! Go's own TLS (`crypto/tls`), with arguments in registers (Go 1.17 and newer, on arm64 1.18).
//!
//! A goroutine may go on in another thread and its stack may move while it waits, so a call is found
//! again by the goroutine: the runtime keeps its address in a register. There are no return probes here:
//! they would write an address onto the stack that the runtime does not know.

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::uprobe,
    programs::ProbeContext,
};
use remora_abi::{TlsReason, direction, tls_flags, tls_method};

use crate::{
    insn::add,
    maps::{TLS_CONNS, TLS_GOROUTINES, TlsGoCall, TlsGoKey, count_tls},
    tls::{conn, fresh_id, key, release},
    tls_record::{Sent, send},
    tls_socket,
};

const READ: u32 = 1;
const WRITE: u32 = 2;

/// `conn net.Conn` in `tls.Conn` is an interface, whose second word points to the connection below.
const CONN_VALUE: u64 = 8;
/// `pfd.Sysfd` in `netFD`.
const SYSFD: u64 = 16;

/// Argument or result by its number.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn register(ctx: &ProbeContext, n: usize) -> u64 {
    // SAFETY: the program's context.
    unsafe {
        match n {
            0 => (*ctx.regs).rax,
            1 => (*ctx.regs).rbx,
            _ => (*ctx.regs).rcx,
        }
    }
}

/// Argument or result by its number.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn register(ctx: &ProbeContext, n: usize) -> u64 {
    // SAFETY: the program's context.
    unsafe {
        match n {
            0 => (*ctx.regs).regs[0],
            1 => (*ctx.regs).regs[1],
            _ => (*ctx.regs).regs[2],
        }
    }
}

/// The goroutine.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn goroutine(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).r14 }
}

/// The goroutine.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn goroutine(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).regs[28] }
}

#[inline(always)]
fn go_key(ctx: &ProbeContext, func: u32) -> TlsGoKey {
    TlsGoKey { goroutine: goroutine(ctx), tgid: (bpf_get_current_pid_tgid() >> 32) as u32, func }
}

#[inline(always)]
fn begin(ctx: &ProbeContext, func: u32) -> u32 {
    let (handle, buf) = (register(ctx, 0), register(ctx, 1));
    let conn = TLS_CONNS.get_ptr_mut(&key(handle));
    let call = TlsGoCall { handle, buf, time_ns: fresh_id(), counted: u64::from(conn.is_some()) };
    if TLS_GOROUTINES.insert(&go_key(ctx, func), &call, u64::from(BPF_ANY)).is_err() {
        count_tls(TlsReason::TableFull, 0);
    } else if let Some(conn) = conn {
        // SAFETY: a live map value.
        unsafe { add(&raw mut (*conn).calls, 1) };
    }
    0
}

/// A call on a connection is over, which may have been closed meanwhile: a goroutine may close it while
/// another one is about to return from a write, whose plaintext has long been answered.
#[inline(always)]
fn uncount(handle: u64) {
    let Some(conn) = TLS_CONNS.get_ptr_mut(&key(handle)) else { return };
    // SAFETY: a live map value. Where two threads take the last call for theirs, both end the connection,
    // which the second one does not find.
    let (calls, closing) = unsafe {
        if (*conn).calls != 0 {
            add(&raw mut (*conn).calls, u64::MAX);
        }
        ((&raw const (*conn).calls).read_volatile(), (&raw const (*conn).closing).read_volatile())
    };
    if calls == 0 && closing != 0 {
        release(handle);
    }
}

#[inline(always)]
fn end(ctx: &ProbeContext, func: u32, dir: u8) -> u32 {
    let go = go_key(ctx, func);
    let Some(call) = TLS_GOROUTINES.get_ptr_mut(&go) else { return 0 };
    // SAFETY: a live map value that only this goroutine uses.
    let call = unsafe { *call };
    let _ = TLS_GOROUTINES.remove(&go);
    let n = register(ctx, 0) as i64;
    if n > 0 {
        pass(&call, n, dir);
    }
    if call.counted != 0 {
        uncount(call.handle);
    }
    0
}

/// Sends the `n` bytes that a call has read or written.
#[inline(always)]
fn pass(call: &TlsGoCall, n: i64, dir: u8) {
    let TlsGoCall { handle, buf, time_ns: entry_ns, .. } = *call;
    let Some(conn) = conn(&key(handle), 0) else { return };
    let sk = descriptor(handle).map_or(0, tls_socket::of_descriptor);
    if sk != 0 {
        tls_socket::adopt(conn, sk, tls_method::STRUCTURE);
    }
    let n = if n > u32::MAX as i64 { u32::MAX } else { n as u32 };
    send(&Sent { id: bpf_get_current_pid_tgid(), handle, buf, entry_ns, n, dir, code: 0 }, conn);
}

/// The descriptor of a `*tls.Conn` over a connection of package net, or over a structure that begins
/// with such a connection. Something else may look like that: then it is no socket of the process.
#[inline(always)]
fn descriptor(handle: u64) -> Option<i32> {
    let below: u64 = read(handle + CONN_VALUE)?;
    let net_fd: u64 = read(below)?;
    let fd: i64 = read(net_fd + SYSFD)?;
    if (0..1 << 30).contains(&fd) && tls_socket::of_descriptor(fd as i32) != 0 {
        return Some(fd as i32);
    }
    let net_fd: u64 = read(read::<u64>(below + CONN_VALUE)?)?;
    let fd: i64 = read(net_fd + SYSFD)?;
    if (0..1 << 30).contains(&fd) { Some(fd as i32) } else { None }
}

#[inline(always)]
fn read<T: Copy>(at: u64) -> Option<T> {
    // SAFETY: the helper checks the address; what lies there is only copied.
    unsafe { bpf_probe_read_user(at as *const T).ok() }
}

/// `(*Conn).Read(b)` begins.
#[uprobe]
pub fn remora_tls_go_read(ctx: ProbeContext) -> u32 {
    begin(&ctx, READ)
}

/// It returns.
#[uprobe]
pub fn remora_tls_go_read_end(ctx: ProbeContext) -> u32 {
    end(&ctx, READ, direction::INGRESS)
}

/// `(*Conn).Write(b)` begins.
#[uprobe]
pub fn remora_tls_go_write(ctx: ProbeContext) -> u32 {
    begin(&ctx, WRITE)
}

/// It returns.
#[uprobe]
pub fn remora_tls_go_write_end(ctx: ProbeContext) -> u32 {
    end(&ctx, WRITE, direction::EGRESS)
}

/// `(*Conn).HandshakeContext(ctx)`: each read and write calls the handshake too, but through another
/// function; a connection that is not known begins here.
#[uprobe]
pub fn remora_tls_go_handshake(ctx: ProbeContext) -> u32 {
    let handle = register(&ctx, 0);
    let key = key(handle);
    if let Some(conn) = TLS_CONNS.get_ptr(&key) {
        // SAFETY: a live map value.
        if unsafe { (*conn).closing } != 0 {
            // Another one was there, the end of which was not seen.
            release(handle);
        }
    }
    let _ = conn(&key, tls_flags::FRESH);
    0
}

/// `(*Conn).Close()`. The last of the calls that are under way ends the connection.
#[uprobe]
pub fn remora_tls_go_close(ctx: ProbeContext) -> u32 {
    let handle = register(&ctx, 0);
    let Some(conn) = TLS_CONNS.get_ptr_mut(&key(handle)) else { return 0 };
    // SAFETY: a live map value.
    let calls = unsafe {
        (&raw mut (*conn).closing).write_volatile(1);
        (&raw const (*conn).calls).read_volatile()
    };
    if calls == 0 {
        release(handle);
    }
    0
}
