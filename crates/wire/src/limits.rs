//! Budgets of both ends.

use std::time::Duration;

/// Bounds on what a peer can make this side hold or wait for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest message in bytes, after encoding. Batches that are larger are split by the sender.
    pub message: usize,
    /// Largest table in bytes after decompression.
    pub table_bytes: usize,
    /// Most rows of one table in a batch.
    pub rows: usize,
    /// Most tables in a batch.
    pub tables: usize,
    /// Bytes in flight that the hub grants to each agent.
    pub credit: u64,
    /// Agents connected at once.
    pub agents: usize,
    /// Spools whose position the hub remembers while their agents are away.
    pub spools: usize,
    /// A peer that says nothing for this long is gone.
    pub idle: Duration,
    /// The first message must arrive within this time.
    pub hello: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 8 << 20,
            table_bytes: 32 << 20,
            rows: 1 << 16,
            tables: 64,
            credit: 16 << 20,
            agents: 4_096,
            spools: 16_384,
            idle: Duration::from_secs(60),
            hello: Duration::from_secs(10),
        }
    }
}
