//! Types of values, and values as text (section 6 of the specification).

use super::wire::Body;
use crate::sql::rows::{print, print_date, print_hex, print_time, push_hex};

/// Levels of types inside of types.
const MAX_DEPTH: usize = 8;

/// Fields of a user-defined type or tuple.
const MAX_FIELDS: u16 = 1 << 10;

/// Reads a type and what it is made of; says which it is.
pub(super) fn option(body: &mut Body<'_>, depth: usize) -> Option<u16> {
    let id = body.short()?;
    if depth >= MAX_DEPTH {
        return None;
    }
    match id {
        0x00 => {
            body.string()?;
        }
        0x20 | 0x22 => {
            option(body, depth + 1)?;
        }
        0x21 => {
            option(body, depth + 1)?;
            option(body, depth + 1)?;
        }
        0x30 => {
            body.string()?;
            body.string()?;
            for _ in 0..body.short()?.min(MAX_FIELDS) {
                body.string()?;
                option(body, depth + 1)?;
            }
        }
        0x31 => {
            for _ in 0..body.short()?.min(MAX_FIELDS) {
                option(body, depth + 1)?;
            }
        }
        _ => {}
    }
    Some(id)
}

/// Appends a value of that type; of an unknown type text where it is text, and hexadecimal else.
pub(super) fn show(out: &mut Vec<u8>, id: Option<u16>, value: &[u8]) {
    let number = |n: usize| {
        (value.len() == n).then(|| {
            let sign = value.first().is_some_and(|b| b & 0x80 != 0);
            value.iter().fold(if sign { -1_i64 } else { 0 }, |v, &b| v << 8 | i64::from(b))
        })
    };
    let shown = match id {
        Some(0x01 | 0x0d) => {
            out.extend_from_slice(value);
            Some(())
        }
        Some(0x02 | 0x05) => number(8).map(|n| print(out, format_args!("{n}"))),
        Some(0x09) => number(4).map(|n| print(out, format_args!("{n}"))),
        Some(0x13) => number(2).map(|n| print(out, format_args!("{n}"))),
        Some(0x14) => number(1).map(|n| print(out, format_args!("{n}"))),
        Some(0x04) => number(1).map(|n| out.extend_from_slice(if n != 0 { b"true" } else { b"false" })),
        Some(0x07) => value
            .first_chunk::<8>()
            .filter(|_| value.len() == 8)
            .map(|b| print(out, format_args!("{}", f64::from_be_bytes(*b)))),
        Some(0x08) => value
            .first_chunk::<4>()
            .filter(|_| value.len() == 4)
            .map(|b| print(out, format_args!("{}", f32::from_be_bytes(*b)))),
        Some(0x06) if value.len() > 4 => decimal(out, value),
        Some(0x0e) => integer(value).map(|n| print(out, format_args!("{n}"))),
        Some(0x0b) => number(8).map(|ms| {
            print_date(out, ms.div_euclid(86_400_000));
            out.push(b' ');
            print_time(out, ms.rem_euclid(86_400_000) * 1_000);
        }),
        Some(0x11) => (value.len() == 4)
            .then(|| value.iter().fold(0_i64, |v, &b| v << 8 | i64::from(b)) - (1 << 31))
            .map(|days| print_date(out, days)),
        Some(0x12) => {
            number(8).filter(|ns| (0..86_400_000_000_000).contains(ns)).map(|ns| print_time(out, ns / 1_000))
        }
        Some(0x0c | 0x0f) => value.first_chunk::<16>().filter(|_| value.len() == 16).map(|b| uuid(out, b)),
        Some(0x10) => inet(out, value),
        None => std::str::from_utf8(value)
            .ok()
            .filter(|t| !t.chars().any(char::is_control))
            .map(|t| out.extend_from_slice(t.as_bytes())),
        Some(_) => None,
    };
    if shown.is_none() {
        print_hex(out, value);
    }
}

/// An integer of any length, if it fits.
fn integer(value: &[u8]) -> Option<i128> {
    let sign = value.first()? & 0x80 != 0;
    (value.len() <= 16).then(|| value.iter().fold(if sign { -1 } else { 0 }, |v, &b| v << 8 | i128::from(b)))
}

fn decimal(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    let (scale, unscaled) = value.split_first_chunk::<4>()?;
    let scale = i32::from_be_bytes(*scale);
    let n = integer(unscaled)?;
    match usize::try_from(scale) {
        Ok(0) => print(out, format_args!("{n}")),
        Ok(scale @ 1..=38) => {
            let unit = 10_u128.pow(u32::try_from(scale).ok()?);
            let (whole, part) = (n.unsigned_abs() / unit, n.unsigned_abs() % unit);
            print(out, format_args!("{}{whole}.{part:0scale$}", if n < 0 { "-" } else { "" }));
        }
        _ => print(out, format_args!("{n}E{}", -i64::from(scale))),
    }
    Some(())
}

/// Appends a UUID.
pub(super) fn uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        push_hex(out, &[*byte]);
    }
}

/// Appends an address.
pub(super) fn inet(out: &mut Vec<u8>, value: &[u8]) -> Option<()> {
    if let Ok(v4) = <[u8; 4]>::try_from(value) {
        print(out, format_args!("{}", std::net::Ipv4Addr::from(v4)));
    } else {
        let v6 = <[u8; 16]>::try_from(value).ok()?;
        print(out, format_args!("{}", std::net::Ipv6Addr::from(v6)));
    }
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(id: u16, value: &[u8]) -> String {
        let mut out = Vec::new();
        show(&mut out, Some(id), value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values() {
        assert_eq!(text(0x09, &(-7_i32).to_be_bytes()), "-7");
        assert_eq!(text(0x09, b"xy"), "\\x7879");
        assert_eq!(text(0x06, &[0, 0, 0, 2, 0xff, 0x85]), "-1.23");
        assert_eq!(text(0x0e, &[1, 0]), "256");
        assert_eq!(text(0x0b, &1_709_209_845_678_i64.to_be_bytes()), "2024-02-29 12:30:45.678000");
        assert_eq!(text(0x11, &(1_u32 << 31).to_be_bytes()), "1970-01-01");
        assert_eq!(text(0x10, &[127, 0, 0, 1]), "127.0.0.1");
        assert_eq!(text(0x0c, &[0xab; 16]), "abababab-abab-abab-abab-abababababab");
        assert_eq!(text(0x04, &[1]), "true");
        assert_eq!(text(0x07, &1.5_f64.to_be_bytes()), "1.5");
    }

    #[test]
    fn types_are_bounded() {
        let deep = [0, 0x20].repeat(100);
        assert_eq!(option(&mut Body::new(&deep), 0), None);
        let map = [0, 0x21, 0, 0x0d, 0, 0x09, 0, 0x09];
        let mut body = Body::new(&map);
        assert_eq!((option(&mut body, 0), option(&mut body, 0)), (Some(0x21), Some(0x09)));
    }
}
