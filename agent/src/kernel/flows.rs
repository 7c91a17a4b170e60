//! The kernel's flow table as user space sees it.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use remora_abi::{FlowKey, FlowValue, Opener, Reason};
use remora_model::Timestamp;

use super::clock::Clock;

/// What one side of a flow has sent.
#[derive(Clone, Copy, Debug)]
pub struct FlowSideEntry {
    /// Its endpoint; port 0 for protocols without ports, and for fragments.
    pub addr: SocketAddr,
    /// Packets, before segmentation on the way out and after merging on the way in.
    pub packets: u64,
    /// Bytes from the IP header on.
    pub bytes: u64,
    /// Bytes of packets that were not copied because of a shunt.
    pub shunted_bytes: u64,
    /// Newest packet, if it sent any.
    pub last_seen: Option<Timestamp>,
    /// Cgroup-v2 id of its socket; 0 when unknown or remote.
    pub cgroup_id: u64,
    /// Process that owns its socket; 0 when unknown or remote.
    pub tgid: u32,
    /// TCP segments that repeated what was sent before.
    pub retransmits: u32,
    /// Union of its TCP flags.
    pub tcp_flags: u8,
}

/// A flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowEntry {
    /// Name of the entry, as in [`super::PacketRecord::flow_id`].
    pub id: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// See [`super::PacketRecord::netns`].
    pub netns: u32,
    /// Both sides in the table's order, which says nothing about who opened the flow.
    pub sides: [FlowSideEntry; 2],
    /// The side that opened it, when its start was seen: 0 or 1.
    pub opener: Option<usize>,
    /// First packet.
    pub first_seen: Timestamp,
    /// From SYN to the ACK that completed the handshake, when all three were seen.
    pub handshake_rtt: Option<Duration>,
    /// From SYN to SYN/ACK.
    pub synack_rtt: Option<Duration>,
    /// Why it is not captured, if it is not.
    pub left_out: Option<Reason>,
}

impl FlowEntry {
    pub(super) fn new(key: &FlowKey, value: &FlowValue, clock: &Clock) -> Self {
        let side = |i: usize| {
            let s = &value.side[i];
            FlowSideEntry {
                addr: SocketAddr::new(address(key, i), key.port[i]),
                packets: s.packets,
                bytes: s.bytes,
                shunted_bytes: s.shunted_bytes,
                last_seen: (s.last_ns != 0).then(|| clock.unix(s.last_ns)),
                cgroup_id: s.cgroup_id,
                tgid: s.tgid,
                retransmits: s.retransmits,
                tcp_flags: s.tcp_flags,
            }
        };
        let between = |from: u64, to: u64| {
            (from != 0 && to != 0).then(|| Duration::from_nanos(to.saturating_sub(from)))
        };
        Self {
            id: value.id,
            protocol: key.protocol(),
            netns: key.netns(),
            sides: [side(0), side(1)],
            opener: match value.opener {
                Opener::SIDE_0 => Some(0),
                Opener::SIDE_1 => Some(1),
                _ => None,
            },
            first_seen: clock.unix(value.first_ns),
            handshake_rtt: between(value.syn_ns, value.ack_ns),
            synack_rtt: between(value.syn_ns, value.synack_ns),
            left_out: Reason::ALL
                .into_iter()
                .find(|r| *r as u32 == u32::from(value.verdict))
                .filter(|r| *r != Reason::Captured),
        }
    }
}

fn address(key: &FlowKey, side: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(key.address(side))).to_canonical()
}
