//! What there is to look at.

use remora_model::Timestamp;

use super::scope::{Row, Scope};
use crate::query::QueryError;

/// Protocols whose calls are no requests of an application, or whose failures have a file of their own.
pub(super) const NOT_REQUESTS: &str = "'dns', 'tcp', 'udp', 'sctp', 'icmp', 'tlsx'";

/// Protocols in which nobody waits for an answer, or waits on purpose.
pub(super) const MESSAGES: &str = "'ws', 'amqp', 'mqtt', 'nats'";

/// Requests that are put in the order of their times, to see which follows which: sorting takes memory for
/// each of them.
const ORDERED: u64 = 100_000;

/// The calls of a window by protocol.
#[derive(Debug, Default)]
pub(super) struct Overview {
    pub(super) protocols: Vec<(String, u64)>,
    pub(super) calls: u64,
    /// Calls with a latency.
    pub(super) timed: u64,
    /// Calls in which bytes are missing.
    pub(super) gaps: u64,
    pub(super) gap_ids: [Option<i64>; 2],
    /// Times of the first and the last call in nanoseconds since the epoch.
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Overview {
    pub(super) async fn of(scope: &Scope<'_>) -> Result<Self, QueryError> {
        let found = scope
            .rows(
                "SELECT protocol, count(*) AS n, count(elapsed_time) AS timed, \
                 count(*) FILTER (WHERE incomplete = 'gap') AS gaps, \
                 min(id) FILTER (WHERE incomplete = 'gap') AS gap_first, \
                 max(id) FILTER (WHERE incomplete = 'gap') AS gap_last, \
                 min(CAST(ts AS BIGINT)) AS begins, max(CAST(ts AS BIGINT)) AS ends \
                 FROM calls GROUP BY protocol ORDER BY n DESC"
                    .to_owned(),
            )
            .await?;
        let sum = |name: &str| found.rows.iter().map(|r| r.count(name)).sum();
        let ints = |name: &'static str| found.rows.iter().filter_map(move |r| r.int(name));
        let by_protocol = |r: &Row| (r.text("protocol"), r.count("n"));
        Ok(Self {
            protocols: found.rows.iter().map(by_protocol).collect(),
            calls: sum("n"),
            timed: sum("timed"),
            gaps: sum("gaps"),
            gap_ids: [ints("gap_first").min(), ints("gap_last").max()],
            first: ints("begins").min().unwrap_or(0),
            last: ints("ends").max().unwrap_or(0),
        })
    }

    /// Calls of a protocol.
    pub(super) fn of_protocol(&self, name: &str) -> u64 {
        self.protocols.iter().filter(|(p, _)| p == name).map(|(_, n)| n).sum()
    }

    /// Calls that are requests of an application.
    pub(super) fn requests(&self) -> u64 {
        let not: Vec<&str> = NOT_REQUESTS.split(", ").map(|p| p.trim_matches('\'')).collect();
        self.protocols.iter().filter(|(p, _)| !not.contains(&p.as_str())).map(|(_, n)| n).sum()
    }

    /// From when on there are about as many requests as may be put in order; `None` where that is the whole
    /// window.
    pub(super) fn recent(&self) -> Option<Timestamp> {
        let requests = self.requests();
        if requests <= ORDERED {
            return None;
        }
        let part = i128::from(self.span()) * i128::from(ORDERED) / i128::from(requests);
        Some(Timestamp(self.last.saturating_sub(i64::try_from(part).unwrap_or(0))))
    }

    /// Nanoseconds from the first call to the last.
    pub(super) fn span(&self) -> i64 {
        self.last.saturating_sub(self.first)
    }
}
