//! The kernel's side of reading TLS: the programs that probes run, the ring that plaintext comes
//! through, and counters.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aya::{
    Ebpf,
    maps::{Array, HashMap, MapData, PerCpuArray, RingBuf},
    programs::RawTracePoint,
};
use remora_abi::{Counter, RingState, TlsConn, TlsConnKey, TlsHeader, TlsReason};
use remora_model::Timestamp;

use super::btf::{self, Btf};
use super::{
    KernelError, ProbeError, ProbeProgram, ProbeWay, Probes, Stopper, Wake,
    clock::Clock,
    control::lock,
    error::chain,
    load,
    reader::{RingReader, Source},
    uprobe::ProbePrograms,
    uprobe_multi::MapFds,
};

/// Where the kernel keeps what leads from a process to its sockets: the name of the global in the
/// object, the structure and its member (agent-ebpf/src/tls_socket.rs).
const OFFSETS: [(&str, &str, &str); 17] = [
    ("TASK_FILES", "task_struct", "files"),
    ("FILES_FDT", "files_struct", "fdt"),
    ("FDT_MAX", "fdtable", "max_fds"),
    ("FDT_FD", "fdtable", "fd"),
    ("FILE_PRIVATE", "file", "private_data"),
    ("SOCKET_FILE", "socket", "file"),
    ("SOCKET_SK", "socket", "sk"),
    ("SK_FAMILY", "sock_common", "skc_family"),
    ("SK_DADDR", "sock_common", "skc_daddr"),
    ("SK_SADDR", "sock_common", "skc_rcv_saddr"),
    ("SK_DADDR6", "sock_common", "skc_v6_daddr"),
    ("SK_SADDR6", "sock_common", "skc_v6_rcv_saddr"),
    ("SK_DPORT", "sock_common", "skc_dport"),
    ("SK_NUM", "sock_common", "skc_num"),
    ("SK_NET", "sock_common", "skc_net"),
    ("SK_SOCKET", "sock", "sk_socket"),
    ("NET_COOKIE", "net", "net_cookie"),
];

/// The offsets that the running kernel tells; the others stay unknown to the programs.
pub(super) fn offsets() -> Vec<(&'static str, u32)> {
    let Some(btf) = Btf::read(Path::new(btf::VMLINUX)) else { return Vec::new() };
    OFFSETS.iter().filter_map(|(name, of, member)| Some((*name, btf.offset(of, member)?))).collect()
}

/// The loaded programs, to be attached to files; and what comes of them.
#[derive(Debug)]
pub struct TlsProbes {
    programs: ProbePrograms,
    reader: Option<TlsReader>,
    control: TlsControl,
    limits: Vec<String>,
}

/// Observes the probes; clones share them.
#[derive(Clone)]
pub struct TlsControl {
    counters: Arc<Mutex<PerCpuArray<MapData, Counter>>>,
    connections: Arc<Mutex<HashMap<MapData, TlsConnKey, TlsConn>>>,
    watched: Arc<Mutex<HashMap<MapData, u32, u32>>>,
}

impl std::fmt::Debug for TlsControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsControl").finish_non_exhaustive()
    }
}

/// Counters of plaintext since the start, one per [`TlsReason`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsCounters([Counter; TlsReason::COUNT as usize]);

impl TlsCounters {
    /// Every reason with its count: calls, and their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (TlsReason, Counter)> {
        TlsReason::ALL.into_iter().zip(self.0)
    }

    /// Calls and bytes of a reason.
    pub fn get(&self, reason: TlsReason) -> Counter {
        self.0[reason as usize]
    }
}

impl TlsControl {
    /// The counters since the start.
    pub fn counters(&self) -> Result<TlsCounters, KernelError> {
        let map = lock(&self.counters);
        let mut out = TlsCounters::default();
        for (index, sum) in out.0.iter_mut().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let per_cpu =
                map.get(&index, 0).map_err(|e| KernelError::bpf("reading the counters of TLS", e))?;
            for c in per_cpu.iter() {
                sum.packets += c.packets;
                sum.bytes += c.bytes;
            }
        }
        Ok(out)
    }

    /// Forgets the connections of processes of which `is_over` is true; returns how many remain.
    pub fn forget(&self, is_over: impl Fn(u32) -> bool) -> usize {
        let mut map = lock(&self.connections);
        let keys: Vec<TlsConnKey> = map.keys().filter_map(Result::ok).collect();
        let (over, rest): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| is_over(key.tgid));
        for key in over {
            // It may have gone by itself.
            let _ = map.remove(&key);
        }
        rest.len()
    }

    /// From now on the threads of a process are noted when they receive, so that its first connection is
    /// known as well where the library does not read from the socket itself.
    pub fn watch(&self, tgid: u32) {
        // Without room the process is noted when it calls the library first.
        let _ = lock(&self.watched).insert(tgid, 1, 0);
    }

    /// Connections that are remembered.
    pub fn connections(&self) -> usize {
        lock(&self.connections).keys().count()
    }
}

