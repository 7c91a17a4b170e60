//! Messages as JSON, up to a limit.

use std::io::Write as _;

/// JSON that is being written. What does not fit is counted and left out, so that the text then
/// stops in the middle.
#[derive(Debug, Default)]
pub(crate) struct Json {
    text: Vec<u8>,
    limit: usize,
    /// Bytes that did not fit.
    cut: u64,
    /// A value stands in front of the next one.
    comma: bool,
    /// What ends the structures and arrays that are open.
    open: Vec<u8>,
}

impl Json {
    /// A new text of at most `limit` bytes.
    pub(crate) fn begin(&mut self, limit: usize) {
        self.text.clear();
        self.open.clear();
        (self.limit, self.cut, self.comma) = (limit, 0, false);
    }

    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(crate) fn cut(&self) -> u64 {
        self.cut
    }

    /// Bytes that still fit.
    pub(crate) fn room(&self) -> usize {
        if self.cut > 0 { 0 } else { self.limit.saturating_sub(self.text.len()) }
    }

    pub(crate) fn memory(&self) -> usize {
        self.text.capacity() + self.open.capacity()
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        if bytes.len() <= self.room() {
            self.text.extend_from_slice(bytes);
        } else {
            self.push_some(bytes);
        }
    }

    /// Pushes what fits. Characters stay whole.
    #[cold]
    fn push_some(&mut self, bytes: &[u8]) {
        let room = (0..=self.room()).rev().find(|&n| bytes.get(n).is_none_or(|b| b & 0xc0 != 0x80));
        let (kept, lost) = bytes.split_at(room.unwrap_or(0).min(bytes.len()));
        self.text.extend_from_slice(kept);
        self.cut += lost.len() as u64;
    }

    fn separate(&mut self) {
        if std::mem::replace(&mut self.comma, true) {
            self.push(b",");
        }
    }

    /// A structure or array begins: `{` or `[`.
    pub(crate) fn open(&mut self, bracket: u8) {
        self.separate();
        self.push(&[bracket]);
        // `{` and `}`, `[` and `]` are two apart.
        self.open.push(bracket + 2);
        self.comma = false;
    }

    /// The innermost one ends.
    pub(crate) fn close(&mut self) {
        if let Some(bracket) = self.open.pop() {
            self.push(&[bracket]);
            self.comma = true;
        }
    }

    /// How many are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Ends them until so many are open.
    pub(crate) fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            self.close();
        }
    }

    /// Name of the next value; nothing where there is none, as in an array.
    pub(crate) fn name(&mut self, name: &str) {
        if !name.is_empty() {
            self.separate();
            self.push(b"\"");
            self.push(name.as_bytes());
            self.push(b"\":");
            self.comma = false;
        }
    }

    /// Name of the next value, as it came over the wire.
    pub(crate) fn key(&mut self, name: &[u8]) {
        self.string(name);
        self.push(b":");
        self.comma = false;
    }

    /// `null`, `true`, `false`.
    pub(crate) fn word(&mut self, word: &str) {
        self.separate();
        self.push(word.as_bytes());
    }

    pub(crate) fn int(&mut self, n: i64) {
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
        self.separate();
        if n < 0 {
            self.push(b"-");
        }
        self.push(&digits[at..]);
    }

    pub(crate) fn float(&mut self, n: f64) {
        // JSON has no infinities.
        let text = if n.is_finite() { n.to_string() } else { "null".to_owned() };
        self.word(&text);
    }

    /// A finite number, with a decimal point or an exponent.
    pub(crate) fn double(&mut self, n: f64) {
        // The longest is -2.2250738585072014e-308.
        let mut buf = [0; 32];
        let mut rest = &mut buf[..];
        let written = write!(rest, "{n:?}");
        let len = 32 - rest.len();
        match buf.get(..len) {
            Some(text) if written.is_ok() && n.is_finite() => {
                self.separate();
                self.push(text);
            }
            _ => self.word("null"),
        }
    }

    /// Bytes as text in base64 (RFC 4648).
    pub(crate) fn base64(&mut self, bytes: &[u8]) {
        self.separate();
        self.push(b"\"");
        self.base64_digits(bytes);
        self.push(b"\"");
    }

    fn base64_digits(&mut self, bytes: &[u8]) {
        for group in bytes.chunks(3) {
            if self.room() == 0 {
                self.cut += group.len() as u64;
                continue;
            }
            let (text, n) = base64(group, b'+', b'/');
            self.push(&text[..n]);
            self.push(&b"=="[..4 - n]);
        }
    }

    /// Text, invalid UTF-8 replaced.
    pub(crate) fn string(&mut self, text: &[u8]) {
        self.separate();
        self.push(b"\"");
        if let Ok(text) = std::str::from_utf8(text) {
            self.escape(text);
        } else {
            for chunk in text.utf8_chunks() {
                self.escape(chunk.valid());
                if !chunk.invalid().is_empty() {
                    self.push("\u{fffd}".as_bytes());
                }
            }
        }
        self.push(b"\"");
    }

    fn escape(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        loop {
            let plain = rest.iter().position(|&b| ESCAPED[usize::from(b)]).unwrap_or(rest.len());
            let (front, behind) = rest.split_at(plain);
            self.push(front);
            let Some((&b, behind)) = behind.split_first() else { return };
            rest = behind;
            match b {
                b'"' => self.push(b"\\\""),
                b'\\' => self.push(b"\\\\"),
                b'\n' => self.push(b"\\n"),
                b'\r' => self.push(b"\\r"),
                b'\t' => self.push(b"\\t"),
                _ => self.push(&[b'\\', b'u', b'0', b'0', hex(b >> 4), hex(b & 15)]),
            }
        }
    }

    /// Bytes: text where they are UTF-8, and else a `data:` URL in base64 (RFC 2397), as rows show
    /// them. `whole` is false where the end is missing, which may then cut a character.
    pub(crate) fn bytes(&mut self, bytes: &[u8], whole: bool) {
        match std::str::from_utf8(bytes) {
            Ok(_) => self.string(bytes),
            Err(e) if !whole && e.error_len().is_none() => {
                self.string(bytes.get(..e.valid_up_to()).unwrap_or_default());
            }
            Err(_) => {
                self.separate();
                self.push(b"\"data:;base64,");
                self.base64_digits(bytes);
                self.push(b"\"");
            }
        }
    }
}

