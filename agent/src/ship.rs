//! From shards to the spool: a thread that encodes rows, so that shards need not wait for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use remora_model::{Table, TableBatch};
use remora_wire::{EncodeLimits, Encoder, Form, Rows, Spool};

/// Flushes that may wait for the encoder. The budget in bytes is what usually counts.
const QUEUE: usize = 256;

/// What the queue and the encoder could not take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShipStats {
    /// Flushes dropped because the encoder did not keep up.
    pub dropped_flushes: u64,
    /// Rows of those.
    pub dropped_rows: Rows,
    /// Rows sent without their bodies because they were too large.
    pub stripped_rows: u64,
    /// Rows that could not be sent at all, each too large by itself.
    pub oversized_rows: Rows,
    /// Bytes waiting for the encoder.
    pub queued_bytes: u64,
}

/// Shared by the queue's ends.
#[derive(Debug, Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    dropped_flushes: AtomicU64,
    stripped_rows: AtomicU64,
    dropped: Mutex<(Rows, Rows)>,
}

/// The shards' end of the queue.
#[derive(Clone, Debug)]
pub struct ShipQueue {
    queue: SyncSender<(Vec<TableBatch>, usize)>,
    shared: Arc<Shared>,
    budget: usize,
}

/// The encoder's thread.
#[derive(Debug)]
pub struct Shipper {
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

impl ShipQueue {
    /// Hands rows of about `bytes` over. Never waits: what finds no room is dropped and counted.
    pub fn push(&self, tables: Vec<TableBatch>, bytes: usize) {
        if tables.is_empty() {
            return;
        }
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        // One flush may always wait, however large.
        let refused = if queued > 0 && queued + bytes > self.budget {
            Some(tables)
        } else {
            match self.queue.try_send((tables, bytes)) {
                Ok(()) => None,
                Err(TrySendError::Full((tables, _)) | TrySendError::Disconnected((tables, _))) => {
                    Some(tables)
                }
            }
        };
        if let Some(tables) = refused {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.dropped_flushes.fetch_add(1, Ordering::Relaxed);
            let mut dropped = self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            for t in &tables {
                dropped.0.add(t.table, t.batch.num_rows() as u64);
            }
        }
    }

    /// True when more than half of the budget waits: time to hand over less.
    pub fn is_strained(&self) -> bool {
        self.shared.queued_bytes.load(Ordering::Relaxed) > self.budget / 2
    }
}

impl Shipper {
    /// Starts the thread. It ends when all clones of the queue are gone.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(spool: Spool, form: Form, budget: usize) -> std::io::Result<(ShipQueue, Self)> {
        let (queue, arrivals) = mpsc::sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("remora-ship".to_owned())
            .spawn(move || run(&arrivals, &worker, &spool, form))?;
        Ok((
            ShipQueue { queue, shared: Arc::clone(&shared), budget },
            Self { thread: Mutex::new(Some(thread)), shared },
        ))
    }

    /// What was counted so far.
    pub fn stats(&self) -> ShipStats {
        let dropped = *self.shared.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        ShipStats {
            dropped_flushes: self.shared.dropped_flushes.load(Ordering::Relaxed),
            dropped_rows: dropped.0,
            stripped_rows: self.shared.stripped_rows.load(Ordering::Relaxed),
            oversized_rows: dropped.1,
            queued_bytes: self.shared.queued_bytes.load(Ordering::Relaxed) as u64,
        }
    }

    /// Waits until everything handed over is in the spool; all clones of the queue must be gone.
    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the encoder has panicked");
        }
    }
}

fn run(arrivals: &Receiver<(Vec<TableBatch>, usize)>, shared: &Shared, spool: &Spool, form: Form) {
    let mut encoder = Encoder::new(EncodeLimits::default(), form);
    while let Ok((tables, bytes)) = arrivals.recv() {
        spool.append(&mut encoder, &tables);
        shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        shared.stripped_rows.store(encoder.stripped_rows, Ordering::Relaxed);
        shared.dropped.lock().unwrap_or_else(PoisonError::into_inner).1 = encoder.dropped;
    }
}

/// Names of what is lost here, with their counts, for coverage rows.
impl ShipStats {
    /// Rows lost for want of room or because of their size, by table.
    pub fn lost(&self, table: Table) -> u64 {
        self.dropped_rows.of(table) + self.oversized_rows.of(table)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use remora_model::{BatchSet, CoverageRow, Timestamp};
    use remora_wire::SpoolConfig;

    fn tables() -> Vec<TableBatch> {
        let mut set = BatchSet::new("n");
        let row =
            CoverageRow { ts: Timestamp(1), interval_ms: 1, stage: "a", reason: "b", count: 1, bytes: 1 };
        set.coverage(&row);
        set.take().unwrap()
    }

    #[test]
    fn rows_reach_the_spool() {
        let spool = Spool::open(&SpoolConfig::default());
        let (queue, shipper) = Shipper::start(spool.clone(), Form::Plain, 1 << 20).unwrap();
        for _ in 0..10 {
            queue.push(tables(), 100);
        }
        drop(queue);
        shipper.join();
        assert_eq!(spool.stats().appended_rows.of(Table::Coverage), 10);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        // No thread takes anything out.
        let (queue, _arrivals) = mpsc::sync_channel(QUEUE);
        let queue = ShipQueue { queue, shared: Arc::default(), budget: 250 };
        for _ in 0..5 {
            queue.push(tables(), 100);
        }
        assert!(queue.is_strained());
        assert_eq!(queue.shared.dropped_flushes.load(Ordering::Relaxed), 3);
        assert_eq!(queue.shared.dropped.lock().unwrap().0.of(Table::Coverage), 3);
        assert_eq!(queue.shared.queued_bytes.load(Ordering::Relaxed), 200);
    }
}
