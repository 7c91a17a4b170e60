//! rustls, in programs that were compiled with it.
//!
//! Rust promises no way of calling. What is used here is what its compiler has done since Rust 1.71:
//! arguments of the size of a register go like those of C, larger ones by address, and so do results, to an
//! address that the caller gives. `take_received_plaintext` and `buffer_plaintext` take the connection
//! (`&mut CommonState`) first, and whatever the program reads or writes passes through them: each decrypted
//! record, and all that is to be encrypted.
//!
//! The first of them is small, so that optimising compilers leave nothing of it. Then records are read where they are
//! decrypted, in the record layer. That is a part of the connection's structure, whose place in it differs
//! from one version to the next: what is written goes by the same name because it is encrypted there.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::uprobe,
    programs::ProbeContext,
};
use remora_abi::direction;

use crate::{
    maps::TLS_THREADS,
    tls::{Call, arg, code, enter, frame, fresh_id, pop, returned, thread},
    tls_record::{send, send_list},
    tls_trial::{Tried, begin_joined, input_before, judge, watch},
};

const ONE: u32 = 32;
const LIST: u32 = 33;
const OPEN: u32 = 34;

/// Most plaintext of a record (RFC 8446, 5.1).
const RECORD: u64 = 1 << 14;
/// Bytes of its head there: type, version, length.
const HEAD: u64 = 5;
/// Types of it.
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
/// What it is longer by than the plaintext, at least, where the plaintext's own type is encrypted with
/// it (RFC 8446, 5.2). TLS 1.2 adds 16 bytes behind it, and before it 8 or none.
const INNER: u64 = 17;
/// What stands in the place of a capacity in an enumeration whose other variant has a `Vec`.
const NICHE: u64 = 1 << 63;

/// `CommonState::take_received_plaintext(&mut self, Payload)` begins.
///
/// A `Payload` is a `Vec<u8>` or a slice. The `Vec` has capacity, address and length, in Rust before
/// 1.78 address and capacity; where the slice has its address and length the first word is one that
/// no capacity, or no address, can be.
#[uprobe]
pub fn remora_tls_rust_take(ctx: ProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    watch(id);
    // SAFETY: the helper checks the address; what lies there is only copied.
    let payload = unsafe { bpf_probe_read_user(arg(&ctx, 1) as *const [u64; 3]) };
    let [a, b, len] = payload.unwrap_or([0, 0, u64::MAX]);
    let mut buf = b;
    let mut is_whole = true;
    if a != 0 && a != NICHE {
        // No buffer of a record is larger than the address at which it lies.
        if a > b {
            buf = a;
        }
        is_whole = a >= len && b >= len;
    }
    if len == 0 {
        return 0;
    }
    let Some(thread) = thread(id) else { return 0 };
    let adjacent = input_before(thread);
    let tried = Tried {
        id,
        handle: arg(&ctx, 0),
        buf,
        entry_ns: fresh_id(),
        n: if len > i64::MAX as u64 { i64::MAX } else { len as i64 },
        asked: if is_whole { RECORD } else { 0 },
        code: code(&ctx),
        dir: direction::INGRESS,
        sk: 0,
        adjacent,
        has_head: false,
        is_close: true,
    };
    if let Some((sent, conn)) = judge(&tried) {
        send(&sent, conn);
    }
    0
}

/// `CommonState::buffer_plaintext(&mut self, OutboundChunks, &mut ChunkVecBuffer) -> usize` begins.
///
/// `OutboundChunks` is one slice, and then its first word is zero and its address and length follow; or a
/// list of slices, by its address and length, and the range of bytes in it that is meant.
#[uprobe]
pub fn remora_tls_rust_buffer(ctx: ProbeContext) -> u32 {
    watch(bpf_get_current_pid_tgid());
    // SAFETY: the helper checks the address; what lies there is only copied.
    let chunks = unsafe { bpf_probe_read_user(arg(&ctx, 1) as *const [u64; 4]) };
    let [list, a, b, c] = chunks.unwrap_or([0; 4]);
    let handle = arg(&ctx, 0);
    let call = if list == 0 {
        Call { func: ONE, handle, buf: a, out: 0, asked: b }
    } else {
        Call { func: LIST, handle, buf: list, out: b, asked: if c > b { c - b } else { 0 } }
    };
    enter(&ctx, &call);
    0
}

/// It returns how much it has taken.
#[uprobe]
pub fn remora_tls_rust_buffer_end(ctx: ProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    let Some((f, thread, depth)) = pop(&ctx, id, ONE, !1) else { return 0 };
    let tried = Tried {
        id,
        handle: f.handle,
        buf: f.buf,
        entry_ns: f.time_ns,
        n: returned(&ctx) as i64,
        asked: f.asked,
        code: f.code,
        dir: direction::EGRESS,
        sk: 0,
        adjacent: 0,
        has_head: false,
        is_close: true,
    };
    if let Some((sent, conn)) = judge(&tried) {
        // It is sent right behind this, by the same thread.
        thread.wrote = if conn.sk == 0 { f.handle } else { 0 };
        thread.code = f.code;
        let state = &mut frame(thread, depth).list;
        state.skip = f.out;
        send_list(&sent, f.func == LIST, state, conn);
    }
    0
}

