//! One column on its way to an array.

use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, ListArray, MapArray, StructArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, FieldRef, Fields};
use arrow::error::ArrowError;

use super::dictionary::DictionaryColumn;
use super::values::{Bools, Bytes, Ends, Fixed};
use crate::{Timestamp, ValueRef};

enum Kind {
    Bool(Bools),
    Int(Fixed<i64>),
    Time(Fixed<i64>),
    Repeating(DictionaryColumn),
    Text(Bytes),
    Bytes(Bytes),
    List(List),
    Map(Box<Map>),
}

struct List {
    item: FieldRef,
    items: Bytes,
    count: usize,
    ends: Ends,
}

struct Map {
    entries: FieldRef,
    fields: Fields,
    keys: Bytes,
    values: Bytes,
    count: usize,
    ends: Ends,
}

/// A column of whichever type. What appends a value returns the bytes that it added beyond the
/// column's fixed part.
pub(super) struct Column {
    len: usize,
    kind: Kind,
}

impl Column {
    pub(super) fn new(ty: &DataType) -> Self {
        let kind = match ty {
            DataType::Boolean => Kind::Bool(Bools::new()),
            DataType::Int64 => Kind::Int(Fixed::new()),
            DataType::Timestamp(..) => Kind::Time(Fixed::new()),
            DataType::Dictionary(..) => Kind::Repeating(DictionaryColumn::new()),
            DataType::Binary => Kind::Bytes(Bytes::new()),
            DataType::List(item) => {
                Kind::List(List { item: Arc::clone(item), items: Bytes::new(), count: 0, ends: Ends::new() })
            }
            DataType::Map(entries, _) => Kind::Map(Box::new(Map {
                entries: Arc::clone(entries),
                fields: match entries.data_type() {
                    DataType::Struct(fields) => fields.clone(),
                    _ => Fields::empty(),
                },
                keys: Bytes::new(),
                values: Bytes::new(),
                count: 0,
                ends: Ends::new(),
            })),
            _ => Kind::Text(Bytes::new()),
        };
        Self { len: 0, kind }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends nulls until there are `rows` values.
    #[inline]
    pub(super) fn pad(&mut self, rows: usize) {
        if self.len < rows {
            self.nulls(rows - self.len);
            self.len = rows;
        }
    }

    #[cold]
    fn nulls(&mut self, n: usize) {
        match &mut self.kind {
            Kind::Bool(c) => c.pad(n),
            Kind::Int(c) | Kind::Time(c) => c.pad(n),
            Kind::Repeating(c) => c.nulls(n),
            Kind::Text(c) | Kind::Bytes(c) => c.pad(n),
            Kind::List(c) => c.ends.pad(n),
            Kind::Map(c) => c.ends.pad(n),
        }
    }

    pub(super) fn time(&mut self, t: Timestamp) {
        match &mut self.kind {
            Kind::Time(c) => {
                c.push(t.nanos());
                self.len += 1;
            }
            _ => _ = self.mismatch(),
        }
    }

    pub(super) fn ip(&mut self, ip: IpAddr) -> usize {
        match &mut self.kind {
            Kind::Repeating(c) => {
                self.len += 1;
                c.append_ip(ip)
            }
            _ => self.mismatch(),
        }
    }

    #[inline]
    pub(super) fn int(&mut self, v: i64) -> usize {
        match &mut self.kind {
            Kind::Int(c) => {
                c.push(v);
                self.len += 1;
                0
            }
            _ => self.mismatch(),
        }
    }

    /// A text that stays where it is for as long as the program runs.
    #[inline]
    pub(super) fn name(&mut self, text: &'static str) -> usize {
        match &mut self.kind {
            Kind::Repeating(c) => {
                self.len += 1;
                c.append_name(text)
            }
            _ => self.set(ValueRef::str(text)),
        }
    }

    pub(super) fn set(&mut self, value: ValueRef<'_>) -> usize {
        let growth = match (&mut self.kind, value) {
            (Kind::Int(c) | Kind::Time(c), ValueRef::Int(v)) => {
                c.push(v);
                0
            }
            (Kind::Repeating(c), ValueRef::Text(v)) => c.append(v),
            (Kind::Text(c) | Kind::Bytes(c), ValueRef::Text(v)) if c.has_room(v.len()) => {
                c.push(v);
                v.len()
            }
            (Kind::Bool(c), ValueRef::Bool(v)) => {
                c.push(v);
                0
            }
            (Kind::List(c), ValueRef::List(items)) if c.items.has_room(bytes_in(items)) => c.append(items),
            (Kind::Map(c), ValueRef::Pairs(pairs)) if c.has_room(pairs.iter()) => c.append(pairs.iter()),
            (Kind::Map(c), ValueRef::Map(pairs)) if c.has_room(pairs.iter().copied()) => {
                c.append(pairs.iter().copied())
            }
            _ => return self.mismatch(),
        };
        self.len += 1;
        growth
    }

    /// A dissector gave a value of another type than the catalogue says, or more than 2 GiB have
    /// gathered in one column: the field stays absent.
    #[cold]
    fn mismatch(&mut self) -> usize {
        debug_assert!(false, "a value that does not fit its column");
        0
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.len = 0;
        Ok(match &mut self.kind {
            Kind::Bool(c) => Arc::new(c.finish()),
            Kind::Int(c) => {
                let (values, nulls) = c.take();
                Arc::new(Int64Array::try_new(values, nulls)?)
            }
            Kind::Time(c) => {
                let (values, nulls) = c.take();
                Arc::new(TimestampNanosecondArray::try_new(values, nulls)?)
            }
            Kind::Repeating(c) => c.finish()?,
            Kind::Text(c) => Arc::new(c.take_text()),
            Kind::Bytes(c) => {
                let (offsets, bytes, nulls) = c.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
            Kind::List(c) => {
                c.count = 0;
                let (offsets, nulls) = c.ends.take();
                let items = Arc::new(c.items.take_text());
                Arc::new(ListArray::try_new(Arc::clone(&c.item), offsets, items, nulls)?)
            }
            Kind::Map(c) => {
                c.count = 0;
                let (offsets, nulls) = c.ends.take();
                let columns: Vec<ArrayRef> =
                    vec![Arc::new(c.keys.take_text()), Arc::new(c.values.take_text())];
                let entries = StructArray::try_new(c.fields.clone(), columns, None)?;
                Arc::new(MapArray::try_new(Arc::clone(&c.entries), offsets, entries, nulls, false)?)
            }
        })
    }
}

fn bytes_in(items: &[&[u8]]) -> usize {
    items.iter().map(|item| item.len()).sum()
}

impl List {
    fn append(&mut self, items: &[&[u8]]) -> usize {
        for item in items {
            self.items.push(item);
        }
        self.count += items.len();
        self.ends.push(self.count);
        bytes_in(items) + 4 * items.len()
    }
}

impl Map {
    fn has_room<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
        // Values of keys that repeat are joined by two bytes.
        let (keys, values) =
            pairs.fold((0, 0), |(keys, values), (k, v)| (keys + k.len(), values + v.len() + 2));
        self.keys.has_room(keys) && self.values.has_room(values)
    }

    /// Appends pairs, a repeated key once with its values joined; the bytes added.
    fn append<'a>(&mut self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> usize {
        let mut growth = 8;
        let repeats = may_repeat(pairs.clone());
        for (i, (key, value)) in pairs.clone().enumerate() {
            if repeats && pairs.clone().take(i).any(|(k, _)| k == key) {
                continue;
            }
            self.keys.push(key);
            self.values.extend(value);
            growth += key.len() + value.len() + 8;
            if repeats {
                // RFC 9110 section 5.3; Cookie has a separator of its own (RFC 9113 section 8.2.3).
                let separator: &[u8] = if key == b"cookie" { b"; " } else { b", " };
                for (_, more) in pairs.clone().skip(i + 1).filter(|(k, _)| *k == key) {
                    self.values.extend(separator);
                    self.values.extend(more);
                    growth += more.len() + separator.len();
                }
            }
            self.values.end();
            self.count += 1;
        }
        self.ends.push(self.count);
        growth
    }
}

/// False when no key can occur twice. Looks at a few bits of each key, so that the usual header
/// block is judged without comparing every name with every other.
fn may_repeat<'a>(mut pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> bool {
    let mut seen = 0u128;
    pairs.any(|(key, _)| {
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
