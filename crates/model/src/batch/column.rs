//! One column's builder.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, BinaryBuilder, BooleanBuilder, Int64Builder, ListBuilder, MapBuilder,
    StringBuilder, TimestampNanosecondBuilder,
};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::dictionary::DictionaryColumn;
use crate::{Timestamp, ValueRef};

enum Builder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Time(TimestampNanosecondBuilder),
    Repeating(DictionaryColumn),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    List(ListBuilder<StringBuilder>),
    Map(MapBuilder<StringBuilder, StringBuilder>),
}

/// A builder of whichever type the column has. What appends a value returns the bytes that it
/// added beyond the column's fixed part.
pub(super) struct Column(Builder);

impl Column {
    pub(super) fn new(ty: &DataType) -> Self {
        let builder = match ty {
            DataType::Boolean => Builder::Bool(BooleanBuilder::new()),
            DataType::Int64 => Builder::Int(Int64Builder::new()),
            DataType::Timestamp(..) => Builder::Time(TimestampNanosecondBuilder::new()),
            DataType::Dictionary(..) => Builder::Repeating(DictionaryColumn::new()),
            DataType::Binary => Builder::Bytes(BinaryBuilder::new()),
            DataType::List(..) => Builder::List(ListBuilder::new(StringBuilder::new())),
            DataType::Map(..) => {
                Builder::Map(MapBuilder::new(None, StringBuilder::new(), StringBuilder::new()))
            }
            _ => Builder::Text(StringBuilder::new()),
        };
        Self(builder)
    }

    pub(super) fn len(&self) -> usize {
        match &self.0 {
            Builder::Bool(b) => b.len(),
            Builder::Int(b) => b.len(),
            Builder::Time(b) => b.len(),
            Builder::Repeating(b) => b.len(),
            Builder::Text(b) => b.len(),
            Builder::Bytes(b) => b.len(),
            Builder::List(b) => b.len(),
            Builder::Map(b) => b.len(),
        }
    }

    /// Appends nulls until there are `rows` values.
    pub(super) fn pad(&mut self, rows: usize) {
        let missing = rows.saturating_sub(self.len());
        if missing == 0 {
            return;
        }
        match &mut self.0 {
            Builder::Bool(b) => b.append_nulls(missing),
            Builder::Int(b) => b.append_nulls(missing),
            Builder::Time(b) => b.append_nulls(missing),
            Builder::Repeating(b) => b.nulls(missing),
            Builder::Text(b) => b.append_nulls(missing),
            Builder::Bytes(b) => b.append_nulls(missing),
            Builder::List(b) => b.append_nulls(missing),
            Builder::Map(b) => {
                for _ in 0..missing {
                    // Cannot fail: keys and values are always appended in pairs.
                    _ = b.append(false);
                }
            }
        }
    }

    pub(super) fn time(&mut self, t: Timestamp) {
        match &mut self.0 {
            Builder::Time(b) => b.append_value(t.nanos()),
            _ => _ = self.mismatch(),
        }
    }

    pub(super) fn ip(&mut self, ip: IpAddr) -> usize {
        match &mut self.0 {
            Builder::Repeating(b) => b.append_ip(ip),
            _ => self.mismatch(),
        }
    }

    pub(super) fn set(&mut self, value: ValueRef<'_>) -> usize {
        match (&mut self.0, value) {
            (Builder::Bool(b), ValueRef::Bool(v)) => {
                b.append_value(v);
                0
            }
            (Builder::Int(b), ValueRef::Int(v)) => {
                b.append_value(v);
                0
            }
            (Builder::Repeating(b), ValueRef::Text(v)) => b.append(&text(v)),
            (Builder::Text(b), ValueRef::Text(v)) => {
                b.append_value(text(v));
                v.len()
            }
            (Builder::Bytes(b), ValueRef::Text(v)) => {
                b.append_value(v);
                v.len()
            }
            (Builder::List(b), ValueRef::List(items)) => {
                for item in items {
                    b.values().append_value(text(item));
                }
                b.append(true);
                items.iter().map(|item| item.len() + 4).sum()
            }
            (Builder::Map(b), ValueRef::Map(pairs)) => append_map(b, pairs),
            _ => self.mismatch(),
        }
    }

    /// A dissector gave a value of another type than the catalogue says: the field stays absent.
    fn mismatch(&mut self) -> usize {
        debug_assert!(false, "a value does not have the type of its field");
        0
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match &mut self.0 {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Int(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
            Builder::Repeating(b) => b.finish()?,
            Builder::Text(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::List(b) => Arc::new(b.finish()),
            Builder::Map(b) => Arc::new(b.finish()),
        })
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    // `from_utf8` looks at eight bytes of ASCII at a time, `from_utf8_lossy` at one.
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Appends pairs, a repeated key once with its values joined; the bytes added.
fn append_map(b: &mut MapBuilder<StringBuilder, StringBuilder>, pairs: &[(&[u8], &[u8])]) -> usize {
    let mut growth = 8;
    let repeats = may_repeat(pairs);
    for (i, &(key, value)) in pairs.iter().enumerate() {
        if repeats && pairs[..i].iter().any(|&(k, _)| k == key) {
            continue;
        }
        b.keys().append_value(text(key));
        growth += key.len() + value.len() + 8;
        let mut joined = text(value);
        if repeats {
            // RFC 9110 section 5.3; Cookie has a separator of its own (RFC 9113 section 8.2.3).
            let separator = if key == b"cookie" { "; " } else { ", " };
            for &(_, more) in pairs[i + 1..].iter().filter(|&&(k, _)| k == key) {
                let whole = joined.to_mut();
                whole.push_str(separator);
                whole.push_str(&text(more));
                growth += more.len() + separator.len();
            }
        }
        b.values().append_value(joined);
    }
    // Cannot fail: keys and values were appended in pairs.
    _ = b.append(true);
    growth
}

/// False when no key can occur twice. Looks at a few bits of each key, so that the usual header
/// block is judged without comparing every name with every other.
fn may_repeat(pairs: &[(&[u8], &[u8])]) -> bool {
    let mut seen = 0u128;
    pairs.iter().any(|(key, _)| {
        let bytes = [
            key.len(),
            usize::from(key.first().copied().unwrap_or(0)),
            usize::from(key.last().copied().unwrap_or(0)),
        ];
        let bit = 1u128 << ((bytes[0] * 31 + bytes[1] * 7 + bytes[2]) % 128);
        let taken = seen & bit != 0;
        seen |= bit;
        taken
    })
}
