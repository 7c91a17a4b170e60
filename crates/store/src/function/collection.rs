//! Functions of lists and maps.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StringBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DataFusionError, Result};
use remora_kfl::Quantifier;

use super::{Quantified, wrong_type};

/// Column of the elements that a quantifier's predicate looks at.
pub(crate) const ELEMENT: &str = "element";

/// The elements of a list, or the keys of a map, of all rows, and where each row's begin.
fn elements(array: &ArrayRef) -> Result<(&OffsetBuffer<i32>, &ArrayRef)> {
    match array.data_type() {
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            Ok((list.offsets(), list.values()))
        }
        DataType::Map(..) => {
            let map = array.as_map();
            Ok((map.offsets(), map.keys()))
        }
        _ => Err(wrong_type(array.as_ref())),
    }
}

fn range(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    let at = |i: usize| offsets.get(i).and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    at(row)..at(row + 1)
}

fn strings(array: &ArrayRef) -> Result<&StringArray> {
    array.as_string_opt::<i32>().ok_or_else(|| wrong_type(array.as_ref()))
}

pub(super) fn size(array: &ArrayRef) -> Result<ArrayRef> {
    let (offsets, _) = elements(array)?;
    let sizes = (0..array.len())
        .map(|row| if array.is_null(row) { None } else { i64::try_from(range(offsets, row).len()).ok() });
    Ok(Arc::new(sizes.collect::<Int64Array>()))
}

pub(super) fn in_list(needle: &ArrayRef, list: &ArrayRef) -> Result<ArrayRef> {
    let needle = cast(needle, &DataType::Utf8)?;
    let needle = strings(&needle)?;
    let (offsets, items) = elements(list)?;
    let items = strings(items)?;
    let found = (0..list.len()).map(|row| {
        if list.is_null(row) || needle.is_null(row) {
            return None;
        }
        let wanted = needle.value(row);
        Some(range(offsets, row).any(|i| items.is_valid(i) && items.value(i) == wanted))
    });
    Ok(Arc::new(found.collect::<BooleanArray>()))
}

/// Index of the key's entry.
fn find(keys: &StringArray, mut range: std::ops::Range<usize>, key: &str) -> Option<usize> {
    range.find(|&i| keys.value(i) == key)
}

pub(super) fn has_key(map: &ArrayRef, key: &str) -> Result<ArrayRef> {
    let (offsets, keys) = elements(map)?;
    let keys = strings(keys)?;
    let found =
        (0..map.len()).map(|row| (!map.is_null(row)).then(|| find(keys, range(offsets, row), key).is_some()));
    Ok(Arc::new(found.collect::<BooleanArray>()))
}

pub(super) fn map_value(map: &ArrayRef, key: &str) -> Result<ArrayRef> {
    let (offsets, keys) = elements(map)?;
    let keys = strings(keys)?;
    let values = strings(map.as_map().values())?;
    let mut out = StringBuilder::new();
    for row in 0..map.len() {
        let entry = if map.is_null(row) { None } else { find(keys, range(offsets, row), key) };
        out.append_option(entry.filter(|&i| values.is_valid(i)).map(|i| values.value(i)));
    }
    Ok(Arc::new(out.finish()))
}

/// The same, with a text for rows without the map or the key.
pub(super) fn map_value_or(map: &ArrayRef, key: &str, default: &str) -> Result<ArrayRef> {
    let values = map_value(map, key)?;
    Ok(Arc::new(strings(&values)?.iter().map(|v| v.or(Some(default))).collect::<StringArray>()))
}

/// The element at a place, counted from 0.
pub(super) fn item(list: &ArrayRef, index: usize) -> Result<ArrayRef> {
    let (offsets, items) = elements(list)?;
    let items = strings(items)?;
    let found = (0..list.len()).map(|row| {
        let at = range(offsets, row).nth(index).filter(|_| list.is_valid(row))?;
        items.is_valid(at).then(|| items.value(at))
    });
    Ok(Arc::new(found.collect::<StringArray>()))
}

pub(super) fn join(list: &ArrayRef) -> Result<ArrayRef> {
    let (offsets, items) = elements(list)?;
    let items = strings(items)?;
    let joined = (0..list.len()).map(|row| {
        (!list.is_null(row)).then(|| {
            let parts: Vec<&str> =
                range(offsets, row).filter(|&i| items.is_valid(i)).map(|i| items.value(i)).collect();
            parts.join(", ")
        })
    });
    Ok(Arc::new(joined.collect::<StringArray>()))
}

pub(super) fn quantified(array: &ArrayRef, q: &Quantified) -> Result<ArrayRef> {
    let (offsets, items) = elements(array)?;
    let schema = Arc::new(Schema::new(vec![Field::new(ELEMENT, DataType::Utf8, true)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::clone(items)])?;
    let answers = q.predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
    let answers = answers
        .as_boolean_opt()
        .ok_or_else(|| DataFusionError::Internal("a predicate that is not a bool".to_owned()))?;
    let answer = |i: usize| answers.is_valid(i).then(|| answers.value(i));
    let folded = (0..array.len()).map(|row| {
        if array.is_null(row) {
            return None;
        }
        let (mut yes, mut no, mut unknown) = (0usize, 0usize, 0usize);
        for i in range(offsets, row) {
            match answer(i) {
                Some(true) => yes += 1,
                Some(false) => no += 1,
                None => unknown += 1,
            }
        }
        match q.quantifier {
            Quantifier::Exists if yes > 0 => Some(true),
            Quantifier::All if no > 0 => Some(false),
            _ if unknown > 0 => None,
            Quantifier::Exists => Some(false),
            Quantifier::All => Some(true),
            Quantifier::ExistsOne => Some(yes == 1),
        }
    });
    Ok(Arc::new(folded.collect::<BooleanArray>()))
}
