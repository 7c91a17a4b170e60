//! Pages of calls and single calls.
//!
//! A page is found in two steps. The first looks for the times and ids of its rows and reads only
//! the columns of the filter; it goes through the segments from the end that is asked for, in
//! growing steps, and stops as soon as no segment can hold an earlier row. The second fetches the
//! columns of just these rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef, TimestampNanosecondType};
use datafusion::logical_expr::{Expr, lit};
use datafusion::prelude::DataFrame;
use remora_kfl::{Filter, TimeRange};
use remora_model::{FieldId, Storage, Table, Timestamp, field, schema};

use super::engine::Session;
use super::scan::{Part, Scan, parts, prune};
use super::{CallsQuery, Cursor, Order, Page, cursor};
use crate::function::{Ids, Op};
use crate::lower::{column, instant, lower};
use crate::{Error, Result};

/// Columns that identify a row in the second step.
pub(super) const TS_KEY: &str = "__ts";
pub(super) const ID_KEY: &str = "__id";

/// Segments looked at before the first check whether that was enough.
const FIRST_STEP: usize = 2;

/// By how much a step is larger than the one before. Each is a plan of its own, which costs milliseconds, and what
/// is rare is looked for in all of them.
const STEP_GROWTH: usize = 5;

impl Session {
    /// A frame over some parts of a table.
    pub(super) fn frame(&self, table: Table, parts: Vec<Part>) -> Result<DataFrame> {
        let scan = Scan::new(table, parts, self);
        self.context.read_table(Arc::new(scan)).map_err(|e| self.error(&e))
    }

    /// Runs a plan to its end.
    pub(super) async fn collect(&self, frame: DataFrame) -> Result<Vec<RecordBatch>> {
        let run = async {
            let context = Arc::new(frame.task_ctx());
            let plan = frame.create_physical_plan().await?;
            let batches = datafusion::physical_plan::collect(Arc::clone(&plan), context).await;
            self.scanned.executed(&plan);
            batches
        };
        run.await.map_err(|e| self.error(&e))
    }
}

/// The condition that rows lie in the window; `None` when both its ends are open.
pub(super) fn within(window: TimeRange) -> Option<Expr> {
    let ts = || column(field::TS);
    let from = window.from.map(|t| ts().gt_eq(instant(t.0)));
    let until = window.until.map(|t| ts().lt(instant(t.0)));
    from.into_iter().chain(until).reduce(Expr::and)
}

/// The condition that the filter and the window make.
pub(crate) fn condition(filter: &Filter, table: Table, window: TimeRange) -> Result<Expr> {
    let filter = if filter.is_empty() { None } else { Some(lower(&filter.expr, table)?) };
    Ok(within(window).into_iter().chain(filter).reduce(Expr::and).unwrap_or_else(|| lit(true)))
}

/// Hash that binds a cursor to its query.
pub(super) fn query_hash(filter: &Filter, table: Table, order: Order) -> u64 {
    let order = match order {
        Order::Newest => "newest",
        Order::Oldest => "oldest",
    };
    cursor::fnv(format!("{}\n{order}\n{}", table.name(), filter.normalised).as_bytes())
}

pub(super) fn open_end(t: Option<Timestamp>, open: i64) -> i64 {
    t.map_or(open, |t| t.0)
}

/// The window of a cursor.
pub(super) fn window_of(c: &Cursor) -> TimeRange {
    TimeRange {
        from: (c.from != i64::MIN).then_some(Timestamp(c.from)),
        until: (c.until != i64::MAX).then_some(Timestamp(c.until)),
    }
}

/// Checks a cursor against its query.
pub(super) fn check_cursor(cursor: Option<&Cursor>, hash: u64) -> Result<()> {
    match cursor {
        Some(c) if c.query != hash => {
            Err(Error::BadCursor("it belongs to a query with another filter or order"))
        }
        _ => Ok(()),
    }
}

/// The columns of an answer: the fields asked for, or all that are stored except bodies.
pub(super) fn selection(fields: Option<&[FieldId]>, table: Table) -> Result<Vec<Expr>> {
    let all: Vec<FieldId>;
    let fields = match fields {
        Some(f) => f,
        None => {
            let stored = field::CATALOGUE.iter().filter(|d| {
                let here = if table == Table::Flows { d.in_flows() } else { d.in_calls() };
                here && matches!(d.storage, Storage::Stored | Storage::Repeating)
            });
            all = stored.map(|d| d.id).collect();
            &all
        }
    };
    // A field asked for twice stands in the answer once.
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for &id in fields {
        if !seen.contains(&id) {
            seen.push(id);
            out.push(crate::lower::field(id, table)?.alias(id.def().name));
        }
    }
    Ok(out)
}

/// A row's place in the order.
type Key = (i64, i64);

