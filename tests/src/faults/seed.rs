//! Numbers for schedules that look random and can be had again.

use std::time::{Duration, SystemTime};

/// A sequence of numbers that its seed determines (SplitMix64, Steele et al. 2014).
#[derive(Clone, Debug)]
pub struct Seed {
    first: u64,
    state: u64,
}

impl Seed {
    /// The seed in `REMORA_FAULT_SEED`, or a new one.
    pub fn from_env() -> Self {
        let told = std::env::var("REMORA_FAULT_SEED").ok().and_then(|s| s.parse().ok());
        let clock = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::from(now.subsec_nanos())
        };
        Self::new(told.unwrap_or_else(clock))
    }

    /// The sequence of `first`.
    pub fn new(first: u64) -> Self {
        Self { first, state: first }
    }

    /// What it began with.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A length of time between two others, in milliseconds.
    pub fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.draw() % (to - from).max(1))
    }

    /// Changes the order of a list.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            let j = usize::try_from(self.draw() % (i as u64 + 1)).unwrap_or(0);
            list.swap(i, j);
        }
    }

    /// Fills a buffer with bytes that do not compress.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.draw().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}
