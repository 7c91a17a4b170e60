//! The owners of both sides of each flow, as the packets tell them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use remora_dissect::LinkType;
use remora_dissect::packet::{self, Transport as Header};
use remora_model::{Endpoint, Transport};

use crate::kernel::{Direction, Owners, PacketRecord, packet_flags};

/// Packets of flows that were noted already are recognised by this many remembered tags.
const TAGS: usize = 8_192;

/// How often `/proc` is asked for a socket of a flow, and how long to wait in between.
const TRIES: u8 = 4;
const TRY_AFTER: Duration = Duration::from_millis(500);

/// One side of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideOwner {
    /// True once a packet showed that the socket of this side is on this node.
    pub local: bool,
    /// Its process; 0 when unknown.
    pub tgid: u32,
    /// Its cgroup; 0 when unknown.
    pub cgroup_id: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The lower endpoint's side and the higher one's.
    sides: [SideOwner; 2],
    tries: u8,
    ask_at: Option<Instant>,
}

type Key = (Transport, Endpoint, Endpoint);

/// Owners of the flows of one shard. Holds at most twice its capacity: when the newer half is full,
/// the older is forgotten, except for what was used in the meantime.
#[derive(Debug)]
pub struct FlowOwners {
    owners: Option<Owners>,
    newer: HashMap<Key, Entry>,
    older: HashMap<Key, Entry>,
    capacity: usize,
    tags: Box<[u64]>,
    /// Set when a look at `/proc` might help; whoever does it clears it.
    wants_reseed: Arc<AtomicBool>,
}

impl FlowOwners {
    /// A table for `capacity` flows. `wants_reseed` is set when sockets are missing in `owners`.
    pub fn new(owners: Option<Owners>, capacity: usize, wants_reseed: Arc<AtomicBool>) -> Self {
        Self {
            owners,
            newer: HashMap::new(),
            older: HashMap::new(),
            capacity: capacity.max(16),
            tags: vec![0; TAGS].into(),
            wants_reseed,
        }
    }

    /// Notes what a packet tells of its flow. Cheap for all but the first packets of each side, for
    /// which it gives transport, sender and receiver.
    pub fn note(&mut self, packet: &PacketRecord<'_>) -> Option<(Transport, Endpoint, Endpoint)> {
        if packet.flags & (packet_flags::FRAGMENT | packet_flags::NO_L4) != 0 {
            return None;
        }
        if packet.flow_id != 0 {
            let side = u64::from(packet.flags & packet_flags::FROM_SIDE_1 != 0);
            let tag = u64::from(packet.flow_id) << 32 | u64::from(packet.tgid & 0x7fff_ffff) << 1 | side;
            let slot = (packet.flow_id as usize * 2 + side as usize) % TAGS;
            match self.tags.get_mut(slot) {
                Some(seen) if *seen == tag => return None,
                Some(seen) => *seen = tag,
                None => {}
            }
        }
        let view = packet::parse(LinkType::RAW, packet.data, packet.wire_len).ok()?;
        let (transport, from, to) = match view.transport {
            Some(Header::Tcp(t)) => (Transport::Tcp, t.src_port, t.dst_port),
            Some(Header::Udp(u)) => (Transport::Udp, u.src_port, u.dst_port),
            None => return None,
        };
        let sender = Endpoint { ip: view.ip.src.to_canonical(), port: from };
        let receiver = Endpoint { ip: view.ip.dst.to_canonical(), port: to };
        let (key, sender_side) = key(transport, sender, receiver);
        let side = match packet.direction {
            Direction::Egress => sender_side,
            Direction::Ingress => 1 - sender_side,
        };
        let entry = self.entry(key);
        let owner = &mut entry.sides[side];
        owner.local = true;
        if packet.tgid != 0 {
            owner.tgid = packet.tgid;
        }
        if packet.cgroup_id != 0 {
            owner.cgroup_id = packet.cgroup_id;
        }
        Some((transport, sender, receiver))
    }

    /// The owners of the client's and the server's side.
    pub fn sides(&mut self, transport: Transport, client: Endpoint, server: Endpoint) -> [SideOwner; 2] {
        let (key, client_side) = key(transport, client, server);
        let owners = self.owners.clone();
        let entry = match self.find(&key) {
            Some(entry) => entry,
            None => return [SideOwner::default(); 2],
        };
        let missing = |s: &SideOwner| s.local && s.tgid == 0;
        let mut asked = false;
        if entry.sides.iter().any(missing) && entry.tries < TRIES {
            let now = Instant::now();
            if let Some(owners) = &owners
                && entry.ask_at.is_none_or(|at| now >= at)
            {
                entry.tries += 1;
                entry.ask_at = Some(now + TRY_AFTER);
                asked = true;
                ask(owners, &key, &mut entry.sides);
            }
        }
        let sides = [entry.sides[client_side], entry.sides[1 - client_side]];
        if asked && sides.iter().any(missing) {
            self.wants_reseed.store(true, Ordering::Relaxed);
        }
        sides
    }

