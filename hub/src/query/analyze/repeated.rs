//! N+1 calls: a client that asks the same server for one thing after the other, where one request for all of
//! them would do.
//!
//! A run is a series of calls of one client to one endpoint with small pauses between them. It counts when
//! its calls differ in what they ask for, and when there are many more of them than calls that the client
//! itself was answering meanwhile: a service that passes on each request that it gets is well.

use std::collections::BTreeMap;

use remora_model::Timestamp;
use serde_json::json;

use super::chance::float;
use super::finding::{Finding, Severity, ids, numbers};
use super::overview::{MESSAGES, NOT_REQUESTS};
use super::scope::{Row, Scope, all, is};
use super::words::{many, short, span};
use crate::query::QueryError;

/// Calls of a run, and without a call that encloses it.
const LEAST: u64 = 10;
const LEAST_ALONE: u64 = 20;
/// Calls of a run for each call that the client was answering.
const FACTOR: u64 = 5;
/// Longest pause in a run in nanoseconds, and its longest time; without an enclosing call it is a burst.
const PAUSE: i64 = 100_000_000;
const LONGEST: i64 = 30_000_000_000;
const LONGEST_ALONE: i64 = 5_000_000_000;
/// Runs without an enclosing call that make a pattern.
const BURSTS: u64 = 2;
/// Runs that are looked at, the longest ones.
const RUNS: usize = 500;

pub(super) async fn look(scope: &Scope<'_>, from: Timestamp) -> Result<Vec<Finding>, QueryError> {
    // Statements run on one connection of a pool; HTTP clients spread over several. A prepared statement
    // without known values is taken to differ.
    let text = format!(
        "WITH asked AS (SELECT node_name AS node, protocol, src_name AS client, dst_name AS server, endpoint, \
           CASE WHEN protocol IN ('http', 'grpc', 'gql') THEN 0 ELSE flow_id END AS lane, \
           concat_ws(' ', summary, array_to_string(mysql_parameters, ' '), array_to_string(postgresql_parameters, ' ')) AS said, \
           mysql_parameters IS NULL AND postgresql_parameters IS NULL AND (strpos(endpoint, '?') > 0 OR strpos(endpoint, '${{}}') > 0) AS prepared, \
           CAST(ts AS BIGINT) AS begins, CAST(ts AS BIGINT) + coalesce(ttlb, elapsed_time, 0) * 1000 AS ends, id \
           FROM calls WHERE protocol NOT IN ({NOT_REQUESTS}, {MESSAGES}, 'kafka', 'smtp') AND endpoint IS NOT NULL), \
         paused AS (SELECT node, protocol, client, server, endpoint, lane, begins, ends, id, \
           CASE WHEN begins - lag(ends) OVER w <= {PAUSE} THEN 0 ELSE 1 END AS starts, \
           CASE WHEN prepared OR said <> lag(said) OVER w THEN 1 ELSE 0 END AS changed FROM asked \
           WINDOW w AS (PARTITION BY node, protocol, client, server, endpoint, lane ORDER BY begins, id)), \
         numbered AS (SELECT *, sum(starts) OVER (PARTITION BY node, protocol, client, server, endpoint, lane \
           ORDER BY begins, id ROWS UNBOUNDED PRECEDING) AS run FROM paused), \
         runs AS (SELECT node, protocol, client, server, endpoint, lane, run, count(*) AS n, sum(changed) AS changes, \
           min(begins) AS begins, max(ends) AS ends, min(id) AS first_id, max(id) AS last_id \
           FROM numbered GROUP BY node, protocol, client, server, endpoint, lane, run), \
         long_runs AS (SELECT * FROM runs WHERE n >= {LEAST} AND changes * 10 >= (n - 1) * 8 AND ends - begins <= {LONGEST} \
           ORDER BY n DESC, first_id LIMIT {RUNS}), \
         parents AS (SELECT node_name AS node, dst_name AS server, endpoint AS parent, id AS parent_id, CAST(ts AS BIGINT) AS p_begins, \
           CAST(ts AS BIGINT) + ttlb * 1000 AS p_ends \
           FROM calls WHERE protocol IN ('http', 'grpc', 'gql') AND ttlb <= {longest_us}) \
         SELECT r.protocol, r.client, r.server, r.endpoint, r.n, r.begins, r.ends, r.first_id, r.last_id, \
           count(p.parent_id) AS parents, min(p.parent_id) AS parent_id, min(p.parent) AS parent \
         FROM long_runs r LEFT JOIN parents p ON p.node = r.node AND p.server = r.client AND p.p_begins <= r.ends AND p.p_ends >= r.begins \
         GROUP BY r.node, r.protocol, r.client, r.server, r.endpoint, r.lane, r.run, r.n, r.begins, r.ends, r.first_id, r.last_id \
         ORDER BY r.n DESC, r.first_id",
        longest_us = LONGEST / 1_000,
    );
    let found = scope.rows_since(from, text).await?;
    let mut patterns: BTreeMap<[String; 4], Vec<&Row>> = BTreeMap::new();
    for r in found.rows.iter().filter(|r| counts(r)) {
        let key = ["protocol", "client", "server", "endpoint"].map(|name| r.text(name));
        patterns.entry(key).or_default().push(r);
    }
    Ok(patterns.iter().filter_map(|(key, runs)| finding(scope, key, runs)).collect())
}

