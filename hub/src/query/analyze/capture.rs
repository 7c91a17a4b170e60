//! What could not be seen: losses of the capture, calls with holes, and TLS that was not read.

use super::chance::at_least;
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::Overview;
use super::scope::Scope;
use super::words::{many, names, of, short};
use crate::query::QueryError;
use crate::query::coverage::{Coverage, Loss};

/// Calls with holes from which it is told, and their share.
const GAPS: u64 = 5;
const GAP_SHARE: f64 = 0.01;

/// Reasons of the stage `tls` for which content was not read: no capture with more room would have it.
/// (`encrypted` counts the wire's half of what is read in plaintext as well.)
const UNREAD: &[&str] = &["no_secrets", "unknown_cipher", "decrypt_failed"];

fn is_unread(loss: &Loss) -> bool {
    loss.stage == "tls" && UNREAD.contains(&loss.reason.as_str())
}

/// A finding about losses of the capture.
pub(super) fn losses(scope: &Scope<'_>, coverage: &Coverage) -> Option<Finding> {
    let all = || coverage.lost.iter().filter(|l| !is_unread(l));
    let lost: i64 = all().map(|l| l.count).sum();
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
        title: format!("Bytes are missing in {}", of(gaps, calls, "call")),
        explanation: "The capture lost packets, or joined these connections in their midst: such calls may lack fields, status or body.".to_owned(),
        numbers: numbers([("gaps", gaps.into()), ("calls", calls.into())]),
        calls: ids(overview.gap_ids),
        flows: Vec::new(),
        suggestion: "Do not trust counts and latencies of these connections; get_status tells whether packets were lost.",
        next: scope.next("list_api_calls", &["incomplete == \"gap\"".to_owned()]),
        weight: gaps,
    })
}

/// A finding about TLS connections whose content was not read.
pub(super) async fn unread(scope: &Scope<'_>) -> Result<Option<Finding>, QueryError> {
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
        return Ok(None);
    }
    let hit: Vec<_> = found.rows.iter().filter(|r| r.count("unread") > 0).collect();
    let servers: Vec<String> =
        hit.iter().map(|r| format!("{} ({})", short(&r.text("server")), r.count("unread"))).collect();
    Ok(Some(Finding {
        severity: Severity::Info,
        kind: "unread_tls",
        subject: "capture".to_owned(),
        title: format!("{} were not read", of(unread, total, "TLS connection")),
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
        suggestion: READ,
        next: scope.next("get_status", &[]).without_filter(),
        weight: unread,
    }))
}

/// The same about connections whose handshake was not seen: only counters know of them, whatever the filter.
pub(super) fn unread_without_handshake(scope: &Scope<'_>, coverage: &Coverage) -> Option<Finding> {
    let all: Vec<&Loss> = coverage.lost.iter().filter(|l| is_unread(l)).collect();
    let times: u64 = all.iter().map(|l| l.count.max(0).unsigned_abs()).sum();
    let whys: Vec<String> = all.iter().map(|l| format!("{} on {} ({})", l.reason, l.node, l.count)).collect();
    (times > 0).then(|| Finding {
        severity: Severity::Info,
        kind: "unread_tls",
        subject: "capture".to_owned(),
        title: format!("TLS was not read {}", many(times, "time")),
        explanation: format!(
            "What those connections carried is not in any number here: {}.",
            names(whys.iter().map(String::as_str), 4)
        ),
        numbers: numbers([("times", times.into())]),
        calls: Vec::new(),
        flows: Vec::new(),
        suggestion: READ,
        next: scope.next("get_status", &[]).without_filter(),
        weight: times,
    })
}

const READ: &str = "get_status says for each process and TLS library whether it is read, and why not.";
