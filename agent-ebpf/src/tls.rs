//! What all probes on TLS libraries do: remember a call when it begins, and send the plaintext when it
//! returns.
//!
//! Nothing is changed in the process, and nothing waits: plaintext for which there is no room is
//! counted, and its place in the stream is noted with the next record that finds some.

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_user,
        generated::{
            bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns, bpf_probe_read_user as read_user,
            bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit,
        },
    },
    programs::ProbeContext,
};
use remora_abi::{
    FlowKey, Reason, TLS_CHUNK, TlsConn, TlsConnKey, TlsHeader, TlsReason, direction, tls_event, tls_flags,
    tls_method,
};

use crate::{
    insn::{low2, low17},
    maps::{
        FLOWS, HAS_NETNS_COOKIE, RING_COUNT, SETTINGS, TLS_BUDGET, TLS_CONNS, TLS_DEPTH, TLS_RING, TLS_SHED,
        TLS_STATE, TLS_THREADS, TLS_WAKEUP, TlsFrame, TlsThread, count_tls,
    },
    tls_socket,
};

/// Most full records of one call; the budget is the usual bound.
const MAX_FULL: u32 = 128;
/// Room of the smaller records.
const SMALL: usize = 1 << 10;
const MEDIUM: usize = 4 << 10;
const LARGE: usize = 16 << 10;
/// What copying loops use as their buffer, in Go for one.
const COPIED: usize = 32 << 10;
const TCP: u8 = 6;

const NO_FRAME: TlsFrame = TlsFrame { sp: 0, handle: 0, buf: 0, out: 0, sk: 0, time_ns: 0, func: 0, done: 0 };
static NO_THREAD: TlsThread = TlsThread { depth: 0, pad: 0, last_sk: 0, frames: [NO_FRAME; TLS_DEPTH] };
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
    pad: [0; 2],
};

/// A record with room for `N` bytes.
#[repr(C)]
struct Record<const N: usize> {
    header: TlsHeader,
    data: [u8; N],
}

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
fn thread(id: u64) -> Option<&'static mut TlsThread> {
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
        let _ = TLS_CONNS.insert(key, &NO_CONN, u64::from(BPF_ANY));
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

#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn returned(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).rax }
}

#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn returned(ctx: &ProbeContext) -> u64 {
    // SAFETY: the program's context.
    unsafe { (*ctx.regs).regs[0] }
}

/// What a return pops off the stack before a return probe of the kernel sees it; a probe at the
/// return instruction comes before that.
const POPPED: u64 = if cfg!(bpf_target_arch = "x86_64") { 8 } else { 0 };

/// A call begins.
#[inline(always)]
pub fn enter(ctx: &ProbeContext, call: &Call) {
    let Some(thread) = thread(bpf_get_current_pid_tgid()) else {
        count_tls(TlsReason::TableFull, 0);
        return;
    };
    let sp = stack_pointer(ctx);
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
    thread.depth = depth as u32 + 1;
}

/// A call of `func` returns.
#[inline(always)]
pub fn leave(ctx: &ProbeContext, func: u32, result: Result, dir: u8) {
    let id = bpf_get_current_pid_tgid();
    let Some(thread) = TLS_THREADS.get_ptr_mut(&id) else { return };
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
        return;
    }
    let f = *frame(thread, depth - 1);
    // A call that began before the probe.
    if f.sp > sp || f.func != func {
        thread.depth = depth as u32;
        return;
    }
    depth -= 1;
    thread.depth = depth as u32;
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
        send(&Sent { id, handle: key.handle, buf: f.buf, entry_ns: f.time_ns, n, dir }, conn);
    }
}

/// Plaintext that a call has read or written.
pub struct Sent {
    /// Thread and process.
    pub id: u64,
    /// The connection.
    pub handle: u64,
    /// Where it lies; 0 when there is no copy of it in memory.
    pub buf: u64,
    /// When the call began.
    pub entry_ns: u64,
    /// How much it is.
    pub n: u32,
    /// See `direction`.
    pub dir: u8,
}

