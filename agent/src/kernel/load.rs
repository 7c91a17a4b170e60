//! Loading the programs and their maps.

use std::path::Path;
use std::sync::{Arc, Mutex, RwLock};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, ArrayOfMaps, HashMap, LpmTrie, Map, MapData, PerCpuArray, RingBuf},
    programs::{
        CgroupSkb, CgroupSock, CgroupSockAddr, Program, ProgramError, ProgramType, RawTracePoint,
        SchedClassifier, UProbe,
    },
    sys::{BpfHelper, is_helper_supported},
};
use remora_abi::{CidrKey4, CidrKey6, Counter, Process, RingState, Settings, Shunt};

use super::btf::{self, Btf};
use super::uprobe_multi::{self, MapFds};
use super::{Config, KernelError, TlsConfig, error::chain, flows::Flows, start::ring_bytes as ring_bytes_of};

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("REMORA_EBPF_OBJECT_PATH"));

/// Scratch buffers per CPU, as in agent-ebpf/src/maps.rs.
const SCRATCH_SLOTS: u32 = 3;
/// Lines of the verifier's log that an error carries.
const LOG_LINES: usize = 12;

/// The maps that user space works with.
pub(super) struct Maps {
    pub(super) settings: Array<MapData, Settings>,
    pub(super) counters: PerCpuArray<MapData, Counter>,
    /// Has a lock of its own: shards look flows up at the same time.
    pub(super) flows: Arc<RwLock<Flows>>,
    pub(super) shunts: Array<MapData, Shunt>,
    pub(super) ports: Array<MapData, u8>,
    pub(super) cidrs4: LpmTrie<MapData, CidrKey4, u32>,
    pub(super) cidrs6: LpmTrie<MapData, CidrKey6, u32>,
    pub(super) cgroups: HashMap<MapData, u64, u32>,
    pub(super) processes: HashMap<MapData, u32, Process>,
    /// Kept open because programs that are loaded later refer to it by its descriptor.
    _rings: ArrayOfMaps<MapData, RingBuf<MapData>>,
}

/// What loading yields.
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    pub(super) maps: Maps,
    /// All maps, for programs that are loaded beside the object.
    pub(super) map_fds: MapFds,
    pub(super) rings: Vec<RingBuf<MapData>>,
    pub(super) states: Arc<Mutex<Array<MapData, RingState>>>,
    /// Whether loopback traffic of network namespaces can be told apart.
    pub(super) netns: bool,
    /// Whether processes are noted by their own name, not by that of a thread.
    pub(super) process_names: bool,
}

/// Loads the maps; programs are loaded when they are attached.
pub(super) fn load(config: &Config, rings: u32, ring_bytes: u32) -> Result<Loaded, KernelError> {
    let cpus = aya::util::nr_cpus().map_err(|(what, e)| KernelError::io(what, e))?;
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX / SCRATCH_SLOTS);
    let netns =
        is_helper_supported(ProgramType::CgroupSkb, BpfHelper::BPF_FUNC_get_netns_cookie).unwrap_or(false);
    let (task_leader, task_comm) = task_offsets().unwrap_or_default();
    let (netns_flag, log) = (u32::from(netns), u32::from(config.debug_log));
    let tls =
        config.tls.clone().unwrap_or(TlsConfig { ring_bytes: 0, connections: 0, ..TlsConfig::default() });
    let tls_ring = ring_bytes_of(tls.ring_bytes)?;
    // Above this much the rest is kept for what marks places in streams.
    let (tls_shed, tls_wakeup) = (tls_ring / 4 * 3, (tls_ring / 4).min(1 << 20));
    let connections = tls.connections.max(64);
    let offsets = super::tls::offsets();
    let mut loader = EbpfLoader::new();
    for (name, offset) in &offsets {
        loader.override_global(name, offset, true);
    }
    let mut ebpf = loader
        .override_global("TLS_BUDGET", &tls.call_budget, true)
        .override_global("TLS_SHED", &tls_shed, true)
        .override_global("TLS_WAKEUP", &tls_wakeup, true)
        .map_max_entries("TLS_RING", tls_ring)
        .map_max_entries("TLS_CONNS", connections)
        .map_max_entries("TLS_THREADS", connections)
        .map_max_entries("TLS_GOROUTINES", connections)
        .override_global("RING_COUNT", &rings, true)
        .override_global("HAS_NETNS_COOKIE", &netns_flag, true)
        .override_global("TASK_LEADER", &task_leader, true)
        .override_global("TASK_COMM", &task_comm, true)
        .override_global("LOG", &log, true)
        .map_max_entries("FLOWS", config.flows)
        .map_max_entries("SCRATCH", cpus * SCRATCH_SLOTS)
        .load(OBJECT)
        .map_err(|e| KernelError::bpf("loading the eBPF maps", e))?;
    let map_fds = uprobe_multi::map_fds(ebpf.maps())?;
    let mut outer: ArrayOfMaps<MapData, RingBuf<MapData>> = map(&mut ebpf, "RINGS")?;
    let rings = (0..rings)
        .map(|i| {
            let ring = MapData::create(ring_definition(ring_bytes), &format!("ring{i}"), None)?;
            let ring = RingBuf::try_from(Map::RingBuf(ring))?;
            outer.set(i, &ring, 0)?;
            Ok(ring)
        })
        .collect::<Result<Vec<_>, aya::maps::MapError>>()
        .map_err(|e| KernelError::bpf("creating the rings", e))?;
    let maps = Maps {
        settings: map(&mut ebpf, "SETTINGS")?,
        counters: map(&mut ebpf, "COUNTERS")?,
        flows: Arc::new(RwLock::new(map(&mut ebpf, "FLOWS")?)),
        shunts: map(&mut ebpf, "SHUNTS")?,
        ports: map(&mut ebpf, "PORTS")?,
        cidrs4: map(&mut ebpf, "CIDRS4")?,
        cidrs6: map(&mut ebpf, "CIDRS6")?,
        cgroups: map(&mut ebpf, "CGROUPS")?,
        processes: map(&mut ebpf, "PROCESSES")?,
        _rings: outer,
    };
    let states = Arc::new(Mutex::new(map(&mut ebpf, "RING_STATES")?));
    Ok(Loaded { ebpf, maps, map_fds, rings, states, netns, process_names: task_leader != 0 })
}

