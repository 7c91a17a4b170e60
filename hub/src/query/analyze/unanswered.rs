//! Calls of which only one half is there: nobody answered, the connection was reset in the midst of them, or
//! the capture has one side only.

use super::chance::at_least;
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::{MESSAGES, NOT_REQUESTS};
use super::scope::{Row, Scope, all, is};
use super::words::{of, short};
use crate::query::QueryError;

/// Calls from which it is told, and the share of them that is beyond doubt.
const LEAST: u64 = 5;
const SHARE: f64 = 0.03;
/// Where nearly every call lacks the same half, and there are as many, it is the capture's fault, or nobody
/// answers at all.
const ALL_LEAST: u64 = 10;
const ALL_SHARE: f64 = 0.6;

/// The findings. `one_sided` are the servers whose flows lack a side: there the reason is known.
pub(super) async fn look(scope: &Scope<'_>, one_sided: &[String]) -> Result<Vec<Finding>, QueryError> {
    let of = |why: &str| {
        format!(
            "count(*) FILTER (WHERE incomplete = '{why}') AS {why}, \
             min(id) FILTER (WHERE incomplete = '{why}') AS {why}_first, \
             max(id) FILTER (WHERE incomplete = '{why}') AS {why}_last"
        )
    };
    let text = format!(
        "SELECT protocol, dst_name, dst_port, count(*) AS n, {}, {}, {} FROM calls \
         WHERE protocol NOT IN ({NOT_REQUESTS}, {MESSAGES}) GROUP BY protocol, dst_name, dst_port ORDER BY n DESC",
        of("no_response"),
        of("no_request"),
        of("reset")
    );
    let found = scope.rows(text).await?;
    let rows = found.rows.iter().filter(|r| !one_sided.contains(&r.text("dst_name")));
    Ok(rows
        .flat_map(|r| ["no_response", "no_request", "reset"].map(|why| judge(scope, r, why)))
        .flatten()
        .collect())
}

fn judge(scope: &Scope<'_>, r: &Row, why: &str) -> Option<Finding> {
    let (n, calls) = (r.count(why), r.count("n"));
    if n < LEAST || at_least(n, calls) < SHARE {
        return None;
    }
    let (protocol, server, port) = (r.text("protocol"), r.text("dst_name"), r.int("dst_port").unwrap_or(0));
    let place = format!("{}:{port} ({protocol})", short(&server));
    let all_of_them = n >= ALL_LEAST && at_least(n, calls) >= ALL_SHARE;
    let bad = if n >= 20 && at_least(n, calls) >= 0.1 { Severity::High } else { Severity::Medium };
    let (severity, kind, title, explanation, suggestion) = match (why, all_of_them) {
        ("reset", _) => (
            bad,
            "resets",
            format!("{} to {place} were cut off by a reset", of(n, calls, "call")),
            "The connection was reset before the answer was whole: a side crashed, was killed, or gave up waiting.",
            "See when it happens, and whether the server or something between restarts or times out then.",
        ),
        ("no_request", true) => (
            Severity::Medium,
            "one_sided",
            format!("Of {} to {place} only the response was seen", of(n, calls, "call")),
            "The capture has one direction only, so that there are no paths, latencies or clients' words to these calls.",
            "This is a problem of the capture, not of the server: capture where both directions pass.",
        ),
        ("no_response", true) => (
            Severity::Medium,
            "one_sided",
            format!("Of {} to {place} only the request was seen", of(n, calls, "call")),
            "Either nobody answers at all, or the capture has one direction only: list_l4_flows tells (dst.packets is 0 then).",
            "If packets of the server are there, look at the server, else capture where both directions pass.",
        ),
        ("no_response", false) => (
            bad,
            "unanswered",
            format!("{} to {place} got no answer", of(n, calls, "call")),
            "The connection ended, or the capture did, before there was an answer: the client gave up, or the server hangs.",
            "Compare with the slowest calls that were answered, and look at time-outs of the clients.",
        ),
        // A few at the beginning of a capture or behind a gap.
        _ => return None,
    };
    let mut conditions = all([is("protocol", &protocol), is("dst.name", &server), is("incomplete", why)]);
    conditions.push(format!("dst.port == {port}"));
    Some(Finding {
        severity,
        kind,
        subject: server,
        title,
        explanation: explanation.to_owned(),
        numbers: numbers([(why, n.into()), ("calls", calls.into()), ("port", port.into())]),
        calls: ids([r.int(&format!("{why}_first")), r.int(&format!("{why}_last"))]),
        flows: Vec::new(),
        suggestion,
        next: scope.next("list_api_calls", &conditions),
        weight: n,
    })
}
