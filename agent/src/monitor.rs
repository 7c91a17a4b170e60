//! A thread that looks at all counters at the start and then once a second, writes coverage and tells the hub how the
//! agent fares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use remora_model::{BatchSet, Timestamp};
use remora_wire::{Client, Spool};
use serde_json::Value;

use crate::coverage::{self, Totals};
use crate::kernel::Control;
use crate::packets::Packets;
use crate::shard::SharedReport;
use crate::ship::{ShipQueue, Shipper};
use crate::status::{About, status};
use crate::tls::Tls;

/// The interval of coverage rows.
const INTERVAL: Duration = Duration::from_secs(1);

/// `/proc` is looked through for owners of sockets no more often than this.
const RESEED: Duration = Duration::from_secs(2);

/// What the monitor looks at.
pub(crate) struct Watched {
    pub(crate) about: About,
    pub(crate) control: Control,
    pub(crate) shards: Vec<SharedReport>,
    pub(crate) shipper: Arc<Shipper>,
    pub(crate) spool: Spool,
    pub(crate) client: Arc<Client>,
    pub(crate) tls: Option<Tls>,
    pub(crate) packets: Packets,
    pub(crate) wants_reseed: Arc<AtomicBool>,
}

impl Watched {
    /// All totals now.
    pub(crate) fn totals(&self) -> Totals {
        let kernel = self.control.counters().unwrap_or_else(|error| {
            tracing::warn!(%error, "no counters from the kernel");
            Default::default()
        });
        Totals {
            kernel,
            shards: coverage::sum(self.shards.iter().map(SharedReport::read)),
            ship: self.shipper.stats(),
            spool: self.spool.stats(),
            tls: self.tls.as_ref().map(Tls::counters).unwrap_or_default(),
            packets: self.packets.stats(),
            tls_refused: self.tls.as_ref().map(Tls::refused).unwrap_or_default(),
            tls_unproven: self.tls.as_ref().map(Tls::unproven).unwrap_or_default(),
        }
    }

    /// The agent's account of itself.
    pub(crate) fn status(&self) -> Value {
        let shards: Vec<_> = self.shards.iter().map(SharedReport::read).collect();
        let totals = self.totals();
        let mut status = status(&self.about, self.control.report(), &totals, &shards, &self.client.stats());
        if let Some(object) = status.as_object_mut() {
            object.insert("packets".to_owned(), self.packets.json(&totals.packets));
            if let Some(tls) = &self.tls {
                object.insert("tls".to_owned(), tls.json());
            }
        }
        status
    }
}

pub(crate) struct Monitor {
    stop: SyncSender<()>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Monitor {
    /// Reports on the capture that began at `began`: at once, and then in intervals.
    pub(crate) fn start(watched: Arc<Watched>, queue: ShipQueue, began: Instant) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("remora-monitor".to_owned()).spawn(move || {
            let mut set = BatchSet::new(&watched.about.node);
            let mut before = Totals::default();
            let mut at = began;
            let mut reseeded = Instant::now();
            let mut ending = false;
            loop {
                let now = watched.totals();
                // An interval of nothing would cover nothing.
                let interval = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX).max(1);
                at = Instant::now();
                now.rows_since(&before, wall_clock(), interval, &mut set);
                before = now;
                let bytes = set.bytes();
                match set.take() {
                    Ok(tables) => queue.push(tables, bytes),
                    Err(error) => tracing::error!(%error, "coverage rows that do not make columns"),
                }
                watched.client.set_status(watched.status().to_string());
                if ending {
                    return;
                }
                if reseeded.elapsed() >= RESEED && watched.wants_reseed.swap(false, Ordering::Relaxed) {
                    reseeded = Instant::now();
                    if let Err(error) = watched.control.owners().reseed() {
                        tracing::debug!(%error, "sockets in /proc cannot be read");
                    }
                }
                ending = !matches!(stopped.recv_timeout(INTERVAL), Err(RecvTimeoutError::Timeout));
            }
        })?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }

    /// Writes the last coverage and ends. Blocks until it has.
    pub(crate) fn finish(&self) {
        _ = self.stop.try_send(());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            _ = thread.join();
        }
    }
}

fn wall_clock() -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
}
