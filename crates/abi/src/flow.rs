//! The flow table.

/// Key of a flow: both endpoints in canonical order, so that both directions share one entry.
/// Side 0 has the smaller `(address words, port)` compared as the machine's integers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Addresses of side 0 and 1, IPv4 as `::ffff:a.b.c.d`; the bytes are in network order.
    pub addr: [[u64; 2]; 2],
    /// Ports of side 0 and 1, as numbers; 0 for protocols without ports.
    pub port: [u16; 2],
    /// IP protocol in bits 0..8, the network namespace of loopback traffic in bits 8..32.
    pub protocol_netns: u32,
}

impl FlowKey {
    /// The key of the flow between two ends, and the side (0 or 1) that the first of them is.
    #[inline(always)]
    pub fn between(a: (&[u64; 2], u16), b: (&[u64; 2], u16), protocol: u8, netns: u32) -> (Self, usize) {
        let protocol_netns = protocol as u32 | netns << 8;
        if (a.0[0], a.0[1], a.1) > (b.0[0], b.0[1], b.1) {
            (Self { addr: [*b.0, *a.0], port: [b.1, a.1], protocol_netns }, 1)
        } else {
            (Self { addr: [*a.0, *b.0], port: [a.1, b.1], protocol_netns }, 0)
        }
    }

    /// IP protocol number.
    pub const fn protocol(&self) -> u8 {
        self.protocol_netns as u8
    }

    /// See `PacketHeader::netns`.
    pub const fn netns(&self) -> u32 {
        self.protocol_netns >> 8
    }

    /// Which of `shares` equal shares of all flows it falls into, counted from 0; the same for both
    /// directions.
    #[inline(always)]
    pub const fn share(&self, shares: u32) -> u32 {
        /// 2^64 by the golden ratio: multiplying by it carries every bit upwards (Fibonacci hashing).
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut h = self.addr[0][0] ^ self.addr[1][0].rotate_left(32);
        h = (h ^ self.addr[0][1]).wrapping_mul(K);
        h = (h ^ h >> 29 ^ self.addr[1][1]).wrapping_mul(K);
        let ports = (self.port[0] as u64) << 16 | self.port[1] as u64;
        h = (h ^ h >> 32 ^ ports).wrapping_mul(K);
        h = (h ^ h >> 29 ^ self.protocol_netns as u64).wrapping_mul(K);
        // By the high bits, which depend on all others. The low ones would be those of the ports,
        // and the ports that Linux gives to clients are all even or all odd.
        (((h >> 32) * shares as u64) >> 32) as u32
    }

    /// The address of a side in network order; `side` is 0 or 1.
    pub const fn address(&self, side: usize) -> [u8; 16] {
        let words = self.addr[side & 1];
        let (hi, lo) = (words[0].to_ne_bytes(), words[1].to_ne_bytes());
        [
            hi[0], hi[1], hi[2], hi[3], hi[4], hi[5], hi[6], hi[7], lo[0], lo[1], lo[2], lo[3], lo[4], lo[5],
            lo[6], lo[7],
        ]
    }
}

/// Where a direction of a flow is captured, so that a packet that passes several hooks is
/// captured at one of them.
#[derive(Clone, Copy, Debug)]
pub struct Hook;

impl Hook {
    /// Not decided.
    pub const NONE: u32 = 0;
    /// At the hook where packets reach sockets.
    pub const SOCKET_INGRESS: u32 = 1;
    /// At the hook where packets leave sockets.
    pub const SOCKET_EGRESS: u32 = 2;

    /// At an interface.
    pub const fn interface(ifindex: u32, egress: bool) -> u32 {
        4 + (ifindex << 1) + egress as u32
    }
}

/// Bits of [`FlowSide::flags`].
pub mod side_flags {
    /// `next_seq` is valid.
    pub const SEQ: u8 = 1;
    /// The side's socket is on this host and `cgroup_id` and `tgid` were looked up.
    pub const LOCAL: u8 = 2;
    /// The side's cgroup, or one above it, is in the include list.
    pub const CGROUP_INCLUDED: u8 = 4;
    /// The side's cgroup, or one above it, is in the exclude list.
    pub const CGROUP_EXCLUDED: u8 = 8;
    /// Packets of this side were left out on their way out of its socket, and counted there.
    pub const COUNTED_AT_EGRESS: u8 = 16;
}

/// TCP flag bits (RFC 9293, 3.1).
pub mod tcp_flags {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 2;
    /// Reset.
    pub const RST: u8 = 4;
    /// Acknowledgement field is significant.
    pub const ACK: u8 = 16;
}

