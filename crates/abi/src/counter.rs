//! Counters of the kernel side, one per reason and CPU.

/// What happened to a packet that a hook saw. The discriminants index the map `COUNTERS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Reason {
    /// Written to a ring.
    Captured = 0,
    /// Lost: the ring had no room.
    RingFull = 1,
    /// Lost: the flow table took no new flow.
    FlowTableFull = 2,
    /// Lost: every scratch buffer of the CPU was in use (a program was interrupted too deeply).
    ScratchBusy = 3,
    /// Lost: the kernel refused to copy the bytes.
    CopyFailed = 4,
    /// Left out: an include or exclude list says so.
    Policy = 5,
    /// Left out: traffic of the agent itself.
    Own = 6,
    /// Left out: the flow is not in the sample.
    Sampled = 7,
    /// Left out: user space asked to skip this part of the flow.
    Shunted = 8,
    /// Counted in the flow only: a TCP segment without payload, SYN, FIN or RST.
    NoPayload = 9,
    /// Seen before at another hook of this host; not a loss.
    Seen = 10,
    /// Left out: shorter than its headers say.
    Short = 11,
    /// Left out: neither IPv4 nor IPv6.
    NotIp = 12,
    /// Captured, but only up to the snap length; counted beside [`Reason::Captured`], `bytes` is
    /// what was cut off.
    Truncated = 13,
}

impl Reason {
    /// How many there are.
    pub const COUNT: u32 = 14;

    /// All of them, by index.
    pub const ALL: [Self; Self::COUNT as usize] = [
        Self::Captured,
        Self::RingFull,
        Self::FlowTableFull,
        Self::ScratchBusy,
        Self::CopyFailed,
        Self::Policy,
        Self::Own,
        Self::Sampled,
        Self::Shunted,
        Self::NoPayload,
        Self::Seen,
        Self::Short,
        Self::NotIp,
        Self::Truncated,
    ];

    /// The name that coverage rows and metrics use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::RingFull => "ring_full",
            Self::FlowTableFull => "flow_table_full",
            Self::ScratchBusy => "scratch_busy",
            Self::CopyFailed => "copy_failed",
            Self::Policy => "policy",
            Self::Own => "own_traffic",
            Self::Sampled => "sampled",
            Self::Shunted => "shunted",
            Self::NoPayload => "no_payload",
            Self::Seen => "seen_elsewhere",
            Self::Short => "short",
            Self::NotIp => "not_ip",
            Self::Truncated => "truncated",
        }
    }

    /// True when bytes that should have been captured were not.
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::RingFull | Self::FlowTableFull | Self::ScratchBusy | Self::CopyFailed)
    }
}

/// One counter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire, from the IP header on.
    pub bytes: u64,
}

const _: () = assert!(size_of::<Counter>() == 16);
