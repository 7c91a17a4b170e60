//! Status codes (gRPC's statuscodes.md) and the texts beside them.

/// A status code by name.
pub(super) const fn name(code: i64) -> Option<&'static str> {
    Some(match code {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => return None,
    })
}

/// True for the codes that blame the client: those that google/rpc/code.proto maps to an HTTP
/// status of 4xx.
pub(super) const fn blames_client(code: i64) -> bool {
    matches!(code, 1 | 3 | 5..=11 | 16)
}

/// The code in a `grpc-status` field.
pub(super) fn code(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim().parse::<u32>().ok().map(i64::from)
}

/// Microseconds in a `grpc-timeout` field: up to eight digits and a unit.
pub(super) fn timeout(value: &[u8]) -> Option<i64> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let n: i64 = std::str::from_utf8(digits).ok()?.parse().ok().filter(|n| *n >= 0)?;
    Some(match unit {
        b'H' => n * 3_600_000_000,
        b'M' => n * 60_000_000,
        b'S' => n * 1_000_000,
        b'm' => n * 1_000,
        b'u' => n,
        b'n' => n / 1_000,
        _ => return None,
    })
}

/// Appends a `grpc-message` with its percent-encoding undone; what is none stays as it is.
pub(super) fn percent_decode(value: &[u8], out: &mut Vec<u8>) {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    let mut rest = value;
    while let Some((&b, after)) = rest.split_first() {
        rest = after;
        if b == b'%'
            && let [high, low, behind @ ..] = after
            && let (Some(high), Some(low)) = (digit(high), digit(low))
        {
            out.push((high << 4 | low) as u8);
            rest = behind;
        } else {
            out.push(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_or_refused() {
        for (value, micros) in [
            ("1H", 3_600_000_000),
            ("2M", 120_000_000),
            ("99999999S", 99_999_999_000_000),
            ("20m", 20_000),
            ("7u", 7),
        ] {
            assert_eq!(timeout(value.as_bytes()), Some(micros));
        }
        assert_eq!(timeout(b"1999n"), Some(1));
        for bad in ["", "S", "1", "123456789S", "-1S", "1x", "1.5S"] {
            assert_eq!(timeout(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn messages_are_decoded() {
        let decoded = |value: &str| {
            let mut out = Vec::new();
            percent_decode(value.as_bytes(), &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(decoded("no%20such %E2%82%ac"), "no such \u{20ac}");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
    }

    #[test]
    fn codes_are_numbers() {
        assert_eq!(code(b"0"), Some(0));
        assert_eq!(code(b" 5"), Some(5));
        assert_eq!(code(b""), None);
        assert_eq!(code(b"-1"), None);
        assert_eq!((name(5), name(17)), (Some("NOT_FOUND"), None));
    }
}
