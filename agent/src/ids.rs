//! Names of calls and flows, unique over shards, restarts and time.
//!
//! Both are a run number (21 bits) above a count (32 bits), which stays below 2^53, so that readers
//! that hold numbers as doubles keep them exact. The run number is random: agents of many nodes that
//! start in the same second must not share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use remora_model::CallId;
use remora_wire::SpoolId;

const RUN_BITS: u32 = 21;
const COUNT_BITS: u32 = 32;

/// One run of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(u64);

impl RunId {
    /// A run that begins now.
    pub fn random() -> Self {
        Self::new(SpoolId::random().0 as u64)
    }

    /// The run with that number, of which the lowest 21 bits count.
    pub fn new(number: u64) -> Self {
        Self(number & ((1 << RUN_BITS) - 1))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The lowest id of this run.
    pub fn first_id(self) -> i64 {
        (self.0 << COUNT_BITS) as i64
    }
}

/// Gives out call ids to all shards, in blocks so that they do not contend.
#[derive(Debug)]
pub struct CallIds {
    run: RunId,
    next_block: Arc<AtomicU64>,
    next: u64,
    end: u64,
}

/// Ids that a shard takes at once.
const BLOCK: u64 = 1_024;

impl CallIds {
    /// The ids of a run.
    pub fn new(run: RunId) -> Self {
        Self { run, next_block: Arc::default(), next: 0, end: 0 }
    }

    /// Another taker from the same supply.
    pub fn share(&self) -> Self {
        Self { run: self.run, next_block: Arc::clone(&self.next_block), next: 0, end: 0 }
    }

    /// The next id.
    pub fn take(&mut self) -> CallId {
        if self.next == self.end {
            self.next = self.next_block.fetch_add(BLOCK, Ordering::Relaxed);
            self.end = self.next + BLOCK;
        }
        // After 2^32 calls of one run the count carries into the run number, which still gives ids
        // that are new and below 2^53.
        let id = (self.run.0 << COUNT_BITS).wrapping_add(self.next) & ((1 << (RUN_BITS + COUNT_BITS)) - 1);
        self.next += 1;
        CallId(id as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_never_give_the_same_id() {
        let mut a = CallIds::new(RunId::new(1_732_164_049));
        let mut b = a.share();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..5_000 {
            for id in [a.take(), b.take()] {
                assert!(id.0 >= RunId::new(1_732_164_049).first_id() && id.0 < 1 << 53);
                assert!(seen.insert(id));
            }
        }
    }
}
