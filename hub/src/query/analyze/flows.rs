//! Flows: segments that were sent again, and connections of which one direction is missing.

use serde_json::json;

use super::chance::share;
use super::finding::{Finding, Severity, ids, numbers};
use super::scope::{Found, Row, Scope, all, is};
use super::words::{many, of, percent, short};
use crate::query::QueryError;

/// Retransmitted segments from which it is told, their share of packets, and the share that is bad.
/// A good network loses one packet in thousands, the open Internet up to one in a hundred.
const RETRANSMITS: u64 = 20;
const SHARE: f64 = 0.01;
const BAD_SHARE: f64 = 0.05;
/// Flows of one direction from which it is told, and their share.
const ONE_SIDED: u64 = 5;
const ONE_SIDED_SHARE: f64 = 0.5;
/// Packets of a direction from which the other one should be there.
const PACKETS: u64 = 3;

/// TCP flows of the window, by server.
pub(super) async fn ask(scope: &Scope<'_>) -> Result<Found, QueryError> {
    // Counters grow from row to row; of flows that are older than the window, what grew in it counts.
    let from = scope.window.from.0;
    let grown = |name: &str| {
        format!(
            "max({name}) - CASE WHEN min(CAST(first_seen AS BIGINT)) < {from} THEN min({name}) ELSE 0 END"
        )
    };
    let text = format!(
        "WITH each AS (SELECT node_name, flow_id, max(src_name) AS client, max(dst_name) AS server, max(dst_port) AS port, \
         {again} AS again, {asked} AS asked, {answered} AS answered, max(src_packets) AS ever_asked, \
         max(dst_packets) AS ever_answered, bit_or(src_tcp_flags) AS src_flags, bit_or(dst_tcp_flags) AS dst_flags \
         FROM flows WHERE transport = 'tcp' GROUP BY node_name, flow_id) \
         SELECT server, port, count(*) AS n, count(DISTINCT client) AS clients, max(client) AS a_client, sum(again) AS again, \
         sum(asked + answered) AS packets, count(*) FILTER (WHERE again > 0) AS hit, max(again) AS most, \
         first_value(flow_id ORDER BY again DESC) AS worst, \
         count(*) FILTER (WHERE ever_asked >= {PACKETS} AND ever_answered = 0 AND (src_flags & 16) > 0) AS only_asked, \
         min(flow_id) FILTER (WHERE ever_asked >= {PACKETS} AND ever_answered = 0 AND (src_flags & 16) > 0) AS only_asked_id, \
         count(*) FILTER (WHERE ever_answered >= {PACKETS} AND ever_asked = 0 AND (dst_flags & 16) > 0) AS only_answered, \
         min(flow_id) FILTER (WHERE ever_answered >= {PACKETS} AND ever_asked = 0 AND (dst_flags & 16) > 0) AS only_answered_id \
         FROM each GROUP BY server, port ORDER BY again DESC, n DESC",
        again = grown("tcp_retransmits"),
        asked = grown("src_packets"),
        answered = grown("dst_packets"),
    );
    scope.rows(text).await
}

pub(super) fn retransmits(scope: &Scope<'_>, found: &Found) -> Vec<Finding> {
    let bad =
        |r: &&Row| r.count("again") >= RETRANSMITS && share(r.count("again"), r.count("packets")) >= SHARE;
    found.rows.iter().filter(bad).map(|r| sent_again(scope, r)).collect()
}

fn sent_again(scope: &Scope<'_>, r: &Row) -> Finding {
    let (server, port) = (r.text("server"), r.int("port").unwrap_or(0));
    let (again, packets) = (r.count("again"), r.count("packets"));
    let rate = share(again, packets);
    let mut conditions = all([is("dst.name", &server)]);
    conditions.extend([format!("dst.port == {port}"), "tcp_retransmits > 0".to_owned()]);
    Finding {
        severity: if rate >= BAD_SHARE { Severity::High } else { Severity::Medium },
        kind: "retransmits",
        subject: server.clone(),
        title: format!(
            "Connections with {}:{port} retransmit: {again} segments for {packets} packets ({})",
            short(&server),
            percent(rate)
        ),
        explanation: format!(
            "{} had to send bytes again, the worst of them {} times: packets are lost or very late on the way.",
            of(r.count("hit"), r.count("n"), "connection"),
            r.count("most")
        ),
        numbers: numbers([
            ("retransmits", again.into()),
            ("packets", packets.into()),
            ("share", json!(rate)),
            ("flows_hit", r.count("hit").into()),
            ("flows", r.count("n").into()),
        ]),
        calls: Vec::new(),
        flows: ids([r.int("worst")]),
        suggestion: "See whether all its clients are hit (the server's side) or one (that one's side): saturation, a bad link, too small buffers.",
        next: scope.next("list_l4_flows", &conditions),
        weight: again,
    }
}

pub(super) fn one_sided(scope: &Scope<'_>, found: &Found) -> Vec<Finding> {
    let mut all = Vec::new();
    for r in &found.rows {
        for (name, id, seen, missing) in [
            ("only_asked", "only_asked_id", "clients", "server"),
            ("only_answered", "only_answered_id", "server", "clients"),
        ] {
            let n = r.count(name);
            if n >= ONE_SIDED && share(n, r.count("n")) >= ONE_SIDED_SHARE {
                all.push(one_side(scope, r, (n, r.int(id)), seen, missing));
            }
        }
    }
    all
}

fn one_side(scope: &Scope<'_>, r: &Row, (n, id): (u64, Option<i64>), seen: &str, missing: &str) -> Finding {
    let (server, port) = (r.text("server"), r.int("port").unwrap_or(0));
    let (own, none) = if seen == "server" { ("dst", "src") } else { ("src", "dst") };
    let mut conditions = all([is("dst.name", &server)]);
    conditions.extend([
        format!("dst.port == {port}"),
        format!("{none}.packets == 0"),
        format!("{own}.packets >= {PACKETS}"),
    ]);
    Finding {
        severity: Severity::Medium,
        kind: "one_sided",
        subject: server.clone(),
        title: format!(
            "Only one side of {} with {}:{port} was captured: nothing from the {missing}",
            many(n, "connection"),
            short(&server)
        ),
        explanation: format!(
            "The {seen} acknowledged what the {missing} sent, so it was there: the capture lacks it (another route or interface, a mirror port of one direction, offload). Calls of these connections are incomplete or absent, and numbers about them are wrong."
        ),
        numbers: numbers([("flows", n.into()), ("of", r.count("n").into()), ("port", port.into())]),
        calls: Vec::new(),
        flows: ids([id]),
        suggestion: "This is a problem of the capture, not of the server: capture where both directions pass.",
        next: scope.next("list_l4_flows", &conditions),
        weight: n,
    }
}
