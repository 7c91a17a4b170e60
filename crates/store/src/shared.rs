//! The state that appends, seals, merges and queries share, and the one place that changes it.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use remora_model::{Protocol, Table};
use tokio::sync::{Notify, broadcast, watch};

use crate::manifest::{self, DeletedIds, Manifest, SourceMark};
use crate::memory::{Message, OpenBatch};
use crate::metrics::{Condition, Counters, add};
use crate::segment::{self, Fault, Place, Segment, is_ours, sync_dir};
use crate::{Appended, Error, Result, SourceId, StoreConfig, StoreMetrics, Watermarks};

/// Damaged segments that are set aside for somebody to look at; older ones are deleted.
const KEEP_DAMAGED: usize = 16;

pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) counters: Counters,
    state: Mutex<State>,
    /// Wakes the sealing thread.
    pub(crate) seal_wanted: Condvar,
    /// Wakes the merging thread.
    pub(crate) merge_wanted: Condvar,
    /// Wakes appends that wait for memory.
    pub(crate) space: Notify,
    /// Held while the manifest changes.
    commit: Mutex<Committed>,
    next_segment: AtomicU64,
    pub(crate) durable: watch::Sender<Watermarks>,
    pub(crate) progress: watch::Sender<Progress>,
    /// Locked as long as the store is open.
    lock: Mutex<Option<File>>,
}

/// What the manifest on disk says besides the segments.
struct Committed {
    generation: u64,
    /// Those that changed last at the end.
    sources: Vec<SourceMark>,
}

/// What followers are sent.
#[derive(Clone)]
pub(crate) struct TailItem {
    pub(crate) batch: Arc<OpenBatch>,
    /// Rows of the batch's table that were appended before it.
    pub(crate) before: u64,
}

/// How far sealing has come, for those who wait for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Messages sealed since the store was opened.
    pub(crate) sealed: u64,
    /// Seals that failed.
    pub(crate) failures: u64,
    /// Why the last one failed.
    pub(crate) reason: String,
    /// The sealing thread has ended.
    pub(crate) ended: bool,
}

pub(crate) struct State {
    /// Messages that are not sealed, oldest first.
    pub(crate) open: VecDeque<Arc<Message>>,
    pub(crate) open_bytes: usize,
    pub(crate) open_rows: usize,
    /// When the oldest of them came.
    pub(crate) open_since: Option<Instant>,
    /// Live segments.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) deleted: DeletedIds,
    pub(crate) condition: Condition,
    /// Messages appended and sealed since the store was opened.
    pub(crate) appended: u64,
    pub(crate) sealed: u64,
    /// A flush wants this many messages sealed.
    pub(crate) flush: u64,
    /// The threads end; what is open is sealed first.
    pub(crate) closing: bool,
    /// The threads end at once, as in a crash.
    pub(crate) abandon: bool,
    /// No appends any more.
    pub(crate) closed: bool,
    received: BTreeMap<SourceId, u64>,
    tail_rows: [u64; Table::ALL.len()],
    /// Gone when the store is closed, which ends the followers.
    tail: Option<broadcast::Sender<TailItem>>,
}

/// A change of what is on disk.
#[derive(Default)]
pub(crate) struct Edit {
    /// New segments, complete and synced.
    pub(crate) add: Vec<Segment>,
    /// Segments that go.
    pub(crate) remove: Vec<Arc<Segment>>,
    /// How many of the oldest open messages `add` holds.
    pub(crate) sealed: usize,
    /// Watermarks of these messages.
    pub(crate) marks: BTreeMap<SourceId, u64>,
    /// The removed rows are gone for good, not merged into others.
    pub(crate) retired: bool,
}

