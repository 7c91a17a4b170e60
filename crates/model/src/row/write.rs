//! Rows of one batch as text, many of them: what [`to_json`](super::to_json) says, without making
//! a value of each cell.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int64Array, ListArray, MapArray, RecordBatch,
    StringArray, TimestampNanosecondArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimeUnit, TimestampNanosecondType};

use crate::Timestamp;

/// A batch whose rows are written.
pub struct Rows<'a> {
    columns: Vec<Column<'a>>,
    clock: Clock,
}

struct Column<'a> {
    /// Its place in the batch.
    index: usize,
    /// Its name as the key of a JSON object, colon included.
    key: Vec<u8>,
    array: &'a dyn Array,
    cells: Cells<'a>,
}

enum Cells<'a> {
    Bool(&'a BooleanArray),
    Int(&'a Int64Array),
    Time(&'a TimestampNanosecondArray),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Repeating { keys: &'a ScalarBuffer<i32>, values: &'a StringArray, quoted: Quoted },
    List(&'a ListArray, &'a StringArray),
    Map(&'a MapArray, &'a StringArray, &'a StringArray),
    Other,
}

impl<'a> Rows<'a> {
    /// The rows of `batch`.
    pub fn new(batch: &'a RecordBatch) -> Self {
        let each = batch.schema_ref().fields().iter().zip(batch.columns()).enumerate();
        // Most columns of a batch have no value at all.
        let present = each.filter(|(_, (_, column))| column.null_count() < column.len());
        let column = |(index, (field, array)): (usize, (&arrow::datatypes::FieldRef, &'a ArrayRef))| {
            let mut key = Vec::new();
            quote(field.name().as_bytes(), &mut key);
            key.push(b':');
            Column { index, key, array: array.as_ref(), cells: Cells::of(array) }
        };
        Self { columns: present.map(column).collect(), clock: Clock::default() }
    }

    /// Appends a row as a JSON object, absent fields left out.
    pub fn json(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for column in &self.columns {
            if !column.has(row) {
                continue;
            }
            if !std::mem::replace(&mut first, false) {
                out.push(b',');
            }
            out.extend_from_slice(&column.key);
            column.json(row, out, &mut self.clock);
        }
        out.push(b'}');
    }

    /// Where the column that is the `index`th of the batch stands, for [`plain`](Self::plain).
    /// `None` when it has no values.
    pub fn find(&self, index: usize) -> Option<usize> {
        self.columns.iter().position(|c| c.index == index)
    }

    /// Appends a value without JSON's quotation marks, the items of a list with commas between
    /// them; nothing where it is absent.
    pub fn plain(&mut self, column: usize, row: usize, out: &mut Vec<u8>) {
        let Some(column) = self.columns.get(column).filter(|c| c.has(row)) else { return };
        match &column.cells {
            Cells::Time(c) => self.clock.write(c.value(row), out),
            Cells::Text(c) => out.extend_from_slice(c.value(row).as_bytes()),
            Cells::Bytes(c) if std::str::from_utf8(c.value(row)).is_ok() => {
                out.extend_from_slice(c.value(row));
            }
            Cells::Bytes(_) => column.unquoted(row, out),
            Cells::Repeating { keys, values, .. } => {
                if let Some(key) = key_at(keys, values, row) {
                    out.extend_from_slice(values.value(key).as_bytes());
                }
            }
            Cells::List(list, items) => {
                for (n, i) in range(list.value_offsets(), row).enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(items.value(i).as_bytes());
                }
            }
            Cells::Other => column.unquoted(row, out),
            Cells::Bool(_) | Cells::Int(_) | Cells::Map(..) => column.json(row, out, &mut self.clock),
        }
    }
}

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Self::Time(array.as_primitive::<TimestampNanosecondType>())
            }
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::Dictionary(key, _) if **key == DataType::Int32 => {
                let dictionary = array.as_dictionary::<Int32Type>();
                match dictionary.values().as_string_opt::<i32>() {
                    // A slice of a dictionary that is much larger is not worth preparing.
                    Some(values) if values.null_count() == 0 && values.len() <= 2 * array.len() => {
                        let keys = dictionary.keys().values();
                        Self::Repeating { keys, values, quoted: Quoted::new(values) }
                    }
                    _ => Self::Other,
                }
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                match list.values().as_string_opt::<i32>() {
                    Some(items) if items.null_count() == 0 => Self::List(list, items),
                    _ => Self::Other,
                }
            }
            DataType::Map(..) => {
                let map = array.as_map();
                match (map.keys().as_string_opt::<i32>(), map.values().as_string_opt::<i32>()) {
                    (Some(keys), Some(values)) if keys.null_count() + values.null_count() == 0 => {
                        Self::Map(map, keys, values)
                    }
                    _ => Self::Other,
                }
            }
            _ => Self::Other,
        }
    }
}