/// What one side of a flow has sent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowSide {
    /// Packets (segments before segmentation on the way out, after merging on the way in).
    pub packets: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
    /// CLOCK_BOOTTIME of the newest packet, ns.
    pub last_ns: u64,
    /// Bytes from the IP header on that were not copied because of a shunt.
    pub shunted_bytes: u64,
    /// Cgroup-v2 id of the side's socket, 0 when unknown.
    pub cgroup_id: u64,
    /// Owner of the socket, 0 when unknown.
    pub tgid: u32,
    /// TCP: highest sequence number seen, plus one.
    pub next_seq: u32,
    /// TCP segments with payload that ended at or before `next_seq`.
    pub retransmits: u32,
    /// Where this direction is captured, see [`Hook`].
    pub hook: u32,
    /// Union of the TCP flags.
    pub tcp_flags: u8,
    /// See [`side_flags`].
    pub flags: u8,
    /// Always zero.
    pub pad: [u8; 6],
}

const _: () = assert!(size_of::<FlowSide>() == 64);

/// Values of [`FlowValue::opener`].
#[derive(Clone, Copy, Debug)]
pub struct Opener;

impl Opener {
    /// The start was not seen.
    pub const UNKNOWN: u8 = 0;
    /// Side 0 sent the SYN, or the first datagram.
    pub const SIDE_0: u8 = 1;
    /// Side 1 did.
    pub const SIDE_1: u8 = 2;
}

/// State of a flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowValue {
    /// What each side sent, in the order of the key.
    pub side: [FlowSide; 2],
    /// CLOCK_BOOTTIME of the first packet, ns.
    pub first_ns: u64,
    /// CLOCK_BOOTTIME of the SYN, ns; 0 when not seen.
    pub syn_ns: u64,
    /// CLOCK_BOOTTIME of the SYN/ACK, ns; 0 when not seen.
    pub synack_ns: u64,
    /// CLOCK_BOOTTIME of the ACK that completed the handshake, ns; 0 when not seen.
    pub ack_ns: u64,
    /// Random name of this entry, never 0.
    pub id: u32,
    /// Generation of the policy that `verdict` belongs to.
    pub policy_generation: u32,
    /// Index of the ring that the flow's packets go to.
    pub ring: u32,
    /// `Reason` why the flow is not captured, 0 (`Captured`) when it is.
    pub verdict: u8,
    /// Who opened it, see [`Opener`].
    pub opener: u8,
    /// Always zero.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<FlowValue>() == 176);
const _: () = assert!(size_of::<FlowKey>() == 40);

/// A slot of the shunt table: a part of a flow that is not to be copied.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Shunt {
    /// Flow that the slot belongs to; 0 when free.
    pub flow_id: u32,
    /// Which directions are shunted: bit 0 for side 0, bit 1 for side 1 up to `until`, bits 2 and 3
    /// for the whole rest of the direction.
    pub sides: u32,
    /// TCP sequence number before which the payload of each side is skipped.
    pub until: [u32; 2],
}

impl Shunt {
    /// Slots in the table; the low bits of the flow id choose one.
    pub const SLOTS: u32 = 16_384;
    /// Longest distance that `until` may lie ahead: half of the sequence space less a margin for
    /// what is under way when the request arrives.
    pub const MAX_AHEAD: u32 = 1 << 30;
}

const _: () = assert!(size_of::<Shunt>() == 16);

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients on one host get ports of one parity, and ask one server.
    #[test]
    fn flows_are_shared_out_evenly() {
        let host = |n: u8| [0, u64::from_ne_bytes([0, 0, 0xff, 0xff, 10, 0, 0, n])];
        for shares in [1, 2, 3, 4, 7, 16] {
            for addr in [[host(1), host(1)], [host(1), host(2)]] {
                for (fixed, step) in [(0, 1), (0, 2), (1, 2), (1, 4)] {
                    let mut counts = [0_u32; 16];
                    for n in 0..1_600_u16 {
                        let mut port = [80, 32_768 + n * step];
                        port.rotate_left(fixed);
                        let key = FlowKey { addr, port, protocol_netns: 6 | 0x1234 << 8 };
                        counts[key.share(shares) as usize] += 1;
                    }
                    let fair = 1_600 / shares;
                    assert!(
                        counts[..shares as usize].iter().all(|n| (fair / 2..=fair * 2).contains(n)),
                        "{shares} shares, port {fixed} in steps of {step}: {counts:?}"
                    );
                }
            }
        }
    }
}
