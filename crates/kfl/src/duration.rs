//! Spans of time as text: what Go and CEL read, and days and weeks beside it.

/// The units, larger ones first, in nanoseconds. `ms` precedes `m` and `s` for the reader's sake.
const UNITS: &[(&str, i64)] = &[
    ("w", 604_800_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("s", 1_000_000_000),
];

/// Nanoseconds that `text` spells: numbers, with a fraction if need be, each with its unit, after
/// an optional sign. `None` when it spells none, or more than 64 bits hold.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let whole = &rest[..digits];
        rest = &rest[digits..];
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            fraction = &after[..digits];
            rest = &after[digits..];
        }
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 19 || fraction.len() > 18 {
            return None;
        }
        let (unit, nanos) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        let nanos = i128::from(*nanos);
        if !whole.is_empty() {
            total += whole.parse::<i128>().ok()? * nanos;
        }
        if !fraction.is_empty() {
            total +=
                fraction.parse::<i128>().ok()? * nanos / 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        }
        if total > 1 << 80 {
            return None;
        }
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// The shortest exact spelling with one unit.
pub(crate) fn print(nanos: i64) -> String {
    let unit = ["h", "m", "s", "ms", "us"].iter().find_map(|name| {
        let (_, size) = UNITS.iter().find(|(unit, _)| unit == name)?;
        (nanos != 0 && nanos % size == 0).then(|| format!("{}{name}", nanos / size))
    });
    unit.unwrap_or_else(|| if nanos == 0 { "0s".to_owned() } else { format!("{nanos}ns") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (text, nanos) in [
            ("5m", Some(300_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("-250ms", Some(-250_000_000)),
            (".5us", Some(500)),
            ("2d", Some(172_800_000_000_000)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("5 m", None),
            ("99999999999999999w", None),
        ] {
            assert_eq!(parse(text), nanos, "{text}");
        }
    }

    #[test]
    fn every_span_round_trips() {
        for nanos in [0, 1, -1, 1_000, 90_000_000_000, 3_600_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(parse(&print(nanos)), Some(nanos), "{}", print(nanos));
        }
    }
}
