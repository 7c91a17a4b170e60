//! An agent from start to end.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use remora_dissect::Limits;
use remora_model::{CaptureSource, Timestamp};
use remora_wire::{Client, ClientConfig, SecurityError, Spool, SpoolConfig, Transport};
use serde_json::{Value, json};

use crate::AgentConfig;
use crate::config::CgroupError;
use crate::ids::{CallIds, RunId};
use crate::kernel::{self, Capture, Control, KernelError, RingReader, Stopper, Tier};
use crate::monitor::{Monitor, Watched};
use crate::owners::{Cgroups, FlowOwners, Processes, cgroup_root};
use crate::shard::{Exchange, Shard, ShardParts, SharedReport};
use crate::ship::{ShipQueue, Shipper};
use crate::status::About;
use crate::tls::{KeyLogFile, SecretSink, Tls, TlsStatus, inbox};

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nothing can be captured.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// A cgroup that is to be captured or left out does not exist.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The way to the hub cannot be used.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The system gives no threads.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The key log cannot be written.
    #[error("cannot write the key log {}: {source}", path.display())]
    KeyLog {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// A running agent. Dropping it without [`shutdown`](Self::shutdown) ends the capture and loses
/// what has not been sent.
pub struct Agent {
    watched: Arc<Watched>,
    monitor: Monitor,
    capture: Mutex<Option<Capture>>,
    stoppers: Vec<Stopper>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    queue: Mutex<Option<ShipQueue>>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("about", &self.watched.about).finish_non_exhaustive()
    }
}

/// How an agent ended.
#[derive(Clone, Debug)]
pub struct AgentSummary {
    /// True when the hub has acknowledged everything.
    pub delivered: bool,
    /// Batches that wait in the spool for the next run.
    pub left_in_spool: u64,
    /// The last [`status`](Agent::status).
    pub status: Value,
}

impl Agent {
    /// Begins to capture and to ship over `transport`. Needs a tokio runtime, on which the client
    /// runs; all else has its own threads.
    ///
    /// # Errors
    /// When nothing can be captured, or a setting cannot be used.
    pub fn start(config: &AgentConfig, transport: Transport) -> Result<Self, AgentError> {
        transport.check()?;
        let policy = config.capture.policy()?;
        let mut capture = Capture::start(kernel_config(config, policy))?;
        let began = Instant::now();
        let control = capture.control();
        let readers = capture.take_readers();
        let run = RunId::random();

        let agent_id = crate::identity::agent_id(config.data_dir.as_deref());
        let spool = Spool::open(&SpoolConfig {
            dir: config.data_dir.as_ref().map(|d| d.join("spool")),
            memory_bytes: config.budgets.spool_memory_bytes,
            disk_bytes: config.budgets.spool_disk_bytes,
        });
        if let Some(error) = spool.stats().last_disk_error {
            tracing::warn!(error, "the spool has no disk: what the hub does not take is kept in memory only");
        }
        let (queue, shipper) = Shipper::start(spool.clone(), transport.form(), config.budgets.queue_bytes)
            .map_err(AgentError::Thread)?;
        let client = ClientConfig { run_id: run.number(), ..ClientConfig::new(&agent_id, &config.node) };
        let client = Client::start(client, transport, spool.clone());

        let wants_reseed = Arc::new(AtomicBool::new(false));
        let ids = CallIds::new(run);
        let cgroups = Cgroups::new(cgroup_root());
        let limits = limits(config, readers.len());
        let mut reports: Vec<SharedReport> = Vec::new();
        let mut threads = Vec::new();
        let mut stoppers = Vec::new();
        let shards = readers.len();
        let exchanges = Exchange::new(shards, config.budgets.flows);
        let wakers = readers.iter().map(RingReader::waker).collect::<Result<_, _>>()?;
        let (outlet, inboxes, refused) = inbox::boxes(wakers, config.tls.queue_bytes);
        for ((mut reader, exchange), plaintext) in readers.into_iter().zip(exchanges).zip(inboxes) {
            let owners = Some(control.owners().clone());
            let shard = Shard::new(ShardParts {
                index: reader.index(),
                shards,
                node: config.node.clone(),
                limits: limits.clone(),
                source: source(control.report().tier),
                ids: ids.share(),
                first_flow: run.first_id(),
                owners: FlowOwners::new(owners.clone(), limits.flows, Arc::clone(&wants_reseed)),
                processes: Processes::new(owners, cgroups.clone()),
                only: config.capture.processes.clone().into(),
                flush: config.flush.clone(),
                queue: queue.clone(),
                exchange,
                plaintext: Some(plaintext),
                table: control.flow_table(),
                shunt: shunt(config, &control),
            });
            reports.push(shard.report());
            stoppers.push(reader.stopper()?);
            let thread = std::thread::Builder::new()
                .name(format!("remora-shard-{}", reader.index()))
                .spawn(move || shard.run(&mut reader))
                .map_err(AgentError::Thread)?;
            threads.push(thread);
        }
        let tls = match capture.take_tls() {
            Some(probes) => Some(Tls::start(probes, &config.tls, outlet, refused, sinks(config)?)?),
            None => None,
        };
        let watched = Arc::new(Watched {
            tls,
            about: about(config, agent_id, run),
            control,
            shards: reports,
            shipper: Arc::new(shipper),
            spool,
            client: Arc::new(client),
            wants_reseed,
        });
        let monitor =
            Monitor::start(Arc::clone(&watched), queue.clone(), began).map_err(AgentError::Thread)?;
        Ok(Self {
            watched,
            monitor,
            capture: Mutex::new(Some(capture)),
            stoppers,
            threads: Mutex::new(threads),
            queue: Mutex::new(Some(queue)),
        })
    }

