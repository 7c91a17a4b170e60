//! Time windows as people and assistants write them.

use std::time::Duration;

use remora_model::Timestamp;

use super::QueryError;

/// The window of a question: from `from` (inclusive) to `to` (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub to: Timestamp,
}

/// How far back a question looks that does not say.
pub const DEFAULT_SINCE: Duration = Duration::from_secs(15 * 60);

/// How far the end of an open window lies ahead: a call that was captured a moment ago must not
/// fall outside because two clocks differ a little.
const SLACK: Duration = Duration::from_secs(60);

impl Window {
    /// Reads `since` and `until`: an age (`90s`, `15m`, `2h`, `7d`, `1h30m`), an RFC 3339 instant,
    /// milliseconds since the epoch, `now`, or for `since` also `all`.
    ///
    /// # Errors
    /// When a text is none of these, or the window would be empty.
    pub fn parse(since: Option<&str>, until: Option<&str>, now: Timestamp) -> Result<Self, QueryError> {
        let from = match since {
            None => now.minus(DEFAULT_SINCE),
            Some("all") => Timestamp(0),
            Some(text) => instant("since", text, now)?,
        };
        let to = match until {
            None | Some("now") => now.plus(SLACK),
            Some(text) => instant("until", text, now)?,
        };
        if from >= to {
            return Err(QueryError::Argument {
                name: "since",
                problem: format!("{} is not before {}", from.to_rfc3339(), to.to_rfc3339()),
                advice: "give a since that lies before until".to_owned(),
            });
        }
        Ok(Self { from, to })
    }
}

fn instant(name: &'static str, text: &str, now: Timestamp) -> Result<Timestamp, QueryError> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Some(age) = parse_duration(text) {
        return Ok(now.minus(age));
    }
    if let Some(t) = Timestamp::parse_rfc3339(text) {
        return Ok(t);
    }
    // Below this a number is more likely a mistake than milliseconds since the epoch (2001).
    if let Ok(ms) = text.parse::<i64>()
        && ms >= 1_000_000_000_000
    {
        return Ok(Timestamp(ms.saturating_mul(1_000_000)));
    }
    Err(QueryError::Argument {
        name,
        problem: format!("cannot read {text:?} as a time"),
        advice: "write an age such as 90s, 15m, 2h or 7d, or an RFC 3339 time such as 2026-11-21T14:05:00Z"
            .to_owned(),
    })
}

/// Reads a duration such as `500ms`, `90s`, `15m`, `1h30m` or `7d`. `None` when it is not one.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let n: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_len = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let millis = match &rest[..unit_len] {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(n.checked_mul(millis)?))?;
        rest = &rest[unit_len..];
    }
    Some(total)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000_000);

    #[test]
    fn durations() {
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for bad in ["", "15", "m", "1x", "-5m", "99999999999999999999s", "1h 30m"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn ages_instants_and_milliseconds() {
        let w = Window::parse(Some("15m"), None, NOW).unwrap();
        assert_eq!(w.from, NOW.minus(Duration::from_secs(900)));
        assert!(w.to > NOW);
        assert_eq!(Window::parse(None, None, NOW).unwrap().from, w.from);
        let w = Window::parse(Some("2026-11-21T14:00:00Z"), Some("2026-11-21T15:00:00+01:00"), NOW);
        assert!(matches!(w, Err(QueryError::Argument { .. })), "an empty window is an error");
        let w = Window::parse(Some("1790000000000"), Some("now"), NOW).unwrap();
        assert_eq!(w.from.0, 1_790_000_000_000_000_000);
        assert_eq!(Window::parse(Some("all"), None, NOW).unwrap().from.0, 0);
    }

    #[test]
    fn what_is_no_time_is_an_error_that_helps() {
        let e = Window::parse(Some("yesterday"), None, NOW).unwrap_err();
        assert!(e.to_string().contains("since") && e.to_string().contains("15m"), "{e}");
    }
}
