//! Where a page ended.

use std::fmt;
use std::str::FromStr;

use remora_model::Timestamp;

use crate::Error;

/// Where a page ended: opaque to users, who hand it back as they got it.
///
/// It is bound to its query (filter and order), carries the window of the first page, and names a
/// row by time and id, so that rows which arrive in between do not shift the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Hash of the query.
    pub(crate) query: u64,
    /// The instant that `now()` stood for.
    pub(crate) as_of: i64,
    /// First instant of the window, `i64::MIN` for an open one.
    pub(crate) from: i64,
    /// Instant after the window.
    pub(crate) until: i64,
    /// Time of the last row shown.
    pub(crate) ts: i64,
    /// Its id.
    pub(crate) id: i64,
}

/// Version of the encoding.
const VERSION: u8 = 1;

impl Cursor {
    /// What `now()` stood for in the first page's filter: compile the filter with it again.
    pub const fn as_of(&self) -> Timestamp {
        Timestamp(self.as_of)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.query.to_be_bytes());
        for v in [self.as_of, self.from, self.until, self.ts, self.id] {
            out.extend(v.to_be_bytes());
        }
        let sum = fnv(&out);
        out.extend(&sum.to_be_bytes()[..4]);
        out
    }
}

/// FNV-1a, 64 bits: guards against cursors that were cut or mistyped and names queries. It must
/// not change between runs, which the hashers of the standard library do not promise.
pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        const LEN: usize = 1 + 8 * 6 + 4;
        const BAD: Error = Error::BadCursor("it is not a cursor that this store gave out");
        if text.len() != LEN * 2 || !text.is_ascii() {
            return Err(BAD);
        }
        let mut bytes = Vec::with_capacity(LEN);
        for i in (0..text.len()).step_by(2) {
            let pair = text.get(i..i + 2).ok_or(BAD)?;
            bytes.push(u8::from_str_radix(pair, 16).map_err(|_| BAD)?);
        }
        let word = |i: usize| {
            let start = 1 + i * 8;
            let b: [u8; 8] = bytes.get(start..start + 8).and_then(|b| b.try_into().ok()).unwrap_or_default();
            i64::from_be_bytes(b)
        };
        let cursor = Self {
            query: u64::from_be_bytes(word(0).to_be_bytes()),
            as_of: word(1),
            from: word(2),
            until: word(3),
            ts: word(4),
            id: word(5),
        };
        // The check sum also covers the version and letters that `from_str_radix` takes but we
        // never write, such as a sign.
        if cursor.bytes() == bytes && cursor.to_string() == text { Ok(cursor) } else { Err(BAD) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_text_and_damage_is_noticed() {
        let c = Cursor { query: 7, as_of: -1, from: i64::MIN, until: i64::MAX, ts: 5, id: 1 << 52 };
        let text = c.to_string();
        assert_eq!(text.parse::<Cursor>().unwrap(), c);
        for i in 0..text.len() {
            let mut t = text.clone().into_bytes();
            t[i] = if t[i] == b'0' { b'1' } else { b'0' };
            assert!(String::from_utf8(t).unwrap().parse::<Cursor>().is_err(), "{i}");
        }
        for bad in ["", "zz", "é", &text[1..], &format!("{text}00")] {
            assert!(bad.parse::<Cursor>().is_err());
        }
    }
}
