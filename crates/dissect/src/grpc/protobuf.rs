//! Protobuf messages as text without their schema.
//!
//! The text is that of `protoc --decode_raw` on one line: field numbers, strings in quotation
//! marks, nested messages in braces, 32-bit and 64-bit values in hexadecimal with 8 and 16 digits.
//! The wire does not tell a string from a nested message. Printable text is taken for a string,
//! unless it begins as the message does that it also is.

use std::io::Write as _;

use super::wire::{MAX_DEPTH, Value, field, is_message};

/// Text without control characters other than white space.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')))
}

/// Appends the text of a message to `out`, up to a length of `max`. `cut` says that the message
/// goes on behind `bytes`. False when the text is not the whole message.
pub(super) fn render(bytes: &[u8], cut: bool, out: &mut Vec<u8>, max: usize) -> bool {
    let from = out.len();
    if cut || is_message(bytes) {
        fields(bytes, 0, out, max);
    } else if is_text(bytes) {
        out.extend_from_slice(bytes);
    } else {
        quoted(bytes, out, max);
    }
    clip(out, from, max) && !cut
}

/// Cuts what was appended behind `from` at a length of `max`. True when nothing had to be cut.
pub(super) fn clip(out: &mut Vec<u8>, from: usize, max: usize) -> bool {
    if out.len() <= max {
        return true;
    }
    let mut end = max.max(from);
    // Not in the middle of a character.
    while end > from && out.get(end).is_some_and(|b| b & 0xc0 == 0x80) {
        end -= 1;
    }
    out.truncate(end);
    false
}

fn fields(bytes: &[u8], depth: usize, out: &mut Vec<u8>, max: usize) {
    let (mut rest, mut first, mut open) = (bytes, true, 0_usize);
    while let Some((number, value)) = field(&mut rest) {
        if out.len() > max {
            return;
        }
        if matches!(value, Value::EndGroup) {
            if open > 0 {
                open -= 1;
                out.extend_from_slice(b" }");
            }
            continue;
        }
        if !first {
            out.push(b' ');
        }
        first = false;
        // Writing to a vector cannot fail.
        _ = write!(out, "{number}");
        match value {
            Value::Varint(n) => _ = write!(out, ": {n}"),
            Value::Fixed64(n) => _ = write!(out, ": 0x{n:016x}"),
            Value::Fixed32(n) => _ = write!(out, ": 0x{n:08x}"),
            Value::StartGroup => {
                open += 1;
                out.extend_from_slice(b" {");
            }
            Value::EndGroup => {}
            Value::CutBytes(inner) => {
                out.extend_from_slice(b": ");
                quoted(inner, out, max);
            }
            Value::Bytes(inner) => {
                let control = inner.first().is_some_and(|b| *b < b' ');
                let nested = !inner.is_empty()
                    && depth + open < MAX_DEPTH
                    && (control || !is_text(inner))
                    && is_message(inner);
                if nested {
                    out.extend_from_slice(b" { ");
                    fields(inner, depth + open + 1, out, max);
                    out.extend_from_slice(b" }");
                } else {
                    out.extend_from_slice(b": ");
                    quoted(inner, out, max);
                }
            }
        }
    }
    for _ in 0..open {
        out.extend_from_slice(b" }");
    }
}

/// A string in quotation marks: UTF-8 as it is, control characters and what is no text escaped.
fn quoted(bytes: &[u8], out: &mut Vec<u8>, max: usize) {
    out.push(b'"');
    let text = is_text(bytes);
    let plain = |b: u8| matches!(b, b' '..=b'~' if b != b'"' && b != b'\\') || (b >= 0x80 && text);
    let mut rest = bytes;
    while out.len() <= max {
        // What stands as it is goes in one piece, of which no more is copied than is kept.
        let most = rest.len().min((max - out.len()).saturating_add(1));
        let run = rest[..most].iter().position(|&b| !plain(b)).unwrap_or(most);
        out.extend_from_slice(&rest[..run]);
        rest = &rest[run..];
        let Some((&b, behind)) = rest.split_first() else { break };
        if run == most {
            continue;
        }
        rest = behind;
        match b {
            b'"' | b'\\' => out.extend([b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => out.extend([b'\\', b'0' + (b >> 6), b'0' + (b >> 3 & 7), b'0' + (b & 7)]),
        }
    }
    if out.len() > max {
        return;
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        assert!(render(bytes, false, &mut out, 1 << 16));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn every_wire_type_is_shown() {
        assert_eq!(text(b"\x0a\x05world"), r#"1: "world""#);
        assert_eq!(text(b"\x08\x96\x01"), "1: 150");
        assert_eq!(text(b"\x0d\0\0\x80\x3f\x11\0\0\0\0\0\0\xf0\x3f"), "1: 0x3f800000 2: 0x3ff0000000000000");
        assert_eq!(text(b"\x1a\x03\x08\x96\x01\x22\0"), r#"3 { 1: 150 } 4: """#);
        assert_eq!(text(b"\x0b\x10\x05\x0c\x18\x01"), "1 { 2: 5 } 3: 1");
        assert_eq!(text(b"\x0a\x03\xff\x00a"), r#"1: "\377\000a""#);
        assert_eq!(text("\x0a\x03\u{20ac}".as_bytes()), "1: \"\u{20ac}\"");
        assert_eq!(text(b"\x0a\x04a\"\\\n"), r#"1: "a\"\\\n""#);
        assert_eq!(text(b""), "");
    }

    #[test]
    fn text_that_could_be_a_message_is_text_unless_it_begins_like_one() {
        // `"\x02hi`: field 4, but its tag is printable and so is the rest but for the length.
        assert_eq!(text(b"\x0a\x04\x0a\x02hi"), r#"1 { 1: "hi" }"#);
        assert_eq!(text(b"\x0a\x02(!"), r#"1: "(!""#);
        assert_eq!(text(b"\x0a\x01\n"), r#"1: "\n""#);
    }

    #[test]
    fn what_is_no_message_is_shown_as_it_is() {
        assert_eq!(text(b"{\"a\":1}"), "{\"a\":1}");
        assert_eq!(text(b"\x00\x01"), r#""\000\001""#);
        assert_eq!(text(b"\x0c"), r#""\014""#);
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let mut deep = b"\x08\x01".to_vec();
        for _ in 0..200 {
            let mut outer = vec![0x0a];
            let mut len = deep.len();
            while len > 0x7f {
                outer.push(len as u8 | 0x80);
                len >>= 7;
            }
            outer.push(len as u8);
            outer.extend(deep);
            deep = outer;
        }
        assert_eq!(text(&deep).matches('{').count(), MAX_DEPTH);
        let groups = [b"\x0b".repeat(100), b"\x0c".repeat(100)].concat();
        assert!(text(&groups).starts_with('"'));
        let mut out = Vec::new();
        assert!(!render(b"\x0a\x05world", false, &mut out, 4));
        assert_eq!(out, b"1: \"");
        out.clear();
        assert!(!render("\x0a\x03\u{20ac}".as_bytes(), false, &mut out, 5));
        assert_eq!(out, b"1: \"");
        out.clear();
        assert!(!render(b"\x08\x01\x12\x7fabc", true, &mut out, 100));
        assert_eq!(out, br#"1: 1 2: "abc""#);
    }
}
