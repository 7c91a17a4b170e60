//! What all probes on TLS libraries do: remember a call when it begins, and send the plaintext when it
//! returns.
//!
//! Nothing is changed in the process, and nothing waits: plaintext for which there is no room is
//! counted, and its place in the stream is noted with the next record that finds some.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user, generated::bpf_ktime_get_boot_ns},
    programs::ProbeContext,
};
use remora_abi::{TlsConn, TlsConnKey, TlsHeader, TlsReason, direction, tls_event, tls_method};

use crate::{
    insn::low2,
    maps::{TLS_CONNS, TLS_DEPTH, TLS_THREADS, TlsFrame, TlsThread, count_tls},
    tls_record::{EMPTY, ListState, Sent, event, send},
    tls_socket,
};

const NO_FRAME: TlsFrame = TlsFrame {
    sp: 0,
    handle: 0,
    buf: 0,
    out: 0,
    sk: 0,
    time_ns: 0,
    func: 0,
    done: 0,
    asked: 0,
    code: 0,
    pad: 0,
    list: ListState { skip: 0, done: 0 },
};
pub static NO_THREAD: TlsThread =
    TlsThread { depth: 0, code: 0, wrote: 0, last_sk: 0, frames: [NO_FRAME; TLS_DEPTH] };
static NO_CONN: TlsConn = TlsConn {
    id: 0,
    sk: 0,
    addr: [[0; 2]; 2],
    pos: [0; 2],
    netns: 0,
    fd: -1,
    port: [0; 2],
    method: tls_method::UNKNOWN,
    flags: 0,
    traces: 0,
    closing: 0,
    calls: 0,
    sent_ns: 0,
};

/// How a function tells how much it has read or written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Result {
    /// An `int`; nothing when it is not positive.
    Int,
    /// A `ssize_t`.
    Long,
    /// 1, and the amount where an argument points.
    Pointed,
}

/// Function that sends a file.
pub const FILE: u32 = 5;

/// A call as its entry shows it.
pub struct Call {
    /// Which function.
    pub func: u32,
    /// The connection.
    pub handle: u64,
    /// The plaintext.
    pub buf: u64,
    /// Where the amount will be; 0 when it is returned.
    pub out: u64,
    /// Bytes that the caller offers or has room for, where they are looked at.
    pub asked: u64,
}

/// A name for a connection that no other has.
#[inline(always)]
pub fn fresh_id() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// A frame of a thread; `index` is below [`TLS_DEPTH`].
#[inline(always)]
pub fn frame(thread: &mut TlsThread, index: u64) -> &mut TlsFrame {
    // SAFETY: the mask keeps the index below TLS_DEPTH, which is 4.
    unsafe { &mut *thread.frames.as_mut_ptr().add(low2(index) as usize) }
}

/// The thread's entry, made when it has none.
#[inline(always)]
pub fn thread(id: u64) -> Option<&'static mut TlsThread> {
    if TLS_THREADS.get_ptr_mut(&id).is_none() {
        let _ = TLS_THREADS.insert(&id, &NO_THREAD, u64::from(BPF_ANY));
    }
    // SAFETY: a live map value that only this thread uses.
    TLS_THREADS.get_ptr_mut(&id).map(|t| unsafe { &mut *t })
}

#[inline(always)]
pub fn key(handle: u64) -> TlsConnKey {
    TlsConnKey { handle, tgid: (bpf_get_current_pid_tgid() >> 32) as u32, pad: 0 }
}

/// The connection's entry, made when it has none; a new one has `flags`.
#[inline(always)]
pub fn conn(key: &TlsConnKey, flags: u8) -> Option<&'static mut TlsConn> {
    if TLS_CONNS.get_ptr_mut(key).is_none() {
        // Another thread may have been faster.
        let _ = TLS_CONNS.insert(key, &NO_CONN, u64::from(BPF_NOEXIST));
    }
    let found = TLS_CONNS.get_ptr_mut(key);
    if found.is_none() {
        count_tls(TlsReason::TableFull, 0);
    }
    // SAFETY: a live map value. Calls on one connection do not run at the same time in one direction.
    let conn = found.map(|c| unsafe { &mut *c })?;
    if conn.id == 0 {
        conn.id = fresh_id();
        conn.flags = flags;
    }
    Some(conn)
}

#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn stack_pointer(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).rsp }
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn stack_pointer(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).sp }
}

/// The low half of the address of the probed instruction.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn code(ctx: &ProbeContext) -> u32 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).rip as u32 }
}

/// The low half of the address of the probed instruction.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn code(ctx: &ProbeContext) -> u32 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).pc as u32 }
}

#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub fn returned(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).rax }
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub fn returned(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).regs[0] }
}

/// What a return pops off the stack before a return probe of the kernel sees it; a probe at the
/// return instruction comes before that.
const POPPED: u64 = if cfg!(bpf_target_arch = "x86_64") { 8 } else { 0 };

/// A call begins.
#[inline(always)]
pub fn enter(ctx: &ProbeContext, call: &Call) {
    enter_later(ctx, call, 0);
}

