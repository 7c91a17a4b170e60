//! What a call keeps of an answer.

use std::io::Write as _;

use crate::json::Json;

/// Bytes kept of a line.
const MAX_LINE: usize = 1 << 10;

/// An answer, read as far as it has come. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Its first word, or the name of its status.
    pub(super) status: Vec<u8>,
    /// Its first line, where that is all of it.
    pub(super) line: Vec<u8>,
    /// Values and items by name.
    pub(super) json: Json,
    pub(super) failed: bool,
    pub(super) client_error: bool,
    /// Values returned, and their bytes.
    pub(super) hits: i64,
    pub(super) size: Option<i64>,
    pub(super) flags: Option<i64>,
    pub(super) cas: Option<i64>,
    /// Operation and number that the binary protocol repeats.
    pub(super) binary: bool,
    pub(super) opcode: u8,
    pub(super) opaque: u32,
    /// Key and opaque token that a meta command repeats.
    pub(super) key: Vec<u8>,
    pub(super) token: Vec<u8>,
    /// The value being read, its name, and its bytes that were left out.
    value: Vec<u8>,
    name: Vec<u8>,
    left_out: u64,
    pub(super) cut: u64,
    /// Its values are secret.
    pub(super) secret: bool,
}

impl Answer {
    /// Begins an answer of which `budget` bytes are shown.
    pub(super) fn begin(&mut self, budget: usize) {
        for text in [
            &mut self.status,
            &mut self.line,
            &mut self.key,
            &mut self.token,
            &mut self.value,
            &mut self.name,
        ] {
            crate::sql::reuse(text);
        }
        self.json.begin(budget);
        self.json.open(b'{');
        (self.failed, self.client_error, self.hits, self.secret) = (false, false, 0, false);
        (self.size, self.flags, self.cas) = (None, None, None);
        (self.opcode, self.opaque, self.left_out, self.cut) = (0, 0, 0, 0);
        self.binary = false;
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        keep(&mut self.line, line);
    }

    pub(super) fn status(&mut self, word: &[u8]) {
        keep(&mut self.status, word);
    }

    /// What a meta command repeats.
    pub(super) fn meta(&mut self, word: &[u8]) {
        let Some((name, value)) = word.split_first() else { return };
        match name {
            b'k' => keep(&mut self.key, value),
            b'O' => keep(&mut self.token, value),
            b'f' => self.flags = super::line::signed(value),
            b'c' => self.cas = super::line::signed(value),
            _ => {}
        }
    }

    /// A value begins.
    pub(super) fn begin_value(&mut self, name: &[u8], len: u64) {
        keep(&mut self.name, name);
        crate::sql::reuse(&mut self.value);
        self.left_out = 0;
        self.hits += 1;
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        self.size = Some(self.size.unwrap_or(0).saturating_add(len));
    }

    /// The next bytes of it.
    pub(super) fn piece(&mut self, bytes: &[u8]) {
        // Behind a hole nothing is kept, lest what stands on both sides of it is read as one.
        let n = if self.left_out > 0 { 0 } else { bytes.len().min(self.room()) };
        self.value.extend_from_slice(bytes.get(..n).unwrap_or_default());
        self.left_out += (bytes.len() - n) as u64;
    }

    /// How many more bytes of the value are kept.
    pub(super) fn room(&self) -> usize {
        if self.secret { 0 } else { self.json.room().saturating_sub(self.value.len()) }
    }

    /// So many bytes of it are not looked at.
    pub(super) fn pass(&mut self, n: u64) {
        self.left_out = self.left_out.saturating_add(n);
    }

    /// The value ends.
    pub(super) fn end_value(&mut self) {
        if self.name.is_empty() {
            // Of one value without a key: the value alone.
            let budget = self.json.room() + self.json.text().len();
            self.json.begin(budget);
        } else {
            self.json.key(&self.name);
        }
        if self.secret {
            self.json.string(b"***");
        } else {
            self.json.bytes(&self.value, self.left_out == 0);
            self.cut = self.cut.saturating_add(self.left_out);
        }
    }

    /// A text begins that is no value.
    pub(super) fn begin_text(&mut self) {
        self.line.clear();
    }

    /// The next bytes of it. False when no more is wanted.
    pub(super) fn text(&mut self, piece: &[u8], max: usize) -> bool {
        let n = if self.secret { 0 } else { piece.len().min(max.saturating_sub(self.line.len())) };
        self.line.extend_from_slice(piece.get(..n).unwrap_or_default());
        !self.secret && self.line.len() < max
    }

    /// The text is a number of 64 bits.
    pub(super) fn number(&mut self) {
        let Some(n) = self.line.first_chunk::<8>().map(|b| u64::from_be_bytes(*b)) else { return };
        self.line.clear();
        // Writing to a vector does not fail.
        let _ = write!(self.line, "{n}");
    }

    /// One of several lines.
    pub(super) fn item(&mut self, name: &[u8], value: &[u8]) {
        self.json.key(name);
        self.json.string(value);
    }

    /// The answer ends.
    pub(super) fn finish(&mut self) {
        self.json.close_to(0);
        self.cut = self.cut.saturating_add(self.json.cut());
    }

    /// Values and items, if there are any.
    pub(super) fn body(&self) -> Option<&[u8]> {
        Some(self.json.text()).filter(|t| t.len() > 2)
    }

    pub(super) fn memory(&self) -> usize {
        let texts = [&self.status, &self.line, &self.key, &self.token, &self.value, &self.name];
        texts.iter().map(|t| t.capacity()).sum::<usize>() + self.json.memory()
    }
}

/// Replaces a text.
pub(super) fn keep(to: &mut Vec<u8>, text: &[u8]) {
    to.clear();
    to.extend_from_slice(text.get(..MAX_LINE).unwrap_or(text));
}
