//! Endpoints: what one server is asked, measured. Several detectors judge them.

use super::overview::NOT_REQUESTS;
use super::scope::{Row, Scope, all, is};
use crate::query::QueryError;

/// Measures of one endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) protocol: String,
    pub(super) server: String,
    pub(super) endpoint: String,
    pub(super) calls: u64,
    pub(super) clients: u64,
    pub(super) failed: u64,
    /// Blamed on the client, and not failed.
    pub(super) rejected: u64,
    /// First and last call that failed, and those that were rejected.
    pub(super) failed_ids: [Option<i64>; 2],
    pub(super) rejected_ids: [Option<i64>; 2],
    /// The least and the greatest outcome of failed calls, and of rejected ones.
    pub(super) failed_as: [String; 2],
    pub(super) rejected_as: [String; 2],
    /// Calls with a latency, in microseconds: median and 95th percentile, and the longest.
    pub(super) timed: u64,
    pub(super) p50: i64,
    pub(super) p95: i64,
    pub(super) slowest: i64,
    pub(super) slowest_id: Option<i64>,
    pub(super) response_bytes: u64,
    pub(super) largest: i64,
    pub(super) largest_id: Option<i64>,
    pub(super) content_type: String,
}

impl Endpoint {
    fn new(r: &Row) -> Self {
        let slowest = r.int("slowest").unwrap_or(0);
        // A percentile is the middle of a range of values, which may lie beyond the largest.
        let percentile = |i: usize| r.ints("percentiles").get(i).copied().unwrap_or(0).min(slowest);
        Self {
            protocol: r.text("protocol"),
            server: r.text("dst_name"),
            endpoint: r.text("endpoint"),
            calls: r.count("n"),
            clients: r.count("clients"),
            failed: r.count("bad"),
            rejected: r.count("rejected"),
            failed_ids: [r.int("bad_first"), r.int("bad_last")],
            rejected_ids: [r.int("rejected_first"), r.int("rejected_last")],
            failed_as: [r.text("bad_low"), r.text("bad_high")],
            rejected_as: [r.text("rejected_low"), r.text("rejected_high")],
            timed: r.count("timed"),
            p50: percentile(0),
            p95: percentile(2),
            slowest,
            slowest_id: r.int("slowest_id"),
            response_bytes: r.count("response_bytes"),
            largest: r.int("largest").unwrap_or(0),
            largest_id: r.int("largest_id"),
            content_type: r.text("content_type"),
        }
    }

    /// The conditions that a call is of it.
    pub(super) fn conditions(&self) -> Vec<String> {
        all([is("protocol", &self.protocol), is("dst.name", &self.server), is("endpoint", &self.endpoint)])
    }

    /// Its name in a title.
    pub(super) fn name(&self) -> String {
        let what = if self.endpoint.is_empty() { &self.protocol } else { &self.endpoint };
        format!("{} of {}", super::words::short(what), super::words::short(&self.server))
    }
}

/// All endpoints, those with failures first; and whether there are more.
pub(super) async fn endpoints(scope: &Scope<'_>) -> Result<(Vec<Endpoint>, bool), QueryError> {
    let text = format!(
        "SELECT protocol, dst_name, endpoint, count(*) AS n, count(DISTINCT src_name) AS clients, \
         count(*) FILTER (WHERE failed) AS bad, \
         min(id) FILTER (WHERE failed) AS bad_first, max(id) FILTER (WHERE failed) AS bad_last, \
         min(outcome) FILTER (WHERE failed) AS bad_low, max(outcome) FILTER (WHERE failed) AS bad_high, \
         count(*) FILTER (WHERE client_error AND NOT failed) AS rejected, \
         min(id) FILTER (WHERE client_error AND NOT failed) AS rejected_first, \
         max(id) FILTER (WHERE client_error AND NOT failed) AS rejected_last, \
         min(outcome) FILTER (WHERE client_error AND NOT failed) AS rejected_low, \
         max(outcome) FILTER (WHERE client_error AND NOT failed) AS rejected_high, \
         count(elapsed_time) AS timed, percentiles(elapsed_time) AS percentiles, max(elapsed_time) AS slowest, \
         first_value(id ORDER BY elapsed_time DESC NULLS LAST) AS slowest_id, \
         sum(response_bytes) AS response_bytes, max(response_bytes) AS largest, \
         first_value(id ORDER BY response_bytes DESC NULLS LAST) AS largest_id, max(content_type) AS content_type \
         FROM calls WHERE protocol NOT IN ({NOT_REQUESTS}) \
         GROUP BY protocol, dst_name, endpoint \
         ORDER BY bad DESC, sum(elapsed_time) DESC NULLS LAST, n DESC"
    );
    let found = scope.rows(text).await?;
    Ok((found.rows.iter().map(Endpoint::new).collect(), found.cut))
}

/// How calls ended, from the least and the greatest outcome.
pub(super) fn ended(outcomes: &[String; 2]) -> String {
    let [low, high] = outcomes;
    match (low.is_empty(), low == high) {
        (true, _) => String::new(),
        (_, true) => format!(" All with {}.", super::words::short(low)),
        _ => format!(" Outcomes such as {} and {}.", super::words::short(low), super::words::short(high)),
    }
}
