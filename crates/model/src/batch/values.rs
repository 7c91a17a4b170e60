//! Values in Arrow's own layout, in vectors that are filled without going through a builder.
//!
//! A row has some thirty values, so that what one value costs decides what a row costs. Text is not
//! checked when it is appended but when the array is made: one pass over all of a column's text
//! costs a fraction of a call for each value.

use arrow::array::{BooleanArray, BooleanBufferBuilder, NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

/// What a vector is given at once after a flush: as much as it held, and an eighth.
fn hint(len: usize) -> usize {
    len + len / 8
}

/// Fixed-size values and which of them are absent.
pub(super) struct Fixed<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
    hint: usize,
}

impl<T: arrow::datatypes::ArrowNativeType> Fixed<T> {
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), nulls: NullBufferBuilder::new(0), hint: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, value: T) {
        if self.values.is_empty() {
            self.values.reserve(self.hint);
        }
        self.values.push(value);
        self.nulls.append_non_null();
    }

    pub(super) fn pad(&mut self, n: usize) {
        self.values.resize(self.values.len() + n, T::default());
        self.nulls.append_n_nulls(n);
    }

    pub(super) fn take(&mut self) -> (ScalarBuffer<T>, Option<NullBuffer>) {
        let values = std::mem::take(&mut self.values);
        self.hint = hint(values.len());
        (values.into(), self.nulls.finish())
    }
}

/// Truth values.
pub(super) struct Bools {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

impl Bools {
    pub(super) fn new() -> Self {
        Self { values: BooleanBufferBuilder::new(0), nulls: NullBufferBuilder::new(0) }
    }

    pub(super) fn push(&mut self, value: bool) {
        self.values.append(value);
        self.nulls.append_non_null();
    }

    pub(super) fn pad(&mut self, n: usize) {
        self.values.append_n(n, false);
        self.nulls.append_n_nulls(n);
    }

    pub(super) fn finish(&mut self) -> BooleanArray {
        BooleanArray::new(self.values.finish(), self.nulls.finish())
    }
}

/// Where each value of variable length ends, and which of them are absent.
pub(super) struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    hint: usize,
}

impl Ends {
    pub(super) fn new() -> Self {
        Self { offsets: vec![0], nulls: NullBufferBuilder::new(0), hint: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, end: usize) {
        if self.offsets.len() == 1 {
            self.offsets.reserve(self.hint);
        }
        // Whoever appends has seen that there is room.
        self.offsets.push(i32::try_from(end).unwrap_or(i32::MAX));
        self.nulls.append_non_null();
    }

    pub(super) fn pad(&mut self, n: usize) {
        let last = self.offsets.last().copied().unwrap_or(0);
        self.offsets.resize(self.offsets.len() + n, last);
        self.nulls.append_n_nulls(n);
    }

    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        self.hint = hint(offsets.len());
        (OffsetBuffer::new(offsets.into()), self.nulls.finish())
    }
}

/// Texts or byte strings, one behind the other.
pub(super) struct Bytes {
    bytes: Vec<u8>,
    ends: Ends,
    hint: usize,
}

impl Bytes {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), ends: Ends::new(), hint: 0 }
    }

    /// True when `len` more bytes can be told apart by offsets of 31 bits. Batches are handed over
    /// long before.
    #[inline]
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.bytes.len().saturating_add(len) <= i32::MAX as usize
    }

    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.extend(value);
        self.end();
    }

    /// A part of a value that [`end`](Self::end) ends.
    #[inline]
    pub(super) fn extend(&mut self, part: &[u8]) {
        if self.bytes.is_empty() {
            self.bytes.reserve(self.hint);
        }
        self.bytes.extend_from_slice(part);
    }

    #[inline]
    pub(super) fn end(&mut self) {
        self.ends.push(self.bytes.len());
    }

    pub(super) fn pad(&mut self, n: usize) {
        self.ends.pad(n);
    }

    /// The value at `i`.
    #[inline]
    pub(super) fn get(&self, i: usize) -> &[u8] {
        match self.ends.offsets.get(i..i.saturating_add(2)) {
            Some(&[from, to]) => self.bytes.get(from as usize..to as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    pub(super) fn take(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        let bytes = std::mem::take(&mut self.bytes);
        self.hint = hint(bytes.len());
        let (offsets, nulls) = self.ends.take();
        (offsets, bytes.into(), nulls)
    }

    /// The values as text; what is not UTF-8 in them is replaced.
    pub(super) fn take_text(&mut self) -> StringArray {
        let (offsets, bytes, nulls) = self.take();
        match StringArray::try_new(offsets.clone(), bytes.clone(), nulls.clone()) {
            Ok(text) => text,
            Err(_) => {
                let value = |w: &[i32]| bytes.get(w[0] as usize..w[1] as usize).unwrap_or_default();
                let each = offsets.windows(2).map(value).map(String::from_utf8_lossy);
                let is_valid = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
                each.enumerate().map(|(i, text)| is_valid(i).then_some(text)).collect()
            }
        }
    }
}