/// Loads the programs and attaches what tells of sockets and processes; `maps` are those of `ebpf`.
pub(super) fn start(ebpf: &mut Ebpf, maps: &MapFds, secrets: bool) -> Result<TlsProbes, KernelError> {
    let mut limits = Vec::new();
    let programs = ProbePrograms::load(ebpf, maps, secrets)?;
    if secrets && !programs.has(ProbeProgram::Secret) {
        limits.push("secrets of connections are not read (needs Linux 6.6)".to_owned());
    }
    for (program, tracepoint, what) in [
        ("remora_tls_received", "tcp_rcv_space_adjust", "sockets are known by descriptors only"),
        ("remora_tls_sent", "sock_send_length", "connections that only send are joined late"),
        ("remora_tls_exec", "sched_process_exec", "new programs are noticed late"),
        ("remora_tls_exit", "sched_process_exit", "ended programs are noticed late"),
    ] {
        let attached = load::program::<RawTracePoint>(ebpf, program).and_then(|p| {
            p.attach(tracepoint).map_err(|e| KernelError::bpf(format!("attaching to {tracepoint}"), e))
        });
        if let Err(e) = attached {
            limits.push(format!("{what}: {}", chain(&e)));
        }
    }
    let known = offsets();
    if known.len() < OFFSETS.len() {
        let missing: Vec<_> =
            OFFSETS.iter().map(|o| o.0).filter(|name| known.iter().all(|k| k.0 != *name)).collect();
        limits.push(format!("the kernel does not say where it keeps {}", missing.join(", ")));
    }
    let ring: RingBuf<MapData> = load::map(ebpf, "TLS_RING")?;
    let states: Array<MapData, RingState> = load::map(ebpf, "TLS_STATE")?;
    let source = Source::Bpf { ring, states: Arc::new(Mutex::new(states)) };
    let reader = TlsReader { ring: RingReader::new(0, source)?, clock: Clock::new() };
    let control = TlsControl {
        counters: Arc::new(Mutex::new(load::map(ebpf, "TLS_COUNTERS")?)),
        connections: Arc::new(Mutex::new(load::map(ebpf, "TLS_CONNS")?)),
        watched: Arc::new(Mutex::new(load::map(ebpf, "TLS_WATCHED")?)),
    };
    Ok(TlsProbes { programs, reader: Some(reader), control, limits })
}

impl TlsProbes {
    /// Whether a program can be attached here.
    pub fn has(&self, program: ProbeProgram) -> bool {
        self.programs.has(program)
    }

    /// Attaches a program at each of `offsets` of the file at `path`, in every process that maps it.
    pub fn attach(&self, way: ProbeWay, path: &Path, offsets: &[u64]) -> Result<Probes, ProbeError> {
        self.programs.attach(way, path, offsets)
    }

    /// The reader of the ring, for one thread; the second call returns none.
    pub fn take_reader(&mut self) -> Option<TlsReader> {
        self.reader.take()
    }

    /// A handle for other threads.
    pub fn control(&self) -> TlsControl {
        self.control.clone()
    }

    /// What does not work here.
    pub fn limits(&self) -> &[String] {
        &self.limits
    }
}

/// Reads the ring that plaintext comes through.
#[derive(Debug)]
pub struct TlsReader {
    ring: RingReader,
    clock: Clock,
}

impl TlsReader {
    /// Hands up to `budget` records to `f`; fewer mean that there are no more at the moment.
    pub fn drain(&mut self, budget: usize, mut f: impl FnMut(Timestamp, &TlsHeader, &[u8])) -> usize {
        self.clock.refresh();
        let clock = &self.clock;
        self.ring.drain_raw(budget, |record| {
            if let Some((header, data)) = TlsHeader::parse(record) {
                f(clock.unix(header.time_ns), &header, data);
            }
        })
    }

    /// Waits as [`RingReader::wait`] does; `busy`: not longer, although nothing comes.
    pub fn wait(&mut self, timeout: Duration, busy: bool) -> Result<Wake, KernelError> {
        if busy {
            self.ring.stay_awake();
        }
        self.ring.wait(timeout)
    }

    /// A handle that ends the waits.
    pub fn stopper(&self) -> Result<Stopper, KernelError> {
        self.ring.stopper()
    }
}