    /// The agent's account of itself, a JSON object: tier, counters, shards, spool, connection.
    pub fn status(&self) -> Value {
        self.watched.status()
    }

    /// Steers the capture in the kernel.
    pub fn control(&self) -> Control {
        self.watched.control.clone()
    }

    /// Ends the capture, delivers what was captured and waits up to `patience` for the hub to
    /// acknowledge it. What it does not acknowledge is written to the spool's directory.
    pub async fn shutdown(self, patience: Duration) -> AgentSummary {
        let this = Arc::new(self);
        let blocking = Arc::clone(&this);
        // If the runtime is going away, this ends with it and so does the process.
        _ = tokio::task::spawn_blocking(move || blocking.end_capture()).await;
        let delivered = this.watched.client.shutdown(patience).await;
        let spool = this.watched.spool.clone();
        _ = tokio::task::spawn_blocking(move || spool.close()).await;
        let stats = this.watched.spool.stats();
        AgentSummary {
            delivered,
            left_in_spool: if delivered { 0 } else { stats.disk_batches + stats.memory_batches },
            status: this.status(),
        }
    }

    fn end_capture(&self) {
        self.stop_shards();
        self.monitor.finish();
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.watched.shipper.join();
    }

    /// The processes with TLS code, and what is read of their plaintext.
    pub fn tls(&self) -> Vec<TlsStatus> {
        self.watched.tls.as_ref().map(Tls::statuses).unwrap_or_default()
    }

    /// Ends the shards: what their rings hold is taken, then the kernel's side is detached.
    fn stop_shards(&self) {
        if let Some(tls) = &self.watched.tls {
            tls.stop();
        }
        for stopper in &self.stoppers {
            if let Err(error) = stopper.stop() {
                tracing::warn!(%error, "a shard cannot be told to stop");
            }
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a shard has panicked");
            }
        }
        drop(self.capture.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop_shards();
        self.monitor.finish();
    }
}

fn kernel_config(config: &AgentConfig, policy: kernel::Policy) -> kernel::Config {
    kernel::Config {
        tier: config.kernel.tier,
        rings: config.kernel.shards,
        ring_bytes: config.kernel.ring_bytes,
        flows: u32::try_from(config.budgets.flows).unwrap_or(u32::MAX),
        snaplen: config.kernel.snaplen,
        sample: config.kernel.sample,
        policy,
        own_process: (!config.capture.include_own).then(std::process::id),
        interfaces: config.kernel.interfaces.clone(),
        tls: config.tls.kernel(config.capture.reading.payload),
        debug_log: config.kernel.debug_log,
    }
}

/// Those who keep secrets of TLS.
fn sinks(config: &AgentConfig) -> Result<Vec<Box<dyn SecretSink>>, AgentError> {
    let Some(path) = &config.tls.key_log else { return Ok(Vec::new()) };
    let file = KeyLogFile::open(path, config.tls.key_log_bytes)
        .map_err(|source| AgentError::KeyLog { path: path.clone(), source })?;
    Ok(vec![Box::new(file)])
}

/// One shard's share. Flows spread by hash, so each shard gets some room above its part.
fn limits(config: &AgentConfig, shards: usize) -> Limits {
    let shards = shards.max(1);
    let default = config.capture.reading.clone();
    let total_bytes = (config.budgets.reassembly_bytes / shards).max(1 << 20);
    Limits {
        flows: (config.budgets.flows.div_ceil(shards) * 5 / 4).max(64),
        total_bytes,
        // One flow alone must not use up the share.
        flow_bytes: default.flow_bytes.min(total_bytes / 4),
        message_bytes: default.message_bytes.min(total_bytes / 4),
        ..default
    }
}

fn source(tier: Tier) -> CaptureSource {
    match tier {
        Tier::Cgroup | Tier::Tc => CaptureSource::Ebpf,
        Tier::Packet => CaptureSource::AfPacket,
    }
}

fn shunt(config: &AgentConfig, control: &Control) -> Option<(Control, u64)> {
    // Without a flow table in the kernel a shunt does nothing there.
    let from = config.kernel.shunt_from.filter(|_| control.report().tier != Tier::Packet)?;
    Some((control.clone(), from))
}

fn about(config: &AgentConfig, agent_id: String, run: RunId) -> About {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let c = &config.capture;
    let texts = |list: &[kernel::Cidr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    About {
        agent_id,
        node: config.node.clone(),
        run_id: run.number(),
        started: Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)).to_rfc3339(),
        targets: json!({
            "processes": c.processes,
            "cgroups": c.cgroups,
            "exclude_cgroups": c.exclude_cgroups,
            "ports": c.ports,
            "exclude_ports": c.exclude_ports,
            "cidrs": texts(&c.cidrs),
            "exclude_cidrs": texts(&c.exclude_cidrs),
            "payload_limit": c.reading.payload,
            "sample": config.kernel.sample,
        }),
    }
}
