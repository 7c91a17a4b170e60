//! Functions on trial: those that were found by a guess, and those whose way of calling is not written
//! down anywhere. Their plaintext is marked, and the first calls of each connection are described, so
//! that the agent can judge before it believes anything (agent/src/tls/trial.rs).

use aya_ebpf::{
    bindings::BPF_ANY,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user},
    macros::uprobe,
    programs::ProbeContext,
};
use remora_abi::{TlsConn, TlsConnKey, TlsTrace, direction, tls_flags, tls_method};

use crate::{
    maps::{TLS_CONNS, TLS_SOCKETS, TLS_WATCHED, TlsThread},
    tls::{Call, arg, conn, enter, fresh_id, key, pop, returned, thread},
    tls_record::{Sent, event, send_route},
    tls_socket,
};

/// What the functions on trial have in common in `TlsFrame::func`; the low bit is the direction.
const TRIAL: u32 = 16;
/// Calls of a connection that are described.
const TRACES: u8 = 8;

/// A call of a function on trial, as it turned out.
pub struct Tried {
    /// Thread and process.
    pub id: u64,
    /// What would be the connection.
    pub handle: u64,
    /// Where the plaintext would be.
    pub buf: u64,
    /// When the call began.
    pub entry_ns: u64,
    /// What it returned.
    pub n: i64,
    /// Bytes that the caller offered or had room for.
    pub asked: u64,
    /// See `TlsHeader::code`.
    pub code: u32,
    /// See `direction`.
    pub dir: u8,
    /// Socket of input or output inside the call, and of input right before it; or 0.
    pub sk: u64,
    /// See above.
    pub adjacent: u64,
    /// The connection's structure says something about the library.
    pub has_head: bool,
    /// Input right before the call was for it, whatever was known.
    pub is_close: bool,
}

/// Notes what a call tells of its connection, and describes it. Gives what is to be sent, and whose.
#[inline(always)]
pub fn judge(tried: &Tried) -> Option<(Sent, &'static mut TlsConn)> {
    let key = key(tried.handle);
    if tried.n <= 0 && tried.sk == 0 && TLS_CONNS.get_ptr(&key).is_none() {
        return None;
    }
    let conn = conn(&key, 0)?;
    let is_egress = tried.dir == direction::EGRESS;
    let mut adjacent = if is_egress { 0 } else { tried.adjacent };
    if conn.sk != 0 && (is_egress || adjacent != 0) {
        if tls_socket::is_gone(conn) {
            begin_anew(conn, 0);
        } else if !tried.is_close {
            adjacent = 0;
        }
    }
    let (mut sk, mut method) = (tried.sk, tls_method::NESTED);
    if sk == 0 && conn.fd >= 0 {
        sk = tls_socket::of_descriptor(conn.fd);
        method = tls_method::DESCRIPTOR;
    }
    if sk == 0 {
        sk = adjacent;
        method = tls_method::ADJACENT;
    }
    if sk != 0 {
        tls_socket::adopt(conn, sk, method);
        if tried.is_close {
            claim(conn, &key);
        }
    }
    if conn.traces < TRACES {
        conn.traces += 1;
        let mut head = [0; 4];
        if tried.has_head {
            // SAFETY: the helper checks the address; what lies there is only copied.
            head = unsafe { bpf_probe_read_user(tried.handle as *const [u64; 4]) }.unwrap_or([0; 4]);
        }
        let seen = if tried.sk != 0 || tried.adjacent != 0 { method } else { tls_method::UNKNOWN };
        let asked = if tried.asked > u32::MAX as u64 { u32::MAX } else { tried.asked as u32 };
        let trace = TlsTrace {
            code: tried.code,
            tgid: key.tgid,
            handle: key.handle,
            head,
            asked,
            returned: tried.n,
            direction: tried.dir,
            method: seen,
        };
        event(&trace.header(fresh_id()));
    }
    if tried.n <= 0 || tried.n as u64 > tried.asked {
        return None;
    }
    conn.flags |= tls_flags::TRIAL;
    let sent = Sent {
        id: tried.id,
        handle: key.handle,
        buf: tried.buf,
        entry_ns: tried.entry_ns,
        n: if tried.n > u32::MAX as i64 { u32::MAX } else { tried.n as u32 },
        dir: tried.dir,
        code: tried.code,
    };
    Some((sent, conn))
}

/// The structure serves another connection.
#[inline(always)]
fn begin_anew(conn: &mut TlsConn, flags: u8) {
    conn.id = fresh_id();
    conn.sk = 0;
    conn.pos = [0; 2];
    conn.port = [0; 2];
    conn.addr = [[0; 2]; 2];
    conn.method = tls_method::UNKNOWN;
    conn.flags = flags;
    conn.traces = 0;
}

