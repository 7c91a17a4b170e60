//! The plaintext of TLS, from probes on the libraries that encrypt and decrypt it.
//!
//! ```text
//! processes, exec, dlopen --> watch: which files have TLS code, probes on them
//! TLS ring -> connections: whose plaintext is it -> inbox of the shard that has the flow's packets
//! ```
//!
//! The shard's engine reads calls from it as from any stream, in the flow whose packets carry it
//! encrypted. Probes only read: a process that is watched never waits for Remora.

mod connections;
pub(crate) mod inbox;
mod library;
mod modules;
mod order;
mod points;
mod processes;
mod report;
mod secrets;
mod status;
mod trial;
mod verdict;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use remora_abi::{TlsHeader, TlsTrace, tls_event};
use remora_model::Timestamp;
use serde_json::{Value, json};

use self::connections::Connections;
pub use self::inbox::Inbox;
use self::inbox::{Outlet, Refused};
use self::order::Order;
use self::report::SharedReport;
pub use self::secrets::{KeyLogFile, SecretSink};
use self::secrets::{SecretCounts, Secrets};
use self::status::Seen;
pub use self::status::TlsStatus;
use self::trial::Trials;
use self::verdict::Verdicts;
use self::watch::{News, Watcher};
use crate::config::TlsOptions;
use crate::kernel::{KernelError, Stopper, TlsControl, TlsCounters, TlsProbes, TlsReader, Wake};

/// Records taken from the ring before time is looked at.
const DRAIN: usize = 256;
/// How long the ring may fill before it is looked at again.
const WAIT: Duration = Duration::from_millis(5);
/// News that may wait for the watcher; what is lost it finds by itself, later.
const NEWS: usize = 4_096;

/// Reads TLS until it is stopped.
#[derive(Debug)]
pub(crate) struct Tls {
    control: TlsControl,
    limits: Vec<String>,
    refused: Refused,
    verdicts: Verdicts,
    report: SharedReport,
    news: SyncSender<News>,
    stopper: Stopper,
    threads: Mutex<Vec<JoinHandle<()>>>,
    halt: Arc<AtomicBool>,
    secrets: Arc<SecretCounts>,
}

