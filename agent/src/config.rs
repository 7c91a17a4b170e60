//! What an agent captures and how much it may use.

use std::path::PathBuf;
use std::time::Duration;

use remora_dissect::Limits;
use remora_wire::SpoolConfig;

use crate::kernel;

/// Settings of an agent.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Name of the node in every row; the host's name unless set.
    pub node: String,
    /// What to capture.
    pub capture: CaptureOptions,
    /// How to capture.
    pub kernel: KernelOptions,
    /// Whether and how the plaintext of TLS is read.
    pub tls: TlsOptions,
    /// Amounts of memory and disk.
    pub budgets: Budgets,
    /// How soon rows are shipped.
    pub flush: FlushOptions,
    /// Directory for what must survive a restart (identity, spool); `None` keeps nothing.
    pub data_dir: Option<PathBuf>,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            node: host_name(),
            capture: CaptureOptions::default(),
            kernel: KernelOptions::default(),
            tls: TlsOptions::default(),
            budgets: Budgets::default(),
            flush: FlushOptions::default(),
            data_dir: None,
        }
    }
}

/// Which traffic is captured and how much of it is kept. An empty list admits everything; with
/// several lists traffic must be in each of them; what is excluded is left out in any case.
#[derive(Clone, Debug, Default)]
pub struct CaptureOptions {
    /// Names of processes (`comm`, the first 15 bytes of the program's name) of which one side of a
    /// connection must have one. Decided when rows are made, since owners are learned from traffic.
    pub processes: Vec<String>,
    /// Cgroup paths, below the cgroup mount (`/system.slice/nginx.service`) or absolute
    /// (`/sys/fs/cgroup/...`), with everything below them.
    pub cgroups: Vec<String>,
    /// The same, left out.
    pub exclude_cgroups: Vec<String>,
    /// Ports of which a connection must have one on either side.
    pub ports: Vec<u16>,
    /// Ports that neither side may have.
    pub exclude_ports: Vec<u16>,
    /// Address ranges of which one side must be.
    pub cidrs: Vec<kernel::Cidr>,
    /// Address ranges in which neither side may be.
    pub exclude_cidrs: Vec<kernel::Cidr>,
    /// How what is captured is read: the payload limit, which bodies are kept, pinned ports,
    /// schemas. Amounts of memory are those of [`Budgets`].
    pub reading: Limits,
    /// Captures the agent's own traffic as well.
    pub include_own: bool,
}

/// How packets are got from the kernel.
#[derive(Clone, Debug)]
pub struct KernelOptions {
    /// Use this tier and no other; `None` takes the best that works.
    pub tier: Option<kernel::Tier>,
    /// Rings, each with a thread; 0 means one for each CPU, at most
    /// [`kernel::Config::MAX_DEFAULT_RINGS`].
    pub shards: u32,
    /// Bytes of each ring.
    pub ring_bytes: u32,
    /// Bytes of a packet that are kept.
    pub snaplen: u32,
    /// Captures one flow in this many.
    pub sample: u32,
    /// Interfaces for the tiers that work on interfaces; empty means all.
    pub interfaces: Vec<String>,
    /// Bodies of which at least this much is skipped are left out in the kernel; `None`: never.
    pub shunt_from: Option<u64>,
    /// Logs what the kernel programs decide.
    pub debug_log: bool,
}

impl Default for KernelOptions {
    fn default() -> Self {
        let kernel = kernel::Config::default();
        Self {
            tier: None,
            shards: 0,
            ring_bytes: kernel.ring_bytes,
            snaplen: kernel.snaplen,
            sample: 1,
            interfaces: Vec::new(),
            shunt_from: Some(256 << 10),
            debug_log: false,
        }
    }
}

/// Reading the plaintext of TLS from the libraries that encrypt and decrypt it.
#[derive(Clone, Debug)]
pub struct TlsOptions {
    /// Probes are attached to TLS libraries.
    pub enabled: bool,
    /// Bytes of the ring that plaintext comes through.
    pub ring_bytes: u32,
    /// Most bytes of plaintext copied of one call of a library; `None`: four times the payload limit, at
    /// least 256 KiB. The rest is a gap of known length.
    pub call_budget: Option<u32>,
    /// Connections of libraries that are remembered.
    pub connections: u32,
    /// Names of processes (`comm`) to which the plaintext that is read is restricted, unless empty. Probes
    /// are on files, so that other processes meet them as well.
    pub only_processes: Vec<String>,
    /// Processes that are watched.
    pub max_processes: usize,
    /// Bytes of plaintext that may wait for the shards.
    pub queue_bytes: usize,
    /// A library that nobody uses any more keeps its probes for this long.
    pub linger: Duration,
    /// TLS libraries in the system's directories are probed from the start, whoever uses them later:
    /// programs that run for a moment only are seen then.
    pub keep_system_libraries: bool,
    /// Secrets of connections are appended to this file, a key log as Wireshark reads it.
    pub key_log: Option<PathBuf>,
    /// Most bytes of that file.
    pub key_log_bytes: u64,
}

