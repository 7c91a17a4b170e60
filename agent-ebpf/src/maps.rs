//! The maps and the constants that the loader sets.

use aya_ebpf::{
    Global,
    bindings::{BPF_F_CLONE, BPF_F_NO_PREALLOC, bpf_map_type},
    btf_maps::{Array, ArrayOfMaps, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use remora_abi::{
    CidrKey4, CidrKey6, Counter, FlowKey, FlowValue, MAX_CAPTURE, PacketHeader, Process, Reason, RingState,
    Settings, Shunt, SocketOwner, TlsConn, TlsConnKey, TlsCounter, TlsReason,
};

use crate::{insn, parse::Headers, tls_record::ListState};

/// Rings in use; the loader sets it.
#[unsafe(no_mangle)]
pub static RING_COUNT: Global<u32> = Global::new(1);
/// 1 when `bpf_get_netns_cookie` works in packet programs (Linux 6.15).
#[unsafe(no_mangle)]
pub static HAS_NETNS_COOKIE: Global<u32> = Global::new(0);
/// Offset of `group_leader` in `struct task_struct`; 0 when it is not known or may not be read.
#[unsafe(no_mangle)]
pub static TASK_LEADER: Global<u32> = Global::new(0);
/// Offset of `comm` there.
#[unsafe(no_mangle)]
pub static TASK_COMM: Global<u32> = Global::new(0);
/// Most bytes of plaintext copied of one call of a TLS library.
#[unsafe(no_mangle)]
pub static TLS_BUDGET: Global<u32> = Global::new(0);
/// Bytes in the TLS ring above which plaintext is not copied any more.
#[unsafe(no_mangle)]
pub static TLS_SHED: Global<u32> = Global::new(0);
/// Bytes in the TLS ring at which its reader is woken.
#[unsafe(no_mangle)]
pub static TLS_WAKEUP: Global<u32> = Global::new(0);
/// 1 to send log lines to user space.
#[unsafe(no_mangle)]
pub static LOG: Global<u32> = Global::new(0);

/// Most rings.
pub const MAX_RINGS: usize = 64;
/// Scratch buffers per CPU: a task's, and those of what interrupts or preempts it. Programs at
/// cgroup hooks run with interrupts and preemption on, so one buffer per CPU is not enough.
pub const SCRATCH_SLOTS: u32 = 3;

/// The rings; the loader fills it.
#[btf_map]
pub static RINGS: ArrayOfMaps<RingBuf<[u8; 0], 4096>, MAX_RINGS> = ArrayOfMaps::new();
/// Which readers sleep.
#[btf_map]
pub static RING_STATES: Array<RingState, MAX_RINGS> = Array::new();
/// Settings that change at run time.
#[btf_map]
pub static SETTINGS: Array<Settings, 1> = Array::new();
/// The flow table.
#[btf_map]
pub static FLOWS: LruHashMap<FlowKey, FlowValue, 65536> = LruHashMap::new();
/// Parts of flows that are not copied.
#[btf_map]
pub static SHUNTS: Array<Shunt, { Shunt::SLOTS as usize }> = Array::new();
/// Counters by reason.
#[btf_map]
pub static COUNTERS: PerCpuArray<Counter, { Reason::COUNT as usize }> = PerCpuArray::new();
/// Policy by port.
#[btf_map]
pub static PORTS: Array<u8, 65536> = Array::new();
/// Policy by IPv4 range.
#[btf_map]
pub static CIDRS4: LpmTrie<CidrKey4, u32, 4096> = LpmTrie::new();
/// Policy by IPv6 range.
#[btf_map]
pub static CIDRS6: LpmTrie<CidrKey6, u32, 4096> = LpmTrie::new();
/// Policy by cgroup.
#[btf_map]
pub static CGROUPS: HashMap<u64, u32, 16384> = HashMap::new();
/// Processes that own sockets.
#[btf_map]
pub static PROCESSES: LruHashMap<u32, Process, 16384> = LruHashMap::new();
/// Owner of each socket.
#[btf_map]
pub static SOCKET_OWNERS: InheritedSkStorage<SocketOwner> = InheritedSkStorage::new();
/// One buffer per CPU and slot; the loader sets the number of entries.
#[btf_map]
pub static SCRATCH: Array<Scratch, { SCRATCH_SLOTS as usize }> = Array::new();

/// Plaintext of TLS, and what concerns the processes that make it; the loader sets its size.
#[btf_map]
pub static TLS_RING: RingBuf<[u8; 0], { 16 << 20 }> = RingBuf::new();
/// Whether the reader of the TLS ring sleeps.
#[btf_map]
pub static TLS_STATE: Array<RingState, 1> = Array::new();
/// Connections of TLS libraries.
#[btf_map]
pub static TLS_CONNS: LruHashMap<TlsConnKey, TlsConn, 16384> = LruHashMap::new();
/// What threads do in TLS libraries.
#[btf_map]
pub static TLS_THREADS: LruHashMap<u64, TlsThread, 16384> = LruHashMap::new();
/// Processes whose threads are noted when they receive, before they have called a TLS library.
#[btf_map]
pub static TLS_WATCHED: LruHashMap<u32, u32, 4096> = LruHashMap::new();
/// Connections of rustls by their sockets.
#[btf_map]
pub static TLS_SOCKETS: LruHashMap<u64, TlsConnKey, 16384> = LruHashMap::new();
/// Calls of Go's TLS that have not returned.
#[btf_map]
pub static TLS_GOROUTINES: LruHashMap<TlsGoKey, TlsGoCall, 16384> = LruHashMap::new();
/// What became of plaintext.
#[btf_map]
pub static TLS_COUNTERS: PerCpuArray<TlsCounter, { TlsReason::COUNT as usize }> = PerCpuArray::new();

/// Calls within calls that are remembered of a thread.
pub const TLS_DEPTH: usize = 4;

/// A call of a TLS library that has not returned yet.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsFrame {
    /// The stack pointer at its entry, which is that at its return.
    pub sp: u64,
    /// The connection.
    pub handle: u64,
    /// The buffer with the plaintext.
    pub buf: u64,
    /// Where the library stores how much of it was used; 0 when it returns that.
    pub out: u64,
    /// The last `struct sock` that the thread had input or output on since the entry.
    pub sk: u64,
    /// CLOCK_BOOTTIME at its entry, ns.
    pub time_ns: u64,
    /// Which function.
    pub func: u32,
    /// A call within this one has sent what it would send.
    pub done: u32,
    /// Bytes that the caller offered or had room for, of a function on trial.
    pub asked: u64,
    /// The low half of its address.
    pub code: u32,
    /// Always zero.
    pub pad: u32,
    /// How far its plaintext was copied, where that is in pieces.
    pub list: ListState,
}

/// A function that a goroutine is in.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsGoKey {
    /// Address of its `runtime.g`.
    pub goroutine: u64,
    /// Process.
    pub tgid: u32,
    /// The function.
    pub func: u32,
}

