//! Instants as the whole product counts them.

use std::time::Duration;

/// Nanoseconds since the Unix epoch, UTC. Before 1970 and after 2262 does not occur in traffic;
/// arithmetic saturates instead of wrapping so that a corrupt time in a file cannot panic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Builds an instant from seconds and nanoseconds since the epoch.
    pub fn from_parts(secs: i64, nanos: u32) -> Self {
        Self(secs.saturating_mul(1_000_000_000).saturating_add(i64::from(nanos)))
    }

    /// Nanoseconds since the epoch.
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Whole microseconds from `earlier` to `self`; negative when `self` is the earlier one.
    pub fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }

    /// This instant moved forward by `d`.
    pub fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back by `d`.
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// RFC 3339 in UTC with nine fractional digits, for example
    /// `2026-11-21T04:40:49.000000001Z`.
    pub fn to_rfc3339(self) -> String {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(t) => format!("{t:.9}"),
            Err(_) => self.0.to_string(),
        }
    }

    /// Reads an RFC 3339 instant; an offset other than `Z` is converted to UTC.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let t: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(t.as_nanosecond()).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_round_trips_with_nanoseconds() {
        let t = Timestamp(1_732_164_049_000_000_001);
        assert_eq!(t.to_rfc3339(), "2024-11-21T04:40:49.000000001Z");
        assert_eq!(Timestamp::parse_rfc3339(&t.to_rfc3339()), Some(t));
        assert_eq!(Timestamp::parse_rfc3339("2024-11-21T05:40:49.000000001+01:00"), Some(t));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(i64::MAX).plus(Duration::from_secs(1)).0, i64::MAX);
        assert_eq!(Timestamp(i64::MIN).micros_since(Timestamp(i64::MAX)), i64::MIN / 1_000);
    }
}