impl Default for TlsOptions {
    fn default() -> Self {
        let kernel = kernel::TlsConfig::default();
        Self {
            enabled: true,
            ring_bytes: kernel.ring_bytes,
            call_budget: None,
            connections: kernel.connections,
            only_processes: Vec::new(),
            max_processes: 32_768,
            queue_bytes: 32 << 20,
            linger: Duration::from_secs(30),
            keep_system_libraries: true,
            key_log: None,
            key_log_bytes: 64 << 20,
        }
    }
}

impl TlsOptions {
    /// The kernel's part of it, where `payload` bytes of each message are kept.
    pub(crate) fn kernel(&self, payload: usize) -> Option<kernel::TlsConfig> {
        const MOST: u32 = kernel::TlsConfig::MAX_CALL_BUDGET;
        let usual = u32::try_from(payload.saturating_mul(4)).unwrap_or(MOST).max(256 << 10);
        self.enabled.then(|| kernel::TlsConfig {
            ring_bytes: self.ring_bytes,
            connections: self.connections,
            call_budget: self.call_budget.unwrap_or(usual).min(MOST),
            secrets: self.key_log.is_some(),
        })
    }
}

/// Amounts for the whole agent, divided among its shards.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// Bytes that reassembly, half-read messages and open requests may hold.
    pub reassembly_bytes: usize,
    /// Flows held at once.
    pub flows: usize,
    /// Rows, in bytes, between the shards and the spool.
    pub queue_bytes: usize,
    /// The spool; its directory is `spool` in the data directory.
    pub spool_memory_bytes: usize,
    /// Bytes of the spool on disk.
    pub spool_disk_bytes: u64,
}

impl Default for Budgets {
    fn default() -> Self {
        let spool = SpoolConfig::default();
        Self {
            reassembly_bytes: 128 << 20,
            flows: 65_536,
            queue_bytes: 64 << 20,
            spool_memory_bytes: spool.memory_bytes,
            spool_disk_bytes: spool.disk_bytes,
        }
    }
}

/// When a shard hands its rows over.
#[derive(Clone, Debug)]
pub struct FlushOptions {
    /// After this time.
    pub interval: Duration,
    /// At this many rows.
    pub rows: usize,
    /// At this many bytes.
    pub bytes: usize,
}

impl Default for FlushOptions {
    fn default() -> Self {
        Self { interval: Duration::from_millis(200), rows: 8_192, bytes: 2 << 20 }
    }
}

impl CaptureOptions {
    /// The part of the options that the kernel decides on. Fails on cgroup paths that do not exist.
    pub(crate) fn policy(&self) -> Result<kernel::Policy, CgroupError> {
        let ids = |paths: &[String]| paths.iter().map(|p| cgroup_id(p)).collect::<Result<_, _>>();
        Ok(kernel::Policy {
            include_ports: self.ports.iter().copied().collect(),
            exclude_ports: self.exclude_ports.iter().copied().collect(),
            include_cidrs: self.cidrs.iter().copied().collect(),
            exclude_cidrs: self.exclude_cidrs.iter().copied().collect(),
            include_cgroups: ids(&self.cgroups)?,
            exclude_cgroups: ids(&self.exclude_cgroups)?,
        })
    }
}

/// A cgroup path that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "cgroup {path:?}: {cause}; give a path below the cgroup-v2 mount, for example /system.slice/nginx.service"
)]
pub struct CgroupError {
    path: String,
    cause: String,
}

/// The id of a cgroup is the inode number of its directory.
fn cgroup_id(path: &str) -> Result<u64, CgroupError> {
    use std::os::unix::fs::MetadataExt as _;
    let error = |cause: String| CgroupError { path: path.to_owned(), cause };
    let root = crate::owners::cgroup_root().ok_or_else(|| error("this host has no cgroup v2".to_owned()))?;
    let full = if std::path::Path::new(path).starts_with(&root) {
        PathBuf::from(path)
    } else {
        root.join(path.trim_start_matches('/'))
    };
    let meta = std::fs::metadata(&full).map_err(|e| error(e.to_string()))?;
    if meta.is_dir() { Ok(meta.ino()) } else { Err(error("not a directory".to_owned())) }
}

fn host_name() -> String {
    let read =
        |path| std::fs::read_to_string(path).ok().map(|s| s.trim().to_owned()).filter(|s| !s.is_empty());
    read("/proc/sys/kernel/hostname").unwrap_or_else(|| "localhost".to_owned())
}