/// Sends plaintext, and moves the connection's position. What is written counts from the beginning of
/// the call, before which nobody can have it; what is read from its end.
#[inline(always)]
pub fn send(sent: &Sent, conn: &mut TlsConn) {
    let Sent { id, handle, buf, entry_ns, n, dir } = *sent;
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let side = (dir & 1) as usize;
    let pos = if side == 0 { conn.pos[0] } else { conn.pos[1] };
    if side == 0 {
        conn.pos[0] = pos + u64::from(n);
    } else {
        conn.pos[1] = pos + u64::from(n);
    }
    let mut header = TlsHeader {
        time_ns: if dir == direction::EGRESS { entry_ns } else { now },
        // SAFETY: a helper without arguments.
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
        conn: conn.id,
        handle,
        pos,
        local: conn.addr[0],
        remote: conn.addr[1],
        tgid: (id >> 32) as u32,
        tid: id as u32,
        len: n,
        captured: 0,
        flow_id: 0,
        ring: 0,
        netns: 0,
        pad: 0,
        local_port: conn.port[0],
        remote_port: conn.port[1],
        event: tls_event::DATA,
        direction: dir,
        method: conn.method,
        flags: conn.flags,
    };
    if let Some(settings) = SETTINGS.get(0)
        && settings.own_tgid == header.tgid
    {
        return;
    }
    if conn.sk != 0 && !is_captured(&mut header, conn.netns) {
        count_tls(TlsReason::Policy, n);
        return;
    }
    copy(&mut header, buf, n);
}

/// Finds the connection's flow; false when the policy leaves it out.
#[inline(always)]
fn is_captured(header: &mut TlsHeader, netns: u32) -> bool {
    let netns = if HAS_NETNS_COOKIE.load() != 0 { netns } else { 0 };
    // Only loopback traffic has the namespace in its key.
    let (mut key, _) = FlowKey::between(
        (&header.local, header.local_port),
        (&header.remote, header.remote_port),
        TCP,
        netns,
    );
    let mut found = FLOWS.get_ptr_mut(&key);
    if found.is_some() {
        header.netns = netns;
    } else {
        key.protocol_netns = u32::from(TCP);
        found = FLOWS.get_ptr_mut(&key);
    }
    match found {
        None => {
            header.ring = key.share(RING_COUNT.load());
            true
        }
        Some(flow) => {
            // SAFETY: a live map value.
            let flow = unsafe { &*flow };
            header.flow_id = flow.id;
            header.ring = flow.ring;
            flow.verdict == Reason::Captured as u8
        }
    }
}

#[inline(always)]
fn copy(header: &mut TlsHeader, buf: u64, n: u32) {
    let budget = TLS_BUDGET.load();
    let mut want = if n > budget { budget } else { n };
    if buf == 0 {
        want = 0;
        count_tls(TlsReason::File, n);
    } else if in_ring() > TLS_SHED.load() {
        want = 0;
        count_tls(TlsReason::Shed, n);
    } else if want < n {
        count_tls(TlsReason::Budget, n - want);
    }
    if want == 0 {
        header.flags |= tls_flags::CUT;
        event(header);
        return;
    }
    let mut off = 0;
    let mut i = 0;
    // The verifier walks through every turn: they are few and do little.
    while i < MAX_FULL && want - off > TLS_CHUNK {
        header.len = TLS_CHUNK;
        if !chunk::<{ TLS_CHUNK as usize }, true>(header, buf + u64::from(off), TLS_CHUNK) {
            count_tls(TlsReason::RingFull, n - off);
            return;
        }
        off += TLS_CHUNK;
        header.pos += u64::from(TLS_CHUNK);
        i += 1;
    }
    let left = want - off;
    let size = if left > TLS_CHUNK { TLS_CHUNK } else { left };
    header.len = n - off;
    if size < header.len {
        header.flags |= tls_flags::CUT;
    }
    let from = buf + u64::from(off);
    let sent = if size <= SMALL as u32 {
        chunk::<SMALL, false>(header, from, size)
    } else if size <= MEDIUM as u32 {
        chunk::<MEDIUM, false>(header, from, size)
    } else if size <= LARGE as u32 {
        chunk::<LARGE, false>(header, from, size)
    } else if size <= COPIED as u32 {
        chunk::<COPIED, false>(header, from, size)
    } else {
        chunk::<{ TLS_CHUNK as usize }, false>(header, from, size)
    };
    if !sent {
        count_tls(TlsReason::RingFull, n - off);
    }
}

