//! Texts of one message, one behind the other in one buffer.

use remora_model::Span;

/// Pairs of text kept of one message, such as its headers.
pub(crate) const MAX_PAIRS: usize = 256;

/// Key and value of something, in an [`Arena`].
pub(crate) type Pair = [Span; 2];

/// Texts that are being collected, up to a limit. What does not fit is counted.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    text: Vec<u8>,
    limit: usize,
    cut: u64,
}

impl Arena {
    /// A new collection of at most `limit` bytes.
    pub(crate) fn begin(&mut self, limit: usize) {
        self.text.clear();
        // Spans have 32 bits.
        (self.limit, self.cut) = (limit.min(u32::MAX as usize), 0);
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The text of a span, unless it is empty.
    pub(crate) fn get(&self, span: Span) -> Option<&[u8]> {
        Some(span.of(&self.text)).filter(|t| !t.is_empty())
    }

    /// Bytes that did not fit.
    pub(crate) fn cut(&self) -> u64 {
        self.cut
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        self.limit.saturating_sub(self.text.len())
    }

    pub(crate) fn memory(&self) -> usize {
        self.text.capacity()
    }

    /// Adds to the text that ends here.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let kept = bytes.get(..bytes.len().min(self.room())).unwrap_or_default();
        self.text.extend_from_slice(kept);
        self.cut += (bytes.len() - kept.len()) as u64;
    }

    /// Adds a number in decimal digits.
    pub(crate) fn push_int(&mut self, n: i64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut left = n.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if n < 0 {
            self.push(b"-");
        }
        self.push(&digits[at..]);
    }

    /// Adds text as a string of JSON; invalid UTF-8 is replaced.
    pub(crate) fn push_json(&mut self, text: &[u8]) {
        self.push(b"\"");
        for chunk in text.utf8_chunks() {
            for c in chunk.valid().bytes() {
                match c {
                    b'"' | b'\\' => self.push(&[b'\\', c]),
                    b'\n' => self.push(b"\\n"),
                    b'\r' => self.push(b"\\r"),
                    b'\t' => self.push(b"\\t"),
                    0..0x20 => self.push(&[b'\\', b'u', b'0', b'0', hex(c >> 4), hex(c & 15)]),
                    _ => self.push(&[c]),
                }
            }
            if !chunk.invalid().is_empty() {
                self.push("\u{fffd}".as_bytes());
            }
        }
        self.push(b"\"");
    }

    /// Where the next text begins.
    pub(crate) fn mark(&self) -> usize {
        self.text.len()
    }

    /// What was added since `mark`.
    pub(crate) fn since(&self, mark: usize) -> Span {
        let len = self.text.len().saturating_sub(mark);
        // Both fit because of the limit.
        Span { start: mark as u32, len: len as u32 }
    }

    /// Adds a whole text.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Span {
        let mark = self.mark();
        self.push(bytes);
        self.since(mark)
    }
}

/// Adds a pair of texts to `pairs`, unless there are too many; says whether it was added.
pub(crate) fn add_pair(arena: &mut Arena, pairs: &mut Vec<Pair>, key: &[u8], value: &[u8]) -> bool {
    let room = pairs.len() < MAX_PAIRS;
    if room {
        let pair = [arena.add(key), arena.add(value)];
        pairs.push(pair);
    }
    room
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut a = Arena::default();
        a.begin(8);
        let (one, two) = (a.add(b"hello"), a.add(b"world"));
        assert_eq!((one.of(a.text()), two.of(a.text())), (&b"hello"[..], &b"wor"[..]));
        assert_eq!((a.cut(), a.room()), (2, 0));
        assert_eq!(a.get(a.since(8)), None);
    }

    #[test]
    fn numbers_and_strings() {
        let mut a = Arena::default();
        a.begin(100);
        a.push_int(i64::MIN);
        a.push(b" ");
        a.push_int(0);
        a.push(b" ");
        a.push_json(b"a\"\\\n\x01\xffz");
        assert_eq!(a.text(), "-9223372036854775808 0 \"a\\\"\\\\\\n\\u0001\u{fffd}z\"".as_bytes());
    }
}
