//! The sealing thread: from open batches to segments.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use remora_model::{Protocol, Table};

use crate::memory::Message;
use crate::metrics::{Condition, add};
use crate::segment::{self, disk_is_full, sync_dir};
use crate::shared::{Edit, Shared};
use crate::{Result, SourceId, retention};

/// Seals until the store is closed. With `closing`, what is left is sealed first.
pub(crate) fn run(shared: &Shared) {
    seal_all(shared);
    shared.progress.send_modify(|p| p.ended = true);
}

fn seal_all(shared: &Shared) {
    let mut retry: Option<Duration> = None;
    loop {
        let Some(messages) = next(shared, retry.take()) else { return };
        if messages.is_empty() {
            continue;
        }
        let started = Instant::now();
        let result = seal(shared, &messages);
        add(&shared.counters.seal_micros, started.elapsed().as_micros());
        let count = messages.len() as u64;
        match result {
            Ok(()) => {
                add(&shared.counters.seals, 1u64);
                shared.state().condition = Condition::Healthy;
                shared.progress.send_modify(|p| p.sealed += count);
                shared.merge_wanted.notify_one();
            }
            Err(e) => {
                add(&shared.counters.seal_failures, 1u64);
                let full = disk_is_full(&e);
                let reason = e.to_string();
                tracing::error!(reason, "cannot seal; rows stay in memory and it is tried again");
                let made_room =
                    full && retention::make_room(shared, messages.iter().map(|m| m.bytes as u64).sum());
                // Tried again at once when there is room now.
                retry = Some(if made_room { Duration::ZERO } else { shared.config.seal_retry });
                let closing = {
                    let mut state = shared.state();
                    state.condition = if full {
                        Condition::DiskFull { reason: reason.clone() }
                    } else {
                        Condition::SealFailing { reason: reason.clone() }
                    };
                    state.closing
                };
                if !made_room {
                    shared.progress.send_modify(|p| {
                        p.failures += 1;
                        p.reason.clone_from(&reason);
                    });
                    if closing {
                        return;
                    }
                }
            }
        }
    }
}

/// Waits until a seal is due and gives the messages that it takes; `None` when the store is closed
/// and nothing is left.
fn next(shared: &Shared, pause: Option<Duration>) -> Option<Vec<Arc<Message>>> {
    let config = &shared.config;
    let wait = |state, time: Duration| {
        shared.seal_wanted.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    };
    let mut state = shared.state();
    if let Some(pause) = pause {
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
            if state.closing {
                break;
            }
            state = wait(state, left);
        }
    }
    loop {
        if state.abandon {
            return None;
        }
        if state.open.is_empty() && state.closing {
            return None;
        }
        let age = state.open_since.map(|t| t.elapsed());
        let due = !state.open.is_empty()
            && (state.sealed < state.flush
                || state.closing
                || state.open_bytes >= config.seal_bytes
                || state.open_rows >= config.seal_rows
                || age.is_some_and(|a| a >= config.seal_after));
        if due {
            break;
        }
        let time = age.map_or(Duration::from_secs(3600), |a| config.seal_after.saturating_sub(a));
        state = wait(state, time);
    }
    let mut bytes = 0;
    let taken = state.open.iter().take_while(|m| {
        let first = bytes == 0;
        bytes += m.bytes;
        first || bytes <= config.seal_bytes
    });
    Some(taken.cloned().collect())
}

fn seal(shared: &Shared, messages: &[Arc<Message>]) -> Result<()> {
    let mut groups: BTreeMap<(Table, Option<Protocol>), Vec<RecordBatch>> = BTreeMap::new();
    let mut marks: BTreeMap<SourceId, u64> = BTreeMap::new();
    for m in messages {
        marks.insert(m.source.clone(), m.seq);
        for b in &m.batches {
            groups.entry((b.table, b.protocol)).or_default().push(b.batch.clone());
        }
    }
    let mut edit = Edit { sealed: messages.len(), marks, ..Edit::default() };
    let dir = &shared.config.dir;
    for (kind, batches) in &groups {
        match segment::write(&shared.place(*kind, 0), batches) {
            Ok(s) => edit.add.push(s),
            Err(e) => {
                edit.add.iter().for_each(|s| s.retire());
                return Err(e);
            }
        }
    }
    if let Err(e) = sync_dir(dir) {
        edit.add.iter().for_each(|s| s.retire());
        return Err(e);
    }
    let rows: u64 = edit.add.iter().map(|s| s.meta.rows).sum();
    let bytes: u64 = edit.add.iter().map(|s| s.meta.bytes).sum();
    _ = shared.commit(edit)?;
    add(&shared.counters.sealed_rows, rows);
    add(&shared.counters.sealed_bytes, bytes);
    Ok(())
}
