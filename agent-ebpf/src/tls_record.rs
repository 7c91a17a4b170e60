//! Plaintext on its way to the agent: in records that lie in the TLS ring.
//!
//! The memory of a record is reserved in the ring and filled there: probes are preempted and migrated,
//! so that nothing of theirs may lie in memory of a CPU.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{
        bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns, bpf_probe_read_user as read_user,
        bpf_ringbuf_discard, bpf_ringbuf_query, bpf_ringbuf_reserve, bpf_ringbuf_submit,
    },
};
use remora_abi::{
    FlowKey, Reason, TLS_CHUNK, TlsConn, TlsHeader, TlsReason, direction, tls_event, tls_flags,
};

use crate::{
    insn::{launder, low17},
    maps::{
        FLOWS, HAS_NETNS_COOKIE, RING_COUNT, SETTINGS, TLS_BUDGET, TLS_RING, TLS_SHED, TLS_STATE, TLS_WAKEUP,
        count_tls,
    },
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

/// A record with room for `N` bytes.
#[repr(C)]
pub struct Record<const N: usize> {
    pub header: TlsHeader,
    pub data: [u8; N],
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
    /// See `TlsHeader::code`.
    pub code: u32,
}

/// Sends plaintext, and moves the connection's position. What is written counts from the beginning of
/// the call, before which nobody can have it; what is read from its end.
#[inline(always)]
pub fn send(sent: &Sent, conn: &mut TlsConn) {
    if let Some(mut header) = head(sent, conn) {
        copy(&mut header, sent.buf, sent.n);
    }
}

/// [`send`] for plaintext that may be in pieces: then `sent.buf` leads to a list of their addresses and
/// lengths, and `state` begins with the bytes of them to leave out. It is memory of a map.
#[inline(always)]
pub fn send_list(sent: &Sent, is_list: bool, state: &mut ListState, conn: &mut TlsConn) {
    let Some(mut header) = head(sent, conn) else { return };
    if !is_list {
        copy(&mut header, sent.buf, sent.n);
    } else if in_ring() > TLS_SHED.load() {
        count_tls(TlsReason::Shed, sent.n);
        header.flags |= tls_flags::CUT;
        event(&header);
    } else if sent.n <= FEW as u32 {
        list::<FEW, { 2 * FEW }>(&header, sent.buf, state);
    } else {
        list::<MANY, { 2 * MANY }>(&header, sent.buf, state);
    }
}

/// Tells where a connection goes that was called `before`, and by how much the positions of what it has
/// written are to be moved.
#[inline(always)]
pub fn send_route(sent: &Sent, conn: &mut TlsConn, before: u64, by: u64) {
    if let Some(mut header) = head(sent, conn) {
        header.event = tls_event::ROUTE;
        header.handle = before;
        header.pos = by;
        event(&header);
    }
}

/// The head of the record, unless the plaintext is not wanted. Moves the connection's position.
#[inline(always)]
fn head(sent: &Sent, conn: &mut TlsConn) -> Option<TlsHeader> {
    let Sent { id, handle, entry_ns, n, dir, code, .. } = *sent;
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    let side = (dir & 1) as usize;
    let mut time_ns = now;
    if dir == direction::EGRESS {
        // One thread may have waited for another one.
        time_ns = if entry_ns < conn.sent_ns { conn.sent_ns } else { entry_ns };
        conn.sent_ns = time_ns;
    }
    let pos = if side == 0 { conn.pos[0] } else { conn.pos[1] };
    if side == 0 {
        conn.pos[0] = pos + u64::from(n);
    } else {
        conn.pos[1] = pos + u64::from(n);
    }
    let mut header = TlsHeader {
        time_ns,
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
        code,
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
        return None;
    }
    if conn.sk != 0 && !is_captured(&mut header, conn.netns) {
        count_tls(TlsReason::Policy, n);
        return None;
    }
    Some(header)
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
    let record = reserve::<Record<N>>();
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

/// Bytes of a list that are copied at most, of short ones and of others, and pieces of it.
const FEW: usize = 8 << 10;
const MANY: usize = 64 << 10;
const PIECES: u64 = 64;

/// How far a list was copied. It lies in memory of a map, so that the verifier forgets in each turn what it knew
/// in the one before: else every way through the loop multiplies those behind it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ListState {
    /// Bytes to leave out.
    pub skip: u64,
    /// Bytes copied.
    pub done: u64,
}

/// Sends up to `N` bytes from a list of pieces in one record. It has twice the room, because the verifier
/// does not see that what is copied in one turn is no more than what others have left.
#[inline(always)]
fn list<const N: usize, const ROOM: usize>(header: &TlsHeader, pieces: u64, state: &mut ListState) {
    // SAFETY: the ring is a map of this object.
    let record =
        unsafe { bpf_ringbuf_reserve(ring(), size_of::<Record<ROOM>>() as u64, 0) }.cast::<Record<ROOM>>();
    if record.is_null() {
        count_tls(TlsReason::RingFull, header.len);
        return;
    }
    let mut want = u64::from(header.len);
    if want > N as u64 {
        want = N as u64;
    }
    let state = core::ptr::from_mut(state);
    // SAFETY: as below.
    unsafe { (*state).done = 0 };
    let mut i = 0;
    while i < PIECES {
        // SAFETY: a live map value that only this thread uses.
        let state = unsafe { &mut *launder(state) };
        let at = low17(state.done);
        if at >= want || at >= N as u64 {
            break;
        }
        let mut piece = [0_u64; 2];
        // SAFETY: the helper checks the address in the process.
        let ok = unsafe {
            read_user((&raw mut piece).cast(), 16, (pieces + i * 16) as *const core::ffi::c_void) == 0
        };
        i += 1;
        if !ok {
            break;
        }
        if state.skip >= piece[1] {
            state.skip -= piece[1];
            continue;
        }
        let mut size = piece[1] - state.skip;
        if size > want - at {
            size = want - at;
        }
        size = low17(size);
        if size > N as u64 {
            break;
        }
        // SAFETY: `at` is below N, `size` at most N, and the record has room for twice as much.
        let ok = unsafe {
            let to = (&raw mut (*record).data).cast::<u8>().add(at as usize);
            read_user(to.cast(), size as u32, (piece[0] + state.skip) as *const core::ffi::c_void) == 0
        };
        if !ok {
            break;
        }
        state.skip = 0;
        state.done = at + size;
    }
    // SAFETY: a live map value that only this thread uses.
    let done = unsafe { (*launder(state)).done };
    // SAFETY: the record is submitted once and not used afterwards.
    unsafe {
        (*record).header = *header;
        (*record).header.captured = done as u32;
        if done < u64::from(header.len) {
            (*record).header.flags |= tls_flags::CUT;
        }
        bpf_ringbuf_submit(record.cast(), wake());
    }
    count_tls(TlsReason::Captured, done as u32);
    if done < want {
        count_tls(TlsReason::Unreadable, (want - done) as u32);
    }
    if want < u64::from(header.len) {
        count_tls(TlsReason::Budget, (u64::from(header.len) - want) as u32);
    }
}

/// Sends a record without plaintext.
#[inline(always)]
pub fn event(header: &TlsHeader) {
    let record = reserve::<TlsHeader>();
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

/// Room for a record; null when there is none.
#[inline(always)]
pub fn reserve<T>() -> *mut T {
    // SAFETY: the ring is a map of this object.
    unsafe { bpf_ringbuf_reserve(ring(), size_of::<T>() as u64, 0) }.cast()
}

/// Sends a record.
///
/// # Safety
///
/// `record` comes from [`reserve`], is whole, and is not used afterwards.
#[inline(always)]
pub unsafe fn submit<T>(record: *mut T) {
    unsafe { bpf_ringbuf_submit(record.cast(), wake()) };
}

/// Gives the room of a record back.
///
/// # Safety
///
/// `record` comes from [`reserve`] and is not used afterwards.
#[inline(always)]
pub unsafe fn discard<T>(record: *mut T) {
    unsafe { bpf_ringbuf_discard(record.cast(), u64::from(BPF_RB_NO_WAKEUP)) };
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
    code: 0,
    local_port: 0,
    remote_port: 0,
    event: 0,
    direction: 0,
    method: 0,
    flags: 0,
};
