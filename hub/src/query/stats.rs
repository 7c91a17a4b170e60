//! Counts and percentiles.

use remora_kfl::Target;
use remora_model::FieldType;
use remora_store::{Rank, StatsQuery};

use super::request::StatsRequest;
use super::window::{Window, parse_duration};
use super::{Answer, Query, QueryError, compile, json_rows, limit, now, resolve};

/// Names of the ranks, as `order_by` takes them: those of the columns. `elapsed_` may be left out.
const RANKS: &[(&str, Rank)] = &[
    ("count", Rank::Count),
    ("rate", Rank::Count),
    ("failed", Rank::Failed),
    ("error_rate", Rank::ErrorRate),
    ("bytes", Rank::Bytes),
    ("elapsed_p50", Rank::P50),
    ("elapsed_p90", Rank::P90),
    ("elapsed_p95", Rank::P95),
    ("elapsed_p99", Rank::P99),
    ("elapsed_max", Rank::Max),
];

impl Query {
    /// Statistics of calls by group.
    ///
    /// # Errors
    /// An argument or filter that is wrong, or a store that cannot answer.
    pub async fn stats(&self, request: &StatsRequest) -> Result<Answer, QueryError> {
        let at = now();
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), at)?;
        let filter = compile(request.filter.as_deref().unwrap_or_default(), Target::Calls, at)?;
        let group_by = resolve("group_by", request.group_by.as_deref().unwrap_or_default(), "calls", |d| {
            d.in_calls() && d.ty != FieldType::Map
        })?;
        let bucket = match request.bucket.as_deref() {
            None => None,
            Some(text) => {
                Some(parse_duration(text).filter(|d| !d.is_zero()).ok_or_else(|| QueryError::Argument {
                    name: "bucket",
                    problem: format!("cannot read {text:?} as a length of time"),
                    advice: "write for example 10s, 1m or 1h".to_owned(),
                })?)
            }
        };
        let rank = match request.order_by.as_deref() {
            None if bucket.is_some() => Rank::Key,
            None => Rank::Count,
            Some(name) => {
                let named = |n: &str| n == name || n.strip_prefix("elapsed_") == Some(name);
                RANKS.iter().find(|(n, _)| named(n)).map(|(_, r)| *r).ok_or_else(|| QueryError::Argument {
                    name: "order_by",
                    problem: format!("cannot sort by {name:?}"),
                    advice: format!("choose one of {}", rank_names()),
                })?
            }
        };
        let query = StatsQuery {
            filter,
            window: window.into(),
            group_by,
            limit: limit(request.limit)?,
            rank,
            bucket,
        };
        let stats = self.store.stats(&query).await?;
        let columns = stats.rows.schema().fields().iter().map(|f| f.name().clone()).collect();
        let mut answer = Answer {
            window: Some(window),
            filter: query.filter.normalised.clone(),
            columns,
            rows: json_rows(&stats.rows, self.reveal_secrets),
            next_cursor: None,
            coverage: Some(self.coverage(window).await?),
            notes: query.filter.warnings.iter().map(ToString::to_string).collect(),
        };
        if let (Some(from), Some(seconds)) = (stats.rate_from, stats.rate_seconds) {
            answer.notes.push(format!(
                "rate counts the {seconds:.0} s from {}, where what is kept begins, not the whole window",
                from.to_rfc3339()
            ));
        }
        if stats.more_groups {
            answer.notes.push(
                "there are more groups; raise limit, narrow the filter or group by fewer fields".to_owned(),
            );
        }
        let empty = answer.rows.iter().all(|r| r.get("count").and_then(serde_json::Value::as_i64) == Some(0));
        if empty {
            let why = self.explain_empty(&query.filter, window).await?;
            answer.notes.extend(why);
        }
        Ok(answer)
    }
}

fn rank_names() -> String {
    RANKS.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(", ")
}
