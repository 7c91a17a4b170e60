//! Text forms of binary data in records, appended to a buffer that the caller bounds.

use std::io::Write as _;

/// Hexadecimal, upper case.
pub(super) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for b in bytes {
        out.extend([DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]);
    }
}

/// Base 64 with padding (RFC 4648, section 4).
pub(super) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..chunk.len()].copy_from_slice(chunk);
        let n = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for i in 0..4 {
            let digit = DIGITS[(n >> (18 - 6 * i)) as usize & 63];
            out.push(if i > chunk.len() { b'=' } else { digit });
        }
    }
}

/// Base 32 with the extended hexadecimal alphabet, without padding (RFC 4648, section 7, as NSEC3
/// uses it: RFC 5155, section 3.3).
pub(super) fn base32hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    for chunk in bytes.chunks(5) {
        let mut eight = [0; 8];
        eight[3..3 + chunk.len()].copy_from_slice(chunk);
        let n = u64::from_be_bytes(eight);
        for i in 0..(chunk.len() * 8).div_ceil(5) {
            out.push(DIGITS[(n >> (35 - 5 * i)) as usize & 31]);
        }
    }
}

/// A character-string in quotation marks (RFC 1035, section 5.1).
pub(super) fn quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &b in bytes {
        match b {
            b'"' | b'\\' => out.extend([b'\\', b]),
            0x20..=0x7e => out.push(b),
            _ => drop(write!(out, "\\{b:03}")),
        }
    }
    out.push(b'"');
}

/// An instant as signatures carry it: seconds since 1970 modulo 2^32, written `YYYYMMDDHHmmSS` in
/// UTC (RFC 4034, section 3.2), read as lying between 1970 and 2106.
pub(super) fn signature_time(secs: u32, out: &mut Vec<u8>) {
    let (days, rest) = (i64::from(secs / 86_400), secs % 86_400);
    // Days to civil date by eras of 400 years that begin in March.
    let z = days + 719_468;
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + z.div_euclid(146_097) * 400 + i64::from(month <= 2);
    let (h, m, s) = (rest / 3_600, rest / 60 % 60, rest % 60);
    drop(write!(out, "{year:04}{month:02}{day:02}{h:02}{m:02}{s:02}"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(f: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rfc4648_vectors() {
        for (input, b64, b32) in [
            ("", "", ""),
            ("f", "Zg==", "CO"),
            ("fo", "Zm8=", "CPNG"),
            ("foo", "Zm9v", "CPNMU"),
            ("foob", "Zm9vYg==", "CPNMUOG"),
            ("fooba", "Zm9vYmE=", "CPNMUOJ1"),
            ("foobar", "Zm9vYmFy", "CPNMUOJ1E8"),
        ] {
            assert_eq!(text(|o| base64(input.as_bytes(), o)), b64);
            assert_eq!(text(|o| base32hex(input.as_bytes(), o)), b32);
        }
        assert_eq!(text(|o| hex(&[0, 0xab, 0x9f], o)), "00AB9F");
    }

    #[test]
    fn quoted_strings() {
        assert_eq!(text(|o| quoted(b"a \"b\" \\ \n\xff;", o)), r#""a \"b\" \\ \010\255;""#);
    }

    #[test]
    fn signature_times() {
        assert_eq!(text(|o| signature_time(0, o)), "19700101000000");
        assert_eq!(text(|o| signature_time(951_782_399, o)), "20000228235959");
        assert_eq!(text(|o| signature_time(951_782_400, o)), "20000229000000");
        assert_eq!(text(|o| signature_time(1_763_683_200, o)), "20251121000000");
        assert_eq!(text(|o| signature_time(u32::MAX, o)), "21060207062815");
    }
}