/// A call of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsGoCall {
    /// The connection.
    pub handle: u64,
    /// The buffer with the plaintext.
    pub buf: u64,
    /// CLOCK_BOOTTIME at its entry, ns.
    pub time_ns: u64,
    /// 1: it is one of `TlsConn::calls`.
    pub counted: u64,
}

/// A thread that has called a TLS library.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsThread {
    /// Calls that have not returned.
    pub depth: u32,
    /// The low half of the address of the function that `wrote` is from.
    pub code: u32,
    /// A connection without a socket on which it has just written: what it sends next is that.
    pub wrote: u64,
    /// The last `struct sock` that it had input on outside of a call, since a call last used that.
    pub last_sk: u64,
    /// The calls, the outermost first.
    pub frames: [TlsFrame; TLS_DEPTH],
}

/// Where a record is put together.
#[repr(C)]
pub struct Scratch {
    /// Programs that use it or are looking whether it is free.
    pub busy: u64,
    /// What the packet's headers say.
    pub headers: Headers,
    /// Key of its flow.
    pub key: FlowKey,
    /// A new flow.
    pub flow: FlowValue,
    /// Head of the record.
    pub header: PacketHeader,
    /// Its bytes. The slack keeps the verifier content when a copy starts after the headers.
    pub data: [u8; MAX_CAPTURE as usize + 1 + FIRST_LEN],
}

/// Bytes in which the headers are looked for: IPv6, extension headers, TCP.
pub const HEAD_LEN: usize = 192;
/// Bytes copied first. Most packets with a small message are no longer, and are copied at once.
pub const FIRST_LEN: usize = 512;

/// Storage beside each socket that accepted sockets inherit (`BPF_F_CLONE`), which the definition
/// in aya-ebpf does not offer.
#[repr(C)]
pub struct InheritedSkStorage<T> {
    r#type: *const [i32; bpf_map_type::BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; (BPF_F_NO_PREALLOC | BPF_F_CLONE) as usize],
}

// SAFETY: only the address of the static is used; the pointers carry types for the loader.
unsafe impl<T> Sync for InheritedSkStorage<T> {}

impl<T> InheritedSkStorage<T> {
    const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    /// The map, as helpers take it.
    pub const fn as_ptr(&self) -> *mut core::ffi::c_void {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

/// Adds a call and its plaintext to a counter of this CPU.
#[inline(always)]
pub fn count_tls(reason: TlsReason, bytes: u32) {
    if let Some(c) = TLS_COUNTERS.get_ptr_mut(reason as u32) {
        // SAFETY: the pointer is to this CPU's slot; another task may add between a load and a store,
        // hence the atomics.
        unsafe {
            insn::add(&raw mut (*c).packets, 1);
            insn::add(&raw mut (*c).bytes, u64::from(bytes));
        }
    }
}

/// Adds a packet to a counter of this CPU.
#[inline(always)]
pub fn count(reason: Reason, bytes: u32) {
    if let Some(c) = COUNTERS.get_ptr_mut(reason as u32) {
        // SAFETY: the pointer is to this CPU's slot. An interrupt may add between a load and a store,
        // hence the atomics.
        unsafe {
            insn::add(&raw mut (*c).packets, 1);
            insn::add(&raw mut (*c).bytes, u64::from(bytes));
        }
    }
}
