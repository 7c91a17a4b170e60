//! What is captured, what was lost, what is held: the answer to "can I trust this?".

use remora_kfl::TimeRange;
use remora_model::{Table, Timestamp};
use remora_store::CaptureInterval;
use serde_json::{Map, Value, json};

use super::answer::{instant, to_value};
use super::coverage::{Coverage, Loss, NodeCoverage};
use super::request::StatusRequest;
use super::window::Window;
use super::{Query, QueryError, now};

/// A pause in reporting that counts as a gap in capturing rather than as a late report.
const GAP_NANOS: i64 = 5_000_000_000;

impl Query {
    /// The state of capture, agents and store, and the coverage of a window.
    ///
    /// # Errors
    /// A window that is wrong, or a store that cannot answer.
    pub async fn status(&self, request: &StatusRequest) -> Result<Value, QueryError> {
        let at = now();
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), at)?;
        let coverage = self.coverage(window).await?;
        let metrics = self.store.metrics();
        let tables: Map<String, Value> = self
            .store
            .boundaries()
            .into_iter()
            .map(|b| {
                let v = json!({
                    "oldest": instant(b.oldest), "newest": instant(b.newest), "rows": b.rows, "bytes_on_disk": b.bytes,
                });
                (b.table.name().to_owned(), v)
            })
            .collect();
        Ok(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": instant(at),
            "up_seconds": at.micros_since(self.started) / 1_000_000,
            "summary": self.summary(&coverage),
            "agents": self.agents.describe(at),
            "window": { "from": instant(window.from), "to": instant(window.to) },
            "coverage": to_value(&coverage),
            "data": tables,
            "store": to_value(&metrics),
            "named_addresses": self.identity.known_addresses(),
        }))
    }

    fn summary(&self, coverage: &Coverage) -> String {
        let connected = self.agents.connected();
        if connected == 0 {
            return format!("no agent is connected, nothing is being captured; {}", coverage.summary);
        }
        format!("{connected} agent{} capturing; {}", if connected == 1 { "" } else { "s" }, coverage.summary)
    }

    /// What was and was not captured in a window.
    ///
    /// # Errors
    /// When the store cannot answer.
    pub async fn coverage(&self, window: Window) -> Result<Coverage, QueryError> {
        // In this order: what they say after the look into the store is about rows that it may lack.
        let watching = self.agents.watching();
        let mut found = self.store.coverage(TimeRange::from(window)).await?;
        reach_to_now(&mut found.intervals, &watching, window, now());
        let mut nodes: Vec<NodeCoverage> = Vec::new();
        let mut gaps: Vec<String> = Vec::new();
        for interval in &found.intervals {
            match nodes.iter_mut().find(|n| n.node == interval.node) {
                Some(n) => {
                    gaps.push(format!(
                        "{} did not capture from {} to {}",
                        n.node,
                        n.to,
                        interval.from.to_rfc3339()
                    ));
                    n.to = interval.until.to_rfc3339();
                }
                None => nodes.push(NodeCoverage {
                    node: interval.node.clone(),
                    from: interval.from.to_rfc3339(),
                    to: interval.until.to_rfc3339(),
                    ..NodeCoverage::default()
                }),
            }
        }
        let mut lost = Vec::new();
        for t in &found.totals {
            if t.stage == "captured" {
                if let Some(n) = nodes.iter_mut().find(|n| n.node == t.node) {
                    n.packets = n.packets.max(t.count);
                    n.bytes = n.bytes.max(t.bytes);
                }
                continue;
            }
            let loss = Loss {
                node: t.node.clone(),
                stage: t.stage.clone(),
                reason: t.reason.clone(),
                count: t.count,
                bytes: t.bytes,
            };
            if loss.is_loss() && loss.count > 0 {
                lost.push(loss);
            }
        }
        lost.sort_by_key(|l| std::cmp::Reverse(l.count));
        let first = found.intervals.iter().map(|i| i.from).min();
        let last = found.intervals.iter().map(|i| i.until).max();
        let (mut summary, complete) = summary(window, now(), first, last, &gaps, &lost);
        let opaque = self.opaque(window, now()).await?;
        if let Some(opaque) = &opaque {
            summary = format!("{summary}; {}", opaque.clause());
        }
        Ok(Coverage { complete, summary, nodes, lost, opaque })
    }

    /// Bytes and rows of each table, for metrics.
    pub fn table_sizes(&self) -> Vec<(Table, u64, u64)> {
        self.store.boundaries().iter().map(|b| (b.table, b.rows, b.bytes)).collect()
    }
}

