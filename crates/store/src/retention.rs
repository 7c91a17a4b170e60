//! Deleting the oldest segments: by bytes, by age, and to make room on a full disk.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::metrics::add;
use crate::segment::Segment;
use crate::shared::{Edit, Shared};

/// Deletes what the limits no longer allow.
pub(crate) fn enforce(shared: &Shared) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let oldest = now.saturating_sub(shared.config.retention_age).as_nanos();
    let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
    let segments = oldest_first(shared);
    let mut excess = bytes(&segments).saturating_sub(shared.config.retention_bytes);
    let mut go = Vec::new();
    for s in segments {
        if excess == 0 && s.meta.span.max_ts >= oldest {
            break;
        }
        excess = excess.saturating_sub(s.meta.bytes);
        go.push(s);
    }
    retire(shared, go);
}

/// Deletes the oldest segments until about `wanted` bytes are free; true when it deleted any.
pub(crate) fn make_room(shared: &Shared, wanted: u64) -> bool {
    let segments = oldest_first(shared);
    let mut left = bytes(&segments);
    let mut freed = 0;
    let mut go = Vec::new();
    for s in segments {
        let after = left.saturating_sub(s.meta.bytes);
        if freed >= wanted || after < shared.config.disk_full_keep {
            break;
        }
        left = after;
        freed += s.meta.bytes;
        go.push(s);
    }
    let count = go.len();
    let done = count > 0 && retire(shared, go);
    if done {
        add(&shared.counters.disk_full_segments, count);
    }
    done
}

fn bytes(segments: &[Arc<Segment>]) -> u64 {
    segments.iter().map(|s| s.meta.bytes).sum()
}

fn oldest_first(shared: &Shared) -> Vec<Arc<Segment>> {
    let mut segments = shared.state().segments.clone();
    segments.sort_by_key(|s| (s.meta.span.max_ts, s.meta.number));
    segments
}

fn retire(shared: &Shared, go: Vec<Arc<Segment>>) -> bool {
    if go.is_empty() {
        return false;
    }
    let (count, rows, size) = (go.len(), go.iter().map(|s| s.meta.rows).sum::<u64>(), bytes(&go));
    match shared.commit(Edit { remove: go, retired: true, ..Edit::default() }) {
        Ok(_) => {
            add(&shared.counters.retired_segments, count);
            add(&shared.counters.retired_rows, rows);
            add(&shared.counters.retired_bytes, size);
            true
        }
        Err(e) => {
            tracing::error!(error = %e, "retention cannot delete segments");
            false
        }
    }
}
