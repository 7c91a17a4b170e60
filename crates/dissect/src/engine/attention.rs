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

/// Entries of flows that are gone that a list may have beside those of flows that there are, whatever their number.
const STALE: usize = 1 << 10;

/// Flows to look at. Entries of flows that are gone stay until it would have been their turn, or until there are more
/// of them than of the others: so a flood of short connections does not make the lists longer than the table.
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

    /// True when most entries must be of flows that are gone, with `flows` in the table.
    pub(super) fn is_crowded(&self, flows: usize) -> bool {
        let most = flows.saturating_mul(2).saturating_add(STALE);
        self.changed.len() > most || self.waiting.len() > most
    }

    /// Forgets those that are not there any more.
    pub(super) fn prune(&mut self, is_there: impl Fn(Tenant) -> bool) {
        self.waiting.retain(|tenant| is_there(*tenant));
        self.changed.retain(|Reverse((_, tenant))| is_there(*tenant));
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.waiting.len() + self.changed.len()
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

#[cfg(test)]
mod tests {
    use remora_model::{Call, CaptureSource, FlowRow};

    use super::*;
    use crate::{Engine, FlowIds, Limits, Problem, Sink};

    struct Nobody;

    impl Sink for Nobody {
        fn call(&mut self, _: &Call<'_>) {}
        fn flow(&mut self, _: &FlowRow<'_>) {}
        fn problem(&mut self, _: Problem, _: u64) {}
    }

    #[test]
    fn a_flood_of_flows_does_not_make_the_lists_longer_than_the_table() {
        let limits = Limits { flows: 16, ..Limits::default() };
        let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
        let mut most = 0;
        for port in 1..=20_000_u16 {
            // IPv4, UDP from that port to 9 with four bytes.
            let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
            packet.extend(port.to_be_bytes());
            packet.extend([0, 9, 0, 12, 0, 0, 1, 2, 3, 4]);
            for _ in 0..2 {
                engine.packet(Timestamp(1_000_000_000 + i64::from(port)), &packet, 32, &mut Nobody);
            }
            most = most.max(engine.attention.entries());
        }
        assert!(most > 16, "nothing was listed");
        assert!(most <= 2 * (2 * 16 + STALE + 1), "{most}");
    }
}
