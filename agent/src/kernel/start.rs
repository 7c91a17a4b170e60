//! Starting a capture: probing the tiers and attaching the best one.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSock, CgroupSockAddr, SchedClassifier,
        TcAttachType, tc,
    },
    util::KernelVersion,
};
use remora_abi::MAX_CAPTURE;

use super::{
    Config, Control, KernelError, Owners, Policy, RingReader, Tier, TierReport, TlsProbes, btf, cgroup,
    control::{Backend, Shared, State},
    error::chain,
    load::{self, Loaded, Maps},
    packet_socket, policy,
    reader::Source,
    sys, tls,
    uprobe_multi::MapFds,
};

/// A running capture; dropping it detaches everything.
pub struct Capture {
    control: Control,
    readers: Vec<RingReader>,
    tls: Option<TlsProbes>,
    // Dropping it detaches. In a mutex only so that a capture can be shared between threads.
    _programs: Option<Mutex<Programs>>,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capture").field("report", self.report()).finish_non_exhaustive()
    }
}

/// What attaching a tier yields.
struct Attached {
    backend: Backend,
    sources: Vec<Source>,
    programs: Option<Programs>,
    attached_to: String,
    limits: Vec<String>,
    tls: Option<TlsProbes>,
}

impl Capture {
    /// Probes the tiers in order, or only the one that is set, and attaches the first that works.
    ///
    /// # Errors
    ///
    /// When a setting is out of range or no tier works; each tier's reason is in the error.
    pub fn start(config: Config) -> Result<Self, KernelError> {
        let mut config = checked(config)?;
        let rings = rings(&config);
        let ring_bytes = ring_bytes(config.ring_bytes)?;
        config.ring_bytes = ring_bytes;
        // A quarter is enough for a batch, and leaves the reader time before the ring is full.
        let wakeup_bytes = (ring_bytes / 4).min(1 << 20);
        let tiers = config.tier.map_or(Tier::ALL.to_vec(), |t| vec![t]);
        let mut rejected = Vec::new();
        for tier in tiers {
            let attached = match tier {
                Tier::Cgroup => attach_cgroup(&config, rings, wakeup_bytes),
                Tier::Tc => attach_tc(&config, rings, wakeup_bytes),
                Tier::Packet => attach_packet(&config, rings),
            };
            match attached {
                Ok(attached) => return Self::running(config, tier, attached, rejected, wakeup_bytes),
                // A program that the verifier refuses is a fault of ours: say all of it when asked for
                // this tier, and one line when another tier takes over.
                Err(e @ KernelError::Verifier { .. }) if config.tier.is_some() => return Err(e),
                Err(e) => rejected.push((tier, e.reason())),
            }
        }
        match (config.tier, rejected.pop()) {
            (Some(tier), Some((_, reason))) => Err(KernelError::Refused { tier, reason }),
            (_, last) => {
                rejected.extend(last);
                let reasons: Vec<_> = rejected.iter().map(|(t, r)| format!("{t}: {r}")).collect();
                Err(KernelError::NoTier(reasons.join("; ")))
            }
        }
    }

    fn running(
        config: Config,
        tier: Tier,
        attached: Attached,
        rejected: Vec<(Tier, String)>,
        wakeup_bytes: u32,
    ) -> Result<Self, KernelError> {
        let readers = attached
            .sources
            .into_iter()
            .enumerate()
            .map(|(i, source)| RingReader::new(i, source))
            .collect::<Result<Vec<_>, _>>()?;
        let report = TierReport {
            tier,
            attached_to: attached.attached_to,
            rejected,
            limits: attached.limits,
            kernel: sys::kernel_release(),
            btf: Path::new(btf::VMLINUX).exists(),
            rings: readers.len(),
        };
        let owners = Owners::new(match &attached.backend {
            Backend::Bpf(maps) => Some(Arc::clone(maps)),
            Backend::Packet(_) => None,
        });
        // After the hooks are in place, so that no socket falls between the two.
        if let Err(e) = owners.reseed() {
            tracing::warn!("sockets that were open before the capture have no owner: {e}");
        }
        let policy = config.policy.clone();
        let shared = Shared {
            config,
            report,
            backend: attached.backend,
            state: Mutex::new(State { policy, generation: FIRST_GENERATION }),
            owners,
            wakeup_bytes,
        };
        Ok(Self {
            control: Control::new(Arc::new(shared)),
            readers,
            tls: attached.tls,
            _programs: attached.programs.map(Mutex::new),
        })
    }

