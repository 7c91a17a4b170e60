//! Pages of flows.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::{cast as cast_array, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::functions_aggregate::expr_fn::max;
use datafusion::logical_expr::{Expr, cast, col, lit, when};
use remora_kfl::TimeRange;
use remora_model::{Table, field};

use super::engine::Session;
use super::page::{
    bounds, check_cursor, condition, one_of, open_end, pairs, query_hash, select_rows, selection, taken,
    window_of, within,
};
use super::scan::{Part, parts, prune};
use super::{Cursor, FlowsQuery, Order, Page};
use crate::lower::{column, instant};
use crate::{Error, Result};

/// A flow's newest row: node, flow id and time.
type Key = (String, i64, i64);

const NODE: &str = "node";
const FLOW: &str = "flow";
/// Twice the time in nanoseconds, plus one when the row matches: its maximum is the newest row
/// and says whether that one matches, in a single pass. It has room until the year 2116; later
/// times, which only a corrupt capture file has, all count as that one.
const NEWEST: &str = "newest";
const LAST_TIME: i64 = i64::MAX / 2 - 1;

pub(crate) async fn flows(session: Session, query: FlowsQuery) -> Result<Page> {
    let table = Table::Flows;
    let hash = query_hash(&query.filter, table, Order::Newest);
    check_cursor(query.cursor.as_ref(), hash)?;
    let window = query.cursor.as_ref().map_or(query.window, window_of);
    let limit = query.limit.clamp(1, session.shared.config.max_page_rows.max(1));
    let mut select = selection(query.fields.as_deref(), table)?;
    let inside = within(window).unwrap_or_else(|| lit(true));
    let parts = prune(parts(&session.shared, table), table, &inside)?;
    let mut keys = newest(&session, parts.clone(), &query, inside, limit + 1).await?;
    let more = keys.len() > limit;
    keys.truncate(limit);

    let (low, high) = bounds(keys.iter().map(|k| k.2));
    let near = column(field::TS).gt_eq(instant(low)).and(column(field::TS).lt_eq(instant(high)));
    let (parts, predicate) = if keys.is_empty() {
        (Vec::new(), lit(false))
    } else {
        let predicate = near.and(one_of(field::FLOW_ID, keys.iter().map(|k| k.1)));
        (prune(parts, table, &predicate)?, predicate)
    };
    select.push(column(field::NODE_NAME).alias(NODE));
    let (schema, batches) = select_rows(&session, table, parts, predicate, field::FLOW_ID, select).await?;
    let all = concat_batches(&schema, &batches).map_err(|e| Error::Internal(e.to_string()))?;
    let width = all.num_columns();
    let nodes = texts(all.column(width - 3).as_ref())?;
    let rows = pairs(all.column(width - 2).as_ref(), all.column(width - 1).as_ref())?;
    let wanted: HashMap<(&str, i64, i64), usize> =
        keys.iter().enumerate().map(|(i, (node, flow, ts))| ((node.as_str(), *flow, *ts), i)).collect();
    let mut at: Vec<Option<u32>> = vec![None; keys.len()];
    for (row, (ts, flow)) in rows.into_iter().enumerate() {
        let node = if nodes.is_null(row) { "" } else { nodes.value(row) };
        if let Some(slot) = wanted.get(&(node, flow, ts)).and_then(|&i| at.get_mut(i)) {
            *slot = u32::try_from(row).ok();
        }
    }
    // The node stands behind the answer's columns, before the keys.
    let rows = taken(&all, at)?;
    let columns: Vec<usize> = (0..rows.num_columns().saturating_sub(1)).collect();
    let rows = rows.project(&columns).map_err(|e| Error::Internal(e.to_string()))?;
    let next = keys.last().filter(|_| more).map(|(_, flow, ts)| Cursor {
        query: hash,
        as_of: query.cursor.as_ref().map_or(query.as_of.0, |c| c.as_of),
        from: open_end(window.from, i64::MIN),
        // Rows that arrive while somebody pages would move flows to the front.
        until: match window.until {
            Some(t) => t.0,
            None => keys.first().map_or(i64::MAX, |k| k.2.saturating_add(1)),
        },
        ts: *ts,
        id: *flow,
    });
    Ok(Page { rows, next, cost: session.cost() })
}

/// The keys of the flows whose newest row matches, newest first.
async fn newest(
    session: &Session,
    parts: Vec<Part>,
    query: &FlowsQuery,
    inside: Expr,
    limit: usize,
) -> Result<Vec<Key>> {
    let matched = condition(&query.filter, Table::Flows, TimeRange::default())?;
    let time = cast(column(field::TS), DataType::Int64);
    let time = when(time.clone().gt(lit(LAST_TIME)), lit(LAST_TIME)).otherwise(time);
    let mark = when(matched, lit(1i64)).otherwise(lit(0i64));
    let build = || {
        let node = cast(column(field::NODE_NAME), DataType::Utf8).alias(NODE);
        let rows = session_frame(session, parts)?.filter(inside)?.select([
            node,
            column(field::FLOW_ID).alias(FLOW),
            (time? * lit(2i64) + mark?).alias(NEWEST),
        ])?;
        let flows = rows.aggregate(vec![col(NODE), col(FLOW)], vec![max(col(NEWEST)).alias(NEWEST)])?;
        let mut flows = flows.filter((col(NEWEST) % lit(2i64)).eq(lit(1i64)))?;
        if let Some(c) = &query.cursor {
            let at = lit(c.ts.min(LAST_TIME) * 2 + 1);
            flows = flows
                .filter(col(NEWEST).lt(at.clone()).or(col(NEWEST).eq(at).and(col(FLOW).lt(lit(c.id)))))?;
        }
        let order = vec![col(NEWEST).sort(false, false), col(FLOW).sort(false, false)];
        flows.sort(order)?.limit(0, Some(limit))
    };
    let frame = build().map_err(|e| session.error(&e))?;
    let mut keys = Vec::new();
    let wrong = || Error::Internal("a key has another type than it should".to_owned());
    for batch in session.collect(frame).await? {
        let nodes = texts(batch.column(0).as_ref())?;
        let flow = batch.column(1).as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        let newest = batch.column(2).as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
        for row in 0..batch.num_rows() {
            let node = if nodes.is_null(row) { String::new() } else { nodes.value(row).to_owned() };
            keys.push((node, flow.value(row), newest.value(row).div_euclid(2)));
        }
    }
    Ok(keys)
}

fn session_frame(
    session: &Session,
    parts: Vec<Part>,
) -> Result<datafusion::prelude::DataFrame, datafusion::error::DataFusionError> {
    session.frame(Table::Flows, parts).map_err(|e| datafusion::error::DataFusionError::External(Box::new(e)))
}

/// A column of texts without its dictionary.
fn texts(column: &dyn Array) -> Result<StringArray> {
    let plain = cast_array(column, &DataType::Utf8).map_err(|e| Error::Internal(e.to_string()))?;
    plain.as_string_opt::<i32>().cloned().ok_or_else(|| Error::Internal("a text that is none".to_owned()))
}