fn after(order: Order, c: &Cursor) -> Expr {
    let (ts, id) = (|| column(field::TS), || column(field::ID));
    let at = instant(c.ts);
    match order {
        Order::Newest => {
            ts().lt_eq(at.clone()).and(ts().lt(at.clone()).or(ts().eq(at).and(id().lt(lit(c.id)))))
        }
        Order::Oldest => {
            ts().gt_eq(at.clone()).and(ts().gt(at.clone()).or(ts().eq(at).and(id().gt(lit(c.id)))))
        }
    }
}

pub(crate) async fn calls(session: Session, query: CallsQuery) -> Result<Page> {
    let table = Table::Calls;
    let hash = query_hash(&query.filter, table, query.order);
    check_cursor(query.cursor.as_ref(), hash)?;
    let window = query.cursor.as_ref().map_or(query.window, window_of);
    let limit = query.limit.clamp(1, session.shared.config.max_page_rows.max(1));
    let select = selection(query.fields.as_deref(), table)?;
    let mut predicate = condition(&query.filter, table, window)?;
    if let Some(c) = &query.cursor {
        predicate = predicate.and(after(query.order, c));
    }
    let parts = prune(parts(&session.shared, table), table, &predicate)?;
    let mut keys = first(&session, parts.clone(), &predicate, query.order, limit + 1).await?;
    let more = keys.len() > limit;
    keys.truncate(limit);
    let rows = fetch(&session, parts, &keys, select).await?;
    let next = keys.last().filter(|_| more).map(|&(ts, id)| Cursor {
        query: hash,
        as_of: query.cursor.as_ref().map_or(query.as_of.0, |c| c.as_of),
        from: open_end(window.from, i64::MIN),
        until: open_end(window.until, i64::MAX),
        ts,
        id,
    });
    Ok(Page { rows, next, cost: session.cost() })
}

/// The keys of the first `limit` rows for which the predicate is true.
async fn first(
    session: &Session,
    parts: Vec<Part>,
    predicate: &Expr,
    order: Order,
    limit: usize,
) -> Result<Vec<Key>> {
    let newest = order == Order::Newest;
    // Unsealed batches are cheap to look at and are taken as one.
    let (open, mut sealed): (Vec<_>, Vec<_>) = parts.into_iter().partition(|p| matches!(p, Part::Open(_)));
    sealed.sort_by_key(|p| if newest { -i128::from(p.span().max_ts) } else { i128::from(p.span().min_ts) });
    let mut keys: Vec<Key> = Vec::new();
    let (mut step, mut wave) = (FIRST_STEP, open);
    let mut rest = sealed.into_iter().peekable();
    loop {
        // Rows at the edge have competitors only in parts that reach beyond it.
        if keys.len() >= limit
            && let (Some(&(edge, _)), Some(next)) = (keys.last(), rest.peek())
        {
            let span = next.span();
            if (newest && span.max_ts < edge) || (!newest && span.min_ts > edge) {
                break;
            }
        }
        wave.extend(rest.by_ref().take(step));
        if wave.is_empty() {
            break;
        }
        let mut wanted = predicate.clone();
        if keys.len() >= limit
            && let Some(&(edge, _)) = keys.last()
        {
            let ts = column(field::TS);
            wanted = wanted.and(if newest { ts.gt_eq(instant(edge)) } else { ts.lt_eq(instant(edge)) });
        }
        keys.extend(keys_of(session, std::mem::take(&mut wave), wanted, newest, limit).await?);
        keys.sort_unstable();
        if newest {
            keys.reverse();
        }
        keys.truncate(limit);
        step = step.saturating_mul(STEP_GROWTH);
    }
    Ok(keys)
}

async fn keys_of(
    session: &Session,
    parts: Vec<Part>,
    predicate: Expr,
    newest: bool,
    limit: usize,
) -> Result<Vec<Key>> {
    let sort = [field::TS, field::ID].map(|f| column(f).sort(!newest, false)).to_vec();
    let frame = session.frame(Table::Calls, parts)?;
    let frame = (|| {
        frame
            .filter(predicate)?
            .select([column(field::TS), column(field::ID)])?
            .sort(sort)?
            .limit(0, Some(limit))
    })()
    .map_err(|e| session.error(&e))?;
    let mut keys = Vec::new();
    for batch in session.collect(frame).await? {
        keys.extend(pairs(batch.column(0).as_ref(), batch.column(1).as_ref())?);
    }
    Ok(keys)
}

/// Rows of a time column and an int column.
pub(super) fn pairs(ts: &dyn Array, id: &dyn Array) -> Result<Vec<Key>> {
    let wrong = || Error::Internal("a key has another type than it should".to_owned());
    let ts = ts.as_primitive_opt::<TimestampNanosecondType>().ok_or_else(wrong)?;
    let id = id.as_primitive_opt::<Int64Type>().ok_or_else(wrong)?;
    Ok(ts.values().iter().copied().zip(id.values().iter().copied()).collect())
}

