//! Values of a field, and what a query would cost.

use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{col, lit};
use remora_kfl::{Filter, Target, TimeRange};
use remora_model::{FieldId, FieldType, Table, row};

use super::engine::Session;
use super::page::{condition, within};
use super::scan::{Part, parts, prune};
use super::stats::key;
use super::{Estimate, FieldValue};
use crate::Result;
use crate::shared::Shared;

/// The table that a filter was compiled for.
pub(crate) fn table(target: Target) -> Table {
    match target {
        Target::Calls => Table::Calls,
        Target::Flows => Table::Flows,
    }
}

pub(crate) async fn field_values(
    session: Session,
    id: FieldId,
    window: TimeRange,
    limit: usize,
) -> Result<Vec<FieldValue>> {
    let def = id.def();
    let table = if def.in_calls() { Table::Calls } else { Table::Flows };
    let value = if def.ty == FieldType::List { crate::lower::field(id, table)? } else { key(id, table)? };
    let present = value.clone().is_not_null();
    let predicate = within(window).map_or(present.clone(), |w| w.and(present));
    let parts = prune(parts(&session.shared, table), table, &predicate)?;
    let limit = limit.clamp(1, session.shared.config.max_groups.max(1));
    let frame = session.frame(table, parts)?;
    let frame = (|| {
        let mut frame = frame.filter(predicate)?.select(vec![value.alias("value")])?;
        if def.ty == FieldType::List {
            // Each element counts by itself.
            frame = frame.unnest_columns(&["value"])?;
        }
        frame
            .aggregate(vec![col("value")], vec![count(lit(1i64)).alias("count")])?
            .sort(vec![col("count").sort(false, false), col("value").sort(true, false)])?
            .limit(0, Some(limit))
    })()
    .map_err(|e| session.error(&e))?;
    let mut out = Vec::new();
    for b in session.collect(frame).await? {
        for i in 0..b.num_rows() {
            let count = row::value(b.column(1).as_ref(), i).and_then(|v| v.as_u64()).unwrap_or(0);
            if let Some(value) = row::value(b.column(0).as_ref(), i) {
                out.push(FieldValue { value, count });
            }
        }
    }
    Ok(out)
}

/// What a query would look at.
pub(crate) fn estimate(shared: &Shared, filter: &Filter, window: TimeRange) -> Result<Estimate> {
    let table = table(filter.target);
    let predicate = condition(filter, table, window)?;
    let parts = prune(parts(shared, table), table, &predicate)?;
    Ok(Estimate {
        max_rows: parts.iter().map(Part::rows).sum(),
        bytes: parts.iter().map(Part::bytes).sum(),
        parts: parts.len() as u64,
    })
}
