//! What was and was not seen: the rows behind the coverage block of every answer.

use crate::Timestamp;

/// One counter's growth during one reporting interval of one node. Rows with a count of zero are
/// not written, except for `captured`, whose rows say that the node was watching at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoverageRow<'a> {
    /// End of the interval.
    pub ts: Timestamp,
    /// Length of the interval in milliseconds.
    pub interval_ms: i64,
    /// Where in the pipeline: `captured`, `kernel`, `ring`, `packet`, `reassembly`, `flow`,
    /// `dissect`, `ship`, `raw` (the packet ring), `store`.
    pub stage: &'a str,
    /// What happened there, for example `packets`, `ring_full`, `map_full`, `budget`, `gap`.
    pub reason: &'a str,
    /// How often.
    pub count: i64,
    /// How many bytes it concerned, 0 where that has no meaning.
    pub bytes: i64,
}
