//! rustls, in programs that were compiled with it.
//!
//! Rust promises no way of calling. What is used here is what its compiler has done since Rust 1.71:
//! arguments of the size of a register go like those of C, larger ones by address. Both functions take the
//! connection (`&mut CommonState`) first, and whatever the program reads or writes passes through
//! them: each decrypted record, and all that is to be encrypted.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::uprobe,
    programs::ProbeContext,
};
use remora_abi::direction;

use crate::{
    tls::{Call, arg, code, enter, frame, fresh_id, pop, returned, thread},
    tls_record::{send, send_list},
    tls_trial::{Tried, input_before, judge, watch},
};

const ONE: u32 = 32;
const LIST: u32 = 33;

/// Most plaintext of a record (RFC 8446, 5.1).
const RECORD: u64 = 1 << 14;
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