/// The condition that an int field is one of these.
pub(super) fn one_of(id: FieldId, values: impl ExactSizeIterator<Item = i64>) -> Expr {
    /// Up to here a list, whose values statistics and Bloom filters are asked about.
    const FEW: usize = 20;
    if values.len() <= FEW {
        column(id).in_list(values.map(lit).collect(), false)
    } else {
        Op::IdIn(Ids::new(values)).call(vec![column(id)])
    }
}

/// The rows with these keys, in their order, with the selected columns.
async fn fetch(session: &Session, parts: Vec<Part>, keys: &[Key], select: Vec<Expr>) -> Result<RecordBatch> {
    let (low, high) = bounds(keys.iter().map(|k| k.0));
    let near = column(field::TS).gt_eq(instant(low)).and(column(field::TS).lt_eq(instant(high)));
    let predicate =
        if keys.is_empty() { lit(false) } else { near.and(one_of(field::ID, keys.iter().map(|k| k.1))) };
    let parts = if keys.is_empty() { Vec::new() } else { prune(parts, Table::Calls, &predicate)? };
    let (schema, batches) = select_rows(session, Table::Calls, parts, predicate, field::ID, select).await?;
    let wanted: HashMap<Key, usize> = keys.iter().enumerate().map(|(i, k)| (*k, i)).collect();
    let mut at: Vec<Option<u32>> = vec![None; keys.len()];
    let all = concat_batches(&schema, &batches).map_err(|e| Error::Internal(e.to_string()))?;
    let width = all.num_columns();
    for (row, key) in
        pairs(all.column(width - 2).as_ref(), all.column(width - 1).as_ref())?.iter().enumerate()
    {
        if let Some(slot) = wanted.get(key).and_then(|&i| at.get_mut(i)) {
            *slot = u32::try_from(row).ok();
        }
    }
    taken(&all, at)
}

/// The rows at these places, without the two key columns.
pub(super) fn taken(all: &RecordBatch, at: Vec<Option<u32>>) -> Result<RecordBatch> {
    let internal = |e: arrow::error::ArrowError| Error::Internal(e.to_string());
    let rows: UInt32Array = at.into_iter().flatten().collect();
    let columns: Vec<usize> = (0..all.num_columns().saturating_sub(2)).collect();
    take_record_batch(&all.project(&columns).map_err(internal)?, &rows).map_err(internal)
}

pub(super) fn bounds(ts: impl Iterator<Item = i64>) -> (i64, i64) {
    ts.fold((i64::MAX, i64::MIN), |(low, high), t| (low.min(t), high.max(t)))
}

/// Matching rows with the selected columns and, behind them, time and id as keys.
pub(super) async fn select_rows(
    session: &Session,
    table: Table,
    parts: Vec<Part>,
    predicate: Expr,
    id: FieldId,
    mut select: Vec<Expr>,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    select.push(column(field::TS).alias(TS_KEY));
    select.push(column(id).alias(ID_KEY));
    let nothing = parts.is_empty();
    let frame = session.frame(table, parts)?;
    let frame = frame.filter(predicate).and_then(|f| f.select(select)).map_err(|e| session.error(&e))?;
    let schema = Arc::new(frame.schema().as_arrow().clone());
    if nothing {
        return Ok((schema, Vec::new()));
    }
    let mut batches = session.collect(frame).await?;
    for b in &mut batches {
        // Plans differ from their schema in what may be null, which joining them would refuse.
        *b = RecordBatch::try_new(Arc::clone(&schema), b.columns().to_vec())
            .map_err(|e| Error::Internal(e.to_string()))?;
    }
    Ok((schema, batches))
}

/// One call with all columns.
pub(crate) async fn call(session: Session, id: i64) -> Result<RecordBatch> {
    let table = Table::Calls;
    let predicate = column(field::ID).eq(lit(id));
    let parts = prune(parts(&session.shared, table), table, &predicate)?;
    let keys = first(&session, parts.clone(), &predicate, Order::Newest, 1).await?;
    if keys.is_empty() {
        let state = session.shared.state();
        return Err(if state.deleted.contains(id) {
            let spans = state.segments.iter().filter(|s| s.table == table).map(|s| s.meta.span.min_ts);
            Error::Deleted { id, oldest: spans.min().map(Timestamp) }
        } else {
            Error::NoSuchCall(id)
        });
    }
    let schema = schema::full(table);
    let select = schema.fields().iter().filter_map(|f| field::by_name(f.name()));
    fetch(&session, parts, &keys, select.map(|d| column(d.id).alias(d.name)).collect()).await
}