    /// A flow has ended and will not be asked for again.
    pub fn forget(&mut self, transport: Transport, client: Endpoint, server: Endpoint) {
        let (key, _) = key(transport, client, server);
        self.newer.remove(&key);
        self.older.remove(&key);
    }

    /// Flows held.
    pub fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// True when no flow is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&mut self, key: &Key) -> Option<&mut Entry> {
        if !self.newer.contains_key(key) {
            let entry = self.older.remove(key)?;
            self.insert(*key, entry);
        }
        self.newer.get_mut(key)
    }

    fn entry(&mut self, key: Key) -> &mut Entry {
        if !self.newer.contains_key(&key) {
            let entry = self.older.remove(&key).unwrap_or_default();
            self.insert(key, entry);
        }
        self.newer.entry(key).or_default()
    }

    fn insert(&mut self, key: Key, entry: Entry) {
        if self.newer.len() >= self.capacity {
            self.older = std::mem::take(&mut self.newer);
            // A tag stands for an entry that may just have been forgotten.
            self.tags.fill(0);
        }
        self.newer.insert(key, entry);
    }
}

/// The key of a flow, and the side (0 lower, 1 higher) of the first endpoint.
fn key(transport: Transport, a: Endpoint, b: Endpoint) -> (Key, usize) {
    if a <= b { ((transport, a, b), 0) } else { ((transport, b, a), 1) }
}

fn ask(owners: &Owners, key: &Key, sides: &mut [SideOwner; 2]) {
    let protocol = match key.0 {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    };
    let ends = [key.1, key.2].map(|e| SocketAddr::new(e.ip, e.port));
    for (side, (local, remote)) in sides.iter_mut().zip([(ends[0], ends[1]), (ends[1], ends[0])]) {
        if side.local
            && side.tgid == 0
            && let Some(owner) = owners.endpoint(protocol, local, remote)
        {
            side.tgid = owner.tgid;
            if side.cgroup_id == 0 {
                side.cgroup_id = owner.cgroup_id;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(port: u16) -> Endpoint {
        Endpoint { ip: [10, 0, 0, 1].into(), port }
    }

    /// A UDP datagram from 10.0.0.1:from to 10.0.0.1:to.
    fn datagram(from: u16, to: u16) -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 1];
        p.extend_from_slice(&from.to_be_bytes());
        p.extend_from_slice(&to.to_be_bytes());
        p.extend_from_slice(&[0, 8, 0, 0]);
        p
    }

    fn record<'a>(data: &'a [u8], direction: Direction, tgid: u32, flow_id: u32) -> PacketRecord<'a> {
        PacketRecord {
            time: remora_model::Timestamp(0),
            data,
            wire_len: 28,
            ip_version: 4,
            protocol: 17,
            direction,
            flags: 0,
            l4_offset: 20,
            payload_offset: 28,
            ifindex: 1,
            cgroup_id: u64::from(tgid) * 10,
            tgid,
            netns: 0,
            flow_id,
        }
    }

    #[test]
    fn both_sides_become_known_from_what_they_send() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        flows.note(&record(&datagram(5_000, 53), Direction::Egress, 7, 1));
        flows.note(&record(&datagram(53, 5_000), Direction::Egress, 9, 1));
        let [client, server] = flows.sides(Transport::Udp, end(5_000), end(53));
        assert_eq!((client.tgid, client.cgroup_id, server.tgid), (7, 70, 9));
        // The same the other way round.
        assert_eq!(flows.sides(Transport::Udp, end(53), end(5_000)), [server, client]);
        flows.forget(Transport::Udp, end(5_000), end(53));
        assert!(flows.is_empty());
    }

    #[test]
    fn a_receiver_owns_what_comes_in() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        flows.note(&record(&datagram(5_000, 53), Direction::Ingress, 9, 0));
        let [client, server] = flows.sides(Transport::Udp, end(5_000), end(53));
        assert_eq!((client, server.tgid), (SideOwner::default(), 9));
    }

    #[test]
    fn an_owner_learned_late_is_taken_up() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        flows.note(&record(&datagram(5_000, 53), Direction::Egress, 0, 1));
        flows.note(&record(&datagram(5_000, 53), Direction::Egress, 7, 1));
        flows.note(&record(&datagram(5_000, 53), Direction::Egress, 0, 1));
        assert_eq!(flows.sides(Transport::Udp, end(5_000), end(53))[0].tgid, 7);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_used() {
        let mut flows = FlowOwners::new(None, 64, Arc::default());
        for port in 1..5_000 {
            flows.note(&record(&datagram(port, 60_000), Direction::Egress, u32::from(port), u32::from(port)));
            flows.note(&record(&datagram(9_999, 60_000), Direction::Egress, 1, 999_999));
            flows.sides(Transport::Udp, end(9_999), end(60_000));
            assert!(flows.len() <= 2 * 64 + 1);
        }
        assert_eq!(flows.sides(Transport::Udp, end(9_999), end(60_000))[0].tgid, 1);
    }
}
