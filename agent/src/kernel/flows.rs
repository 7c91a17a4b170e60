//! The kernel's flow table as user space sees it.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use aya::maps::{HashMap, MapData, MapError};
use remora_abi::{FlowKey, FlowValue, Opener, Reason};
use remora_model::Timestamp;

use super::{KernelError, clock::Clock};

/// The table itself.
pub(super) type Flows = HashMap<MapData, FlowKey, FlowValue>;

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

/// Looks flows up by their ends, at the price of a system call each. For one thread.
#[derive(Debug)]
pub struct FlowTable {
    map: Arc<RwLock<Flows>>,
    clock: Clock,
}

impl FlowTable {
    pub(super) fn new(map: Arc<RwLock<Flows>>) -> Self {
        Self { map, clock: Clock::new() }
    }

    /// The flow of an IP protocol between two ends. Their order does not matter, nor does it say
    /// which side is which in the entry. `netns` is that of its packets. `None` when the table has
    /// no such flow: it is full and others were used later, or its packets were not captured.
    ///
    /// # Errors
    ///
    /// When the table cannot be read.
    pub fn get(
        &mut self,
        protocol: u8,
        netns: u32,
        ends: [SocketAddr; 2],
    ) -> Result<Option<FlowEntry>, KernelError> {
        let key = key(protocol, netns, ends);
        let found = self.map.read().unwrap_or_else(PoisonError::into_inner).get(&key, 0);
        match found {
            Ok(value) => {
                self.clock.refresh();
                Ok(Some(FlowEntry::new(&key, &value, &self.clock)))
            }
            Err(MapError::KeyNotFound) => Ok(None),
            Err(e) => Err(KernelError::bpf("reading the flow table", e)),
        }
    }

    /// Removes the flow, if it still has this id: its next packet begins a new entry.
    ///
    /// # Errors
    ///
    /// When the table cannot be read or written.
    pub fn remove(
        &mut self,
        protocol: u8,
        netns: u32,
        ends: [SocketAddr; 2],
        id: u32,
    ) -> Result<(), KernelError> {
        let key = key(protocol, netns, ends);
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let removed = match map.get(&key, 0) {
            Ok(value) if value.id == id => map.remove(&key),
            other => other.map(drop),
        };
        match removed {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(e) => Err(KernelError::bpf("removing a flow from the table", e)),
        }
    }
}

fn key(protocol: u8, netns: u32, [a, b]: [SocketAddr; 2]) -> FlowKey {
    let (a_words, b_words) = (words(a.ip()), words(b.ip()));
    FlowKey::between((&a_words, a.port()), (&b_words, b.port()), protocol, netns).0
}

/// An address as the table has it: IPv4 mapped into IPv6, network order, in words of the machine.
fn words(ip: IpAddr) -> [u64; 2] {
    let v6 = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let bits = v6.to_bits();
    [((bits >> 64) as u64).to_be(), (bits as u64).to_be()]
}

fn address(key: &FlowKey, side: usize) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(key.address(side))).to_canonical()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_directions_have_one_key() {
        for (a, b) in [
            ("10.0.0.1:80", "10.0.0.1:81"),
            ("10.0.0.2:1", "9.255.0.9:65535"),
            ("[::1]:5", "[fe80::1]:4"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            let (a, b): (SocketAddr, SocketAddr) = (a.parse().unwrap(), b.parse().unwrap());
            let there = key(6, 7, [a, b]);
            assert_eq!(there, key(6, 7, [b, a]));
            assert_ne!(there, key(17, 7, [a, b]));
            assert_ne!(there, key(6, 8, [a, b]));
            assert_eq!((there.protocol(), there.netns()), (6, 7));
            let ends = [0, 1].map(|side| SocketAddr::new(address(&there, side), there.port[side]));
            assert!(ends == [a, b] || ends == [b, a], "{ends:?}");
        }
    }
}
