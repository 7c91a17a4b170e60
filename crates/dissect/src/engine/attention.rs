//! Which flows time may change: of the many that an engine holds, most are silent, and looking at each of
//! them once a second would cost more than the packets of the others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use remora_model::Timestamp;

use super::SWEEP;
use super::flow::Flow;

/// The lists that a flow stands in. A list holds it once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    pub(super) waiting: bool,
    pub(super) changed: bool,
}

/// The flow in a slot, by its serial: the tenant of a slot may have changed since.
pub(super) type Tenant = (u32, u64);

/// Flows to look at, each list bounded by the flows there were in two looks.
#[derive(Debug, Default)]
pub(super) struct Attention {
    /// Their dissectors want to know the time.
    waiting: Vec<Tenant>,
    /// The room of the list that was gone through last.
    spare: Vec<Tenant>,
    /// Their newest row does not say everything: when the next one is due.
    changed: BinaryHeap<Reverse<(Timestamp, Tenant)>>,
}

impl Attention {
    /// Lists a flow with which something has happened, after its rows that are due were written.
    pub(super) fn note(&mut self, flow: &mut Flow, slot: u32, now: Timestamp, interval: Duration) {
        if !flow.listed.waiting && flow.awaits_time() {
            flow.listed.waiting = true;
            self.waiting.push((slot, flow.serial));
        }
        if !flow.listed.changed
            && let Some(row) = flow.owes_row()
        {
            flow.listed.changed = true;
            let due = row.plus(interval).clamp(now.plus(SWEEP), now.plus(far(interval)));
            self.changed.push(Reverse((due, (slot, flow.serial))));
        }
    }

    /// Takes the list of those whose dissectors want to know the time. [`give_back`](Self::give_back) takes its
    /// room, for the list after the next one.
    pub(super) fn take_waiting(&mut self) -> Vec<Tenant> {
        std::mem::replace(&mut self.waiting, std::mem::take(&mut self.spare))
    }

    pub(super) fn give_back(&mut self, mut gone_through: Vec<Tenant>) {
        gone_through.clear();
        self.spare = gone_through;
    }

    /// Takes one whose row is due. A time far in the future comes from a capture whose clock was set back.
    pub(super) fn take_due(&mut self, now: Timestamp, interval: Duration) -> Option<Tenant> {
        let &Reverse((due, tenant)) = self.changed.peek()?;
        if now < due && due <= now.plus(far(interval)) {
            return None;
        }
        self.changed.pop();
        Some(tenant)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.changed.clear();
    }
}

/// No row is due later than this, from now on.
fn far(interval: Duration) -> Duration {
    interval.saturating_mul(2).max(SWEEP)
}
