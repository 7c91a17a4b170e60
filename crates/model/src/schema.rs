//! How rows are laid out in Arrow.
//!
//! A batch of calls holds one protocol and only the columns which that protocol has, so a
//! protocol that is rare costs the others nothing. Readers that want one table over all of them
//! use [`full`] and fill in the columns that a batch lacks with nulls.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::field::{self, CATALOGUE};
use crate::{FieldDef, FieldType, Protocol, Storage, Table};

/// Names of the columns of [`Table::Coverage`], which has no place in the field catalogue because
/// no filter reads it.
pub const COVERAGE_COLUMNS: [&str; 7] =
    ["ts", "node_name", "interval_ms", "stage", "reason", "count", "bytes"];

/// Arrow type of a stored field; `None` for a derived one.
pub fn data_type(def: &FieldDef) -> Option<DataType> {
    let ty = match (def.storage, def.ty) {
        (Storage::Derived(_), _) => return None,
        (Storage::Late, _) => DataType::Binary,
        (Storage::Repeating, _) => dictionary(),
        (Storage::Stored, FieldType::Bool) => DataType::Boolean,
        (Storage::Stored, FieldType::Int) => DataType::Int64,
        (Storage::Stored, FieldType::Text) => DataType::Utf8,
        (Storage::Stored, FieldType::Time) => time(),
        (Storage::Stored, FieldType::List) => {
            DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
        }
        (Storage::Stored, FieldType::Map) => {
            let entries = DataType::Struct(
                vec![Field::new("keys", DataType::Utf8, false), Field::new("values", DataType::Utf8, true)]
                    .into(),
            );
            DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
        }
    };
    Some(ty)
}

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Instants carry no time zone in Arrow: they are UTC by definition here, and one type everywhere
/// spares every comparison a cast.
fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

fn columns<'a>(defs: impl Iterator<Item = &'a FieldDef>) -> SchemaRef {
    let fields: Vec<Field> = defs
        .filter_map(|d| Some(Field::new(d.name, data_type(d)?, !(d.id == field::TS || d.id == field::ID))))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The columns of a batch of calls of one protocol, in the order of the catalogue.
pub fn calls(protocol: Protocol) -> SchemaRef {
    columns(CATALOGUE.iter().filter(|d| d.applies_to(protocol)))
}

/// The columns of a batch of flow rows.
pub fn flows() -> SchemaRef {
    columns(CATALOGUE.iter().filter(|d| d.in_flows()))
}

/// The columns of a batch of coverage rows.
pub fn coverage() -> SchemaRef {
    let types =
        [time(), dictionary(), DataType::Int64, dictionary(), dictionary(), DataType::Int64, DataType::Int64];
    let fields: Vec<Field> =
        COVERAGE_COLUMNS.iter().zip(types).map(|(name, ty)| Field::new(*name, ty, false)).collect();
    Arc::new(Schema::new(fields))
}

/// Every column that any batch of the table can have.
pub fn full(table: Table) -> SchemaRef {
    static CALLS: LazyLock<SchemaRef> = LazyLock::new(|| columns(CATALOGUE.iter().filter(|d| d.in_calls())));
    static FLOWS: LazyLock<SchemaRef> = LazyLock::new(flows);
    static COVERAGE: LazyLock<SchemaRef> = LazyLock::new(coverage);
    match table {
        Table::Calls => CALLS.clone(),
        Table::Flows => FLOWS.clone(),
        Table::Coverage => COVERAGE.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_has_its_own_columns_and_no_others() {
        let dns = calls(Protocol::Dns);
        assert!(dns.index_of("dns_rcode").is_ok());
        assert!(dns.index_of("status_code").is_ok());
        assert!(dns.index_of("method").is_err());
        assert!(dns.index_of("dns").is_err(), "derived fields are not columns");
    }

    #[test]
    fn the_full_table_is_the_union() {
        let all = full(Table::Calls);
        for p in Protocol::ALL {
            for f in calls(*p).fields() {
                assert_eq!(all.field_with_name(f.name()).ok(), Some(f.as_ref()));
            }
        }
    }
}