impl Column<'_> {
    fn has(&self, row: usize) -> bool {
        row < self.array.len() && self.array.is_valid(row)
    }

    fn json(&self, row: usize, out: &mut Vec<u8>, clock: &mut Clock) {
        match &self.cells {
            Cells::Bool(c) => out.extend_from_slice(if c.value(row) { b"true" } else { b"false" }),
            Cells::Int(c) => integer(c.value(row), out),
            Cells::Time(c) => {
                out.push(b'"');
                clock.write(c.value(row), out);
                out.push(b'"');
            }
            Cells::Text(c) => quote(c.value(row).as_bytes(), out),
            Cells::Bytes(c) if std::str::from_utf8(c.value(row)).is_ok() => quote(c.value(row), out),
            Cells::Repeating { keys, values, quoted } => match key_at(keys, values, row) {
                Some(key) => out.extend_from_slice(quoted.get(key)),
                None => out.extend_from_slice(b"null"),
            },
            Cells::List(list, items) => {
                out.push(b'[');
                for (n, i) in range(list.value_offsets(), row).enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    quote(items.value(i).as_bytes(), out);
                }
                out.push(b']');
            }
            Cells::Map(map, keys, values) => {
                out.push(b'{');
                for (n, i) in range(map.value_offsets(), row).enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    quote(keys.value(i).as_bytes(), out);
                    out.push(b':');
                    quote(values.value(i).as_bytes(), out);
                }
                out.push(b'}');
            }
            Cells::Bytes(_) | Cells::Other => match super::value(self.array, row) {
                Some(value) => out.extend_from_slice(value.to_string().as_bytes()),
                None => out.extend_from_slice(b"null"),
            },
        }
    }

    /// A rare value, without quotation marks if it is text.
    fn unquoted(&self, row: usize, out: &mut Vec<u8>) {
        match super::value(self.array, row) {
            Some(serde_json::Value::String(text)) => out.extend_from_slice(text.as_bytes()),
            Some(value) => out.extend_from_slice(value.to_string().as_bytes()),
            None => {}
        }
    }
}

/// The values of a dictionary as JSON strings, made once.
struct Quoted {
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl Quoted {
    fn new(values: &StringArray) -> Self {
        let (mut text, mut ends) = (Vec::new(), vec![0]);
        for value in values.iter() {
            quote(value.unwrap_or_default().as_bytes(), &mut text);
            ends.push(text.len());
        }
        Self { text, ends }
    }

    fn get(&self, i: usize) -> &[u8] {
        match self.ends.get(i..i + 2) {
            Some(&[from, to]) => self.text.get(from..to).unwrap_or_default(),
            _ => b"null",
        }
    }
}

fn key_at(keys: &ScalarBuffer<i32>, values: &StringArray, row: usize) -> Option<usize> {
    keys.get(row).and_then(|&key| usize::try_from(key).ok()).filter(|&key| key < values.len())
}

/// Which items belong to a row.
fn range(offsets: &[i32], row: usize) -> std::ops::Range<usize> {
    match offsets.get(row..row + 2) {
        Some(&[from, to]) => from as usize..to as usize,
        _ => 0..0,
    }
}

/// Appends text as a JSON string (RFC 8259, section 7).
fn quote(text: &[u8], out: &mut Vec<u8>) {
    let special = |b: u8| (b < 0x20) | (b == b'"') | (b == b'\\');
    out.push(b'"');
    for chunk in text.chunks(32) {
        // Without a way out, so that the bytes of a piece are looked at in one step.
        if !chunk.iter().fold(false, |any, &b| any | special(b)) {
            out.extend_from_slice(chunk);
            continue;
        }
        for &b in chunk {
            match b {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0x08 => out.extend_from_slice(b"\\b"),
                0x0c => out.extend_from_slice(b"\\f"),
                b if special(b) => {
                    let digit = |n: u8| b"0123456789abcdef"[usize::from(n & 15)];
                    out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(b >> 4), digit(b)]);
                }
                b => out.push(b),
            }
        }
    }
    out.push(b'"');
}

