//! Chance that a seed repeats.

/// SplitMix64: good enough to draw traffic with, and quick.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `n`, all alike; 0 when `n` is.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // The high half of the product: no division.
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Below `n`, small numbers much more often: roughly Zipf's law, by the inverse of 1/x.
    pub(crate) fn skewed(&mut self, n: u64) -> u64 {
        let top = (n.max(1) as f64).ln();
        (((self.unit() * top).exp() - 1.0) as u64).min(n.saturating_sub(1))
    }

    /// A time that is near `median` most often and long sometimes: log-normal with a sigma of about 0.6.
    pub(crate) fn lasting(&mut self, median: f64) -> i64 {
        // The sum of four uniform numbers is normal enough: mean 2, deviation 0.577.
        let normal = (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) / 0.577;
        (median * (0.6 * normal).exp()) as i64
    }

    /// The time until the next of events that come `mean` apart by chance.
    pub(crate) fn pause(&mut self, mean: f64) -> i64 {
        (-(1.0 - self.unit()).ln() * mean) as i64
    }
}

/// Spreads the bits of a number over all of them.
pub(crate) const fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
