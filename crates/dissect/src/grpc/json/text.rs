//! Numbers, strings and bytes as JSON.

use std::io::Write as _;

/// A string in quotation marks. Bytes that are no UTF-8 are shown as U+FFFD.
pub(super) fn string(bytes: &[u8], out: &mut Vec<u8>, max: usize) {
    out.push(b'"');
    escape(bytes, out, max);
    out.push(b'"');
}

/// The inside of a string.
pub(super) fn escape(bytes: &[u8], out: &mut Vec<u8>, max: usize) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if out.len() > max {
                return;
            }
            match c {
                '"' | '\\' => out.extend([b'\\', c as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                // Writing to a vector cannot fail.
                c if c.is_control() => _ = write!(out, "\\u{:04x}", c as u32),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Bytes in base64 (RFC 4648 section 4).
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>, max: usize) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| DIGITS.get(bits as usize & 63).copied().unwrap_or(b'=');
    out.push(b'"');
    for group in bytes.chunks(3) {
        if out.len() > max {
            break;
        }
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let mut four = [digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)];
        for pad in four.iter_mut().skip(group.len() + 1) {
            *pad = b'=';
        }
        out.extend_from_slice(&four);
    }
    out.push(b'"');
}

/// A floating-point number; `short` is its shortest text.
pub(super) fn float(value: f64, short: impl std::fmt::Display, out: &mut Vec<u8>) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else if value != 0.0 && !(1e-5..1e16).contains(&value.abs()) {
        _ = write!(out, "{value:e}");
    } else {
        _ = write!(out, "{short}");
    }
}

/// Seconds since 1970 and nanoseconds as a date and a time (RFC 3339), with 0, 3, 6 or 9 digits of
/// fraction. False, and nothing appended, when no date of four digits is meant.
pub(super) fn timestamp(seconds: i64, nanos: i64, out: &mut Vec<u8>) -> bool {
    if !(-62_135_596_800..=253_402_300_799).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return false;
    }
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's days_from_civil, backwards: years begin in March.
    let z = days + 719_468;
    let (era, day) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
    _ = write!(out, "\"{year:04}-{month:02}-{date:02}T{h:02}:{m:02}:{s:02}");
    fraction(nanos, out);
    out.extend_from_slice(b"Z\"");
    true
}

/// A duration in seconds. False, and nothing appended, when its parts contradict each other.
pub(super) fn duration(seconds: i64, nanos: i64, out: &mut Vec<u8>) -> bool {
    let fits = nanos.abs() < 1_000_000_000 && (seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0));
    if !fits || seconds.unsigned_abs() > 315_576_000_000 {
        return false;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    _ = write!(out, "\"{sign}{}", seconds.unsigned_abs());
    fraction(nanos.abs(), out);
    out.extend_from_slice(b"s\"");
    true
}

fn fraction(nanos: i64, out: &mut Vec<u8>) {
    match nanos {
        0 => {}
        n if n % 1_000_000 == 0 => _ = write!(out, ".{:03}", n / 1_000_000),
        n if n % 1_000 == 0 => _ = write!(out, ".{:06}", n / 1_000),
        n => _ = write!(out, ".{n:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(f: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(
            made(|o| string(b"a\"\\\n\x01\xff\xc3\xbc", o, 99)),
            "\"a\\\"\\\\\\n\\u0001\u{fffd}\u{fc}\""
        );
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [("", "\"\""), ("f", "\"Zg==\""), ("fo", "\"Zm8=\""), ("foob", "\"Zm9vYg==\"")] {
            assert_eq!(made(|o| base64(bytes.as_bytes(), o, 99)), text);
        }
        assert_eq!(made(|o| base64(b"\xfb\xff\xbf", o, 99)), "\"+/+/\"");
    }

    #[test]
    fn numbers_are_shortest() {
        for (value, text) in [
            (0.1, "0.1"),
            (-2.0, "-2"),
            (1e300, "1e300"),
            (1e-7, "1e-7"),
            (f64::NAN, "\"NaN\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(made(|o| float(value, value, o)), text);
        }
    }

    #[test]
    fn times_are_dates() {
        let date = |s, n| made(|o| assert!(timestamp(s, n, o)));
        assert_eq!(date(0, 0), "\"1970-01-01T00:00:00Z\"");
        assert_eq!(date(1_709_210_096, 21_000_000), "\"2024-02-29T12:34:56.021Z\"");
        assert_eq!(date(-62_135_596_800, 0), "\"0001-01-01T00:00:00Z\"");
        assert_eq!(date(253_402_300_799, 999_999_999), "\"9999-12-31T23:59:59.999999999Z\"");
        assert!(!timestamp(253_402_300_800, 0, &mut Vec::new()));
        assert_eq!(made(|o| assert!(duration(-1, -500_000, o))), "\"-1.000500s\"");
        assert_eq!(made(|o| assert!(duration(3, 0, o))), "\"3s\"");
        assert!(!duration(1, -1, &mut Vec::new()));
    }
}
