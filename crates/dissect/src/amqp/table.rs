//! Field tables (AMQP 0-9-1, section 4.2.5.5) with the types that RabbitMQ and its clients write,
//! which differ from the specification's in some letters.

use crate::messaging::{Arena, MAX_PAIRS, Pair, Reader};

/// Tables and arrays inside one another that are read.
const MAX_DEPTH: usize = 16;

/// Reads a table into pairs of text: text as it is, everything nested as JSON. `None`: it is not a
/// table. Says how many entries there was no room for.
pub(super) fn read(bytes: &[u8], arena: &mut Arena, pairs: &mut Vec<Pair>) -> Option<u64> {
    let mut r = Reader::new(bytes);
    let mut left_out = 0;
    while !r.is_empty() {
        let key = r.short()?;
        let kind = r.u8()?;
        if pairs.len() < MAX_PAIRS {
            let key = arena.add(key);
            let mark = arena.mark();
            match kind {
                b'S' | b'x' => arena.push(r.long()?),
                _ => value(kind, &mut r, arena, 0)?,
            }
            pairs.push([key, arena.since(mark)]);
        } else {
            skip(kind, &mut r)?;
            left_out += 1;
        }
    }
    Some(left_out)
}

/// True when the bytes are a table as far as they go. Nested ones are not looked into.
pub(super) fn is_table(bytes: &[u8]) -> bool {
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let fits = r.short().is_some_and(|key| std::str::from_utf8(key).is_ok());
        if !fits || r.u8().and_then(|kind| skip(kind, &mut r)).is_none() {
            return false;
        }
    }
    true
}

/// The text under `key`.
pub(super) fn text<'a>(bytes: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut r = Reader::new(bytes);
    while !r.is_empty() {
        let (name, kind) = (r.short()?, r.u8()?);
        if name == key && kind == b'S' {
            return r.long();
        }
        skip(kind, &mut r)?;
    }
    None
}

/// Bytes of values whose size is fixed.
fn fixed(kind: u8) -> Option<usize> {
    Some(match kind {
        b't' | b'b' | b'B' => 1,
        b's' | b'u' | b'U' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'L' | b'l' | b'd' | b'T' => 8,
        b'V' => 0,
        _ => return None,
    })
}

fn skip(kind: u8, r: &mut Reader<'_>) -> Option<()> {
    match (fixed(kind), kind) {
        (Some(n), _) => r.take(n).map(drop),
        (None, b'S' | b'x' | b'F' | b'A') => r.long().map(drop),
        _ => None,
    }
}

