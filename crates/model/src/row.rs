//! Rows as JSON, the same everywhere: `-o ndjson`, REST and MCP.

mod line;
mod write;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value};

pub use self::line::{Line, SUMMARY_CHARS, describe};
pub use self::write::Rows;
use crate::Timestamp;

/// One row as a JSON object: field names as keys, absent fields left out.
///
/// Instants are RFC 3339 text in UTC. Bytes are text when they are UTF-8, and a `data:` URL
/// (RFC 2397) in base64 when they are not, so that nothing is lost.
pub fn to_json(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let mut object = Map::new();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        if let Some(value) = value(column.as_ref(), row) {
            object.insert(field.name().clone(), value);
        }
    }
    object
}

/// The value at `row`; `None` where it is absent or of a type that no field has.
pub fn value(column: &dyn Array, row: usize) -> Option<Value> {
    if row >= column.len() || column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(row).into(),
        DataType::Float64 => float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Timestamp(column.as_primitive::<TimestampNanosecondType>().value(row)).to_rfc3339().into()
        }
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(row).into(),
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Binary => bytes(column.as_binary::<i32>().value(row)),
        DataType::LargeBinary => bytes(column.as_binary::<i64>().value(row)),
        DataType::BinaryView => bytes(column.as_binary_view().value(row)),
        DataType::Dictionary(key, _) if **key == DataType::Int32 => {
            let d = column.as_dictionary::<Int32Type>();
            return value(d.values().as_ref(), d.key(row)?);
        }
        DataType::List(_) => {
            let items = column.as_list::<i32>().value(row);
            (0..items.len()).map(|i| value(items.as_ref(), i).unwrap_or(Value::Null)).collect()
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let entries = map.value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let pairs = (0..entries.len()).filter_map(|i| match value(keys.as_ref(), i)? {
                Value::String(k) => Some((k, value(values.as_ref(), i).unwrap_or(Value::Null))),
                _ => None,
            });
            Value::Object(pairs.collect())
        }
        _ => return None,
    })
}

/// JSON has no NaN: an undefined statistic is null.
fn float(v: f64) -> Value {
    serde_json::Number::from_f64(v).map_or(Value::Null, Value::Number)
}

fn bytes(b: &[u8]) -> Value {
    match std::str::from_utf8(b) {
        Ok(text) => text.into(),
        Err(_) => format!("data:application/octet-stream;base64,{}", BASE64.encode(b)).into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, ListBuilder, StringBuilder};

    use super::*;

    #[test]
    fn bytes_that_are_not_text_survive() {
        let column = BinaryArray::from(vec![Some(&b"plain"[..]), Some(b"\xff\x00"), None]);
        assert_eq!(value(&column, 0), Some("plain".into()));
        assert_eq!(value(&column, 1), Some("data:application/octet-stream;base64,/wA=".into()));
        assert_eq!(value(&column, 2), None);
        assert_eq!(value(&column, 3), None);
    }

    #[test]
    fn absent_fields_are_left_out() {
        let mut list = ListBuilder::new(StringBuilder::new());
        list.values().append_value("a");
        list.append(true);
        let batch = RecordBatch::try_from_iter([
            ("names", Arc::new(list.finish()) as arrow::array::ArrayRef),
            ("body", Arc::new(BinaryArray::from(vec![None::<&[u8]>]))),
        ])
        .unwrap();
        assert_eq!(serde_json::to_string(&to_json(&batch, 0)).unwrap(), r#"{"names":["a"]}"#);
    }
}