fn counts(r: &Row) -> bool {
    let (n, parents) = (r.count("n"), r.count("parents"));
    let span = r.int("ends").unwrap_or(0).saturating_sub(r.int("begins").unwrap_or(0));
    match parents {
        0 => n >= LEAST_ALONE && span <= LONGEST_ALONE,
        p => n >= p.saturating_mul(FACTOR),
    }
}

fn finding(
    scope: &Scope<'_>,
    [protocol, client, server, endpoint]: &[String; 4],
    runs: &[&Row],
) -> Option<Finding> {
    let enclosed: Vec<&&Row> = runs.iter().filter(|r| r.count("parents") > 0).collect();
    let longest = enclosed.first().or(runs.first().as_ref()).map(|r| **r)?;
    let (count, calls) = (runs.len() as u64, runs.iter().map(|r| r.count("n")).sum::<u64>());
    if enclosed.is_empty() && count < BURSTS {
        return None;
    }
    let average = float(calls) / float(count);
    let parent = longest.text("parent");
    let took = longest.int("ends")?.saturating_sub(longest.int("begins")?);
    let while_ = if enclosed.is_empty() {
        "No call that the client itself was answering was seen around them: a job, or its callers were not captured.".to_owned()
    } else {
        format!("{} was answering {} then.", short(client), short(&parent))
    };
    Some(Finding {
        severity: if enclosed.is_empty() { Severity::Low } else { Severity::Medium },
        kind: "n_plus_one",
        subject: format!("{client} > {server}"),
        title: format!(
            "{} asks {} for {} one after the other: {average:.0} calls at a time",
            short(client),
            short(server),
            short(endpoint)
        ),
        explanation: format!(
            "{}, {} in all, that differ in their parameters only; the longest has {} and took {}. {while_}",
            many(count, "such series"),
            many(calls, "call"),
            longest.count("n"),
            span(took)
        ),
        numbers: numbers([
            ("series", count.into()),
            ("calls", calls.into()),
            ("longest", longest.count("n").into()),
            ("average", json!(average)),
            ("within", if parent.is_empty() { serde_json::Value::Null } else { parent.into() }),
        ]),
        calls: ids([longest.int("first_id"), longest.int("last_id"), longest.int("parent_id")]),
        flows: Vec::new(),
        suggestion: "Ask for all of them at once: a join or IN list, a batch request, or a data loader.",
        next: scope.next_between(
            "list_api_calls",
            &all([
                is("protocol", protocol),
                is("src.name", client),
                is("dst.name", server),
                is("endpoint", endpoint),
            ]),
            longest.int("begins")?,
            longest.int("ends")?,
        ),
        weight: calls,
    })
}