impl Shared {
    pub(crate) fn open(config: StoreConfig) -> Result<Self> {
        let io = |action, path: PathBuf| move |source| Error::Io { action, path, source };
        fs::create_dir_all(&config.dir).map_err(io("create", config.dir.clone()))?;
        // Object paths below are made from it.
        let mut config = config;
        config.dir = config.dir.canonicalize().map_err(io("open", config.dir.clone()))?;
        let path = config.dir.join("lock");
        let lock = File::options().create(true).append(true).open(&path).map_err(io("open", path.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(config.dir)),
            Err(TryLockError::Error(source)) => return Err(io("lock", path)(source)),
        }
        let counters = Counters::default();
        let (manifest, fallback) = manifest::load(&config.dir)?;
        if fallback {
            add(&counters.manifest_fallbacks, 1u64);
            tracing::error!(dir = %config.dir.display(), "the manifest is damaged; its copy is used");
        }
        let Manifest { generation, next, segments, sources, deleted, .. } = manifest;
        let segments = check_segments(&config, &counters, segments);
        let highest = remove_orphans(&config, &counters, &segments, fallback)?;
        let received: BTreeMap<SourceId, u64> = sources.iter().map(|m| (m.source.clone(), m.seq)).collect();
        let (durable, progress) = (watch::Sender::new(Arc::new(received.clone())), watch::Sender::default());
        let tail = broadcast::Sender::new(config.tail_batches.max(1));
        Ok(Self {
            state: Mutex::new(State {
                open: VecDeque::new(),
                open_bytes: 0,
                open_rows: 0,
                open_since: None,
                segments,
                deleted,
                condition: Condition::Healthy,
                appended: 0,
                sealed: 0,
                flush: 0,
                closing: false,
                abandon: false,
                closed: false,
                received,
                tail_rows: [0; Table::ALL.len()],
                tail: Some(tail),
            }),
            commit: Mutex::new(Committed { generation, sources }),
            next_segment: AtomicU64::new(next.max(highest + 1)),
            config,
            counters,
            seal_wanted: Condvar::new(),
            merge_wanted: Condvar::new(),
            space: Notify::new(),
            durable,
            progress,
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Locks the state. A panic elsewhere does not make the state wrong: it is changed only in
    /// steps that cannot panic.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new segment, with a number that no other has.
    pub(crate) fn place(&self, kind: (Table, Option<Protocol>), level: u32) -> Place<'_> {
        let number = self.next_segment.fetch_add(1, Ordering::Relaxed);
        let (dir, row_group_rows) = (self.config.dir.as_path(), self.config.row_group_rows);
        Place { dir, number, kind, level, row_group_rows }
    }

    /// Takes the message if there is room: `Ok(None)` when there is none.
    pub(crate) fn try_append(&self, message: &Arc<Message>) -> Result<Option<Appended>> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.closed {
            return Err(Error::Closed);
        }
        let last = state.received.get(&message.source).copied();
        if last.is_some_and(|last| message.seq <= last) {
            add(&self.counters.duplicates, 1u64);
            return Ok(Some(Appended::Duplicate));
        }
        let budget = self.config.memory_budget;
        if message.bytes > budget {
            return Err(Error::BatchTooLarge { bytes: message.bytes, budget });
        }
        if state.open_bytes + message.bytes > budget {
            return Ok(None);
        }
        if let Some(last) = last {
            add(&self.counters.sequence_gaps, message.seq - last - 1);
        }
        state.received.insert(message.source.clone(), message.seq);
        state.open.push_back(Arc::clone(message));
        state.open_bytes += message.bytes;
        state.open_rows += message.rows;
        state.appended += 1;
        state.open_since.get_or_insert_with(Instant::now);
        for batch in &message.batches {
            if let Some(rows) = state.tail_rows.get_mut(batch.table as usize) {
                let before = *rows;
                *rows += batch.batch.num_rows() as u64;
                if let Some(tail) = &state.tail {
                    // An error says that nobody follows.
                    _ = tail.send(TailItem { batch: Arc::clone(batch), before });
                }
            }
        }
        if state.open_bytes >= self.config.seal_bytes
            || state.open_rows >= self.config.seal_rows
            || state.open.len() == 1
        {
            self.seal_wanted.notify_one();
        }
        drop(guard);
        add(&self.counters.appends, 1u64);
        add(&self.counters.appended_rows, message.rows);
        add(&self.counters.appended_bytes, message.bytes);
        Ok(Some(Appended::New))
    }

    /// Bytes of unsealed rows.
    pub(crate) fn open_bytes(&self) -> usize {
        self.state().open_bytes
    }

    pub(crate) fn received(&self, source: &SourceId) -> Option<u64> {
        self.state().received.get(source).copied()
    }

    /// Wants everything sealed that has come so far; the number of messages that this is.
    pub(crate) fn want_flush(&self) -> u64 {
        let mut state = self.state();
        state.flush = state.appended;
        self.seal_wanted.notify_one();
        state.flush
    }

    /// Follows what is appended from now on, and says how many rows of `table` came before.
    pub(crate) fn follow(&self, table: Table) -> Option<(broadcast::Receiver<TailItem>, u64)> {
        let state = self.state();
        let before = state.tail_rows.get(table as usize).copied().unwrap_or(0);
        Some((state.tail.as_ref()?.subscribe(), before))
    }

    /// Makes a change durable and then visible, in that order.
    ///
    /// # Errors
    /// When the manifest cannot be written; then nothing changed, and the added segments' files
    /// are removed. `Ok(false)` when a segment to be merged has gone meanwhile: putting the result
    /// in its place would bring deleted rows back, so nothing is changed either.
    pub(crate) fn commit(&self, edit: Edit) -> Result<bool> {
        let Edit { add: new, remove, sealed, marks, retired } = edit;
        let new: Vec<Arc<Segment>> = new.into_iter().map(Arc::new).collect();
        let mut committed = self.commit.lock().unwrap_or_else(PoisonError::into_inner);
        let goes = |s: &Segment| remove.iter().any(|r| r.meta.number == s.meta.number);
        // The list changes only under the commit lock, so it is still this one below.
        let (mut segments, mut deleted) = {
            let state = self.state();
            (state.segments.clone(), state.deleted.clone())
        };
        let before = segments.len();
        segments.retain(|s| !goes(s));
        if !retired && before - segments.len() < remove.len() {
            new.iter().for_each(|s| s.retire());
            return Ok(false);
        }
        segments.extend(new.iter().cloned());
        if retired {
            remove.iter().for_each(|s| deleted.insert(s.meta.span.min_id, s.meta.span.max_id));
        }
        let mut sources = committed.sources.clone();
        sources.retain(|m| !marks.contains_key(&m.source));
        sources.extend(marks.iter().map(|(source, seq)| SourceMark { source: source.clone(), seq: *seq }));
        let surplus = sources.len().saturating_sub(self.config.max_sources.max(1));
        let forgotten: Vec<SourceMark> = sources.drain(..surplus).collect();
        let manifest = Manifest {
            generation: committed.generation + 1,
            next: self.next_segment.load(Ordering::Relaxed),
            segments: segments.iter().map(|s| s.meta.clone()).collect(),
            sources,
            deleted,
            ..Manifest::default()
        };
        if let Err(e) = manifest::commit(&self.config.dir, &manifest) {
            new.iter().for_each(|s| s.retire());
            return Err(e);
        }
        let watermarks: BTreeMap<SourceId, u64> =
            manifest.sources.iter().map(|m| (m.source.clone(), m.seq)).collect();
        {
            let mut guard = self.state();
            let state = &mut *guard;
            state.segments = segments;
            state.deleted = manifest.deleted;
            for message in state.open.drain(..sealed.min(state.open.len())) {
                state.open_bytes = state.open_bytes.saturating_sub(message.bytes);
                state.open_rows = state.open_rows.saturating_sub(message.rows);
                state.sealed += 1;
            }
            if sealed > 0 {
                // What came during the seal is younger than this; it waits a little too long at
                // the most for as long as the seal took.
                state.open_since = (!state.open.is_empty()).then(Instant::now);
            }
            for mark in &forgotten {
                // Kept while messages of it are still open.
                if state.received.get(&mark.source) == Some(&mark.seq) {
                    state.received.remove(&mark.source);
                }
            }
        }
        committed.generation = manifest.generation;
        committed.sources = manifest.sources;
        drop(committed);
        add(&self.counters.sources_forgotten, forgotten.len());
        if !marks.is_empty() {
            self.durable.send_replace(Arc::new(watermarks));
        }
        if sealed > 0 {
            self.space.notify_waiters();
        }
        remove.iter().for_each(|s| s.retire());
        Ok(true)
    }

    pub(crate) fn metrics(&self) -> StoreMetrics {
        let mut m = self.counters.snapshot();
        let state = self.state();
        m.open_bytes = state.open_bytes as u64;
        m.open_rows = state.open_rows as u64;
        m.segments = state.segments.len() as u64;
        m.segment_bytes = state.segments.iter().map(|s| s.meta.bytes).sum();
        m.segment_rows = state.segments.iter().map(|s| s.meta.rows).sum();
        m.sources = state.received.len() as u64;
        m.condition = state.condition.clone();
        m
    }

    /// Ends appends and followers and lets the threads end, which seal first what is open unless
    /// the store is abandoned.
    pub(crate) fn stop(&self, abandon: bool) {
        {
            let mut state = self.state();
            state.closed = true;
            state.closing = true;
            state.abandon |= abandon;
            state.tail = None;
        }
        self.seal_wanted.notify_all();
        self.merge_wanted.notify_all();
        self.space.notify_waiters();
    }
}

impl Shared {
    /// Lets another process open the directory. Queries that have not ended yet only read.
    pub(crate) fn unlock(&self) {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The segments that are whole; the others are counted, and damaged files are set aside.
fn check_segments(
    config: &StoreConfig,
    counters: &Counters,
    metas: Vec<segment::SegmentMeta>,
) -> Vec<Arc<Segment>> {
    let mut good = Vec::with_capacity(metas.len());
    for meta in metas {
        let (rows, name) = (meta.rows, meta.file_name());
        let fault = match Segment::new(&config.dir, meta) {
            None => Fault::Damaged("a table or protocol that this version does not know".to_owned()),
            Some(s) => match segment::check(&s) {
                Ok(()) => {
                    good.push(Arc::new(s));
                    continue;
                }
                Err(fault) => fault,
            },
        };
        add(&counters.lost_rows, rows);
        match fault {
            Fault::Missing => {
                add(&counters.missing_segments, 1u64);
                tracing::error!(file = name, rows, "a segment is missing");
            }
            Fault::Damaged(reason) => {
                add(&counters.damaged_segments, 1u64);
                let path = config.dir.join(&name);
                if let Err(e) = fs::rename(&path, config.dir.join(format!("{name}.damaged"))) {
                    tracing::warn!(file = name, error = %e, "cannot set the segment aside");
                }
                tracing::error!(file = name, rows, reason, "a segment is damaged and was set aside");
            }
        }
    }
    good
}

/// Removes files of ours that the manifest does not name: what a crash left between a write and
/// its commit. Returns the highest number in use.
///
/// With `doubtful`, the manifest may not know of the last change. Then finished segments that it
/// does not name are set aside and counted: whether their rows were acknowledged, or stand in other
/// segments as well, nobody knows.
fn remove_orphans(
    config: &StoreConfig,
    counters: &Counters,
    live: &[Arc<Segment>],
    doubtful: bool,
) -> Result<u64> {
    let io = |source| Error::Io { action: "list", path: config.dir.clone(), source };
    let mut damaged = Vec::new();
    for entry in fs::read_dir(&config.dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.ends_with(".damaged") {
            damaged.push((entry.metadata().and_then(|m| m.modified()).ok(), entry.path()));
        }
        let path = entry.path();
        let is_torn_manifest = name == manifest::TEMPORARY;
        if !(is_ours(&name) || is_torn_manifest) || live.iter().any(|s| s.path() == path) {
            continue;
        }
        if doubtful && !name.ends_with(".tmp") {
            add(&counters.damaged_segments, 1u64);
            let rows = segment::rows(&path);
            add(&counters.lost_rows, rows.unwrap_or(0));
            let error = fs::rename(&path, config.dir.join(format!("{name}.damaged"))).err();
            tracing::error!(
                file = name,
                rows,
                ?error,
                "a segment that the manifest does not name is set aside"
            );
        } else {
            match fs::remove_file(&path) {
                Ok(()) => add(&counters.orphans_removed, 1u64),
                Err(e) => tracing::warn!(file = name, error = %e, "cannot remove an orphan"),
            }
        }
    }
    damaged.sort();
    for (_, path) in damaged.iter().rev().skip(KEEP_DAMAGED) {
        _ = fs::remove_file(path);
    }
    sync_dir(&config.dir)?;
    Ok(live.iter().map(|s| s.meta.number).max().unwrap_or(0))
}
