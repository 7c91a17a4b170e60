//! What could not be seen: losses of the capture, calls with holes, and TLS that was not read.

use super::chance::at_least;
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::Overview;
use super::scope::Scope;
use super::words::{many, names, of, short};
use crate::query::QueryError;
use crate::query::coverage::Coverage;

/// Calls with holes from which it is told, and their share.
const GAPS: u64 = 5;
const GAP_SHARE: f64 = 0.01;

/// Findings about losses of the capture.
pub(super) fn losses(scope: &Scope<'_>, coverage: &Coverage) -> Option<Finding> {
    let lost: i64 = coverage.lost.iter().map(|l| l.count).sum();
    if lost <= 0 {
        return None;
    }
    let packets: i64 = coverage.nodes.iter().map(|n| n.packets).sum();
    let worst: Vec<String> = coverage
        .lost
        .iter()
        .map(|l| format!("{} {} on {} ({})", l.stage, l.reason, l.node, l.count))
        .collect();
    let (lost, packets) = (lost.unsigned_abs(), packets.max(0).unsigned_abs());
    Some(Finding {
        severity: if lost.saturating_mul(100) >= packets { Severity::Medium } else { Severity::Info },
        kind: "capture_loss",
        subject: "capture".to_owned(),
        title: format!("The capture lost something {} in this window", many(lost, "time")),
        explanation: format!(
            "Where and why: {}. {} were captured. Some calls are missing or incomplete, and rates are too low.",
            names(worst.iter().map(String::as_str), 4),
            many(packets, "packet")
        ),
        numbers: numbers([("lost", lost.into()), ("packets", packets.into())]),
        calls: Vec::new(),
        flows: Vec::new(),
        suggestion: "Capture less (ports, processes) or give the agent more room; get_status names the places.",
        next: scope.next("get_status", &[]).without_filter(),
        weight: lost,
    })
}

/// A finding about calls in which bytes are missing.
pub(super) fn gaps(scope: &Scope<'_>, overview: &Overview) -> Option<Finding> {
    let (gaps, calls) = (overview.gaps, overview.calls);
    (gaps >= GAPS && at_least(gaps, calls) >= GAP_SHARE).then(|| Finding {
        severity: Severity::Low,
        kind: "gaps",
        subject: "capture".to_owned(),
        title: format!("Bytes are missing in {} calls", of(gaps, calls)),
        explanation: "The capture lost packets, or joined these connections in their midst: such calls may lack fields, status or body.".to_owned(),
        numbers: numbers([("gaps", gaps.into()), ("calls", calls.into())]),
        calls: ids(overview.gap_ids),
        flows: Vec::new(),
        suggestion: "Do not trust counts and latencies of these connections; get_status tells whether packets were lost.",
        next: scope.next("list_api_calls", &["incomplete == \"gap\"".to_owned()]),
        weight: gaps,
    })
}

/// A finding about TLS connections whose content was not read, and how many connections there were.
pub(super) async fn unread(scope: &Scope<'_>) -> Result<(Option<Finding>, u64), QueryError> {
    let text = "WITH each AS (SELECT node_name, flow_id, max(dst_name) AS server, bool_or(protocol = 'tlsx') AS shook, \
        bool_or(protocol = 'tlsx' AND failed) AS broke, bool_or(tls AND protocol <> 'tlsx') AS was_read, \
        min(id) FILTER (WHERE protocol = 'tlsx') AS first_id \
        FROM calls WHERE protocol = 'tlsx' OR tls GROUP BY node_name, flow_id) \
        SELECT server, count(*) AS n, count(*) FILTER (WHERE NOT was_read) AS unread, \
        min(first_id) FILTER (WHERE NOT was_read) AS first_id, max(first_id) FILTER (WHERE NOT was_read) AS last_id \
        FROM each WHERE shook AND NOT broke GROUP BY server ORDER BY unread DESC, server";
    let found = scope.rows(text.to_owned()).await?;
    let sum = |name: &str| found.rows.iter().map(|r| r.count(name)).sum::<u64>();
    let (unread, total) = (sum("unread"), sum("n"));
    if unread == 0 {
        return Ok((None, total));
    }
    let hit: Vec<_> = found.rows.iter().filter(|r| r.count("unread") > 0).collect();
    let servers: Vec<String> =
        hit.iter().map(|r| format!("{} ({})", short(&r.text("server")), r.count("unread"))).collect();
    let finding = Finding {
        severity: Severity::Info,
        kind: "unread_tls",
        subject: "capture".to_owned(),
        title: format!("{} TLS connections were not read", of(unread, total)),
        explanation: format!(
            "Their calls are not in any number here; only handshakes and counters are known. Servers: {}.",
            names(servers.iter().map(String::as_str), 4)
        ),
        numbers: numbers([
            ("unread", unread.into()),
            ("connections", total.into()),
            ("servers", hit.len().into()),
        ]),
        calls: ids([
            hit.iter().filter_map(|r| r.int("first_id")).min(),
            hit.iter().filter_map(|r| r.int("last_id")).max(),
        ]),
        flows: Vec::new(),
        suggestion: "get_status says for each process and TLS library whether it is read, and why not.",
        next: scope.next("get_status", &[]).without_filter(),
        weight: unread,
    };
    Ok((Some(finding), total))
}
