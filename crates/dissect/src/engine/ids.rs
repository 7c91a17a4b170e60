//! Names for flows.

use remora_model::FlowId;

/// Names for the flows of one engine: an arithmetic sequence, so that several engines of a node
/// (one per shard) never give the same name.
#[derive(Clone, Copy, Debug)]
pub struct FlowIds {
    next: i64,
    step: i64,
}

impl FlowIds {
    /// `first`, `first + step`, `first + 2 * step`, ... For shard `k` of `n`: `base + k` and `n`.
    pub const fn new(first: i64, step: i64) -> Self {
        Self { next: first, step }
    }

    pub(super) fn take(&mut self) -> FlowId {
        let id = FlowId(self.next);
        self.next = self.next.wrapping_add(self.step);
        id
    }
}
