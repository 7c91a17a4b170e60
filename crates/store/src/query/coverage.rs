//! What was and was not captured.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::compute::cast as cast_array;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::logical_expr::{Expr, cast, col, lit};
use remora_kfl::TimeRange;
use remora_model::{Table, Timestamp, field};

use super::engine::Session;
use super::scan::{parts, prune};
use super::{CaptureInterval, Coverage, CoverageTotal};
use crate::lower::{column, instant};
use crate::{Error, Result};

/// Longest reporting interval: a row reaches back from its time by its interval, so rows a little
/// behind the window can still touch it.
const LONGEST: Duration = Duration::from_secs(3600);

const MILLI: i64 = 1_000_000;

pub(crate) async fn coverage(session: Session, window: TimeRange) -> Result<Coverage> {
    let table = Table::Coverage;
    let ts = || column(field::TS);
    let start = || cast(ts(), DataType::Int64) - col("interval_ms") * lit(MILLI);
    let mut touches = lit(true);
    if let Some(from) = window.from {
        touches = touches.and(ts().gt(instant(from.0)));
    }
    if let Some(until) = window.until {
        touches = touches.and(ts().lt(instant(until.plus(LONGEST).0))).and(start().lt(lit(until.0)));
    }
    let parts = prune(parts(&session.shared, table), table, &touches)?;
    let text = |name: &str| cast(col(name), DataType::Utf8).alias(name);

    let totals = session.frame(table, parts.clone())?;
    let totals = (|| {
        totals
            .filter(touches.clone())?
            .select(vec![text("node_name"), text("stage"), text("reason"), col("count"), col("bytes")])?
            .aggregate(
                vec![col("node_name"), col("stage"), col("reason")],
                vec![sum(col("count")).alias("count"), sum(col("bytes")).alias("bytes")],
            )?
            .sort(["node_name", "stage", "reason"].map(|c| col(c).sort(true, false)).to_vec())
    })()
    .map_err(|e| session.error(&e))?;
    let mut out = Coverage::default();
    for b in session.collect(totals).await? {
        let (node, stage, reason) = (texts(&b, 0)?, texts(&b, 1)?, texts(&b, 2)?);
        let (count, bytes) = (ints(&b, 3)?, ints(&b, 4)?);
        for row in 0..b.num_rows() {
            out.totals.push(CoverageTotal {
                node: node.value(row).to_owned(),
                stage: stage.value(row).to_owned(),
                reason: reason.value(row).to_owned(),
                count: count.value(row),
                bytes: bytes.value(row),
            });
        }
    }

    let spans = session.frame(table, parts)?;
    let spans = (|| {
        let key = |e: Expr, name: &str| e.alias(name);
        spans
            .filter(touches)?
            .select(vec![text("node_name"), key(start(), "start"), key(cast(ts(), DataType::Int64), "end")])?
            .distinct()
    })()
    .map_err(|e| session.error(&e))?;
    let mut nodes: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for b in session.collect(spans).await? {
        let (node, start, end) = (texts(&b, 0)?, ints(&b, 1)?, ints(&b, 2)?);
        for row in 0..b.num_rows() {
            let spans = match nodes.get_mut(node.value(row)) {
                Some(s) => s,
                None => nodes.entry(node.value(row).to_owned()).or_default(),
            };
            spans.push((start.value(row), end.value(row)));
        }
    }
    for (node, spans) in nodes {
        out.intervals.extend(joined(spans).into_iter().filter_map(|(from, until)| {
            let from = window.from.map_or(from, |t| from.max(t.0));
            let until = window.until.map_or(until, |t| until.min(t.0));
            (from < until).then(|| CaptureInterval {
                node: node.clone(),
                from: Timestamp(from),
                until: Timestamp(until),
            })
        }));
    }
    out.cost = session.cost();
    Ok(out)
}

/// Joins intervals that follow each other. Reports are not made on the dot: a hole counts as one
/// when it is longer than half of the interval behind it.
fn joined(mut spans: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    spans.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::new();
    for (from, until) in spans {
        let slack = until.saturating_sub(from) / 2;
        match out.last_mut() {
            Some(last) if from.saturating_sub(last.1) <= slack => last.1 = last.1.max(until),
            _ => out.push((from, until)),
        }
    }
    out
}

fn texts(batch: &RecordBatch, column: usize) -> Result<StringArray> {
    let plain =
        cast_array(batch.column(column), &DataType::Utf8).map_err(|e| Error::Internal(e.to_string()))?;
    plain.as_string_opt::<i32>().cloned().ok_or_else(wrong)
}

fn ints(batch: &RecordBatch, column: usize) -> Result<&arrow::array::Int64Array> {
    batch.column(column).as_primitive_opt::<Int64Type>().ok_or_else(wrong)
}

fn wrong() -> Error {
    Error::Internal("a coverage column has another type than it should".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_join_unless_one_is_missing() {
        let reports = vec![(20, 30), (0, 10), (11, 20), (42, 52), (52, 62), (50, 55)];
        assert_eq!(joined(reports), [(0, 30), (42, 62)]);
        assert_eq!(joined(Vec::new()), []);
    }
}
