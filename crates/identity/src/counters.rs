//! What the index held back or let go.

/// Events since the index was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that were older than what was known already.
    pub stale: u64,
    /// Records refused because the index was full.
    pub refused: u64,
    /// Pods, services and nodes that are gone and were forgotten when their time was over.
    pub forgotten: u64,
    /// The same, before their time was over, because the index was full.
    pub evicted: u64,
    /// Holdings of an address that were forgotten because it had too many.
    pub holdings_evicted: u64,
    /// Sets of labels or annotations that were cut.
    pub sets_cut: u64,
    /// Addresses that agents saw a container use.
    pub observed: u64,
    /// Times a watch began anew without knowing what it missed.
    pub gaps: u64,
}