    /// Which tier runs and why.
    pub fn report(&self) -> &TierReport {
        self.control.report()
    }

    /// The readers, one per ring, for one thread each; the second call returns none.
    pub fn take_readers(&mut self) -> Vec<RingReader> {
        std::mem::take(&mut self.readers)
    }

    /// What reads TLS, where it was asked for and works; the second call returns none.
    pub fn take_tls(&mut self) -> Option<TlsProbes> {
        self.tls.take()
    }

    /// A handle for other threads.
    pub fn control(&self) -> Control {
        self.control.clone()
    }
}

/// Generation of the policy that a capture starts with.
const FIRST_GENERATION: u32 = 1;

fn checked(config: Config) -> Result<Config, KernelError> {
    let bad = |text: String| Err(KernelError::Setting(text));
    if config.snaplen < 64 || config.snaplen > MAX_CAPTURE {
        return bad(format!("the snap length is {}; it must be from 64 to {MAX_CAPTURE}", config.snaplen));
    }
    if config.rings > Config::MAX_RINGS {
        return bad(format!("{} rings are set; at most {} are possible", config.rings, Config::MAX_RINGS));
    }
    if config.flows == 0 || config.flows > 1 << 24 {
        return bad(format!(
            "the flow table has {} entries; it must have from 1 to {}",
            config.flows,
            1 << 24
        ));
    }
    policy::check(&config.policy)?;
    Ok(config)
}

fn rings(config: &Config) -> u32 {
    if config.rings != 0 {
        return config.rings;
    }
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cpus).unwrap_or(Config::MAX_DEFAULT_RINGS).clamp(1, Config::MAX_DEFAULT_RINGS)
}

/// A power of two, at least a page of any architecture.
pub(super) fn ring_bytes(wanted: u32) -> Result<u32, KernelError> {
    const LEAST: u32 = 64 << 10;
    const MOST: u32 = 1 << 30;
    if wanted > MOST {
        return Err(KernelError::Setting(format!("a ring has {wanted} bytes; at most {MOST} are possible")));
    }
    Ok(wanted.max(LEAST).next_power_of_two())
}

/// Programs with their links, which dropping detaches.
struct Programs {
    ebpf: Ebpf,
    _log: Option<LogThread>,
}

struct Prepared {
    programs: Programs,
    maps: Arc<Mutex<Maps>>,
    map_fds: MapFds,
    sources: Vec<Source>,
}

/// Sets the policy before anything is attached, and makes sources of the rings.
fn prepare(config: &Config, mut loaded: Loaded, wakeup_bytes: u32) -> Result<Prepared, KernelError> {
    policy::write(&mut loaded.maps, &Policy::default(), &config.policy)?;
    let settings = policy::settings(config, &config.policy, FIRST_GENERATION, wakeup_bytes);
    loaded.maps.settings.set(0, settings, 0).map_err(|e| KernelError::bpf("setting up the capture", e))?;
    let log = config.debug_log.then(|| LogThread::start(&mut loaded.ebpf)).transpose()?;
    let sources = loaded
        .rings
        .into_iter()
        .map(|ring| Source::Bpf { ring, states: Arc::clone(&loaded.states) })
        .collect();
    Ok(Prepared {
        programs: Programs { ebpf: loaded.ebpf, _log: log },
        maps: Arc::new(Mutex::new(loaded.maps)),
        map_fds: loaded.map_fds,
        sources,
    })
}

/// Passes the programs' log lines on to `log`, which `tracing` collects; ends when dropped.
struct LogThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LogThread {
    const INTERVAL: Duration = Duration::from_millis(200);

