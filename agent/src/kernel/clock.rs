//! From the kernel's clock to wall-clock time.

use std::time::{Duration, Instant};

use remora_model::Timestamp;

use super::sys;

/// The distance between CLOCK_BOOTTIME and CLOCK_REALTIME, measured again every second so that
/// steps and slewing of the wall clock are followed.
#[derive(Debug)]
pub(super) struct Clock {
    offset_ns: i64,
    measured: Instant,
}

impl Clock {
    const REFRESH: Duration = Duration::from_secs(1);

    pub(super) fn new() -> Self {
        Self { offset_ns: sys::realtime_minus_boottime(), measured: Instant::now() }
    }

    /// Measures the offset again when it is old; called once per batch.
    pub(super) fn refresh(&mut self) {
        if self.measured.elapsed() >= Self::REFRESH {
            *self = Self::new();
        }
    }

    /// Converts a CLOCK_BOOTTIME reading.
    pub(super) fn unix(&self, boot_ns: u64) -> Timestamp {
        Timestamp(i64::try_from(boot_ns).unwrap_or(i64::MAX).saturating_add(self.offset_ns))
    }
}
