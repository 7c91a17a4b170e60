//! The value of a field as an expression over columns.

use arrow::datatypes::Schema;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use remora_model::{FieldId, Table, schema};

use super::derived;
use crate::{Error, Result};

/// The column of a stored field.
pub(crate) fn column(id: FieldId) -> Expr {
    // Names have dots, which the parser of qualified names would take apart.
    Expr::Column(Column::new_unqualified(id.def().name))
}

/// The value of a field in rows of `table`.
///
/// # Errors
/// [`Error::UnknownField`] when the table does not have it.
pub(crate) fn field(id: FieldId, table: Table) -> Result<Expr> {
    let def = id.def();
    let schema = schema::full(table);
    let has = |schema: &Schema, name: &str| schema.index_of(name).is_ok();
    let unknown = || Error::UnknownField { name: def.name.to_owned(), table: table.name() };
    if def.storage.is_column() {
        return if has(&schema, def.name) { Ok(column(id)) } else { Err(unknown()) };
    }
    let applies = match table {
        Table::Calls => def.in_calls(),
        Table::Flows => def.in_flows(),
        Table::Coverage => false,
    };
    if !applies {
        return Err(unknown());
    }
    derived::derived(id).ok_or_else(|| Error::Internal(format!("no rule derives the field {}", def.name)))
}
