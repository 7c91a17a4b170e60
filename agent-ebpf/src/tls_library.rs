//! TLS libraries whose functions take a connection, a buffer and its length: OpenSSL and its
//! relatives, GnuTLS, NSS, mbedTLS, wolfSSL, s2n.
//!
//! A program stands for a shape of functions, not for a library: the agent attaches it to each
//! function that has the shape, at its entry or at its returns.

use aya_ebpf::{
    EbpfContext as _, helpers::generated::bpf_get_attach_cookie, macros::uprobe, programs::ProbeContext,
};
use remora_abi::{direction, tls_flags};

use crate::tls::{Call, FILE, Result, arg, conn, enter, enter_later, fresh_id, key, leave, release};

const READ: u32 = 1;
const WRITE: u32 = 2;
const READ_POINTED: u32 = 3;
const WRITE_POINTED: u32 = 4;

#[inline(always)]
fn begin(ctx: &ProbeContext, func: u32, out: u64) -> u32 {
    enter(ctx, &Call { func, handle: arg(ctx, 0), buf: arg(ctx, 1), out, asked: 0 });
    0
}

/// `read(connection, buffer, length)` begins.
#[uprobe]
pub fn remora_tls_read(ctx: ProbeContext) -> u32 {
    begin(&ctx, READ, 0)
}

/// What was pushed before the probe, which has it as its cookie.
#[inline(always)]
fn pushed(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { bpf_get_attach_cookie(ctx.as_ptr()) }
}

#[inline(always)]
fn begin_later(ctx: &ProbeContext, func: u32) -> u32 {
    let call = Call { func, handle: arg(ctx, 0), buf: arg(ctx, 1), out: 0, asked: 0 };
    enter_later(ctx, &call, pushed(ctx));
    0
}

/// `read(connection, buffer, length)` has begun: the kernel puts no probe on its first instruction.
#[uprobe]
pub fn remora_tls_read_later(ctx: ProbeContext) -> u32 {
    begin_later(&ctx, READ)
}

/// `write(connection, buffer, length)` has.
#[uprobe]
pub fn remora_tls_write_later(ctx: ProbeContext) -> u32 {
    begin_later(&ctx, WRITE)
}

/// It returns an `int`.
#[uprobe]
pub fn remora_tls_read_int(ctx: ProbeContext) -> u32 {
    leave(&ctx, READ, Result::Int, direction::INGRESS);
    0
}

/// It returns a `ssize_t`.
#[uprobe]
pub fn remora_tls_read_long(ctx: ProbeContext) -> u32 {
    leave(&ctx, READ, Result::Long, direction::INGRESS);
    0
}

/// `write(connection, buffer, length)` begins.
#[uprobe]
pub fn remora_tls_write(ctx: ProbeContext) -> u32 {
    begin(&ctx, WRITE, 0)
}

/// It returns an `int`.
#[uprobe]
pub fn remora_tls_write_int(ctx: ProbeContext) -> u32 {
    leave(&ctx, WRITE, Result::Int, direction::EGRESS);
    0
}

/// It returns a `ssize_t`.
#[uprobe]
pub fn remora_tls_write_long(ctx: ProbeContext) -> u32 {
    leave(&ctx, WRITE, Result::Long, direction::EGRESS);
    0
}

/// `read_ex(connection, buffer, length, size_t *read)` begins.
#[uprobe]
pub fn remora_tls_read_ex(ctx: ProbeContext) -> u32 {
    begin(&ctx, READ_POINTED, arg(&ctx, 3))
}

/// It returns.
#[uprobe]
pub fn remora_tls_read_ex_end(ctx: ProbeContext) -> u32 {
    leave(&ctx, READ_POINTED, Result::Pointed, direction::INGRESS);
    0
}

/// `write_ex(connection, buffer, length, size_t *written)` begins.
#[uprobe]
pub fn remora_tls_write_ex(ctx: ProbeContext) -> u32 {
    begin(&ctx, WRITE_POINTED, arg(&ctx, 3))
}

/// `write_ex2(connection, buffer, length, flags, size_t *written)` begins.
#[uprobe]
pub fn remora_tls_write_ex2(ctx: ProbeContext) -> u32 {
    begin(&ctx, WRITE_POINTED, arg(&ctx, 4))
}

/// Either returns.
#[uprobe]
pub fn remora_tls_write_ex_end(ctx: ProbeContext) -> u32 {
    leave(&ctx, WRITE_POINTED, Result::Pointed, direction::EGRESS);
    0
}

/// `sendfile(connection, file, offset, size, flags)` begins: what it sends is in no buffer.
#[uprobe]
pub fn remora_tls_file(ctx: ProbeContext) -> u32 {
    enter(&ctx, &Call { func: FILE, handle: arg(&ctx, 0), buf: 0, out: 0, asked: 0 });
    0
}

/// It returns.
#[uprobe]
pub fn remora_tls_file_end(ctx: ProbeContext) -> u32 {
    leave(&ctx, FILE, Result::Long, direction::EGRESS);
    0
}

/// `set_fd(connection, descriptor)`: a connection begins.
#[uprobe]
pub fn remora_tls_set_fd(ctx: ProbeContext) -> u32 {
    let fd = arg(&ctx, 1) as i32;
    if let Some(conn) = conn(&key(arg(&ctx, 0)), tls_flags::FRESH) {
        if conn.fd != fd && conn.fd >= 0 {
            conn.id = fresh_id();
            conn.sk = 0;
            conn.pos = [0; 2];
            conn.flags = tls_flags::FRESH;
        }
        conn.fd = fd;
    }
    0
}

/// A handshake step of a connection: one that was not known before begins here.
#[uprobe]
pub fn remora_tls_handshake(ctx: ProbeContext) -> u32 {
    let _ = conn(&key(arg(&ctx, 0)), tls_flags::FRESH);
    0
}

/// `free(connection)`: it is over.
#[uprobe]
pub fn remora_tls_free(ctx: ProbeContext) -> u32 {
    release(arg(&ctx, 0));
    0
}

/// `MSG_PEEK` of Linux, and of NSPR.
const PEEK: u64 = 2;

/// `recv(connection, buffer, length, flags)` begins, unless it only looks.
#[uprobe]
pub fn remora_tls_recv(ctx: ProbeContext) -> u32 {
    if arg(&ctx, 3) & PEEK == 0 { begin(&ctx, READ, 0) } else { 0 }
}