/// The connections of rustls are moved in memory while they live: what has the same socket at another
/// address was that connection before. Returns how much that had written.
#[inline(always)]
fn claim(conn: &mut TlsConn, key: &TlsConnKey) -> u64 {
    let mut written = 0;
    let sk = conn.sk;
    let mut is_new = true;
    if let Some(before) = TLS_SOCKETS.get_ptr(&sk) {
        // SAFETY: a live map value.
        let before = unsafe { *before };
        if before.handle == key.handle && before.tgid == key.tgid {
            is_new = false;
        } else if before.tgid == key.tgid
            && let Some(old) = TLS_CONNS.get_ptr(&before)
        {
            // SAFETY: a live map value.
            let old = unsafe { &*old };
            if old.sk == sk && old.port == conn.port {
                written = old.pos[1];
                conn.id = old.id;
                conn.pos[0] += old.pos[0];
                conn.pos[1] += written;
                conn.flags = old.flags;
                let _ = TLS_CONNS.remove(&before);
            }
        }
    }
    if is_new {
        let _ = TLS_SOCKETS.insert(&sk, key, u64::from(BPF_ANY));
    }
    written
}

/// The thread sends on `sk` what it has just written on a connection whose socket was not known.
#[inline(always)]
pub fn routed(thread: &mut TlsThread, id: u64, sk: u64) {
    let key = key(thread.wrote);
    let code = thread.code;
    thread.wrote = 0;
    let Some(conn) = TLS_CONNS.get_ptr_mut(&key) else { return };
    // SAFETY: a live map value.
    let conn = unsafe { &mut *conn };
    if conn.sk != 0 {
        return;
    }
    tls_socket::adopt(conn, sk, tls_method::ADJACENT);
    if conn.sk == 0 {
        return;
    }
    let before = conn.id;
    let by = claim(conn, &key);
    conn.flags |= tls_flags::TRIAL;
    let sent = Sent { id, handle: 0, buf: 0, entry_ns: fresh_id(), n: 0, dir: direction::EGRESS, code };
    send_route(&sent, conn, before, by);
}

/// A connection begins, of which the thread has just had input on the socket `sk`, if that is not 0.
#[inline(always)]
pub fn begin_joined(handle: u64, sk: u64) {
    let key = key(handle);
    let Some(conn) = conn(&key, tls_flags::FRESH) else { return };
    let is_other = conn.sk != 0 && (conn.sk != sk || tls_socket::is_gone(conn));
    if is_other || (conn.sk == 0 && conn.pos[0] | conn.pos[1] != 0) {
        begin_anew(conn, tls_flags::FRESH);
    }
    if sk != 0 {
        tls_socket::adopt(conn, sk, tls_method::ADJACENT);
        claim(conn, &key);
    }
}

/// From now on all threads of the process are noted when they receive.
#[inline(always)]
pub fn watch(id: u64) {
    let tgid = (id >> 32) as u32;
    if TLS_WATCHED.get_ptr(&tgid).is_none() {
        let _ = TLS_WATCHED.insert(&tgid, &1, u64::from(BPF_ANY));
    }
}

/// The socket of the last input outside of a call, which is used up by that.
#[inline(always)]
pub fn input_before(thread: &mut TlsThread) -> u64 {
    let sk = thread.last_sk;
    thread.last_sk = 0;
    sk
}

#[inline(always)]
fn begin(ctx: &ProbeContext, dir: u8) -> u32 {
    watch(bpf_get_current_pid_tgid());
    // The length is an `int`.
    let asked = u64::from(arg(ctx, 2) as u32 & 0x7fff_ffff);
    let call = Call { func: TRIAL | u32::from(dir), handle: arg(ctx, 0), buf: arg(ctx, 1), out: 0, asked };
    enter(ctx, &call);
    0
}

/// What may be `read(connection, buffer, length)` begins.
#[uprobe]
pub fn remora_tls_trial_read(ctx: ProbeContext) -> u32 {
    begin(&ctx, direction::INGRESS)
}

/// What may be `write(connection, buffer, length)` begins.
#[uprobe]
pub fn remora_tls_trial_write(ctx: ProbeContext) -> u32 {
    begin(&ctx, direction::EGRESS)
}

/// Either returns an `int`.
#[uprobe]
pub fn remora_tls_trial_end(ctx: ProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    let Some((f, thread, _)) = pop(&ctx, id, TRIAL, !1) else { return 0 };
    let dir = (f.func & 1) as u8;
    let adjacent = if dir == direction::INGRESS { input_before(thread) } else { 0 };
    let tried = Tried {
        id,
        handle: f.handle,
        buf: f.buf,
        entry_ns: f.time_ns,
        n: i64::from(returned(&ctx) as i32),
        asked: f.asked,
        code: f.code,
        dir,
        sk: f.sk,
        adjacent,
        has_head: true,
        is_close: false,
    };
    if let Some((sent, conn)) = judge(&tried) {
        crate::tls_record::send(&sent, conn);
    }
    0
}

/// A connection begins, or its handshake goes on.
#[uprobe]
pub fn remora_tls_trial_begin(ctx: ProbeContext) -> u32 {
    let id = bpf_get_current_pid_tgid();
    watch(id);
    let _ = thread(id);
    if let Some(conn) = conn(&key(arg(&ctx, 0)), tls_flags::FRESH)
        && conn.pos[0] | conn.pos[1] != 0
        && (conn.sk == 0 || tls_socket::is_gone(conn))
    {
        begin_anew(conn, tls_flags::FRESH);
    }
    0
}
