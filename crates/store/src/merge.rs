//! The merging thread: from many small segments to few large ones, and retention.
//!
//! A seal every few seconds makes small files. Segments of one table, protocol and level that lie
//! side by side in time are merged, a fixed number at a time, into one of the next level. Row
//! groups that are large enough are copied as they are, which costs next to nothing; the rows of
//! small segments are read and written together, and there are few of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use remora_model::{Protocol, Table};

use crate::metrics::{Condition, add};
use crate::segment::{self, Segment, Source, sync_dir};
use crate::shared::{Edit, Shared};
use crate::{Error, Result, StoreConfig, retention};

/// What segments must share to be merged: table, protocol and level.
type Kind = (Table, Option<Protocol>, u32);

/// How often retention by age looks, when nothing else wakes the thread.
const TICK: Duration = Duration::from_secs(5);

/// Merges and deletes until the store is closed.
pub(crate) fn run(shared: &Shared) {
    let mut pause = Duration::ZERO;
    loop {
        {
            let state = shared.state();
            if state.closing {
                return;
            }
            let time = if pause.is_zero() { TICK } else { pause };
            let state =
                shared.merge_wanted.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0;
            if state.closing {
                return;
            }
        }
        retention::enforce(shared);
        // A merge needs room for its result before it can free anything.
        if shared.state().condition != Condition::Healthy {
            pause = Duration::ZERO;
            continue;
        }
        let segments = shared.state().segments.clone();
        let Some(run) = pick(&segments, &shared.config) else {
            pause = Duration::ZERO;
            continue;
        };
        let started = Instant::now();
        let failed = match merge(shared, run) {
            Ok(()) => false,
            Err(e) => {
                add(&shared.counters.merge_failures, 1u64);
                tracing::error!(error = %e, "cannot merge segments; they stay as they are");
                true
            }
        };
        let took = started.elapsed();
        add(&shared.counters.merge_micros, took.as_micros());
        rest(shared, took, failed);
        pause = Duration::from_millis(1);
    }
}

/// Keeps to the share of a core that merging may use.
fn rest(shared: &Shared, took: Duration, failed: bool) {
    let share = shared.config.merge_cpu_percent.clamp(1, 100);
    let mut left = took * (100 - share) / share;
    if failed {
        left = left.max(TICK);
    }
    let until = Instant::now() + left;
    let mut state = shared.state();
    while !state.closing
        && let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())
    {
        state = shared.merge_wanted.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// The next segments to merge, the newest ones first because queries ask for them most.
fn pick(segments: &[Arc<Segment>], config: &StoreConfig) -> Option<Vec<Arc<Segment>>> {
    let mut kinds: BTreeMap<Kind, Vec<&Arc<Segment>>> = BTreeMap::new();
    for s in segments {
        if s.meta.bytes < config.merge_bytes / 2 && s.meta.rows < config.merge_rows / 2 {
            kinds.entry((s.table, s.protocol, s.meta.level)).or_default().push(s);
        }
    }
    let fan_in = config.merge_fan_in.max(2);
    let span = i64::try_from(config.merge_span.as_nanos()).unwrap_or(i64::MAX);
    for mut same in kinds.into_values() {
        same.sort_by_key(|s| std::cmp::Reverse(s.meta.span.min_ts));
        for window in same.windows(fan_in) {
            let mut run: Vec<Arc<Segment>> = Vec::with_capacity(fan_in);
            let (mut bytes, mut rows, mut raw) = (0, 0, 0);
            let mut covered = segment::Span::EMPTY;
            for &s in window {
                let joined = covered.with(s.meta.span);
                bytes += s.meta.bytes;
                rows += s.meta.rows;
                // Only rows that are read take memory.
                raw += if is_copied(s, config) { 0 } else { s.meta.raw_bytes };
                if bytes > config.merge_bytes
                    || rows > config.merge_rows
                    || raw > config.merge_memory
                    || joined.max_ts.saturating_sub(joined.min_ts) > span
                {
                    break;
                }
                covered = joined;
                run.push(Arc::clone(s));
            }
            // Fewer than a full run are worth it only when a limit of size was reached, which
            // makes a segment that is large enough to be left alone.
            let large = bytes > config.merge_bytes || rows > config.merge_rows || raw > config.merge_memory;
            if run.len() == fan_in || (large && run.len() >= 2) {
                return Some(run);
            }
        }
    }
    None
}

/// True of segments whose row groups are large enough to stay as they are.
fn is_copied(segment: &Segment, config: &StoreConfig) -> bool {
    segment.meta.rows >= config.row_group_rows.div_ceil(4) as u64
}

fn merge(shared: &Shared, run: Vec<Arc<Segment>>) -> Result<()> {
    let Some(first) = run.first() else { return Ok(()) };
    let (kind, level) = ((first.table, first.protocol), first.meta.level + 1);
    let want = segment::schema_of(kind);
    let (mut sources, mut batches) = (Vec::new(), Vec::new());
    for s in &run {
        let source = if is_copied(s, &shared.config) { Source::open(s, &want)? } else { None };
        match source {
            Some(source) => sources.push(source),
            None => read(s, &want, &mut batches)?,
        }
    }
    let place = shared.place(kind, level);
    let merged = if sources.is_empty() {
        segment::write(&place, &batches)?
    } else {
        segment::join(&place, &mut sources, &batches, &want)?
    };
    drop(batches);
    let before: u64 = run.iter().map(|s| s.meta.rows).sum();
    let (rows, bytes) = (merged.meta.rows, merged.meta.bytes);
    let problem = if rows == before {
        sync_dir(&shared.config.dir).err()
    } else {
        Some(Error::Internal(format!("a merge of {before} rows gave {rows}")))
    };
    if let Some(e) = problem {
        merged.retire();
        return Err(e);
    }
    if !shared.commit(Edit { add: vec![merged], remove: run, ..Edit::default() })? {
        return Ok(());
    }
    add(&shared.counters.merges, 1u64);
    add(&shared.counters.merged_rows, rows);
    add(&shared.counters.merged_bytes, bytes);
    Ok(())
}

/// Appends the segment's rows, with the columns of this version's schema.
fn read(segment: &Segment, want: &SchemaRef, out: &mut Vec<RecordBatch>) -> Result<()> {
    let damaged = |e: &dyn std::fmt::Display| Error::Damaged(format!("{}: {e}", segment.path().display()));
    let file = File::open(segment.path()).map_err(|e| damaged(&e))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|b| b.with_batch_size(65_536).build())
        .map_err(|e| damaged(&e))?;
    for batch in reader {
        let batch = batch.map_err(|e| damaged(&e))?;
        out.push(crate::memory::conform(segment.table, want, batch)?.0);
    }
    Ok(())
}
