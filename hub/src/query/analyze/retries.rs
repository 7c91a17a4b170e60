//! Chatty retries: the same request again and again, at once after it failed.

use remora_model::Timestamp;

use super::chance::{float, share};
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::{MESSAGES, NOT_REQUESTS};
use super::scope::{Row, Scope, all, is};
use super::words::{many, of, short};
use crate::query::QueryError;

/// Nanoseconds within which a request comes again because it failed.
const AT_ONCE: i64 = 2_000_000_000;
/// Repetitions from which it is told.
const LEAST: u64 = 10;
/// Share of failed requests that come again, and how much more often than those that went well.
const SHARE: f64 = 0.5;
const FACTOR: f64 = 3.0;
/// Requests that went well and make a comparison.
const BASELINE: u64 = 10;
/// Without one: series of repetitions, and attempts in each of them. A client that asks all the time is one
/// series without an end.
const SERIES: u64 = 3;
const ATTEMPTS: f64 = 2.0;

pub(super) async fn look(scope: &Scope<'_>, from: Timestamp) -> Result<Vec<Finding>, QueryError> {
    let text = format!(
        "WITH asked AS (SELECT protocol, src_name AS client, dst_name AS server, endpoint, summary AS said, request_bytes AS size, \
           CAST(ts AS BIGINT) AS begins, CAST(ts AS BIGINT) + coalesce(ttlb, elapsed_time, 0) * 1000 AS ends, id, \
           CASE WHEN failed OR incomplete IN ('no_response', 'reset') THEN 1 ELSE 0 END AS bad \
           FROM calls WHERE protocol NOT IN ({NOT_REQUESTS}, {MESSAGES}, 'kafka') AND summary IS NOT NULL), \
         hit AS (SELECT DISTINCT protocol AS p, client AS c, server AS s, said AS what FROM asked WHERE bad = 1), \
         again AS (SELECT a.*, lag(bad) OVER w AS bad_before, begins - lag(ends) OVER w AS pause FROM asked a \
           JOIN hit ON hit.p = a.protocol AND hit.c = a.client AND hit.s = a.server AND hit.what = a.said \
           WINDOW w AS (PARTITION BY a.protocol, a.client, a.server, a.said, a.size ORDER BY a.begins, a.id)) \
         SELECT protocol, client, server, endpoint, count(*) AS n, sum(bad) AS bad, \
           count(*) FILTER (WHERE bad_before = 1) AS after_bad, \
           count(*) FILTER (WHERE bad_before = 1 AND pause <= {AT_ONCE}) AS at_once, \
           count(*) FILTER (WHERE bad_before = 1 AND pause <= {AT_ONCE} AND bad = 0) AS helped, \
           count(*) FILTER (WHERE bad_before = 0) AS after_good, \
           count(*) FILTER (WHERE bad_before = 0 AND pause <= {AT_ONCE}) AS at_once_good, \
           count(*) FILTER (WHERE bad_before IS NULL OR bad_before = 0 OR pause > {AT_ONCE}) AS series, \
           min(id) FILTER (WHERE bad_before = 1 AND pause <= {AT_ONCE}) AS first_id, \
           max(id) FILTER (WHERE bad_before = 1 AND pause <= {AT_ONCE}) AS last_id \
         FROM again GROUP BY protocol, client, server, endpoint ORDER BY at_once DESC"
    );
    let found = scope.rows_since(from, text).await?;
    Ok(found.rows.iter().filter(|r| chatty(r)).map(|r| finding(scope, r)).collect())
}

fn chatty(r: &Row) -> bool {
    let again = r.count("at_once");
    if again < LEAST {
        return false;
    }
    let (after_bad, after_good) = (r.count("after_bad"), r.count("after_good"));
    if after_good >= BASELINE {
        let (bad, good) = (share(again, after_bad), share(r.count("at_once_good"), after_good));
        return bad >= SHARE && bad >= good * FACTOR;
    }
    let series = r.count("series");
    series >= SERIES && float(again) / float(series) >= ATTEMPTS
}

fn finding(scope: &Scope<'_>, r: &Row) -> Finding {
    let [protocol, client, server, endpoint] =
        ["protocol", "client", "server", "endpoint"].map(|name| r.text(name));
    let (again, helped) = (r.count("at_once"), r.count("helped"));
    Finding {
        severity: if helped * 4 < again { Severity::Medium } else { Severity::Low },
        kind: "retries",
        subject: format!("{client} > {server}"),
        title: format!(
            "{} repeats failed requests to {} of {}: {}",
            short(&client),
            short(&endpoint),
            short(&server),
            many(again, "time")
        ),
        explanation: format!(
            "The same request came again within {} s after it had failed; {} went well. Of {} calls {} failed, and the repetitions are load on a server that is in trouble.",
            AT_ONCE / 1_000_000_000,
            of(helped, again, "repetition"),
            r.count("n"),
            r.count("bad")
        ),
        numbers: numbers([
            ("retries", again.into()),
            ("helped", helped.into()),
            ("calls", r.count("n").into()),
            ("failed", r.count("bad").into()),
        ]),
        calls: ids([r.int("first_id"), r.int("last_id")]),
        flows: Vec::new(),
        suggestion: "Let the client wait longer each time, give up sooner, and not repeat what cannot succeed.",
        next: scope.next(
            "list_api_calls",
            &all([
                is("protocol", &protocol),
                is("src.name", &client),
                is("dst.name", &server),
                is("endpoint", &endpoint),
            ]),
        ),
        weight: again,
    }
}