fn integer(n: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let (mut at, mut left) = (digits.len(), n.unsigned_abs());
    while at > 0 {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if n < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes instants, most of which lie in the same second as the one before.
#[derive(Default)]
struct Clock {
    second: i64,
    /// `2026-11-21T04:40:49`; empty at first.
    text: String,
}

impl Clock {
    fn write(&mut self, nanos: i64, out: &mut Vec<u8>) {
        const SECOND: i64 = 1_000_000_000;
        let (second, rest) = (nanos.div_euclid(SECOND), nanos.rem_euclid(SECOND));
        if self.text.is_empty() || self.second != second {
            let whole = Timestamp(nanos).to_rfc3339();
            let Some((text, _)) = whole.split_once('.') else {
                out.extend_from_slice(whole.as_bytes());
                return;
            };
            self.second = second;
            text.clone_into(&mut self.text);
        }
        out.extend_from_slice(self.text.as_bytes());
        let mut fraction = *b".000000000Z";
        let mut left = rest;
        for digit in fraction[1..10].iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        out.extend_from_slice(&fraction);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::batch::tests::call;
    use crate::{BatchSet, CallId, Protocol, Sides, ValueRef, field, row};

    /// What is written is what `serde_json` makes of the same row, with values of every kind.
    #[test]
    fn rows_are_those_of_to_json() {
        let texts: [&[u8]; 7] = [
            b"GET",
            b"",
            b"a\"b\\c\n\r\t\x08\x0c\x01\x1f\x7f",
            "\u{fc}\u{2028}".as_bytes(),
            b"\xff\xfe",
            b"0123456789012345678901234567890\"",
            b"01234567890123456789012345678901234567890123456789",
        ];
        let mut set = BatchSet::new("n\"1");
        let times = [0, -1, 1_732_164_049_000_000_001, 1_732_164_049_999_999_999, i64::MAX, i64::MIN, 7];
        for (i, text) in texts.into_iter().enumerate() {
            let headers = [(&b"a"[..], text), (&b"b\""[..], b"x")];
            let fields = [
                (field::METHOD, ValueRef::Text(text)),
                (field::URL, ValueRef::Text(text)),
                (field::REQUEST_BODY, ValueRef::Text(text)),
                (field::REQUEST_BODY_TRUNCATED, ValueRef::Bool(i % 2 == 0)),
                (field::REQUEST_HEADERS, ValueRef::Map(&headers)),
                (field::STATUS_CODE, ValueRef::Int([0, -1, 200, i64::MAX, i64::MIN, 9, 10][i])),
            ];
            let mut made = call(Protocol::Http, if i == 1 { &[] } else { &fields });
            made.ts = Timestamp(times[i]);
            set.call(CallId(i as i64), &made, &Sides::default());
            let items = [text, b"second"];
            let fields = [(field::DNS_QUESTIONS, ValueRef::List(if i == 2 { &[] } else { &items }))];
            set.call(CallId(i as i64), &call(Protocol::Dns, &fields), &Sides::default());
        }
        for batch in set.take().unwrap().into_iter().map(|b| b.batch) {
            let sliced = batch.slice(1, batch.num_rows() - 1);
            for batch in [batch, sliced] {
                let mut rows = Rows::new(&batch);
                for i in 0..batch.num_rows() {
                    let mut line = Vec::new();
                    rows.json(i, &mut line);
                    let expected = serde_json::to_string(&row::to_json(&batch, i)).unwrap();
                    assert_eq!(String::from_utf8(line).unwrap(), expected);
                    for (n, column) in batch.columns().iter().enumerate() {
                        let mut plain = Vec::new();
                        if let Some(n) = rows.find(n) {
                            rows.plain(n, i, &mut plain);
                        }
                        let expected = match row::value(column, i) {
                            None => String::new(),
                            Some(serde_json::Value::String(text)) => text,
                            Some(serde_json::Value::Array(items)) => {
                                items.iter().map(|i| i.as_str().unwrap()).collect::<Vec<_>>().join(",")
                            }
                            Some(other) => other.to_string(),
                        };
                        assert_eq!(String::from_utf8(plain).unwrap(), expected);
                    }
                }
            }
        }
    }
}