/// Writes one value: text and what is nested as JSON.
fn value(kind: u8, r: &mut Reader<'_>, out: &mut Arena, depth: usize) -> Option<()> {
    match kind {
        b't' => out.push(if r.u8()? == 0 { b"false" } else { b"true" }),
        b'b' => out.push_int(i64::from(i8::from_be_bytes(r.array()?))),
        b'B' => out.push_int(i64::from(r.u8()?)),
        b's' | b'U' => out.push_int(i64::from(i16::from_be_bytes(r.array()?))),
        b'u' => out.push_int(i64::from(r.u16()?)),
        b'I' => out.push_int(i64::from(i32::from_be_bytes(r.array()?))),
        b'i' => out.push_int(i64::from(r.u32()?)),
        b'L' | b'l' => out.push_int(i64::from_be_bytes(r.array()?)),
        // Seconds since 1970.
        b'T' => out.push_int(i64::try_from(r.u64()?).unwrap_or(i64::MAX)),
        b'f' => float(f64::from(f32::from_be_bytes(r.array()?)), out),
        b'd' => float(f64::from_be_bytes(r.array()?), out),
        b'D' => decimal(r.u8()?, i32::from_be_bytes(r.array()?), out),
        b'V' => out.push(b"null"),
        b'S' | b'x' => out.push_json(r.long()?),
        b'F' | b'A' => {
            let inside = r.long()?;
            if depth >= MAX_DEPTH {
                out.push(b"null");
            } else if kind == b'F' {
                table(inside, out, depth + 1)?;
            } else {
                array(inside, out, depth + 1)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn table(bytes: &[u8], out: &mut Arena, depth: usize) -> Option<()> {
    let mut r = Reader::new(bytes);
    out.push(b"{");
    while !r.is_empty() {
        if r.rest().len() < bytes.len() {
            out.push(b",");
        }
        out.push_json(r.short()?);
        out.push(b":");
        let kind = r.u8()?;
        value(kind, &mut r, out, depth)?;
    }
    out.push(b"}");
    Some(())
}

fn array(bytes: &[u8], out: &mut Arena, depth: usize) -> Option<()> {
    let mut r = Reader::new(bytes);
    out.push(b"[");
    while !r.is_empty() {
        if r.rest().len() < bytes.len() {
            out.push(b",");
        }
        let kind = r.u8()?;
        value(kind, &mut r, out, depth)?;
    }
    out.push(b"]");
    Some(())
}

fn float(n: f64, out: &mut Arena) {
    // JSON has no infinities. Numbers of this kind are rare: text may cost an allocation.
    if n.is_finite() { out.push(n.to_string().as_bytes()) } else { out.push(b"null") }
}

/// A number and how many of its digits stand behind the point.
fn decimal(scale: u8, n: i32, out: &mut Arena) {
    if scale > 9 {
        return out.push(b"null");
    }
    let unit = 10_i64.pow(u32::from(scale));
    let n = i64::from(n);
    if n < 0 {
        out.push(b"-");
    }
    out.push_int((n / unit).abs());
    if scale > 0 {
        out.push(b".");
        let mut rest = (n % unit).abs();
        let mut unit = unit / 10;
        while unit > 0 {
            out.push_int(rest / unit);
            rest %= unit;
            unit /= 10;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> Option<Vec<(String, String)>> {
        let (mut arena, mut pairs) = (Arena::default(), Vec::new());
        arena.begin(10_000);
        assert_eq!(read(bytes, &mut arena, &mut pairs)?, 0);
        assert!(is_table(bytes));
        let text = |i: usize, p: &Pair| String::from_utf8_lossy(p[i].of(arena.text())).into_owned();
        Some(pairs.iter().map(|p| (text(0, p), text(1, p))).collect())
    }

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        [&[key.len() as u8][..], key.as_bytes(), value].concat()
    }

    #[test]
    fn values_of_every_type() {
        let inner = entry("a", b"S\0\0\0\x02x\"");
        let nested = [&b"F\0\0\0\x09"[..], &inner].concat();
        let all: Vec<(&[u8], &str)> = vec![
            (b"S\0\0\0\x02hi", "hi"),
            (b"t\x01", "true"),
            (b"b\xff", "-1"),
            (b"B\xff", "255"),
            (b"s\xff\xfe", "-2"),
            (b"u\xff\xfe", "65534"),
            (b"I\xff\xff\xff\xff", "-1"),
            (b"i\xff\xff\xff\xff", "4294967295"),
            (b"l\0\0\x01\0\0\0\0\0", "1099511627776"),
            (b"T\0\0\0\0\x65\x53\xf1\x00", "1700000000"),
            (b"d\x3f\xf8\0\0\0\0\0\0", "1.5"),
            (b"f\x7f\x80\0\0", "null"),
            (b"D\x02\xff\xff\xff\x85", "-1.23"),
            (b"V", "null"),
            (b"A\0\0\0\x08t\0S\0\0\0\x01z", "[false,\"z\"]"),
            (&nested, "{\"a\":\"x\\\"\"}"),
        ];
        for (bytes, expected) in all {
            assert_eq!(shown(&entry("k", bytes)).unwrap(), [("k".into(), expected.into())]);
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let mut deep = entry("z", b"V");
        for _ in 0..1000 {
            deep = [&[1, b'k', b'F'][..], &(deep.len() as u32).to_be_bytes(), &deep].concat();
        }
        let text = &shown(&deep).unwrap()[0].1;
        assert!(text.starts_with("{\"k\":{") && text.contains("null"), "{text}");
        for wrong in [&b"\x01kZ"[..], b"\x01kS\xff\xff\xff\xff", b"\x05k", b"\x01k"] {
            assert!(!is_table(wrong));
            let (mut arena, mut pairs) = (Arena::default(), Vec::new());
            arena.begin(100);
            assert_eq!(read(wrong, &mut arena, &mut pairs), None);
        }
    }
}
