//! How long to wait before the next attempt.

use std::time::Duration;

pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, next: min }
    }

    /// The next wait succeeds the shortest one.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    pub(super) fn next(&mut self) -> Duration {
        let base = self.next;
        self.next = base.saturating_mul(2).min(self.max);
        jitter(base)
    }

    /// For failures that stand until somebody changes something.
    pub(super) fn longest(&self) -> Duration {
        jitter(self.max)
    }
}

/// Between half of `base` and `base`.
fn jitter(base: Duration) -> Duration {
    let mut byte = [0; 2];
    crate::source::random(&mut byte);
    base.mul_f64(0.5 + f64::from(u16::from_le_bytes(byte)) / f64::from(u16::MAX) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        let mut b = Backoff::new(ms(100), ms(1_000));
        for expected in [100, 200, 400, 800, 1_000, 1_000] {
            let wait = b.next();
            assert!(wait >= ms(expected) / 2 && wait <= ms(expected), "{wait:?} for {expected}");
        }
        b.reset();
        assert!(b.next() <= ms(100));
        assert!(b.longest() >= ms(500));
    }
}
