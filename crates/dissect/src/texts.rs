//! Texts that are made for one call and do not lie in its bytes.

use remora_model::Span;

use crate::json::Value;

/// Longest text of a name, an identifier or an error.
pub(crate) const SHORT: usize = 1 << 10;
/// Texts of a list that are kept.
pub(crate) const LISTED: usize = 16;

/// Room for them, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
}

/// A few of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listed {
    spans: [Span; LISTED],
    len: usize,
}

impl Texts {
    /// The bytes of a text.
    pub(crate) fn at(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// Adds a JSON value: a string without its escapes, anything else as it is written.
    pub(crate) fn value(&mut self, value: Value<'_>, max: usize) -> Span {
        self.add(|out| value.write(out, max))
    }

    /// Adds bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8], max: usize) -> Span {
        self.add(|out| out.extend_from_slice(bytes.get(..max).unwrap_or(bytes)))
    }

    /// Adds what `make` appends.
    pub(crate) fn add(&mut self, make: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.bytes.len();
        make(&mut self.bytes);
        // Bodies, and with them these texts, are far below 4 GiB.
        Span { start: start as u32, len: self.bytes.len().saturating_sub(start) as u32 }
    }

    /// Bytes that they have.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets those added since there were `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Listed {
    /// Adds one, if there is room and it is not there yet; says whether it did.
    pub(crate) fn push(&mut self, span: Span, texts: &Texts) -> bool {
        let text = texts.at(span);
        let there = self.spans.iter().take(self.len).any(|s| texts.at(*s) == text);
        match self.spans.get_mut(self.len) {
            Some(slot) if !there && !text.is_empty() => {
                *slot = span;
                self.len += 1;
                true
            }
            _ => false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Calls `each` with every one.
    pub(crate) fn each(&self, mut each: impl FnMut(Span)) {
        self.spans.iter().take(self.len).for_each(|s| each(*s));
    }

    /// The texts, in `room`.
    pub(crate) fn show<'a, 'r>(&self, texts: &'a Texts, room: &'r mut [&'a [u8]; LISTED]) -> &'r [&'a [u8]] {
        for (slot, span) in room.iter_mut().zip(&self.spans) {
            *slot = texts.at(*span);
        }
        room.get(..self.len).unwrap_or_default()
    }
}