    fn start(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        let mut logger =
            aya_log::EbpfLogger::init(ebpf).map_err(|e| KernelError::bpf("opening the programs' log", e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("remora-bpf-log".to_owned())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    logger.flush();
                    std::thread::park_timeout(Self::INTERVAL);
                }
            })
            .map_err(|e| KernelError::io("starting the log thread", e))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there has been reported there.
            let _ = thread.join();
        }
    }
}

fn attach_cgroup(config: &Config, rings: u32, wakeup_bytes: u32) -> Result<Attached, KernelError> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")
        .map_err(|e| KernelError::io("reading /proc/self/mounts", e))?;
    let path: PathBuf = cgroup::mount_point(&mounts).ok_or_else(|| KernelError::Bpf {
        what: "finding cgroup v2".to_owned(),
        cause: "it is not mounted".to_owned(),
    })?;
    let root = File::open(&path).map_err(|e| KernelError::io(format!("opening {}", path.display()), e))?;
    let loaded = load::load(config, rings, config.ring_bytes)?;
    let (netns, process_names) = (loaded.netns, loaded.process_names);
    let Prepared { mut programs, maps, map_fds, sources } = prepare(config, loaded, wakeup_bytes)?;
    let ebpf = &mut programs.ebpf;
    // A link (Linux 5.7) leaves other programs in place by itself, and refuses the flag that asks
    // for it.
    let mode = if KernelVersion::current().is_ok_and(|v| v >= KernelVersion::new(5, 7, 0)) {
        CgroupAttachMode::Single
    } else {
        CgroupAttachMode::AllowMultiple
    };
    let attaching = |name: &str, e| KernelError::bpf(format!("attaching {name} to {}", path.display()), e);
    let mut limits = Vec::new();
    // Owners first: a socket whose packets are seen should have one.
    for name in ["remora_sock_create", "remora_post_bind4", "remora_post_bind6"] {
        let attached = load::program::<CgroupSock>(ebpf, name)
            .and_then(|p| p.attach(&root, mode).map_err(|e| attaching(name, e)));
        if let Err(e) = attached {
            limits.push(format!("socket owners are incomplete: {}", chain(&e)));
        }
    }
    for name in ["remora_connect4", "remora_connect6"] {
        let attached = load::program::<CgroupSockAddr>(ebpf, name)
            .and_then(|p| p.attach(&root, mode).map_err(|e| attaching(name, e)));
        if let Err(e) = attached {
            limits.push(format!("socket owners are incomplete: {}", chain(&e)));
        }
    }
    // Ingress before egress: a local packet under way is then seen at its receiver.
    for (name, side) in [
        ("remora_socket_in", CgroupSkbAttachType::Ingress),
        ("remora_socket_out", CgroupSkbAttachType::Egress),
    ] {
        load::program::<CgroupSkb>(ebpf, name)?.attach(&root, side, mode).map_err(|e| attaching(name, e))?;
    }
    let tls = read_tls(config, ebpf, &map_fds, &mut limits);
    if !process_names {
        limits.push(
            "a process that has ended may be named after one of its threads (needs the kernel's BTF)"
                .to_owned(),
        );
    }
    if !netns {
        limits.push(
            "loopback traffic of different network namespaces with equal addresses and ports is mixed up \
             (needs Linux 6.15)"
                .to_owned(),
        );
    }
    Ok(Attached {
        backend: Backend::Bpf(maps),
        sources,
        programs: Some(programs),
        attached_to: path.display().to_string(),
        limits,
        tls,
    })
}

