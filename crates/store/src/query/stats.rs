//! Statistics by group.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::functions_aggregate::expr_fn::{count, max, min, sum};
use datafusion::functions_nested::expr_fn::array_element;
use datafusion::logical_expr::{Expr, cast, col, lit, when};
use remora_kfl::TimeRange;
use remora_model::{FieldId, FieldType, Storage, Table, Timestamp, field};

use super::engine::Session;
use super::page::condition;
use super::scan::{Part, parts, prune};
use super::{Rank, Stats, StatsQuery};
use crate::function::Op;
use crate::lower::column;
use crate::sketch::{PERCENTILES, percentiles};
use crate::{Error, Result};

const NANOS: f64 = 1e9;

/// The value of a field to group by, as a plain text, int, bool or time.
pub(super) fn key(id: FieldId, table: Table) -> Result<Expr> {
    let def = id.def();
    let unsupported = |reason| Err(Error::UnsupportedField { name: def.name.to_owned(), reason });
    let value = crate::lower::field(id, table)?;
    match (def.ty, def.storage) {
        (FieldType::Map, _) => unsupported("a map has no single value; filter on one of its keys instead"),
        (_, Storage::Late) => unsupported("bodies are not grouped; filter on them instead"),
        (FieldType::List, _) => Ok(Op::JoinList.call(vec![value])),
        (FieldType::Text, _) => Ok(cast(value, DataType::Utf8)),
        _ => Ok(value),
    }
}

pub(crate) async fn stats(session: Session, query: StatsQuery) -> Result<Stats> {
    let table = Table::Calls;
    let limit = query.limit.clamp(1, session.shared.config.max_groups.max(1));
    let predicate = condition(&query.filter, table, query.window)?;
    let oldest = oldest(&session);
    let parts = prune(parts(&session.shared, table), table, &predicate)?;
    let bucket = query.bucket.map(nanos).transpose()?;
    let (rate_seconds, rate_from) = match bucket {
        #[allow(clippy::cast_precision_loss)]
        Some(b) => (Some(b as f64 / NANOS), None),
        None => rate_time(&parts, query.window, oldest, now()),
    };

    // Inner names cannot collide with fields; they are given at the end.
    let mut keys = Vec::new();
    let mut names = Vec::new();
    for &id in &query.group_by {
        if !names.iter().any(|n| n == id.def().name) {
            keys.push(key(id, table)?.alias(format!("g{}", names.len())));
            names.push(id.def().name.to_owned());
        }
    }
    if let Some(b) = bucket {
        let ts = cast(column(field::TS), DataType::Int64);
        let start = ts.clone() - ((ts % lit(b)) + lit(b)) % lit(b);
        let start = cast(start, DataType::Timestamp(TimeUnit::Nanosecond, None));
        keys.push(start.alias(format!("g{}", names.len())));
        names.push("bucket".to_owned());
    }
    let groups: Vec<Expr> = (0..names.len()).map(|i| col(format!("g{i}"))).collect();
    let measures = measures(rate_seconds);

    let build = || {
        let mut rows = keys.clone();
        let failed = when(column(field::FAILED), lit(1i64)).otherwise(lit(0i64))?;
        rows.push(failed.alias("m_failed"));
        for (id, name) in [
            (field::REQUEST_BYTES, "m_request"),
            (field::RESPONSE_BYTES, "m_response"),
            (field::ELAPSED_TIME, "m_elapsed"),
        ] {
            rows.push(column(id).alias(name));
        }
        let frame = session
            .frame(table, parts)
            .map_err(|e| datafusion::error::DataFusionError::External(Box::new(e)))?
            .filter(predicate)?
            .select(rows)?
            .aggregate(
                groups.clone(),
                vec![
                    count(lit(1i64)).alias("a_count"),
                    sum(col("m_failed")).alias("a_failed"),
                    sum(col("m_request")).alias("a_request"),
                    sum(col("m_response")).alias("a_response"),
                    percentiles(col("m_elapsed")).alias("a_percentiles"),
                    min(col("m_elapsed")).alias("a_min"),
                    max(col("m_elapsed")).alias("a_max"),
                ],
            )?;
        let mut select = groups.clone();
        select.extend(measures.iter().map(|(name, e)| e.clone().alias(*name)));
        let order = rank(query.rank).map(|e| e.sort(false, false));
        let order: Vec<_> =
            order.into_iter().chain(groups.iter().map(|g| g.clone().sort(true, false))).collect();
        let frame = frame.select(select)?;
        let frame = if order.is_empty() { frame } else { frame.sort(order)? };
        frame.limit(0, Some(limit + 1))
    };
    let frame = build().map_err(|e| session.error(&e))?;
    let inner = Arc::new(frame.schema().as_arrow().clone());
    let batches = session.collect(frame).await?;
    let schema = named(&inner, &names, &measures);
    let internal = |e: arrow::error::ArrowError| Error::Internal(e.to_string());
    let batches = batches
        .iter()
        .map(|b| RecordBatch::try_new(Arc::clone(&schema), b.columns().to_vec()).map_err(internal))
        .collect::<Result<Vec<_>>>()?;
    let all = concat_batches(&schema, &batches).map_err(internal)?;
    Ok(Stats {
        more_groups: all.num_rows() > limit,
        rows: all.slice(0, all.num_rows().min(limit)),
        rate_seconds,
        rate_from,
        cost: session.cost(),
    })
}