impl Tls {
    /// Begins to watch processes, and to send their plaintext to the shards behind `outlet`, and their
    /// secrets to `sinks`.
    pub(crate) fn start(
        mut probes: TlsProbes,
        options: &TlsOptions,
        outlet: Outlet,
        refused: Refused,
        sinks: Vec<Box<dyn SecretSink>>,
    ) -> Result<Self, KernelError> {
        let broken = |what: &str| KernelError::Setting(what.to_owned());
        let reader = probes.take_reader().ok_or_else(|| broken("the TLS ring has a reader already"))?;
        let (control, limits, stopper) = (probes.control(), probes.limits().to_vec(), reader.stopper()?);
        let (news, told) = mpsc::sync_channel(NEWS);
        let (seen, verdicts) = (Seen::default(), Verdicts::default());
        let connections = Connections::new(options, outlet, seen.clone());
        let halt = Arc::new(AtomicBool::new(false));
        let trials = Trials::new(verdicts.clone());
        let watcher = Watcher::new(probes, options.clone(), (seen, verdicts.clone()), Arc::clone(&halt));
        let report = watcher.report();
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map_err(|e| broken(&format!("cannot start a thread: {e}")))
        };
        let counts = Arc::new(SecretCounts::default());
        let secrets = Secrets::new(sinks, Arc::clone(&counts));
        let tell = news.clone();
        let threads = vec![
            spawn("remora-tls", Box::new(move || read(reader, trials, connections, secrets, &tell)))?,
            spawn("remora-tls-watch", Box::new(move || watcher.run(&told)))?,
        ];
        Ok(Self {
            control,
            limits,
            refused,
            verdicts,
            report,
            news,
            stopper,
            threads: Mutex::new(threads),
            halt,
            secrets: counts,
        })
    }

    /// Detaches all probes, and passes on what the ring still holds.
    pub(crate) fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut threads = threads.into_iter();
        let (reader, watcher) = (threads.next(), threads.next());
        // The watcher first: then nothing more comes. It may be looking into a large file.
        self.halt.store(true, Ordering::Relaxed);
        _ = self.news.send(News::Stop);
        join(watcher);
        if let Err(error) = self.stopper.stop() {
            tracing::warn!(%error, "the reader of TLS cannot be told to stop");
        }
        join(reader);
    }

    /// The processes with TLS code, and what is read of them.
    pub(crate) fn statuses(&self) -> Vec<TlsStatus> {
        self.report.read().statuses
    }

    /// The kernel's counters of plaintext.
    pub(crate) fn counters(&self) -> TlsCounters {
        self.control.counters().unwrap_or_else(|error| {
            tracing::warn!(%error, "no counters of TLS from the kernel");
            TlsCounters::default()
        })
    }

    /// Pieces of plaintext, and their bytes, that shards had no room for.
    pub(crate) fn refused(&self) -> (u64, u64) {
        self.refused.read()
    }

    /// Pieces of plaintext, and their bytes, of functions that were not proved to be what they were taken
    /// for.
    pub(crate) fn unproven(&self) -> (u64, u64) {
        self.verdicts.unproven()
    }

    /// All of it as JSON.
    pub(crate) fn json(&self) -> Value {
        let report = self.report.read();
        json!({
            "limits": self.limits,
            "files": report.files,
            "files_waiting": report.waiting,
            "files_probed": report.attached,
            "probes": report.probes,
            "attach_failures": report.attach_failures,
            "connections": self.control.connections(),
            "secrets": {
                "kept": self.secrets.kept.load(Ordering::Relaxed),
                "refused": self.secrets.refused.load(Ordering::Relaxed),
                "lost": self.secrets.lost.load(Ordering::Relaxed),
            },
            "processes": report.statuses.iter().map(TlsStatus::json).collect::<Vec<_>>(),
        })
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("a thread of TLS has panicked");
    }
}

/// The reader's thread.
fn read(
    mut reader: TlsReader,
    mut trials: Trials,
    mut connections: Connections,
    mut secrets: Secrets,
    news: &SyncSender<News>,
) {
    let mut order = Order::default();
    let mut take = |reader: &mut TlsReader, last: bool| {
        let n = reader.drain(DRAIN, |ts, header, data| {
            if let Some(one) = news_of(header) {
                // What is lost here is found by looking at all processes.
                _ = news.try_send(one);
            }
            if header.event == tls_event::SECRET {
                if connections.is_wanted(header.tgid) {
                    secrets.take(ts, data);
                }
            } else if let Some(trace) = TlsTrace::of(header) {
                trials.hear(&trace);
            } else {
                order.put(ts, header, data);
            }
        });
        let (now, all) = (wall_clock(), last && n < DRAIN);
        let mut on = |ts: Timestamp, header: &TlsHeader, data: Box<[u8]>| connections.take(ts, header, data);
        trials.turn(now, false, &mut on);
        while let Some((ts, header, data)) = order.take(now, all) {
            trials.sift(ts, &header, data, &mut on);
        }
        if all {
            trials.turn(now, true, &mut on);
        }
        connections.turn(Instant::now(), all);
        (n, order.is_empty())
    };
    loop {
        let (n, empty) = take(&mut reader, false);
        if n == DRAIN {
            continue;
        }
        match reader.wait(WAIT, !empty) {
            Ok(Wake::Stopped) => break,
            Ok(Wake::Volume | Wake::Timer) => {}
            Err(error) => {
                tracing::error!(%error, "the reader of TLS has lost its ring");
                break;
            }
        }
    }
    while take(&mut reader, true).0 == DRAIN {}
}

/// What a record says of a process.
fn news_of(header: &TlsHeader) -> Option<News> {
    match header.event {
        tls_event::EXEC => Some(News::Exec(header.tgid)),
        tls_event::LINKED => Some(News::Linked(header.tgid)),
        tls_event::EXIT => Some(News::Exit(header.tgid)),
        _ => None,
    }
}

fn wall_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