fn attach_tc(config: &Config, rings: u32, wakeup_bytes: u32) -> Result<Attached, KernelError> {
    refuse_cgroups(config, Tier::Tc)?;
    let loaded = load::load(config, rings, config.ring_bytes)?;
    let Prepared { mut programs, maps, map_fds, sources } = prepare(config, loaded, wakeup_bytes)?;
    let ebpf = &mut programs.ebpf;
    let mut names = Vec::new();
    let mut limits = vec![
        "only traffic that crosses an interface of this network namespace is seen, without processes and \
         cgroups"
            .to_owned(),
    ];
    let mut wanted = packet_socket::interfaces(&config.interfaces)?;
    wanted.retain(|i| i.link.is_some());
    for name in ["remora_link_in", "remora_link_out", "remora_bare_in", "remora_bare_out"] {
        load::program::<SchedClassifier>(ebpf, name)?;
    }
    for interface in &wanted {
        let kind = if interface.link == Some(packet_socket::Link::Ethernet) { "link" } else { "bare" };
        // Loopback passes each packet twice: its way out is enough.
        let mut ways = vec![("out", TcAttachType::Egress)];
        if !interface.loopback {
            ways.push(("in", TcAttachType::Ingress));
        }
        // Needed by kernels before tcx (6.6); it may be there already.
        let _ = tc::qdisc_add_clsact(&interface.name);
        let attached = ways.into_iter().try_for_each(|(way, side)| {
            let program: &mut SchedClassifier = ebpf
                .program_mut(&format!("remora_{kind}_{way}"))
                .ok_or(aya::programs::ProgramError::NotLoaded)?
                .try_into()?;
            program.attach(&interface.name, side).map(drop)
        });
        match attached {
            Ok(()) => names.push(interface.name.clone()),
            Err(e) => limits.push(format!("{} is not captured: {}", interface.name, chain(&e))),
        }
    }
    let tls = read_tls(config, ebpf, &map_fds, &mut limits);
    if names.is_empty() {
        return Err(KernelError::Bpf {
            what: "attaching to interfaces".to_owned(),
            cause: limits.pop().unwrap_or_default(),
        });
    }
    Ok(Attached {
        backend: Backend::Bpf(maps),
        sources,
        programs: Some(programs),
        attached_to: names.join(", "),
        limits,
        tls,
    })
}

fn attach_packet(config: &Config, rings: u32) -> Result<Attached, KernelError> {
    refuse_cgroups(config, Tier::Packet)?;
    let opened = packet_socket::open(config, rings)?;
    Ok(Attached {
        backend: Backend::Packet(opened.shared),
        sources: opened.sources.into_iter().map(|s| Source::Packet(Box::new(s))).collect(),
        programs: None,
        attached_to: opened.attached_to,
        limits: vec![
            "only traffic that crosses an interface of this network namespace is seen, without processes, \
             cgroups, flow counters, shunts and plaintext of TLS"
                .to_owned(),
        ],
        tls: None,
    })
}

/// Prepares the probes on TLS libraries, where they are wanted. Without them packets are still of use.
fn read_tls(config: &Config, ebpf: &mut Ebpf, maps: &MapFds, limits: &mut Vec<String>) -> Option<TlsProbes> {
    let secrets = config.tls.as_ref()?.secrets;
    match tls::start(ebpf, maps, secrets) {
        Ok(probes) => {
            limits.extend(probes.limits().iter().map(|limit| format!("TLS: {limit}")));
            Some(probes)
        }
        Err(e) => {
            limits.push(format!("plaintext of TLS is not read: {}", e.reason()));
            None
        }
    }
}

/// Capturing more than was asked for would be worse than not starting.
fn refuse_cgroups(config: &Config, tier: Tier) -> Result<(), KernelError> {
    let policy = &config.policy;
    if policy.include_cgroups.is_empty() && policy.exclude_cgroups.is_empty() {
        return Ok(());
    }
    Err(KernelError::Bpf {
        what: format!("using {tier}"),
        cause: "it cannot select by cgroup, which the capture policy asks for".to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_bounds() {
        assert_eq!(ring_bytes(1).unwrap(), 64 << 10);
        assert_eq!(ring_bytes(100_000).unwrap(), 128 << 10);
        assert!(ring_bytes(u32::MAX).is_err());
        let start = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            checked(config).unwrap_err().to_string()
        };
        assert!(start(|c| c.snaplen = 0).contains("snap length"));
        assert!(start(|c| c.rings = 65).contains("rings"));
        assert!(start(|c| c.flows = 0).contains("flow table"));
        assert!(start(|c| c.policy.include_cgroups = (0..20_000).collect()).contains("cgroups"));
    }
}