/// Where a method has its result, itself, and its argument.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn method(ctx: &ProbeContext) -> [u64; 3] {
    [arg(ctx, 0), arg(ctx, 1), arg(ctx, 2)]
}

/// Where a method has its result, itself, and its argument.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn method(ctx: &ProbeContext) -> [u64; 3] {
    // SAFETY: the program's context.
    [unsafe { (*ctx.regs).regs[8] }, arg(ctx, 0), arg(ctx, 1)]
}

/// `RecordLayer::decrypt_incoming(&mut self, InboundOpaqueMessage) -> Result<Option<Decrypted>, Error>` begins.
///
/// The message begins with the address and the length of what follows the record's head, and the head
/// lies in front of that. It is decrypted in place.
#[uprobe]
pub fn remora_tls_rust_open(ctx: ProbeContext) -> u32 {
    watch(bpf_get_current_pid_tgid());
    let [out, handle, message] = method(&ctx);
    // SAFETY: the helper checks the address; what lies there is only copied.
    let [buf, asked] = unsafe { bpf_probe_read_user(message as *const [u64; 2]) }.unwrap_or([0; 2]);
    enter(&ctx, &Call { func: OPEN, handle, buf, out, asked });
    0
}

/// It returns. The result has the address and the length of the plaintext, which is a part of the record; where they are
/// depends on the compiler. After an error there is no such pair.
#[uprobe]
pub fn remora_tls_rust_open_end(ctx: ProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    let Some((f, thread, _)) = pop(&ctx, id, OPEN, u32::MAX) else { return 0 };
    // SAFETY: the helper checks the address; what lies there is only copied.
    let head = unsafe { bpf_probe_read_user((f.buf - HEAD) as *const [u8; HEAD as usize]) }.unwrap_or([0; 5]);
    let len = u64::from(head[3]) << 8 | u64::from(head[4]);
    let mut tried = Tried {
        id,
        handle: f.handle,
        buf: f.buf,
        entry_ns: f.time_ns,
        n: 1,
        asked: 0,
        code: f.code,
        dir: direction::INGRESS,
        sk: 0,
        adjacent: 0,
        has_head: false,
        is_close: true,
    };
    if head[1] != 3 || len != f.asked {
        // That is no record: more was returned than there was.
        let _ = judge(&tried);
        return 0;
    }
    if head[0] == HANDSHAKE && matches!(byte(f.buf), 1 | 2) {
        // Hello of a client or of a server, which is not encrypted: a connection begins.
        begin_joined(f.handle, input_before(thread));
        return 0;
    }
    if head[0] != DATA {
        return 0;
    }
    // SAFETY: the helper checks the address; what lies there is only copied.
    let words = unsafe { bpf_probe_read_user(f.out as *const [u64; 5]) }.unwrap_or([0; 5]);
    let mut n = 0;
    let mut i = 0;
    while i < 4 {
        let into = words[i].wrapping_sub(f.buf);
        if n == 0 && into < len && words[i + 1] <= len - into {
            tried.buf = words[i];
            n = words[i + 1];
        }
        i += 1;
    }
    let before = tried.buf - f.buf;
    let has_inner = before == 0 && len - n >= INNER;
    if n == 0 || (has_inner && byte(tried.buf + n) != DATA) {
        return 0;
    }
    tried.n = n as i64;
    tried.asked = RECORD;
    tried.adjacent = input_before(thread);
    if let Some((sent, conn)) = judge(&tried) {
        send(&sent, conn);
    }
    0
}

#[inline(always)]
fn byte(at: u64) -> u8 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(at as *const u8) }.unwrap_or(0)
}

/// `RecordLayer::encrypt_outgoing(&mut self, OutboundPlainMessage) -> OutboundOpaqueMessage` begins. Inside of
/// `buffer_plaintext` that tells which record layer is that connection's.
#[uprobe]
pub fn remora_tls_rust_seal(ctx: ProbeContext) -> u32 {
    let Some(thread) = TLS_THREADS.get_ptr_mut(&bpf_get_current_pid_tgid()) else { return 0 };
    // SAFETY: a live map value that only this thread uses.
    let thread = unsafe { &mut *thread };
    if thread.depth != 0 {
        let f = frame(thread, u64::from(thread.depth - 1));
        if f.func == ONE || f.func == LIST {
            f.handle = method(&ctx)[1];
        }
    }
    0
}
