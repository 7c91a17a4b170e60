//! The numbered sequence of batches that an agent keeps until the hub has them.
//!
//! Batches wait in memory up to a budget. Beyond it the oldest go to segment files, and beyond the
//! budget of those the oldest segment is given up and counted. What the hub acknowledges is
//! forgotten. [`Spool::close`] writes what is left in memory to disk, where the next run of the
//! agent finds it.
//!
//! Durability: a segment is flushed to the device when it is full and when the spool is closed. What
//! was appended since survives the death of the process but not of the machine, and what is only in
//! memory survives neither: it is not acknowledged yet, and the hub sees no hole that it would take
//! for something else. A torn or corrupt end of a segment costs the batches from there on in that
//! segment.

mod disk;
mod identity;
mod segment;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prost::Message as _;
use tokio::sync::Notify;

use self::disk::Disk;
use self::identity::Identity;
use crate::codec::{Encoded, Rows};
use crate::{SpoolId, proto};

/// Bits of a number that count batches; those above count the openings of the spool.
const COUNT_BITS: u32 = 40;

/// After a disk error the disk is left alone for this many batches.
const DISK_RETRY_AFTER: u32 = 64;

/// Numbers passed over between two batches of a spool. Between batches of different openings there
/// is no telling: what the earlier one had left was given up with it.
pub(crate) fn holes(before: u64, after: u64) -> u64 {
    let same_opening = before >> COUNT_BITS == after >> COUNT_BITS;
    let count = |seq: u64| seq & ((1 << COUNT_BITS) - 1);
    let from = if same_opening { count(before) } else { 0 };
    count(after).saturating_sub(from).saturating_sub(1)
}

/// Where and how much a spool keeps.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Directory for what exceeds the memory budget; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Bytes kept in memory.
    pub memory_bytes: usize,
    /// Bytes kept on disk.
    pub disk_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { dir: None, memory_bytes: 64 << 20, disk_bytes: 1 << 30 }
    }
}

/// A sequence of batches. Clones share it. Every method that touches the disk blocks.
#[derive(Clone, Debug)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
}

/// What a spool holds and what it counted since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolStats {
    /// Batches held in memory.
    pub memory_batches: u64,
    /// Their bytes.
    pub memory_bytes: u64,
    /// Batches held on disk, acknowledged ones in unfinished segments included.
    pub disk_batches: u64,
    /// Bytes of the segment files.
    pub disk_bytes: u64,
    /// Batches appended.
    pub appended: u64,
    /// Rows appended.
    pub appended_rows: Rows,
    /// The highest number acknowledged.
    pub acknowledged: u64,
    /// Batches given up: the spool was full, the disk failed, or a segment was corrupt. The hub may
    /// have received some of them.
    pub dropped_batches: u64,
    /// Rows of those.
    pub dropped_rows: Rows,
    /// Errors of the disk.
    pub disk_errors: u64,
    /// The newest of them.
    pub last_disk_error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) seq: u64,
    pub(crate) batch: Encoded,
}

#[derive(Debug)]
struct Inner {
    id: SpoolId,
    next_seq: u64,
    memory: VecDeque<Arc<Held>>,
    memory_bytes: usize,
    memory_budget: usize,
    disk: Option<Disk>,
    disk_rest: u32,
    stats: SpoolStats,
    /// Holds the lock on the directory.
    identity: Option<Identity>,
}

