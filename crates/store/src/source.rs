//! Who sent a batch, and how far each sender's batches are durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One run of one agent. Its batches are numbered from 1, and the numbers start anew when the
/// agent loses its spool, which makes a new `boot`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId {
    /// The agent.
    pub agent: String,
    /// Its numbering.
    pub boot: String,
}

impl SourceId {
    /// The source of that agent and boot id.
    pub fn new(agent: impl Into<String>, boot: impl Into<String>) -> Self {
        Self { agent: agent.into(), boot: boot.into() }
    }
}

/// What became of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The rows are in memory and queries see them.
    New,
    /// The batch had come before; nothing was done.
    Duplicate,
}

/// Highest durable sequence number of each source: it and everything before it is on disk.
pub type Watermarks = Arc<BTreeMap<SourceId, u64>>;