/// Rows about coverage tell of the past second; for the time since the last of them stands that the
/// agent is connected and was heard a moment ago.
fn reach_to_now(
    intervals: &mut Vec<CaptureInterval>,
    watching: &[(String, Timestamp, Timestamp)],
    window: Window,
    at: Timestamp,
) {
    let until = Timestamp(window.to.0.min(at.0));
    for (node, since, heard) in watching {
        let recent = Timestamp(at.0.saturating_sub(GAP_NANOS));
        if *heard < recent || until < recent {
            continue;
        }
        match intervals.iter_mut().filter(|i| i.node == *node).max_by_key(|i| i.until) {
            Some(last) if last.until >= recent => last.until = last.until.max(until),
            Some(_) => {}
            // The window begins after the last row.
            None => {
                let from = window.from.max(*since);
                if from >= recent && from < until {
                    intervals.push(CaptureInterval { node: node.clone(), from, until });
                }
            }
        }
    }
}

/// One sentence about a window, and whether it is covered whole.
fn summary(
    window: Window,
    at: Timestamp,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    gaps: &[String],
    lost: &[Loss],
) -> (String, bool) {
    let (Some(first), Some(last)) = (first, last) else {
        return ("nothing was being captured in this window".to_owned(), false);
    };
    let mut parts = Vec::new();
    if first.0 > window.from.0.saturating_add(GAP_NANOS) {
        parts.push(format!("capture began at {}", first.to_rfc3339()));
    }
    let end = window.to.0.min(at.0);
    if last.0 < end.saturating_sub(GAP_NANOS) {
        parts.push(format!("capture ended at {}", last.to_rfc3339()));
    }
    parts.extend(gaps.iter().take(3).cloned());
    if gaps.len() > 3 {
        parts.push(format!("and {} more gaps", gaps.len() - 3));
    }
    parts.extend(lost.iter().take(3).map(|l| format!("{} {}/{} on {}", l.count, l.stage, l.reason, l.node)));
    if lost.len() > 3 {
        parts.push(format!("and {} more kinds of loss", lost.len() - 3));
    }
    if parts.is_empty() {
        ("the whole window was captured and nothing was lost".to_owned(), true)
    } else {
        (parts.join("; "), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn window() -> Window {
        Window { from: Timestamp(100 * S), to: Timestamp(260 * S) }
    }

    fn say(first: i64, last: i64, gaps: &[String], lost: &[Loss]) -> (String, bool) {
        let at = Timestamp(200 * S);
        summary(window(), at, Some(Timestamp(first * S)), Some(Timestamp(last * S)), gaps, lost)
    }

    #[test]
    fn a_window_that_ends_in_the_future_is_whole_up_to_now() {
        assert!(say(100, 199, &[], &[]).1);
        assert!(!say(150, 199, &[], &[]).1);
        assert!(!say(100, 150, &[], &[]).1);
        assert!(!summary(window(), Timestamp(200 * S), None, None, &[], &[]).1);
    }

    #[test]
    fn who_is_connected_covers_the_present() {
        let at = Timestamp(200 * S);
        let interval = |from: i64, until: i64| CaptureInterval {
            node: "n".to_owned(),
            from: Timestamp(from * S),
            until: Timestamp(until * S),
        };
        let reach = |mut intervals: Vec<CaptureInterval>, since: i64, heard: i64, from: i64, to: i64| {
            let watching = [("n".to_owned(), Timestamp(since * S), Timestamp(heard * S))];
            let window = Window { from: Timestamp(from * S), to: Timestamp(to * S) };
            reach_to_now(&mut intervals, &watching, window, at);
            intervals.iter().map(|i| (i.from.0 / S, i.until.0 / S)).collect::<Vec<_>>()
        };
        assert_eq!(reach(vec![interval(150, 198)], 150, 199, 100, 300), [(150, 200)]);
        // The window ends or begins between two rows.
        assert_eq!(reach(vec![interval(150, 198)], 150, 199, 100, 199), [(150, 199)]);
        assert_eq!(reach(Vec::new(), 150, 199, 199, 300), [(199, 200)]);
        // Long silent, or rows that stopped coming.
        assert_eq!(reach(vec![interval(150, 170)], 150, 170, 100, 300), [(150, 170)]);
        assert_eq!(reach(vec![interval(150, 170)], 150, 199, 100, 300), [(150, 170)]);
        // The past stays as it is, also that before the agent came.
        assert_eq!(reach(vec![interval(150, 160)], 150, 199, 100, 160), [(150, 160)]);
        assert_eq!(reach(Vec::new(), 199, 199, 100, 190), []);
        assert_eq!(reach(Vec::new(), 199, 199, 196, 300), [(199, 200)]);
    }

    #[test]
    fn losses_are_named() {
        let loss =
            Loss { node: "n".into(), stage: "ring".into(), reason: "ring_full".into(), count: 7, bytes: 0 };
        let (text, complete) = say(100, 199, &[], &[loss]);
        assert!(!complete && text.contains("7 ring/ring_full on n"), "{text}");
    }
}
