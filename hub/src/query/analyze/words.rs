//! Numbers and names as they stand in sentences.

use remora_model::Timestamp;

use super::chance::{float, share};

/// Characters of a name in a sentence.
const NAME_CHARS: usize = 72;

/// A name that may be long.
pub(super) fn short(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}

/// `120 of 300 calls (40 %)`.
pub(super) fn of(part: u64, whole: u64, what: &str) -> String {
    format!("{part} of {} ({})", many(whole, what), percent(share(part, whole)))
}

/// A share in percent; below ten with a decimal.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 || percent == 0.0 || percent.fract() == 0.0 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

/// Microseconds.
pub(super) fn time(us: i64) -> String {
    let us = float(us.max(0).unsigned_abs());
    match us {
        us if us >= 1e6 => format!("{:.1} s", us / 1e6),
        us if us >= 1e3 => format!("{:.0} ms", us / 1e3),
        us => format!("{us:.0} us"),
    }
}

/// Nanoseconds.
pub(super) fn span(nanos: i64) -> String {
    let seconds = nanos.max(0) / 1_000_000_000;
    match seconds {
        s if s >= 2 * 86_400 => format!("{} days", s / 86_400),
        s if s >= 2 * 3_600 => format!("{} hours", s / 3_600),
        s if s >= 120 => format!("{} minutes", s / 60),
        _ => time(nanos / 1_000),
    }
}

/// Bytes.
pub(super) fn bytes(n: i64) -> String {
    let n = float(n.max(0).unsigned_abs());
    match n {
        n if n >= 1_073_741_824.0 => format!("{:.1} GiB", n / 1_073_741_824.0),
        n if n >= 1_048_576.0 => format!("{:.1} MiB", n / 1_048_576.0),
        n if n >= 1_024.0 => format!("{:.0} KiB", n / 1_024.0),
        n => format!("{n:.0} bytes"),
    }
}

/// An instant in whole seconds.
pub(super) fn second(nanos: i64) -> String {
    let text = Timestamp(nanos.div_euclid(1_000_000_000).saturating_mul(1_000_000_000)).to_rfc3339();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// `1 call`, `2 calls`.
pub(super) fn many(n: u64, what: &str) -> String {
    if n == 1 {
        return format!("1 {what}");
    }
    match what.strip_suffix('y') {
        Some(start) => format!("{n} {start}ies"),
        None => format!("{n} {what}s"),
    }
}

/// The first few of many names, and how many are left.
pub(super) fn names<'a>(all: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let all: Vec<&str> = all.into_iter().collect();
    let mut text = all.iter().take(most).map(|n| short(n)).collect::<Vec<_>>().join(", ");
    if all.len() > most {
        text.push_str(&format!(" and {} more", all.len() - most));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(of(120, 300, "call"), "120 of 300 calls (40 %)");
        assert_eq!(of(1, 1, "call"), "1 of 1 call (100 %)");
        assert_eq!([time(12), time(340_000), time(1_230_000)], ["12 us", "340 ms", "1.2 s"]);
        assert_eq!([bytes(12), bytes(2_048), bytes(3 << 20)], ["12 bytes", "2 KiB", "3.0 MiB"]);
        assert_eq!(
            [many(1, "query"), many(2, "query"), many(0, "call")],
            ["1 query", "2 queries", "0 calls"]
        );
        assert_eq!(span(3 * 86_400 * 1_000_000_000), "3 days");
        assert_eq!(second(1_795_000_000_123_456_789), "2026-11-18T11:06:40Z");
        assert_eq!(names(["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(short(&"x".repeat(100)).chars().count(), NAME_CHARS);
    }
}
