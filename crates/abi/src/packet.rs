//! A packet as it lies in a ring.

/// Most bytes of one packet that a record carries. TCP hands at least two segments of the largest
/// size to offload (tcp_min_tso_segs), on loopback 2 x 64 KiB; of the longer packets that BIG TCP
/// makes where an administrator has turned it on, the tail is cut off and counted.
pub const MAX_CAPTURE: u32 = 131_071;

/// Values of [`PacketHeader::direction`].
pub mod direction {
    /// Into this host, or up to a socket of it.
    pub const INGRESS: u8 = 0;
    /// From a socket of this host, or out of an interface.
    pub const EGRESS: u8 = 1;
}

/// Bits of [`PacketHeader::flags`].
pub mod packet_flags {
    /// A fragment of an IP packet (first or later); it came through ring 0 whatever its flow.
    pub const FRAGMENT: u8 = 1;
    /// `captured < wire_len`.
    pub const TRUNCATED: u8 = 2;
    /// The sender is the canonical side 1 of the flow key (see `FlowKey`), else side 0.
    pub const FROM_SIDE_1: u8 = 4;
    /// The upper-layer header was not found (too many extension headers, or cut off).
    pub const NO_L4: u8 = 8;
}

/// Head of a ring record; exactly `captured` bytes follow, from the IP header on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketHeader {
    /// CLOCK_BOOTTIME in nanoseconds when the hook saw it (Unix time in the `AF_PACKET` tier).
    pub time_ns: u64,
    /// Cgroup-v2 id of the local socket, 0 when unknown.
    pub cgroup_id: u64,
    /// Random name of the flow's entry in the flow table, the key of shunts; 0 when there is none.
    pub flow_id: u32,
    /// Process (thread group) that owns the local socket, 0 when unknown.
    pub tgid: u32,
    /// Interface.
    pub ifindex: u32,
    /// Bytes on the wire from the IP header on.
    pub wire_len: u32,
    /// Bytes that follow this header.
    pub captured: u32,
    /// Tells apart loopback traffic of different network namespaces: 24 bits of the namespace's
    /// cookie when the packet crossed a loopback interface, else 0.
    pub netns: u32,
    /// Offset of the upper-layer header from the IP header.
    pub l4_offset: u16,
    /// Offset of the payload from the IP header.
    pub payload_offset: u16,
    /// See [`direction`].
    pub direction: u8,
    /// See [`packet_flags`].
    pub flags: u8,
    /// IP protocol number of the upper layer.
    pub protocol: u8,
    /// 4 or 6.
    pub ip_version: u8,
}

impl PacketHeader {
    /// Length of the header in a ring.
    pub const LEN: usize = 48;

    /// Takes a ring record apart: the header, and the packet's bytes. `None` when it is shorter
    /// than it says.
    pub fn parse(record: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = record.split_first_chunk::<{ Self::LEN }>()?;
        let u64_at = |at: usize| head.get(at..).and_then(|s| s.first_chunk()).map(|b| u64::from_ne_bytes(*b));
        let u32_at = |at: usize| head.get(at..).and_then(|s| s.first_chunk()).map(|b| u32::from_ne_bytes(*b));
        let u16_at = |at: usize| head.get(at..).and_then(|s| s.first_chunk()).map(|b| u16::from_ne_bytes(*b));
        let header = Self {
            time_ns: u64_at(0)?,
            cgroup_id: u64_at(8)?,
            flow_id: u32_at(16)?,
            tgid: u32_at(20)?,
            ifindex: u32_at(24)?,
            wire_len: u32_at(28)?,
            captured: u32_at(32)?,
            netns: u32_at(36)?,
            l4_offset: u16_at(40)?,
            payload_offset: u16_at(42)?,
            direction: head[44],
            flags: head[45],
            protocol: head[46],
            ip_version: head[47],
        };
        Some((header, rest.get(..header.captured as usize)?))
    }
}

const _: () = assert!(size_of::<PacketHeader>() == PacketHeader::LEN);
const _: () = assert!(align_of::<PacketHeader>() == 8);
