//! Entries and changes as text (LDIF, RFC 2849), without secrets.

use super::names::{self, HIDDEN};

/// A text of lines that stops at a limit.
#[derive(Debug, Default)]
pub(super) struct Ldif {
    text: Vec<u8>,
    /// Bytes that were left out.
    pub(super) cut: u64,
}

impl Ldif {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cut = 0;
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
    }

    /// A line that is no attribute.
    pub(super) fn line(&mut self, line: &[u8], limit: usize) {
        self.add(line, limit);
        self.add(b"\n", limit);
    }

    /// `name: value`, in base64 where the value is not text.
    pub(super) fn attribute(&mut self, name: &[u8], value: &[u8], limit: usize) {
        self.add(name, limit);
        if names::is_secret(name) {
            self.add(b": ", limit);
            self.add(HIDDEN, limit);
        } else if is_plain(value) {
            self.add(b": ", limit);
            self.add(value, limit);
        } else {
            self.add(b":: ", limit);
            self.base64(value, limit);
        }
        self.add(b"\n", limit);
    }

    fn add(&mut self, text: &[u8], limit: usize) {
        let room = limit.saturating_sub(self.text.len());
        let taken = text.get(..room).unwrap_or(text);
        self.text.extend_from_slice(taken);
        self.cut += (text.len() - taken.len()) as u64;
    }

    fn base64(&mut self, value: &[u8], limit: usize) {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for chunk in value.chunks(3) {
            if self.text.len() >= limit {
                self.cut += chunk.len() as u64;
                continue;
            }
            let bits = (0..3).fold(0, |n, i| n << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
            let mut four = [b'='; 4];
            for (i, digit) in four.iter_mut().enumerate().take(chunk.len() + 1) {
                let index = (bits >> (18 - 6 * i) & 63) as usize;
                *digit = DIGITS.get(index).copied().unwrap_or(b'=');
            }
            self.add(&four, limit);
        }
    }
}

/// True for text that can stand in a line as it is. Unlike RFC 2849, UTF-8 can: it is what people
/// search for.
fn is_plain(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|v| {
        !v.starts_with([' ', ':', '<']) && !v.ends_with(' ') && !v.contains(|c: char| c.is_control())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let mut ldif = Ldif::default();
        ldif.attribute(b"cn", "Müller".as_bytes(), 1_000);
        ldif.attribute(b"cn", b"", 1_000);
        ldif.attribute(b"USERPASSWORD", b"geheim", 1_000);
        ldif.attribute(b"objectGUID;binary", &[0, 1, 2, 0xff], 1_000);
        ldif.attribute(b"d", b" x", 1_000);
        ldif.attribute(b"d", b"x\ny", 1_000);
        let expected =
            "cn: Müller\ncn: \nUSERPASSWORD: ***\nobjectGUID;binary:: AAEC/w==\nd:: IHg=\nd:: eAp5\n";
        assert_eq!(String::from_utf8(ldif.text().to_vec()).unwrap(), expected);
        assert_eq!(ldif.cut, 0);
    }

    #[test]
    fn the_limit_holds() {
        let mut ldif = Ldif::default();
        ldif.attribute(b"cn", b"0123456789", 8);
        ldif.attribute(b"x", &[0; 100], 8);
        assert_eq!(ldif.text(), b"cn: 0123");
        assert_eq!(ldif.cut, 7 + 4 + 100 + 1);
    }
}