/// The columns behind the groups.
fn measures(rate_seconds: Option<f64>) -> Vec<(&'static str, Expr)> {
    let calls = || cast(col("a_count"), DataType::Float64);
    let share = cast(col("a_failed"), DataType::Float64) / calls();
    let rate = match rate_seconds {
        Some(s) if s > 0.0 => calls() / lit(s),
        _ => cast(lit(datafusion::common::ScalarValue::Null), DataType::Float64),
    };
    let mut all = vec![
        ("count", cast(col("a_count"), DataType::Int64)),
        ("failed", or_zero("a_failed")),
        // Without groups there is a row even when nothing matched.
        ("error_rate", when(col("a_count").gt(lit(0i64)), share.clone()).end().unwrap_or(share)),
        ("rate", rate),
        ("request_bytes", or_zero("a_request")),
        ("response_bytes", or_zero("a_response")),
    ];
    const NAMES: [&str; PERCENTILES.len()] = ["elapsed_p50", "elapsed_p90", "elapsed_p95", "elapsed_p99"];
    for (i, name) in (1i64..).zip(NAMES) {
        // A percentile is the middle of a bucket of values, which may lie outside of all of them.
        let middle = || array_element(col("a_percentiles"), lit(i));
        let inside = when(middle().lt(col("a_min")), col("a_min"))
            .when(middle().gt(col("a_max")), col("a_max"))
            .otherwise(middle());
        all.push((name, inside.unwrap_or_else(|_| middle())));
    }
    all.push(("elapsed_min", col("a_min")));
    all.push(("elapsed_max", col("a_max")));
    all
}

fn or_zero(name: &str) -> Expr {
    datafusion::functions::core::expr_fn::coalesce(vec![col(name), lit(0i64)])
}

/// By what to sort, in terms of the measures.
fn rank(rank: Rank) -> Option<Expr> {
    Some(match rank {
        Rank::Count => col("count"),
        Rank::Failed => col("failed"),
        Rank::ErrorRate => col("error_rate"),
        Rank::Bytes => col("request_bytes") + col("response_bytes"),
        Rank::P50 => col("elapsed_p50"),
        Rank::P90 => col("elapsed_p90"),
        Rank::P95 => col("elapsed_p95"),
        Rank::P99 => col("elapsed_p99"),
        Rank::Max => col("elapsed_max"),
        Rank::Key => return None,
    })
}

/// The answer's schema. A measure whose name a group has taken gets `_total` behind it.
fn named(inner: &Schema, groups: &[String], measures: &[(&str, Expr)]) -> Arc<Schema> {
    let names =
        groups.iter().cloned().chain(measures.iter().map(|(m, _)| {
            if groups.iter().any(|g| g == m) { format!("{m}_total") } else { (*m).to_owned() }
        }));
    let fields: Vec<Field> = inner
        .fields()
        .iter()
        .zip(names)
        .map(|(f, name)| Field::new(name, f.data_type().clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn nanos(d: Duration) -> Result<i64> {
    i64::try_from(d.as_nanos()).ok().filter(|n| *n > 0).ok_or_else(|| Error::UnsupportedField {
        name: "bucket".to_owned(),
        reason: "its length must be above zero and below 292 years",
    })
}

/// Time of the oldest row of any table: about when capturing began, or what retention left of it.
fn oldest(session: &Session) -> Option<i64> {
    let spans = Table::ALL.iter().flat_map(|&t| parts(&session.shared, t)).map(|p| p.span().min_ts);
    spans.min()
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Length of the part of the window in which there can be rows, in seconds, and where it begins if
/// that is behind the window's own beginning. An open end is where the rows end; nothing can be
/// older than the oldest row of the store or newer than now, unless clocks differ.
fn rate_time(
    parts: &[Part],
    window: TimeRange,
    oldest: Option<i64>,
    now: i64,
) -> (Option<f64>, Option<Timestamp>) {
    let first = parts.iter().map(|p| p.span().min_ts).min();
    let last = parts.iter().map(|p| p.span().max_ts).max();
    let (Some(first), Some(last)) = (first, last) else { return (None, None) };
    let begin = oldest.unwrap_or(first);
    let from = window.from.map_or(first, |t| t.0.max(begin));
    let until = window.until.map_or(last, |t| t.0.min(now.max(last)));
    #[allow(clippy::cast_precision_loss)]
    let seconds = until.saturating_sub(from) as f64 / NANOS;
    let moved = window.from.is_some_and(|t| t.0 < from).then_some(Timestamp(from));
    if seconds > 0.0 { (Some(seconds), moved) } else { (None, None) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use remora_model::Protocol;

    use super::*;
    use crate::memory::OpenBatch;
    use crate::segment::Span;

    #[test]
    fn rates_count_the_time_in_which_there_can_be_rows() {
        const SECOND: i64 = 1_000_000_000;
        let schema = remora_model::schema::calls(Protocol::Http);
        let span = Span { min_ts: 100 * SECOND, max_ts: 160 * SECOND, min_id: 1, max_id: 9 };
        let batch = RecordBatch::new_empty(schema);
        let open = OpenBatch { table: Table::Calls, protocol: Some(Protocol::Http), batch, span };
        let parts = [Part::Open(Arc::new(open))];
        let rate = |from: Option<i64>, until: Option<i64>| {
            let t = |s: Option<i64>| s.map(|s| Timestamp(s * SECOND));
            let window = TimeRange { from: t(from), until: t(until) };
            let (seconds, from) = rate_time(&parts, window, Some(90 * SECOND), 200 * SECOND);
            (seconds.unwrap(), from.map(|t| t.0 / SECOND))
        };
        assert_eq!(rate(Some(0), Some(260)), (110.0, Some(90)), "all that is kept, until now");
        assert_eq!(rate(Some(120), Some(150)), (30.0, None), "a window of which all is kept");
        assert_eq!(rate(Some(140), Some(260)), (60.0, None), "no calls after now");
        assert_eq!(rate(None, None), (60.0, None), "open ends are where the rows end");
        assert_eq!(rate_time(&[], TimeRange::default(), None, 0), (None, None));
    }
}
