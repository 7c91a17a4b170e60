//! Which differences between two windows tell something.

use std::collections::HashMap;

/// What was measured of a group in one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// Calls.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// 95th percentile of `elapsed_time` in microseconds; `None` where no call has it.
    pub p95: Option<f64>,
    /// Length of the window in seconds, as far as there can be calls in it.
    pub seconds: f64,
}

impl Measured {
    fn rate(&self) -> f64 {
        count(self.calls) / self.seconds
    }

    fn error_rate(&self) -> f64 {
        if self.calls == 0 { 0.0 } else { count(self.failed) / count(self.calls) }
    }
}

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It fails more often.
    MoreErrors,
    /// It fails less often.
    FewerErrors,
    /// It takes longer.
    Slower,
    /// It takes less time.
    Faster,
    /// It was not there before.
    New,
    /// It is not there any more.
    Gone,
    /// It is called more often.
    MoreCalls,
    /// It is called less often.
    FewerCalls,
}

impl Kind {
    /// Its name in answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::MoreErrors => "more_errors",
            Self::FewerErrors => "fewer_errors",
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::New => "new",
            Self::Gone => "gone",
            Self::MoreCalls => "more_calls",
            Self::FewerCalls => "fewer_calls",
        }
    }

    /// How much more than a change of volume it matters: users feel errors first, then waiting.
    const fn weight(self) -> f64 {
        match self {
            Self::MoreErrors => 8.0,
            Self::Slower => 4.0,
            Self::New | Self::Gone => 2.0,
            Self::FewerErrors | Self::Faster => 1.5,
            Self::MoreCalls | Self::FewerCalls => 1.0,
        }
    }
}

/// One change of one group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// The group.
    pub key: String,
    /// What kind.
    pub kind: Kind,
    /// What `before` and `after` are.
    pub what: &'static str,
    /// The value in the baseline.
    pub before: Option<f64>,
    /// The value in the window.
    pub after: Option<f64>,
    /// Calls in each.
    pub calls: [u64; 2],
    /// By what changes are ranked.
    score: f64,
}

/// Standard deviations beyond which a difference of rates is no accident.
const SURE: f64 = 3.0;
/// Calls on both sides from which percentiles are compared.
const ENOUGH: u64 = 20;
/// Factor by which a latency must move, and microseconds beside it: less is noise.
const LATENCY_FACTOR: f64 = 1.5;
const LATENCY_LEAST: f64 = 1_000.0;
/// Factor by which a rate of calls must move.
const VOLUME_FACTOR: f64 = 2.0;
/// Calls that make a group worth telling as new or gone.
const SOME: u64 = 3;

/// Every change, the most telling first; equal ones in the order of their groups.
pub(super) fn changes(old: &HashMap<String, Measured>, new: &HashMap<String, Measured>) -> Vec<Change> {
    let mut all = Vec::new();
    for (key, after) in new {
        match old.get(key) {
            Some(before) => compare(key, before, after, &mut all),
            None => {
                // A window without any calls says nothing about what is new.
                if !old.is_empty() && after.calls >= SOME {
                    push(&mut all, key, Kind::New, "calls", None, Some(after), deviations(0, after.calls));
                }
                if after.failed > 0 && !old.is_empty() && after.calls >= SOME {
                    let sure = two_rates(&Measured { calls: after.calls, failed: 0, ..*after }, after);
                    push_values(
                        &mut all,
                        key,
                        Kind::MoreErrors,
                        "error_rate",
                        [None, Some(after.error_rate())],
                        [0, after.calls],
                        sure,
                    );
                }
            }
        }
    }
    if !new.is_empty() {
        for (key, before) in old.iter().filter(|(key, b)| !new.contains_key(*key) && b.calls >= SOME) {
            push(&mut all, key, Kind::Gone, "calls", Some(before), None, deviations(before.calls, 0));
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.key.cmp(&b.key)));
    all
}

fn compare(key: &str, before: &Measured, after: &Measured, all: &mut Vec<Change>) {
    let calls = [before.calls, after.calls];
    let sure = two_rates(before, after);
    if sure >= SURE {
        let kind =
            if after.error_rate() > before.error_rate() { Kind::MoreErrors } else { Kind::FewerErrors };
        let values = [Some(before.error_rate()), Some(after.error_rate())];
        push_values(all, key, kind, "error_rate", values, calls, sure);
    }
    if let (Some(old), Some(new)) = (before.p95, after.p95)
        && calls.iter().all(|c| *c >= ENOUGH)
    {
        let (low, high) = if old < new { (old, new) } else { (new, old) };
        if high >= low * LATENCY_FACTOR && high - low >= LATENCY_LEAST {
            let kind = if new > old { Kind::Slower } else { Kind::Faster };
            // A percentile moves the less by chance the more calls there are.
            let weight = (high / low.max(1.0)).ln() * count(before.calls.min(after.calls)).sqrt();
            push_values(all, key, kind, "elapsed_p95", [Some(old), Some(new)], calls, weight);
        }
    }
    let (old, new) = (before.rate(), after.rate());
    let expected = old * after.seconds;
    let apart = (count(after.calls) - expected).abs() / (expected + count(after.calls)).max(1.0).sqrt();
    if apart >= SURE && new.max(old) >= new.min(old) * VOLUME_FACTOR {
        let kind = if new > old { Kind::MoreCalls } else { Kind::FewerCalls };
        push_values(all, key, kind, "calls_per_second", [Some(old), Some(new)], calls, apart);
    }
}