/// Sends a record with `size` bytes, `WHOLE`: with as many as it has room for, and more will follow.
/// False when the ring is full.
#[inline(always)]
fn chunk<const N: usize, const WHOLE: bool>(header: &TlsHeader, from: u64, size: u32) -> bool {
    // SAFETY: the ring is a map of this object.
    let record = unsafe { bpf_ringbuf_reserve(ring(), size_of::<Record<N>>() as u64, 0) }.cast::<Record<N>>();
    if record.is_null() {
        return false;
    }
    let mut size = u64::from(size);
    if WHOLE {
        size = N as u64;
    } else {
        size = low17(size);
        if size > N as u64 {
            size = N as u64;
        }
    }
    // SAFETY: the record has room for N bytes; the helper checks the address in the process.
    let ok = unsafe {
        (*record).header = *header;
        read_user((&raw mut (*record).data).cast(), size as u32, from as *const core::ffi::c_void) == 0
    };
    let flags = if WHOLE { u64::from(BPF_RB_NO_WAKEUP) } else { wake() };
    // SAFETY: the record is submitted once and not used afterwards.
    unsafe {
        (*record).header.captured = if ok { size as u32 } else { 0 };
        if !ok {
            (*record).header.flags |= tls_flags::CUT;
        }
        bpf_ringbuf_submit(record.cast(), flags);
    }
    count_tls(if ok { TlsReason::Captured } else { TlsReason::Unreadable }, size as u32);
    true
}

/// Sends a record without plaintext.
#[inline(always)]
pub fn event(header: &TlsHeader) {
    // SAFETY: the ring is a map of this object.
    let record = unsafe { bpf_ringbuf_reserve(ring(), TlsHeader::LEN as u64, 0) }.cast::<TlsHeader>();
    if record.is_null() {
        count_tls(TlsReason::RingFull, 0);
        return;
    }
    // SAFETY: the record has room for a header, and is submitted once.
    unsafe {
        *record = *header;
        bpf_ringbuf_submit(record.cast(), wake());
    }
}

/// The ring, as helpers take it.
#[inline(always)]
fn ring() -> *mut core::ffi::c_void {
    core::ptr::from_ref(&TLS_RING).cast_mut().cast()
}

#[inline(always)]
fn in_ring() -> u32 {
    // SAFETY: the ring is a map of this object.
    (unsafe { bpf_ringbuf_query(ring(), u64::from(BPF_RB_AVAIL_DATA)) }) as u32
}

/// Whether to wake the reader: when it sleeps long, or when there is much to read.
#[inline(always)]
fn wake() -> u64 {
    if let Some(state) = TLS_STATE.get_ptr_mut(0) {
        // SAFETY: a live map value; the worst of a race is one wake-up too many.
        unsafe {
            if (*state).idle != 0 {
                (*state).idle = 0;
                return u64::from(BPF_RB_FORCE_WAKEUP);
            }
        }
    }
    let mark = TLS_WAKEUP.load();
    let waiting = in_ring();
    let flag = if waiting >= mark && waiting < mark + 4 * TLS_CHUNK {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    u64::from(flag)
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

/// A header that says nothing.
pub const EMPTY: TlsHeader = TlsHeader {
    time_ns: 0,
    conn: 0,
    handle: 0,
    pos: 0,
    cgroup_id: 0,
    local: [0; 2],
    remote: [0; 2],
    tgid: 0,
    tid: 0,
    len: 0,
    captured: 0,
    flow_id: 0,
    ring: 0,
    netns: 0,
    pad: 0,
    local_port: 0,
    remote_port: 0,
    event: 0,
    direction: 0,
    method: 0,
    flags: 0,
};

/// The program's context has arguments of the width of a register.
#[inline(always)]
pub fn arg(ctx: &ProbeContext, n: usize) -> u64 {
    ctx.arg::<u64>(n).unwrap_or(0)
}
