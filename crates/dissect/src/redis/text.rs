//! How arguments are written and read on a command line.

use std::io::Write as _;

/// Appends an argument the way redis-cli prints one: bare when it is a plain word, else in
/// quotation marks with escapes.
pub(super) fn write_argument(arg: &[u8], out: &mut Vec<u8>) {
    if is_plain(arg) {
        out.extend(arg);
        return;
    }
    out.push(b'"');
    for &b in arg {
        match b {
            b'\\' | b'"' => out.extend([b'\\', b]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            0x20..=0x7e => out.push(b),
            _ => drop(write!(out, "\\x{b:02x}")),
        }
    }
    out.push(b'"');
}

/// True when an argument needs no quotation marks.
pub(super) fn is_plain(arg: &[u8]) -> bool {
    !arg.is_empty() && arg.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\".contains(b))
}

/// Splits an inline command into arguments by the rules of Redis (`sdssplitargs`): words between
/// white space, `"..."` with escapes, `'...'` in which only `\'` is one. Hands `each` a `None` for
/// each argument and then its bytes. False when quotation marks do not match.
pub(super) fn split(line: &[u8], mut each: impl FnMut(Option<u8>)) -> bool {
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return true;
        }
        each(None);
        match word(rest, &mut each) {
            Some(after) => rest = after,
            None => return false,
        }
    }
}

/// Reads one argument; returns what follows it.
fn word<'a>(mut rest: &'a [u8], each: &mut impl FnMut(Option<u8>)) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return Some(rest),
            [b, after @ ..] if b.is_ascii_whitespace() => return Some(after),
            [q @ (b'"' | b'\''), after @ ..] => {
                rest = quoted(*q, after, each)?;
                if !rest.first().is_none_or(u8::is_ascii_whitespace) {
                    return None;
                }
            }
            [b, after @ ..] => {
                each(Some(*b));
                rest = after;
            }
        }
    }
}

/// Reads up to the closing quotation mark; returns what follows it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], each: &mut impl FnMut(Option<u8>)) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [] => return None,
            [b, after @ ..] if *b == quote => return Some(after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => {
                each(Some(b'\''));
                after
            }
            [b'\\', b'x', h, l, after @ ..]
                if quote == b'"' && h.is_ascii_hexdigit() && l.is_ascii_hexdigit() =>
            {
                let digit = |d: u8| (d as char).to_digit(16).unwrap_or(0) as u8;
                each(Some(digit(*h) << 4 | digit(*l)));
                after
            }
            [b'\\', b, after @ ..] if quote == b'"' => {
                each(Some(match b {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                }));
                after
            }
            [b, after @ ..] => {
                each(Some(*b));
                after
            }
        };
    }
}

/// The longest beginning of at most `max` bytes that does not end inside a UTF-8 character.
pub(super) fn cut(text: &[u8], max: usize) -> &[u8] {
    if text.len() <= max {
        return text;
    }
    let continues = |i: &usize| text.get(*i).is_some_and(|b| b & 0xc0 == 0x80);
    // A character has at most 4 bytes; what is no UTF-8 is cut where it stands.
    let end = (max.saturating_sub(3)..=max).rev().find(|i| !continues(i)).unwrap_or(max);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(arg: &[u8]) -> String {
        let mut out = Vec::new();
        write_argument(arg, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn args(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut args = Vec::new();
        split(line, |b| match b {
            None => args.push(Vec::new()),
            Some(b) => args.last_mut().unwrap().push(b),
        })
        .then_some(args)
    }

    #[test]
    fn quoting() {
        assert_eq!(shown(b"a:1{x}"), "a:1{x}");
        assert_eq!(shown(b""), r#""""#);
        assert_eq!(shown(b"a b"), r#""a b""#);
        assert_eq!(shown(b"it's"), r#""it's""#);
        assert_eq!(shown(b"\"\\\n\r\t\x07\x08\x00\xff"), r#""\"\\\n\r\t\a\b\x00\xff""#);
    }

    #[test]
    fn what_was_quoted_reads_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(args(shown(&all).as_bytes()), Some(vec![all]));
    }

    #[test]
    fn splitting() {
        let expected = ["SET", "a", "b ' c", "dAz"].map(|a| a.as_bytes().to_vec());
        assert_eq!(args(b"  SET  a 'b \\' c' \"d\\x41\\z\" "), Some(expected.to_vec()));
        assert_eq!(args(b"a\"b\""), Some(vec![b"ab".to_vec()]));
        assert_eq!(args(b"\"\""), Some(vec![b"".to_vec()]));
        assert_eq!(args(b" "), Some(vec![]));
        for bad in [&b"\"a"[..], b"'a", b"\"a\"b", b"\"a\\"] {
            assert_eq!(args(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(cut("aü".as_bytes(), 2), b"a");
        assert_eq!(cut("aü".as_bytes(), 3), "aü".as_bytes());
        assert_eq!(cut(b"abc", 2), b"ab");
        assert_eq!(cut(&[0x80; 10], 5), &[0x80; 5]);
    }
}