/// How many standard deviations the shares of failed calls are apart (the pooled test of two
/// proportions).
fn two_rates(before: &Measured, after: &Measured) -> f64 {
    let (n, m) = (count(before.calls), count(after.calls));
    if n == 0.0 || m == 0.0 {
        return 0.0;
    }
    let pooled = count(before.failed + after.failed) / (n + m);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let apart = (after.error_rate() - before.error_rate()).abs();
    if apart == 0.0 {
        0.0
    } else if deviation == 0.0 {
        // All failed in one window and none in the other.
        f64::from(u16::MAX)
    } else {
        apart / deviation
    }
}

fn deviations(before: u64, after: u64) -> f64 {
    count(before.abs_diff(after)).sqrt()
}

fn push(
    all: &mut Vec<Change>,
    key: &str,
    kind: Kind,
    what: &'static str,
    before: Option<&Measured>,
    after: Option<&Measured>,
    sure: f64,
) {
    let values = [before, after].map(|m| m.map(|m| count(m.calls)));
    let calls = [before, after].map(|m| m.map_or(0, |m| m.calls));
    push_values(all, key, kind, what, values, calls, sure);
}

fn push_values(
    all: &mut Vec<Change>,
    key: &str,
    kind: Kind,
    what: &'static str,
    [before, after]: [Option<f64>; 2],
    calls: [u64; 2],
    sure: f64,
) {
    let score = sure * kind.weight();
    all.push(Change { key: key.to_owned(), kind, what, before, after, calls, score });
}

#[allow(clippy::cast_precision_loss, reason = "counts of calls stay far below 2^52")]
fn count(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(calls: u64, failed: u64, p95: f64) -> Measured {
        Measured { calls, failed, p95: Some(p95), seconds: 60.0 }
    }

    fn found(old: &[(&str, Measured)], new: &[(&str, Measured)]) -> Vec<(String, Kind)> {
        let map = |all: &[(&str, Measured)]| all.iter().map(|(k, m)| ((*k).to_owned(), *m)).collect();
        changes(&map(old), &map(new)).into_iter().map(|c| (c.key, c.kind)).collect()
    }

    #[test]
    fn noise_is_no_change() {
        let old = [
            ("a", measured(1_000, 10, 5_000.0)),
            ("b", measured(5, 1, 900.0)),
            ("c", measured(100, 0, 300.0)),
        ];
        let new = [
            ("a", measured(1_100, 14, 5_600.0)),
            ("b", measured(6, 2, 9_000.0)),
            ("c", measured(90, 0, 700.0)),
        ];
        assert_eq!(found(&old, &new), []);
    }

    #[test]
    fn errors_come_before_latency_and_that_before_volume() {
        let old = [
            ("a", measured(1_000, 0, 5_000.0)),
            ("b", measured(1_000, 0, 5_000.0)),
            ("c", measured(300, 0, 5_000.0)),
        ];
        let new = [
            ("a", measured(1_000, 200, 5_000.0)),
            ("b", measured(1_000, 0, 20_000.0)),
            ("c", measured(900, 0, 5_000.0)),
        ];
        let all = found(&old, &new);
        let expected = [("b", Kind::Slower), ("a", Kind::MoreErrors), ("c", Kind::MoreCalls)];
        for pair in expected {
            assert!(all.contains(&(pair.0.to_owned(), pair.1)), "{all:?}");
        }
        assert_eq!(all.last(), Some(&("c".to_owned(), Kind::MoreCalls)));
        assert_eq!(all.len(), 3);
        let back = found(&new, &old);
        assert!(
            back.contains(&("a".to_owned(), Kind::FewerErrors))
                && back.contains(&("b".to_owned(), Kind::Faster))
        );
    }

    #[test]
    fn what_comes_and_goes_is_told_unless_a_window_is_empty() {
        let old = [("a", measured(100, 0, 1.0)), ("rare", measured(1, 0, 1.0))];
        let new = [("b", measured(50, 50, 1.0))];
        let all = found(&old, &new);
        assert!(all.contains(&("a".to_owned(), Kind::Gone)) && all.contains(&("b".to_owned(), Kind::New)));
        assert_eq!(all.first(), Some(&("b".to_owned(), Kind::MoreErrors)));
        assert!(!all.iter().any(|(key, _)| key == "rare"));
        assert_eq!(found(&[], &new), []);
        assert_eq!(found(&old, &[]), []);
    }

    #[test]
    fn windows_of_different_lengths_are_compared_by_rate() {
        let old = [("a", Measured { seconds: 600.0, ..measured(10_000, 0, 1.0) })];
        let new = [("a", Measured { seconds: 60.0, ..measured(1_000, 0, 1.0) })];
        assert_eq!(found(&old, &new), []);
    }
}
