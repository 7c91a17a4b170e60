//! What the ring holds, has written and has left out.

/// Packets and the bytes of them that were captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Why a packet is not in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shed {
    /// The writer did not keep up.
    QueueFull,
    /// Its flow had its share of the segment.
    FlowLimit,
    /// The disk had no room.
    DiskFull,
    /// The disk failed otherwise.
    DiskError,
}

impl Shed {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::FlowLimit, Self::DiskFull, Self::DiskError];

    /// The name in metrics and coverage.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::FlowLimit => "flow_limit",
            Self::DiskFull => "disk_full",
            Self::DiskError => "disk_error",
        }
    }
}

/// A ring's account of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingStats {
    /// Written since it was opened.
    pub written: Count,
    /// Left out since it was opened, in the order of [`Shed::ALL`].
    pub shed: [Count; Shed::ALL.len()],
    /// Packets cut at the snaplen, and the bytes cut off.
    pub cut: Count,
    /// Deleted with their segments because of the budget or the number of segments.
    pub evicted: Count,
    /// Deleted with their segments because of their age.
    pub expired: Count,
    /// Secrets written.
    pub secrets: u64,
    /// Lines that were no secrets.
    pub secrets_malformed: u64,
    /// Secrets left out: too many at once or in a segment, or the disk failed.
    pub secrets_shed: u64,
    /// Segments on disk, the live one included.
    pub segments: u64,
    /// Packets in them.
    pub held: Count,
    /// Bytes on disk, indexes included.
    pub disk_bytes: u64,
    /// Bytes that may be on disk.
    pub budget: u64,
    /// Times of the oldest and the newest packet held, nanoseconds since 1970.
    pub span: Option<(i64, i64)>,
    /// Segments whose end was torn when the ring was opened, and the bytes cut off.
    pub torn: u64,
    /// See `torn`.
    pub torn_bytes: u64,
    /// Indexes made anew because they were missing or damaged.
    pub reindexed: u64,
    /// Segments deleted because nothing in them could be read.
    pub unreadable: u64,
    /// Failures of the disk.
    pub disk_errors: u64,
    /// The last of them.
    pub last_error: Option<String>,
    /// True while the disk does not take anything.
    pub stopped: bool,
}

impl RingStats {
    /// Packets left out for a reason.
    pub fn shed(&self, why: Shed) -> Count {
        self.shed[why as usize]
    }

    pub(crate) fn shed_mut(&mut self, why: Shed) -> &mut Count {
        &mut self.shed[why as usize]
    }
}
