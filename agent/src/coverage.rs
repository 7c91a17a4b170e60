//! Growth of every counter, once a second: the rows behind "what was not seen".

use remora_dissect::Problem;
use remora_model::{BatchSet, CoverageRow, Timestamp};
use remora_ring::RingStats;
use remora_wire::SpoolStats;

use crate::kernel::{Counters, Reason, TlsCounters, TlsReason};
use crate::packets;
use crate::shard::ShardReport;
use crate::ship::ShipStats;

/// All totals at one moment.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// The kernel's.
    pub kernel: Counters,
    /// The shards', added up.
    pub shards: ShardReport,
    /// The queue's and encoder's.
    pub ship: ShipStats,
    /// The spool's.
    pub spool: SpoolStats,
    /// The kernel's of plaintext.
    pub tls: TlsCounters,
    /// The packet ring's.
    pub packets: RingStats,
    /// Plaintext that shards had no room for: pieces and bytes.
    pub tls_refused: (u64, u64),
    /// Plaintext of functions that were not proved to be what they were taken for: pieces and bytes.
    pub tls_unproven: (u64, u64),
}

impl Totals {
    /// Every counter that coverage tells of: stage, reason, count, bytes. The first is that of the
    /// packets captured.
    pub fn counters(&self) -> Vec<(&'static str, &'static str, u64, u64)> {
        let captured = self.kernel.get(Reason::Captured);
        let mut out = vec![("captured", "packets", captured.packets, captured.bytes)];
        for (reason, c) in self.kernel.iter() {
            match reason {
                // Neither lost nor left out.
                Reason::Captured | Reason::NoPayload | Reason::Seen => {}
                Reason::RingFull => out.push(("ring", reason.name(), c.packets, c.bytes)),
                _ => out.push(("kernel", reason.name(), c.packets, c.bytes)),
            }
        }
        for (reason, c) in self.tls.iter().filter(|(reason, _)| *reason != TlsReason::Captured) {
            out.push(("tls", reason.name(), c.packets, c.bytes));
        }
        out.push(("tls", "queue_full", self.tls_refused.0, self.tls_refused.1));
        out.push(("tls", "unproven", self.tls_unproven.0, self.tls_unproven.1));
        for (problem, (count, bytes)) in Problem::ALL.iter().zip(self.shards.problems) {
            let (stage, reason) = problem.name();
            out.push((stage, reason, count, bytes));
        }
        out.push(("flow", "process_filter", self.shards.filtered, 0));
        out.push(("ship", "bodies_shed", self.shards.lean_calls, 0));
        out.push(("ship", "broken_rows", self.shards.broken_rows, 0));
        out.push(("ship", "queue_full", self.ship.dropped_rows.total(), 0));
        out.push(("ship", "row_too_large", self.ship.oversized_rows.total(), 0));
        out.push(("ship", "body_too_large", self.ship.stripped_rows, 0));
        out.push(("ship", "spool_full", self.spool.dropped_rows.total(), 0));
        out.push(("ship", "disk_errors", self.spool.disk_errors, 0));
        out.extend(
            packets::counters(&self.packets).map(|(reason, count, bytes)| ("raw", reason, count, bytes)),
        );
        out
    }

    /// Appends a row for each counter that grew since `before`, and for the captured packets in
    /// any case.
    pub fn rows_since(&self, before: &Self, ts: Timestamp, interval_ms: i64, set: &mut BatchSet) {
        for ((stage, reason, count, bytes), (_, _, old_count, old_bytes)) in
            self.counters().into_iter().zip(before.counters())
        {
            let (count, bytes) = (count.saturating_sub(old_count), bytes.saturating_sub(old_bytes));
            if count > 0 || bytes > 0 || stage == "captured" {
                let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
                let (count, bytes) = (signed(count), signed(bytes));
                set.coverage(&CoverageRow { ts, interval_ms, stage, reason, count, bytes });
            }
        }
    }
}

/// Adds up the reports of several shards.
pub fn sum(reports: impl IntoIterator<Item = ShardReport>) -> ShardReport {
    let mut sum = ShardReport::default();
    for r in reports {
        sum.calls += r.calls;
        sum.flow_rows += r.flow_rows;
        for ((count, bytes), (more, more_bytes)) in sum.problems.iter_mut().zip(r.problems) {
            *count += more;
            *bytes += more_bytes;
        }
        sum.filtered += r.filtered;
        sum.lean_calls += r.lean_calls;
        sum.broken_rows += r.broken_rows;
        sum.shunts += r.shunts;
        sum.engine.packets += r.engine.packets;
        sum.engine.flows += r.engine.flows;
        sum.engine.fragments += r.engine.fragments;
        sum.engine.bytes += r.engine.bytes;
        sum.known_owners += r.known_owners;
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_growth_is_reported_and_captured_always() {
        let mut before = Totals::default();
        before.shards.problems[Problem::StreamGap as usize] = (5, 500);
        let mut now = before.clone();
        now.shards.problems[Problem::StreamGap as usize] = (7, 900);
        let rows = |a: &Totals, b: &Totals| {
            let mut set = BatchSet::new("n");
            b.rows_since(a, Timestamp(1), 1_000, &mut set);
            set.rows()
        };
        assert_eq!(rows(&before, &now), 2);
        assert_eq!(rows(&now, &now), 1);
        let twice = sum([now.shards.clone(), now.shards.clone()]);
        assert_eq!(twice.problems[Problem::StreamGap as usize], (14, 1_800));
    }

    #[test]
    fn names_are_unique() {
        let counters = Totals::default().counters();
        let names: std::collections::BTreeSet<_> = counters.iter().map(|c| (c.0, c.1)).collect();
        assert_eq!(names.len(), counters.len());
    }
}