/// Where a task has its leader and its name, if the kernel says so and lets programs read it.
fn task_offsets() -> Option<(u32, u32)> {
    let helpers = [BpfHelper::BPF_FUNC_get_current_task, BpfHelper::BPF_FUNC_probe_read_kernel];
    let programs = [ProgramType::CgroupSock, ProgramType::CgroupSockAddr];
    let lends = |program| helpers.into_iter().all(|h| is_helper_supported(program, h).unwrap_or(false));
    if !programs.into_iter().all(lends) {
        return None;
    }
    let btf = Btf::read(Path::new(btf::VMLINUX))?;
    let offset = |member| btf.offset("task_struct", member).filter(|at| *at != 0);
    Some((offset("group_leader")?, offset("comm")?))
}

/// A ring buffer has neither keys nor values.
fn ring_definition(bytes: u32) -> aya_obj::Map {
    let kind = aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF;
    aya_obj::Map::new_from_params(kind as u32, 0, 0, bytes, 0)
}

pub(super) fn map<T>(ebpf: &mut Ebpf, name: &str) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    let map = ebpf.take_map(name).ok_or_else(|| KernelError::Bpf {
        what: "loading the eBPF maps".to_owned(),
        cause: format!("the object has no map {name}"),
    })?;
    T::try_from(map).map_err(|e| KernelError::bpf(format!("opening the map {name}"), e))
}

/// A kind of program that can be taken out of the object and loaded.
pub(super) trait Loadable {
    fn load_it(&mut self) -> Result<(), ProgramError>;
}

macro_rules! loadable {
    ($($t:ty),+) => {$(
        impl Loadable for $t {
            fn load_it(&mut self) -> Result<(), ProgramError> {
                self.load()
            }
        }
    )+};
}

loadable!(CgroupSkb, CgroupSock, CgroupSockAddr, RawTracePoint, SchedClassifier, UProbe);

/// Loads a program of the object.
pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, KernelError>
where
    P: Loadable,
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or_else(|| KernelError::Bpf {
        what: "loading the eBPF programs".to_owned(),
        cause: format!("the object has no program {name}"),
    })?;
    let program = <&mut P>::try_from(program).map_err(|e| KernelError::bpf(format!("loading {name}"), e))?;
    match program.load_it() {
        Ok(()) => Ok(program),
        Err(ProgramError::LoadError { io_error, verifier_log }) => Err(KernelError::Verifier {
            program: name.to_owned(),
            cause: io_error.to_string(),
            log: tail(&verifier_log.to_string()),
        }),
        Err(e) => Err(KernelError::Bpf { what: format!("loading {name}"), cause: chain(&e) }),
    }
}

/// The end of a verifier's log, where the reason is.
fn tail(log: &str) -> String {
    let lines: Vec<_> = log.trim_end_matches(['\0', '\n', ' ']).lines().collect();
    lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_log_is_kept() {
        let log: String = (0..100).map(|i| format!("{i}\n")).collect();
        assert_eq!(tail(&log).lines().count(), LOG_LINES);
        assert!(tail(&log).ends_with("99"));
        assert_eq!(tail(""), "");
    }
}