impl Spool {
    /// Opens the spool in `config.dir`, with what an earlier run left there, or makes a new one.
    /// Where the directory cannot be used (no permission, disk full, in use by another agent) the
    /// spool lives in memory; [`SpoolStats::last_disk_error`] says why.
    pub fn open(config: &SpoolConfig) -> Self {
        let mut stats = SpoolStats::default();
        let mut opened = None;
        if let Some(dir) = &config.dir {
            match open_dir(dir, config.disk_bytes) {
                Ok(found) => opened = Some(found),
                Err(error) => {
                    stats.disk_errors += 1;
                    stats.last_disk_error = Some(format!("{}: {error}", dir.display()));
                }
            }
        }
        let (identity, disk) = opened.unzip();
        let (id, epoch) = identity.as_ref().map_or_else(|| (SpoolId::random(), 1), |i| (i.id, i.epoch));
        let inner = Inner {
            id,
            next_seq: (epoch << COUNT_BITS) + 1,
            memory: VecDeque::new(),
            memory_bytes: 0,
            memory_budget: config.memory_bytes,
            disk,
            disk_rest: 0,
            stats,
            identity,
        };
        Self { shared: Arc::new(Shared { inner: Mutex::new(inner), changed: Notify::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name.
    pub fn id(&self) -> SpoolId {
        self.lock().id
    }

    /// The lowest number that can still be read, or the next one when nothing is held.
    pub fn first_seq(&self) -> u64 {
        let inner = self.lock();
        let disk = inner.disk.as_ref().and_then(Disk::first_seq);
        disk.or_else(|| inner.memory.front().map(|h| h.seq)).unwrap_or(inner.next_seq)
    }

    /// The number that the next batch gets.
    pub fn next_seq(&self) -> u64 {
        self.lock().next_seq
    }

    /// What it holds and counted.
    pub fn stats(&self) -> SpoolStats {
        let inner = self.lock();
        let mut stats = inner.stats.clone();
        stats.memory_batches = inner.memory.len() as u64;
        stats.memory_bytes = inner.memory_bytes as u64;
        if let Some(disk) = &inner.disk {
            stats.disk_batches = disk.batches();
            stats.disk_bytes = disk.bytes();
        }
        stats
    }

    /// True when everything that was appended has been acknowledged or given up.
    pub fn is_empty(&self) -> bool {
        let inner = self.lock();
        inner.memory.is_empty() && inner.disk.as_ref().is_none_or(Disk::is_empty)
    }

    /// Waits until something is appended or acknowledged after this call was made.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.changed.notified()
    }

    /// Encodes tables and appends them as one batch or, when they are large, several.
    pub fn append(&self, encoder: &mut crate::codec::Encoder, tables: &[remora_model::TableBatch]) {
        for batch in encoder.encode(tables) {
            self.append_encoded(batch);
        }
    }

    /// Appends a batch and gives it its number.
    pub(crate) fn append_encoded(&self, batch: Encoded) -> u64 {
        let seq = self.lock().append(batch);
        self.shared.changed.notify_waiters();
        seq
    }

    /// The first batch whose number is above `seq`. Blocks while it reads the disk.
    pub(crate) fn next_after(&self, seq: u64) -> Option<Arc<Held>> {
        self.lock().next_after(seq)
    }

    /// True when the batch after `seq` is on disk.
    pub(crate) fn reads_disk(&self, seq: u64) -> bool {
        self.lock().disk.as_ref().is_some_and(|d| d.has_after(seq))
    }

    /// Forgets everything up to `durable`.
    pub(crate) fn acknowledge(&self, durable: u64) {
        self.lock().acknowledge(durable);
        self.shared.changed.notify_waiters();
    }

    /// Gives a batch up because the hub will never read it.
    pub(crate) fn give_up(&self, seq: u64) {
        let mut inner = self.lock();
        if let Some(i) = inner.memory.iter().position(|h| h.seq == seq)
            && let Some(held) = inner.memory.remove(i)
        {
            inner.memory_bytes = inner.memory_bytes.saturating_sub(held.batch.len());
            let rows = held.batch.rows;
            inner.dropped(1, &rows);
        } else {
            inner.stats.dropped_batches += 1;
        }
    }

    /// The hub has numbers of this spool that this spool has not given out: its directory was put
    /// back to an older state. Goes on above them, so that new batches are not taken for old.
    pub(crate) fn pass(&self, received: u64) {
        let mut inner = self.lock();
        if received >= inner.next_seq {
            let epoch = (received >> COUNT_BITS) + 1;
            inner.next_seq = (epoch << COUNT_BITS) + 1;
            let saved = inner.identity.as_mut().map(|i| i.set_epoch(epoch));
            if let Some(Err(error)) = saved {
                inner.disk_failed(&error);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_last_handle(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// Writes what is in memory to disk and flushes it to the device. What is appended later stays
    /// in memory.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.disk_rest = 0;
        while inner.disk.is_some() && !inner.memory.is_empty() {
            if !inner.spill() {
                break;
            }
        }
        let synced = inner.disk.as_mut().map(Disk::sync);
        if let Some(Err(error)) = synced {
            inner.disk_failed(&error);
        }
    }
}

fn open_dir(dir: &std::path::Path, budget: u64) -> std::io::Result<(Identity, Disk)> {
    let identity = Identity::open(dir)?;
    let disk = Disk::open(dir, budget, identity.fresh)?;
    Ok((identity, disk))
}

impl Inner {
    fn append(&mut self, batch: Encoded) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        self.stats.appended += 1;
        self.stats.appended_rows.add_all(&batch.rows);
        self.memory_bytes += batch.len();
        self.memory.push_back(Arc::new(Held { seq, batch }));
        while self.memory_bytes > self.memory_budget && self.memory.len() > 1 {
            if self.spill() {
                continue;
            }
            if let Some(oldest) = self.pop() {
                self.dropped(1, &oldest.batch.rows);
            }
        }
        self.disk_rest = self.disk_rest.saturating_sub(1);
        seq
    }

    fn pop(&mut self) -> Option<Arc<Held>> {
        let oldest = self.memory.pop_front()?;
        self.memory_bytes = self.memory_bytes.saturating_sub(oldest.batch.len());
        Some(oldest)
    }

    /// Moves the oldest batch from memory to disk; false when that is not possible now.
    fn spill(&mut self) -> bool {
        let (Some(disk), 0) = (&mut self.disk, self.disk_rest) else { return false };
        let Some(oldest) = self.memory.front() else { return false };
        let tables = oldest.batch.encoded_tables().map_err(std::io::Error::other);
        let message = tables.map(|tables| proto::Batch { seq: oldest.seq, tables }.encode_to_vec());
        match message.and_then(|message| disk.append(oldest.seq, &oldest.batch.rows, &message)) {
            Ok(given_up) => {
                for lost in given_up {
                    self.dropped(lost.batches, &lost.rows);
                }
                self.pop();
                true
            }
            Err(error) => {
                self.disk_failed(&error);
                false
            }
        }
    }

    fn dropped(&mut self, batches: u64, rows: &Rows) {
        self.stats.dropped_batches += batches;
        self.stats.dropped_rows.add_all(rows);
    }

    fn disk_failed(&mut self, error: &std::io::Error) {
        self.disk_rest = DISK_RETRY_AFTER;
        self.stats.disk_errors += 1;
        self.stats.last_disk_error = Some(error.to_string());
    }

    fn next_after(&mut self, seq: u64) -> Option<Arc<Held>> {
        let mut after = seq;
        while let Some(disk) = &mut self.disk {
            match disk.read_after(after) {
                Ok(Some(entry)) => {
                    after = entry.seq;
                    if let Ok(batch) = proto::Batch::decode(&entry.message[..]) {
                        let batch = Encoded { tables: batch.tables, rows: entry.rows, handed: Vec::new() };
                        return Some(Arc::new(Held { seq: entry.seq, batch }));
                    }
                    self.dropped(1, &entry.rows);
                }
                Ok(None) => break,
                Err(lost) => {
                    self.disk_failed(&lost.error);
                    self.dropped(lost.batches, &lost.rows);
                }
            }
        }
        let at = self.memory.partition_point(|h| h.seq <= after);
        self.memory.get(at).cloned()
    }

    fn acknowledge(&mut self, durable: u64) {
        self.stats.acknowledged = self.stats.acknowledged.max(durable);
        while self.memory.front().is_some_and(|h| h.seq <= durable) {
            self.pop();
        }
        if let Some(disk) = &mut self.disk {
            let failed = disk.acknowledge(durable);
            if let Err(error) = failed {
                self.disk_failed(&error);
            }
        }
    }
}

#[cfg(test)]
mod tests;
