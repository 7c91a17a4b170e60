//! What a server answers: a code, and text in one or several lines (RFC 5321, section 4.2).

/// A reply of which every line is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply<'a> {
    pub(super) code: u16,
    /// All lines.
    bytes: &'a [u8],
}

/// What the bytes at the beginning of a reply are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front<'a> {
    /// Its last line is not there yet.
    More,
    /// No reply.
    Bad,
    /// A reply of that many bytes.
    Whole(Reply<'a>, usize),
}

/// Reads the first reply.
pub(super) fn front(bytes: &[u8]) -> Front<'_> {
    let mut at = 0;
    let mut first = None;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let line = match memchr::memchr(b'\n', rest) {
            Some(end) => rest.get(..=end).unwrap_or_default(),
            None if begins(rest) => return Front::More,
            None => return Front::Bad,
        };
        let Some((code, last)) = code(line) else { return Front::Bad };
        if *first.get_or_insert(code) != code {
            return Front::Bad;
        }
        at += line.len();
        if last {
            return Front::Whole(Reply { code, bytes: bytes.get(..at).unwrap_or_default() }, at);
        }
    }
}

/// True when a line may begin so.
fn begins(line: &[u8]) -> bool {
    let digits = line.iter().take(3).all(u8::is_ascii_digit);
    digits
        && matches!(line.first(), None | Some(b'2'..=b'5'))
        && matches!(line.get(3), None | Some(b' ' | b'-' | b'\r'))
}

/// The code of a line, and whether it is the last one.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let ([a @ b'2'..=b'5', b, c], rest) = line.split_first_chunk()? else { return None };
    if !b.is_ascii_digit() || !c.is_ascii_digit() {
        return None;
    }
    let code = [a, b, c].iter().fold(0, |n, d| n * 10 + u16::from(*d - b'0'));
    match rest.first()? {
        b'-' => Some((code, false)),
        b' ' | b'\r' | b'\n' => Some((code, true)),
        _ => None,
    }
}

impl<'a> Reply<'a> {
    /// The text of each line, without code and enhanced status.
    pub(super) fn lines(self) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.bytes.split_inclusive(|b| *b == b'\n');
        lines.map(|line| {
            let text = line.get(4..).unwrap_or_default().trim_ascii_end();
            match status(text) {
                Some((_, rest)) => rest,
                None => text,
            }
        })
    }

    /// The enhanced status code (RFC 2034).
    pub(super) fn status(self) -> Option<&'a [u8]> {
        status(self.bytes.get(4..)?).map(|s| s.0)
    }
}

/// `2.1.0` and what follows it.
fn status(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|b| !b.is_ascii_digit() && *b != b'.').unwrap_or(text.len());
    let (status, rest) = text.split_at(end);
    let mut parts = status.split(|b| *b == b'.');
    let class = parts.next()?;
    let short = |part: Option<&[u8]>| part.is_some_and(|p| (1..=3).contains(&p.len()));
    let fits = matches!(class, b"2" | b"4" | b"5")
        && short(parts.next())
        && short(parts.next())
        && parts.next().is_none()
        && rest.first().is_none_or(u8::is_ascii_whitespace);
    fits.then_some((status, rest.trim_ascii_start()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn replies() {
        let Front::Whole(reply, 16) = front(b"250 2.1.0 fine\r\n250 next") else { panic!() };
        assert_eq!((reply.code, reply.status()), (250, Some(&b"2.1.0"[..])));
        assert_eq!(reply.lines().collect::<Vec<_>>(), [b"fine"]);
        let all = b"250-mail.example\r\n250-SIZE 1000\r\n250 8BITMIME\r\n";
        let Front::Whole(reply, n) = front(all) else { panic!() };
        assert_eq!((reply.code, reply.status(), n), (250, None, all.len()));
        assert_eq!(reply.lines().collect::<Vec<_>>(), [&b"mail.example"[..], b"SIZE 1000", b"8BITMIME"]);
        for part in 0..all.len() {
            assert_eq!(front(&all[..part]), Front::More, "{part}");
        }
        for bad in [&b"HELO"[..], b"150 x\r\n", b"250-a\r\n251 b\r\n", b"25x a\r\n", b"250_\r\n", b"2\n"] {
            assert_eq!(front(bad), Front::Bad, "{bad:?}");
        }
        assert!(matches!(front(b"354\r\n"), Front::Whole(Reply { code: 354, .. }, 5)));
    }

    #[test]
    fn statuses() {
        assert_eq!(status(b"5.7.1"), Some((&b"5.7.1"[..], &b""[..])));
        for none in [&b"1.2.3 x"[..], b"2.1 x", b"2.1.0.4 x", b"2.1.0x", b"2.1000.1 x"] {
            assert_eq!(status(none), None);
        }
    }
}
