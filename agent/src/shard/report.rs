//! What a shard counts.

use std::sync::{Arc, Mutex, PoisonError};

use remora_dissect::{EngineStats, Problem};

/// Totals since the shard began.
#[derive(Clone, Debug)]
pub struct ShardReport {
    /// Rows of calls.
    pub calls: u64,
    /// Rows of flows.
    pub flow_rows: u64,
    /// How often each problem occurred and how many bytes it concerned, in the order of
    /// [`Problem::ALL`].
    pub problems: [(u64, u64); Problem::ALL.len()],
    /// Calls and flow rows left out because neither side is one of the processes asked for.
    pub filtered: u64,
    /// Calls that went without their bodies because shipping did not keep up.
    pub lean_calls: u64,
    /// Rows lost because columns could not be made of them, which would be a fault.
    pub broken_rows: u64,
    /// Bodies that the kernel was asked to leave out.
    pub shunts: u64,
    /// What the engine holds.
    pub engine: EngineStats,
    /// Flows whose owners are held.
    pub known_owners: u64,
}

impl Default for ShardReport {
    fn default() -> Self {
        Self {
            calls: 0,
            flow_rows: 0,
            problems: [(0, 0); Problem::ALL.len()],
            filtered: 0,
            lean_calls: 0,
            broken_rows: 0,
            shunts: 0,
            engine: EngineStats::default(),
            known_owners: 0,
        }
    }
}

/// A report that a shard writes and others read.
#[derive(Clone, Debug, Default)]
pub struct SharedReport(Arc<Mutex<ShardReport>>);

impl SharedReport {
    /// The newest report.
    pub fn read(&self) -> ShardReport {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, report: &ShardReport) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone_from(report);
    }
}
