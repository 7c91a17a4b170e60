//! The views: calls, flows, and the calls of each protocol with the fields that it has.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, cast, lit};
use remora_kfl::TimeRange;
use remora_model::field::{CATALOGUE, Scope};
use remora_model::{FieldDef, FieldId, FieldType, Protocol, Storage, Table, field};

use super::{SqlQuery, SqlView, names};
use crate::Result;
use crate::function::Op;
use crate::query::engine::Session;
use crate::query::page::{condition, within};
use crate::query::scan::{parts, prune};
use crate::query::values;

/// Maps in which some values are credentials, and those in which all may be.
const HEADERS: &[FieldId] = &[field::REQUEST_HEADERS, field::RESPONSE_HEADERS];
const COOKIES: &[FieldId] = &[field::REQUEST_COOKIES, field::RESPONSE_COOKIES];

/// Every view, in the order in which they are told.
pub(super) fn all() -> Vec<SqlView> {
    let tables = [("calls", Table::Calls, None), ("flows", Table::Flows, None)];
    let protocols = Protocol::ALL.iter().map(|p| (p.name(), Table::Calls, Some(*p)));
    tables.into_iter().chain(protocols).map(|(name, table, of)| view(name, table, of)).collect()
}

fn view(name: &'static str, table: Table, of: Option<Protocol>) -> SqlView {
    let has = |d: &&FieldDef| match table {
        Table::Flows => d.in_flows(),
        _ => d.in_calls() && of.is_none_or(|p| d.applies_to(p)),
    };
    let columns = CATALOGUE.iter().filter(has).map(|d| (names::sql_name(d), d)).collect();
    SqlView { name, table, columns }
}

fn protocol(view: &SqlView) -> Option<Protocol> {
    Protocol::ALL.iter().copied().find(|p| p.name() == view.name)
}

/// What `*` stands for: who, whom, what and how it ended; without bodies, maps and what is the same
/// value by another name.
pub(super) fn default_columns(name: &str) -> Option<Vec<String>> {
    let view = all().into_iter().find(|v| v.name == name)?;
    let shown = |d: &FieldDef| {
        !matches!(d.storage, Storage::Late) && d.ty != FieldType::Map && d.storage.is_column()
            || [field::SUMMARY, field::OUTCOME].contains(&d.id)
    };
    let of_all = |d: &FieldDef| matches!(d.scope, Scope::Call | Scope::Both);
    let common = |d: &FieldDef| view.table == Table::Flows || protocol(&view).is_some() || of_all(d);
    let columns = view.columns.iter().filter(|(_, d)| shown(d) && common(d));
    Some(columns.map(|(name, _)| name.clone()).collect())
}

/// Makes the views of these names known to the session, with these columns or all. Names that no view has
/// are left to the planner, which says so.
pub(super) fn register(
    session: &Session,
    wanted: &BTreeSet<String>,
    only: Option<&BTreeSet<String>>,
    query: &SqlQuery,
) -> Result<()> {
    for view in all().into_iter().filter(|v| wanted.contains(v.name)) {
        let mut inside = within(query.window).unwrap_or_else(|| lit(true));
        for filter in query.filters.iter().filter(|f| values::table(f.target) == view.table) {
            inside = inside.and(condition(filter, view.table, TimeRange::default())?);
        }
        let of = match protocol(&view) {
            // gRPC, WebSocket and GraphQL are HTTP too.
            Some(of) => Some(flag(of)?),
            None => None,
        };
        let condition = of.into_iter().fold(inside, Expr::and);
        let parts = prune(parts(&session.shared, view.table), view.table, &condition)?;
        // One at least: a view without columns has no rows to count.
        let some = |name: &str| only.is_none_or(|only| only.contains(name)) || name == field::TS.def().name;
        let columns = view.columns.iter().filter(|(name, _)| some(name));
        let columns = columns.map(|(name, def)| Ok(value(def, view.table, query.mask)?.alias(name)));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let frame = session.frame(view.table, parts)?;
        let frame = frame.filter(condition).and_then(|f| f.select(columns)).map_err(|e| session.error(&e))?;
        let known = session.context.deregister_table(view.name);
        let known = known.and_then(|_| session.context.register_table(view.name, frame.into_view()));
        known.map_err(|e| session.error(&e))?;
    }
    Ok(())
}

/// Whether a call is of the protocol: by its flag, or where none has that name, by the protocol itself.
fn flag(protocol: Protocol) -> Result<Expr> {
    match CATALOGUE.iter().find(|d| d.flag_of() == Some(protocol)) {
        Some(flag) => crate::lower::field(flag.id, Table::Calls),
        None => Ok(cast(crate::lower::column(field::PROTOCOL), DataType::Utf8).eq(lit(protocol.name()))),
    }
}

/// A field as SQL sees it: plain text for dictionaries, text for bodies, and credentials masked.
fn value(def: &FieldDef, table: Table, mask: bool) -> Result<Expr> {
    let value = crate::lower::field(def.id, table)?;
    Ok(match def.ty {
        FieldType::Text if matches!(def.storage, Storage::Late) => Op::ToText.call(vec![value]),
        FieldType::Text => cast(value, DataType::Utf8),
        FieldType::Map if mask && HEADERS.contains(&def.id) => Op::MaskHeaders.call(vec![value]),
        FieldType::Map if mask && COOKIES.contains(&def.id) => Op::MaskCookies.call(vec![value]),
        _ => value,
    })
}
