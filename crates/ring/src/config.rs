//! How much the ring may use.

use std::path::PathBuf;
use std::time::Duration;

use crate::pcapng::{MAX_PACKET, PACKET_OVERHEAD};

/// Settings of a ring. Values that contradict each other are brought into line by
/// [`checked`](Self::checked).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Its directory; nothing else may be in it. Made when it does not exist.
    pub dir: PathBuf,
    /// Bytes on disk, indexes included, that are never exceeded.
    pub budget: u64,
    /// Bytes of a segment; at most a quarter of the budget and 1 GiB.
    pub segment_bytes: u64,
    /// A segment is closed after this time, full or not.
    pub segment_age: Duration,
    /// A segment is deleted when its newest packet is older than this; `None`: space alone decides.
    pub max_age: Option<Duration>,
    /// Segments held; beyond that the oldest is deleted.
    pub max_segments: usize,
    /// Bytes of a packet that are kept.
    pub snaplen: u32,
    /// Bytes of one flow in one segment; what is beyond is left out and counted.
    pub flow_bytes: u64,
    /// Bytes of secrets in one segment.
    pub secret_bytes: u64,
    /// Memory for packets on their way to the writer.
    pub queue_bytes: usize,
    /// Bytes that a capturing thread collects before it hands them over.
    pub batch_bytes: usize,
    /// It hands them over after this time in any case.
    pub batch_age: Duration,
    /// After a fault of the disk the next try is made no sooner than this.
    pub retry: Duration,
}

/// The least budget with which a ring is of any use.
pub(crate) const MIN_BUDGET: u64 = 256 << 10;

impl RingConfig {
    /// The usual settings: 1 GiB in segments of 32 MiB, a day.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            budget: 1 << 30,
            segment_bytes: 32 << 20,
            segment_age: Duration::from_secs(600),
            max_age: Some(Duration::from_secs(86_400)),
            max_segments: 4_096,
            snaplen: MAX_PACKET,
            flow_bytes: 16 << 20,
            secret_bytes: 2 << 20,
            queue_bytes: 16 << 20,
            batch_bytes: 256 << 10,
            batch_age: Duration::from_millis(20),
            retry: Duration::from_secs(1),
        }
    }

    /// The settings as they are used: a segment fits into a quarter of the budget, a batch into a
    /// quarter of a segment, a packet into a batch.
    #[must_use]
    pub fn checked(&self) -> Self {
        let budget = self.budget.max(MIN_BUDGET);
        let segment_bytes = self.segment_bytes.clamp(32 << 10, 1 << 30).min(budget / 4);
        let quarter = usize::try_from(segment_bytes / 4).unwrap_or(usize::MAX);
        let batch_bytes = self.batch_bytes.clamp(4 << 10, 4 << 20).min(quarter);
        let longest = u32::try_from(batch_bytes - PACKET_OVERHEAD).unwrap_or(u32::MAX);
        Self {
            budget,
            segment_bytes,
            batch_bytes,
            snaplen: self.snaplen.clamp(64, MAX_PACKET).min(longest),
            secret_bytes: self.secret_bytes.min(segment_bytes / 8),
            queue_bytes: self.queue_bytes.max(batch_bytes),
            max_segments: self.max_segments.max(4),
            ..self.clone()
        }
    }
}