/// Bytes that do not stand in a string as they are (RFC 8259, section 7).
static ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = true;
        control += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

/// Up to three bytes in base64 (RFC 4648), without padding.
fn base64(group: &[u8], c62: u8, c63: u8) -> ([u8; 4], usize) {
    let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
    let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
    let digit = |shift: u32| match (bits >> shift & 63) as u8 {
        n @ 0..26 => b'A' + n,
        n @ 26..52 => b'a' + n - 26,
        n @ 52..62 => b'0' + n - 52,
        62 => c62,
        _ => c63,
    };
    ([digit(18), digit(12), digit(6), digit(0)], group.len().min(3) + 1)
}

/// An id as Kafka writes it: base64 for URLs.
pub(crate) fn uuid(id: &[u8; 16]) -> [u8; 22] {
    let mut text = [0; 22];
    for (group, out) in id.chunks(3).zip(text.chunks_mut(4)) {
        let (digits, n) = base64(group, b'-', b'_');
        out.copy_from_slice(&digits[..n]);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn written(limit: usize, write: impl Fn(&mut Json)) -> (String, u64) {
        let mut json = Json::default();
        json.begin(limit);
        write(&mut json);
        (String::from_utf8(json.text().to_vec()).unwrap(), json.cut())
    }

    fn everything(j: &mut Json) {
        j.open(b'{');
        j.name("a");
        j.int(-12);
        j.name("b");
        j.open(b'[');
        j.int(0);
        j.int(i64::MIN);
        j.string("q\"\\\n\u{1}é".as_bytes());
        j.string(b"\xff");
        j.close();
        j.name("c");
        j.word("null");
        j.name("d");
        j.bytes(b"\xff\x00\x01\x02", true);
        j.name("e");
        j.bytes("aé".as_bytes().get(..2).unwrap(), false);
        j.name("f");
        j.float(1.5);
        j.close();
    }

    #[test]
    fn values_and_structures() {
        let (text, cut) = written(1000, everything);
        assert_eq!(
            text,
            "{\"a\":-12,\"b\":[0,-9223372036854775808,\"q\\\"\\\\\\n\\u0001é\",\"\u{fffd}\"],\"c\":null,\
             \"d\":\"data:;base64,/wABAg==\",\"e\":\"a\",\"f\":1.5}"
        );
        assert_eq!(cut, 0);
        let _: serde_json::Value = serde_json::from_str(&text).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_rest_is_a_prefix() {
        let (whole, _) = written(1000, everything);
        for limit in 0..whole.len() {
            let (text, cut) = written(limit, everything);
            assert!(whole.starts_with(&text) && text.len() <= limit, "{limit}: {text}");
            assert!(cut > 0, "{limit}");
        }
    }

    #[test]
    fn ids_are_as_kafka_writes_them() {
        assert_eq!(&uuid(&[0; 16]), b"AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(&uuid(&[0xff; 16]), b"_____________________w");
    }
}
