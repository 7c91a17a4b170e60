//! What chance explains, and what it does not.

/// Standard deviations within which a rate that was measured lies from the true one.
const DEVIATIONS: f64 = 3.0;

/// The least that the true share of `part` in `whole` can reasonably be (the lower end of Wilson's
/// interval): 3 of 3 says no more than a quarter, 300 of 300 nearly all.
pub(super) fn at_least(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let (n, z) = (float(whole), DEVIATIONS * DEVIATIONS);
    let share = float(part.min(whole)) / n;
    let middle = share + z / (2.0 * n);
    let reach = DEVIATIONS * (share * (1.0 - share) / n + z / (4.0 * n * n)).sqrt();
    ((middle - reach) / (1.0 + z / n)).max(0.0)
}

/// How surprising it is that `part` of `whole` are bad where `usual` is the share that is to be expected: the
/// negative logarithm of an upper bound of its probability (Chernoff's). 0 where they are not more.
pub(super) fn surprise(part: u64, whole: u64, usual: f64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    let share = float(part.min(whole)) / float(whole);
    let usual = usual.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
    if share <= usual {
        return 0.0;
    }
    let term = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    float(whole) * (term(share, usual) + term(1.0 - share, 1.0 - usual))
}

pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) / float(whole) }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
pub(super) fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_calls_say_little() {
        assert!(at_least(3, 3) < 0.3 && at_least(300, 300) > 0.96);
        assert!(at_least(1, 100) < 0.01 && at_least(0, 0) == 0.0 && at_least(0, 50) < 1e-9);
        assert!(at_least(100, 1_000) > 0.07 && at_least(100, 1_000) < 0.1);
    }

    #[test]
    fn surprise_grows_with_evidence() {
        assert_eq!(surprise(1, 10, 0.2), 0.0);
        assert!(surprise(3, 3, 0.05) < 10.0, "three calls are no burst");
        assert!(surprise(30, 60, 0.01) > 50.0);
        assert!(surprise(30, 60, 0.45) < 1.0);
        assert!(surprise(60, 60, 0.0).is_finite());
    }
}
