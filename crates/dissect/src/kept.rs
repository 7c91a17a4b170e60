//! Texts of a message: kept up to a limit, one behind the other.

use remora_model::Span;

/// Texts, each of which is a part of one buffer.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    all: Vec<u8>,
    /// Bytes that were left out.
    pub(crate) cut: u64,
}

impl Kept {
    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.cut = 0;
    }

    pub(crate) fn get(&self, span: Span) -> &[u8] {
        span.of(&self.all)
    }

    pub(crate) fn memory(&self) -> usize {
        self.all.capacity()
    }

    /// Keeps a text, as far as `limit` bytes for all of them go.
    pub(crate) fn keep(&mut self, text: &[u8], limit: usize) -> Span {
        let start = self.all.len();
        self.add(text, limit);
        self.since(start)
    }

    /// Where the next text begins.
    pub(crate) fn here(&self) -> usize {
        self.all.len()
    }

    /// Appends to the text that began last.
    pub(crate) fn add(&mut self, text: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.all.len());
        let taken = text.get(..room).unwrap_or(text);
        self.all.extend_from_slice(taken);
        self.cut += (text.len() - taken.len()) as u64;
    }

    /// The text from `start` on.
    pub(crate) fn since(&self, start: usize) -> Span {
        let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { start: narrow(start), len: narrow(self.all.len().saturating_sub(start)) }
    }
}