/// A call has begun, and has `pushed` bytes onto the stack since.
#[inline(always)]
pub fn enter_later(ctx: &ProbeContext, call: &Call, pushed: u64) {
    let Some(thread) = thread(bpf_get_current_pid_tgid()) else {
        count_tls(TlsReason::TableFull, 0);
        return;
    };
    let sp = stack_pointer(ctx) + pushed;
    let mut depth = u64::from(thread.depth);
    let mut turn = 0;
    // A call within another lies below it on the stack. What does not has ended unseen.
    while turn < TLS_DEPTH {
        if depth == 0 || frame(thread, depth - 1).sp > sp {
            break;
        }
        depth -= 1;
        turn += 1;
    }
    if depth >= TLS_DEPTH as u64 {
        count_tls(TlsReason::Nested, 0);
        return;
    }
    let f = frame(thread, depth);
    f.sp = sp;
    f.handle = call.handle;
    f.buf = call.buf;
    f.out = call.out;
    f.sk = 0;
    f.time_ns = fresh_id();
    f.func = call.func;
    f.done = 0;
    f.asked = call.asked;
    f.code = code(ctx);
    thread.depth = depth as u32 + 1;
}

/// The call that returns, taken off its thread: the frame, the thread, and the calls around it. Only
/// bits of `mask` are compared with `func`.
#[inline(always)]
pub fn pop(
    ctx: &ProbeContext,
    id: u64,
    func: u32,
    mask: u32,
) -> Option<(TlsFrame, &'static mut TlsThread, u64)> {
    let thread = TLS_THREADS.get_ptr_mut(&id)?;
    // SAFETY: a live map value that only this thread uses.
    let thread = unsafe { &mut *thread };
    let sp = stack_pointer(ctx);
    let mut depth = u64::from(thread.depth);
    let mut turn = 0;
    while turn < TLS_DEPTH {
        if depth == 0 || frame(thread, depth - 1).sp + POPPED >= sp {
            break;
        }
        depth -= 1;
        turn += 1;
    }
    if depth == 0 || depth > TLS_DEPTH as u64 {
        thread.depth = 0;
        return None;
    }
    let f = *frame(thread, depth - 1);
    // A call that began before the probe.
    if f.sp > sp || f.func & mask != func {
        thread.depth = depth as u32;
        return None;
    }
    depth -= 1;
    thread.depth = depth as u32;
    Some((f, thread, depth))
}

/// A call of `func` returns.
#[inline(always)]
pub fn leave(ctx: &ProbeContext, func: u32, result: Result, dir: u8) {
    let id = bpf_get_current_pid_tgid();
    let Some((f, thread, depth)) = pop(ctx, id, func, u32::MAX) else { return };
    let value = returned(ctx);
    let mut n = match result {
        Result::Int => value as i32 as i64,
        Result::Long => value as i64,
        Result::Pointed if value as i32 == 1 => {
            // SAFETY: the helper checks the address.
            unsafe { bpf_probe_read_user(f.out as *const u64) }.unwrap_or(0) as i64
        }
        Result::Pointed => 0,
    };
    if f.done != 0 {
        n = 0;
    }
    let mut adjacent = 0;
    if dir == direction::INGRESS {
        adjacent = thread.last_sk;
        thread.last_sk = 0;
    }
    if depth > 0 && depth <= TLS_DEPTH as u64 {
        let outer = frame(thread, depth - 1);
        if outer.handle == f.handle {
            outer.done |= (n > 0) as u32;
            outer.sk = f.sk;
        }
    }
    if n <= 0 && f.sk == 0 && adjacent == 0 {
        return;
    }
    let key = key(f.handle);
    let Some(conn) = conn(&key, 0) else { return };
    if f.sk != 0 {
        tls_socket::adopt(conn, f.sk, tls_method::NESTED);
    } else if conn.fd >= 0 {
        let sk = tls_socket::of_descriptor(conn.fd);
        if sk != 0 {
            tls_socket::adopt(conn, sk, tls_method::DESCRIPTOR);
        }
    } else if conn.sk == 0 && adjacent != 0 {
        tls_socket::adopt(conn, adjacent, tls_method::ADJACENT);
    }
    if n > 0 {
        let n = if n > u32::MAX as i64 { u32::MAX } else { n as u32 };
        // Of a file there is no buffer.
        let buf = if func == FILE { 0 } else { f.buf };
        send(&Sent { id, handle: key.handle, buf, entry_ns: f.time_ns, n, dir, code: 0 }, conn);
    }
}

/// The process has no use for a connection any more.
#[inline(always)]
pub fn release(handle: u64) {
    let key = key(handle);
    let Some(conn) = TLS_CONNS.get_ptr_mut(&key) else { return };
    // SAFETY: a live map value.
    let conn = unsafe { &*conn };
    if conn.pos[0] | conn.pos[1] != 0 {
        event(&TlsHeader {
            time_ns: fresh_id(),
            conn: conn.id,
            handle,
            tgid: key.tgid,
            event: tls_event::CLOSED,
            ..EMPTY
        });
    }
    let _ = TLS_CONNS.remove(&key);
}

/// The program's context has arguments of the width of a register.
#[inline(always)]
pub fn arg(ctx: &ProbeContext, n: usize) -> u64 {
    ctx.arg::<u64>(n).unwrap_or(0)
}
