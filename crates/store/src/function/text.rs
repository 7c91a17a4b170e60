//! Functions of texts, and integer division.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::Result;
use memchr::memmem::Finder;
use remora_kfl::{JsonStep, Network, Pattern, TextOp, json_value};

use super::wrong_type;

/// The bytes of each row's text.
fn bytes(array: &ArrayRef) -> Result<Box<dyn Iterator<Item = Option<&[u8]>> + '_>> {
    Ok(match array.data_type() {
        DataType::Utf8 => Box::new(array.as_string::<i32>().iter().map(|s| s.map(str::as_bytes))),
        DataType::LargeUtf8 => Box::new(array.as_string::<i64>().iter().map(|s| s.map(str::as_bytes))),
        DataType::Utf8View => Box::new(array.as_string_view().iter().map(|s| s.map(str::as_bytes))),
        DataType::Binary => Box::new(array.as_binary::<i32>().iter()),
        DataType::BinaryView => Box::new(array.as_binary_view().iter()),
        DataType::Null => Box::new(std::iter::repeat_n(None, array.len())),
        _ => return Err(wrong_type(array.as_ref())),
    })
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn booleans(values: impl Iterator<Item = Option<bool>>) -> Result<ArrayRef> {
    Ok(Arc::new(values.collect::<BooleanArray>()))
}

pub(super) fn test(array: &ArrayRef, op: TextOp, needle: &[u8]) -> Result<ArrayRef> {
    let rows = bytes(array)?;
    match op {
        TextOp::Contains => {
            let finder = Finder::new(needle);
            booleans(rows.map(|r| r.map(|b| finder.find(b).is_some())))
        }
        TextOp::StartsWith => booleans(rows.map(|r| r.map(|b| b.starts_with(needle)))),
        TextOp::EndsWith => booleans(rows.map(|r| r.map(|b| b.ends_with(needle)))),
    }
}

pub(super) fn test_columns(subject: &ArrayRef, needle: &ArrayRef, op: TextOp) -> Result<ArrayRef> {
    booleans(bytes(subject)?.zip(bytes(needle)?).map(|(s, n)| {
        let (s, n) = (s?, n?);
        Some(match op {
            TextOp::Contains => memchr::memmem::find(s, n).is_some(),
            TextOp::StartsWith => s.starts_with(n),
            TextOp::EndsWith => s.ends_with(n),
        })
    }))
}

pub(super) fn matches(array: &ArrayRef, pattern: &Pattern) -> Result<ArrayRef> {
    let regex = pattern.regex();
    booleans(bytes(array)?.map(|r| r.map(|b| regex.is_match(&lossy(b)))))
}

pub(super) fn ip_in(array: &ArrayRef, network: &Network) -> Result<ArrayRef> {
    booleans(bytes(array)?.map(|r| {
        let ip: IpAddr = std::str::from_utf8(r?).ok()?.parse().ok()?;
        Some(network.contains(ip))
    }))
}

pub(super) fn map(array: &ArrayRef, f: impl Fn(&str) -> String) -> Result<ArrayRef> {
    Ok(Arc::new(bytes(array)?.map(|r| r.map(|b| f(&lossy(b)))).collect::<StringArray>()))
}

/// The value at the end of the way; unknown where the text is no JSON or the way leads nowhere.
pub(super) fn json(array: &ArrayRef, path: &[JsonStep]) -> Result<ArrayRef> {
    let values = bytes(array)?.map(|r| r.and_then(|b| json_value(b, path)));
    Ok(Arc::new(values.collect::<StringArray>()))
}

pub(super) fn to_int(array: &ArrayRef, f: impl Fn(&str) -> Option<i64>) -> Result<ArrayRef> {
    Ok(Arc::new(bytes(array)?.map(|r| r.and_then(|b| f(&lossy(b)))).collect::<Int64Array>()))
}

pub(super) fn is_in(array: &ArrayRef, ids: &BTreeSet<i64>) -> Result<ArrayRef> {
    let values = array.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong_type(array.as_ref()))?;
    booleans(values.iter().map(|v| v.map(|v| ids.contains(&v))))
}

/// Decimal digits after an optional sign, within 64 bits.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// Integer division or remainder; unknown when the divisor is zero, `overflow` for the one pair
/// whose quotient has no room.
pub(super) fn divide(
    a: &ArrayRef,
    b: &ArrayRef,
    f: impl Fn(i64, i64) -> Option<i64>,
    overflow: i64,
) -> Result<ArrayRef> {
    let (Some(x), Some(y)) = (a.as_primitive_opt::<Int64Type>(), b.as_primitive_opt::<Int64Type>()) else {
        return Err(wrong_type(a.as_ref()));
    };
    let result: Int64Array = x
        .iter()
        .zip(y.iter())
        .map(|(x, y)| match (x?, y?) {
            (_, 0) => None,
            (x, y) => Some(f(x, y).unwrap_or(overflow)),
        })
        .collect();
    Ok(Arc::new(result))
}
