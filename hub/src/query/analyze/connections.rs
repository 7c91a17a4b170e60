//! Connections that come to nothing: refused, unanswered, reset, or stalled.

use std::collections::{BTreeMap, BTreeSet};

use super::chance::at_least;
use super::finding::{Finding, Severity, ids, numbers};
use super::scope::{Scope, all, is};
use super::words::{many, names, of, short};
use crate::query::QueryError;

/// Connections from which it is told.
const LEAST: u64 = 5;
/// From here on it is bad.
const MANY: u64 = 20;
/// Some protocols end connections by a reset. This is the share of a server's connections of unknown protocol
/// from which it is told.
const RESET_SHARE: f64 = 0.3;

/// What became of connections to one server.
#[derive(Default)]
struct Server {
    calls: u64,
    clients: BTreeSet<String>,
    addresses: BTreeSet<String>,
    first: Option<i64>,
    last: Option<i64>,
}

pub(super) async fn look(scope: &Scope<'_>) -> Result<Vec<Finding>, QueryError> {
    let text = "SELECT src_name, dst_name, dst_ip, dst_port, coalesce(tcp_error_type, '') AS how, \
        count(*) AS n, min(id) AS first_id, max(id) AS last_id \
        FROM calls WHERE protocol = 'tcp' GROUP BY src_name, dst_name, dst_ip, dst_port, how ORDER BY n DESC";
    let found = scope.rows(text.to_owned()).await?;
    let mut servers: BTreeMap<(String, i64, String), Server> = BTreeMap::new();
    let mut totals: BTreeMap<(String, i64), u64> = BTreeMap::new();
    for r in &found.rows {
        let (name, port, n) = (r.text("dst_name"), r.int("dst_port").unwrap_or(0), r.count("n"));
        *totals.entry((name.clone(), port)).or_default() += n;
        let s = servers.entry((name, port, r.text("how"))).or_default();
        s.calls += n;
        s.clients.insert(r.text("src_name"));
        s.addresses.insert(r.text("dst_ip"));
        s.first = [s.first, r.int("first_id")].into_iter().flatten().min();
        s.last = s.last.max(r.int("last_id"));
    }
    let findings = servers.iter().filter(|(_, s)| s.calls >= LEAST).filter_map(|((name, port, how), s)| {
        let all = totals.get(&(name.clone(), *port)).copied().unwrap_or(0);
        judge(scope, (name, *port, how), s, all)
    });
    Ok(findings.collect())
}

fn judge(scope: &Scope<'_>, (name, port, how): (&str, i64, &str), s: &Server, total: u64) -> Option<Finding> {
    let place = format!("{}:{port}", short(name));
    let n = s.calls;
    let bad = if n >= MANY { Severity::High } else { Severity::Medium };
    let (severity, kind, title, explanation, suggestion) = match how {
        "connection_refused" => (
            bad,
            "connection_refused",
            format!("{place} refused {}", many(n, "connection")),
            "A reset answered the SYN: nothing listens on the port, or a firewall rejects it.",
            "See whether the server runs and listens on this address and port.",
        ),
        "connection_timeout" => (
            bad,
            "connection_timeout",
            format!("{place} did not answer {}", many(n, "connection attempt")),
            "SYNs were sent again and got no answer: the host is down, the route is wrong, or a firewall or network policy drops them.",
            "See whether the address is right and reachable, and which policies apply to it.",
        ),
        "zero_window" => (
            bad,
            "stalled",
            format!("{} with {place} ended while one side took no more data", many(n, "connection")),
            "The receive window was zero until the end: a program does not read what it gets.",
            "Look at the program that stopped reading: its load, its locks, its memory.",
        ),
        "connection_reset" if at_least(n, total) >= RESET_SHARE => (
            Severity::Low,
            "resets",
            format!("{} with {place} were reset", of(n, total, "connection")),
            "They ended by a reset instead of an orderly end. Their protocol could not be read, so what was cut off is not known.",
            "See which side resets (tcp_error_message), and whether it crashes, times out or just does not say goodbye.",
        ),
        _ => return None,
    };
    let mut conditions = all([is("dst.name", name), is("tcp_error_type", how)]);
    conditions.push(format!("dst.port == {port}"));
    Some(Finding {
        severity,
        kind,
        subject: name.to_owned(),
        title,
        explanation: format!("{explanation} Clients: {}.", names(s.clients.iter().map(String::as_str), 3)),
        numbers: numbers([
            ("connections", n.into()),
            ("of", if kind == "resets" { total.into() } else { serde_json::Value::Null }),
            ("clients", s.clients.len().into()),
            ("address", s.addresses.iter().next().cloned().unwrap_or_default().into()),
            ("port", port.into()),
        ]),
        calls: ids([s.first, s.last]),
        flows: Vec::new(),
        suggestion,
        next: scope.next("list_api_calls", &conditions),
        weight: n,
    })
}
