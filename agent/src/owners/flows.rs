//! The owners of both sides of each flow, as the packets tell them.
//!
//! They are kept by the engine's id of the flow, not by addresses: what the engine tells apart
//! (connections that follow each other between the same ends, equal addresses in different network
//! namespaces) has owners of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use remora_dissect::FlowName;
use remora_model::{Endpoint, FlowId, Transport};

use crate::kernel::{Direction, Owners, PacketRecord};

/// Packets of flows that were noted already are recognised by this many remembered tags.
const TAGS: usize = 8_192;
/// No tag: its process has an id that none has.
const NO_TAG: u64 = u64::MAX;

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

#[derive(Clone, Copy, Debug)]
struct Entry {
    transport: Transport,
    ends: [Endpoint; 2],
    /// The lower endpoint's side and the higher one's.
    sides: [SideOwner; 2],
    tries: u8,
    ask_at: Option<Instant>,
}

/// Owners of the flows of one shard. Holds at most twice its capacity: when the newer half is full,
/// the older is forgotten, except for what was used in the meantime.
#[derive(Debug)]
pub struct FlowOwners {
    owners: Option<Owners>,
    newer: HashMap<FlowId, Entry>,
    older: HashMap<FlowId, Entry>,
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
            tags: vec![NO_TAG; TAGS].into(),
            wants_reseed,
        }
    }

    /// Notes what a packet tells of its flow; `sender` is the end that sent it, 0 or 1. Cheap for
    /// all but the first packets of each side, for which it is true.
    pub fn note(&mut self, flow: &FlowName, sender: usize, packet: &PacketRecord<'_>) -> bool {
        let sender = sender & 1;
        // The ids of a shard count up; their low bits tell its flows apart.
        let id = flow.id.0.cast_unsigned();
        let tag = id << 33 | u64::from(packet.tgid) << 1 | sender as u64;
        // Ids have a stride: Fibonacci hashing spreads them.
        let slot = (id << 1 | sender as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match self.tags.get_mut(slot as usize % TAGS) {
            Some(seen) if *seen == tag => return false,
            Some(seen) => *seen = tag,
            None => {}
        }
        let side = match packet.direction {
            Direction::Egress => sender,
            Direction::Ingress => 1 - sender,
        };
        let owner = &mut self.entry(flow).sides[side];
        owner.local = true;
        if packet.tgid != 0 {
            owner.tgid = packet.tgid;
        }
        if packet.cgroup_id != 0 {
            owner.cgroup_id = packet.cgroup_id;
        }
        true
    }

    /// The owners of the client's side and of the other one.
    pub fn sides(&mut self, flow: FlowId, client: Endpoint) -> [SideOwner; 2] {
        let owners = self.owners.clone();
        let Some(entry) = self.find(flow) else { return [SideOwner::default(); 2] };
        let client_side = usize::from(entry.ends[0] != client);
        let missing = |s: &SideOwner| s.local && s.tgid == 0;
        let mut asked = false;
        // What the kernel itself sends (ICMP, for the most part) has no owner to be found there.
        let listed = matches!(entry.transport, Transport::Tcp | Transport::Udp);
        if listed && entry.sides.iter().any(missing) && entry.tries < TRIES {
            let now = Instant::now();
            if let Some(owners) = &owners
                && entry.ask_at.is_none_or(|at| now >= at)
            {
                entry.tries += 1;
                entry.ask_at = Some(now + TRY_AFTER);
                asked = true;
                ask(owners, entry);
            }
        }
        let sides = [entry.sides[client_side], entry.sides[1 - client_side]];
        if asked && sides.iter().any(missing) {
            self.wants_reseed.store(true, Ordering::Relaxed);
        }
        sides
    }

    /// A flow has ended and will not be asked for again.
    pub fn forget(&mut self, flow: FlowId) {
        self.newer.remove(&flow);
        self.older.remove(&flow);
    }

    /// Flows held.
    pub fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }

    /// True when no flow is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&mut self, flow: FlowId) -> Option<&mut Entry> {
        if !self.newer.contains_key(&flow) {
            let entry = self.older.remove(&flow)?;
            self.insert(flow, entry);
        }
        self.newer.get_mut(&flow)
    }

    fn entry(&mut self, flow: &FlowName) -> &mut Entry {
        let fresh = Entry {
            transport: flow.transport,
            ends: flow.ends,
            sides: [SideOwner::default(); 2],
            tries: 0,
            ask_at: None,
        };
        if !self.newer.contains_key(&flow.id) {
            let entry = self.older.remove(&flow.id).unwrap_or(fresh);
            self.insert(flow.id, entry);
        }
        self.newer.entry(flow.id).or_insert(fresh)
    }

    fn insert(&mut self, flow: FlowId, entry: Entry) {
        if self.newer.len() >= self.capacity {
            self.older = std::mem::take(&mut self.newer);
            // A tag stands for an entry that may just have been forgotten.
            self.tags.fill(NO_TAG);
        }
        self.newer.insert(flow, entry);
    }
}

fn ask(owners: &Owners, entry: &mut Entry) {
    let protocol = entry.transport.ip_protocol(entry.ends[0].ip);
    let ends = entry.ends.map(|e| SocketAddr::new(e.ip, e.port));
    for (side, (local, remote)) in entry.sides.iter_mut().zip([(ends[0], ends[1]), (ends[1], ends[0])]) {
        if side.local
            && side.tgid == 0
            && let Some(owner) = owners.endpoint(protocol, local, remote, side.cgroup_id)
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

    /// The flow between ports 53 and 5000, the lower end first.
    fn flow(id: i64, scope: u32) -> FlowName {
        let ends = [end(53), end(5_000)];
        FlowName { id: FlowId(id), transport: Transport::Udp, ends, scope, tag: 1 }
    }

    const CLIENT: usize = 1;
    const SERVER: usize = 0;

    fn record(direction: Direction, tgid: u32) -> PacketRecord<'static> {
        PacketRecord {
            time: remora_model::Timestamp(0),
            data: &[],
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
            flow_id: 1,
        }
    }

    #[test]
    fn both_sides_become_known_from_what_they_send() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        assert!(flows.note(&flow(1, 0), CLIENT, &record(Direction::Egress, 7)));
        assert!(flows.note(&flow(1, 0), SERVER, &record(Direction::Egress, 9)));
        assert!(!flows.note(&flow(1, 0), SERVER, &record(Direction::Egress, 9)));
        let [client, server] = flows.sides(FlowId(1), end(5_000));
        assert_eq!((client.tgid, client.cgroup_id, server.tgid), (7, 70, 9));
        // The same the other way round.
        assert_eq!(flows.sides(FlowId(1), end(53)), [server, client]);
        flows.forget(FlowId(1));
        assert!(flows.is_empty());
    }

    #[test]
    fn equal_ends_in_two_namespaces_or_one_after_the_other_do_not_mix() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        flows.note(&flow(1, 111), CLIENT, &record(Direction::Egress, 7));
        flows.note(&flow(2, 222), CLIENT, &record(Direction::Egress, 8));
        flows.note(&flow(3, 111), CLIENT, &record(Direction::Egress, 9));
        let owner = |flows: &mut FlowOwners, id| flows.sides(FlowId(id), end(5_000))[0].tgid;
        assert_eq!([1, 2, 3].map(|id| owner(&mut flows, id)), [7, 8, 9]);
        // The end of one is not the end of the next.
        flows.forget(FlowId(1));
        assert_eq!([1, 2, 3].map(|id| owner(&mut flows, id)), [0, 8, 9]);
    }

    #[test]
    fn a_receiver_owns_what_comes_in() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        flows.note(&flow(1, 0), CLIENT, &record(Direction::Ingress, 9));
        let [client, server] = flows.sides(FlowId(1), end(5_000));
        assert_eq!((client, server.tgid), (SideOwner::default(), 9));
    }

    #[test]
    fn an_owner_learned_late_is_taken_up() {
        let mut flows = FlowOwners::new(None, 100, Arc::default());
        for tgid in [0, 7, 0] {
            flows.note(&flow(1, 0), CLIENT, &record(Direction::Egress, tgid));
        }
        assert_eq!(flows.sides(FlowId(1), end(5_000))[0].tgid, 7);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_used() {
        let mut flows = FlowOwners::new(None, 64, Arc::default());
        for id in 1..5_000 {
            flows.note(&flow(id, 0), CLIENT, &record(Direction::Egress, 3));
            flows.note(&flow(9_999, 0), CLIENT, &record(Direction::Egress, 1));
            flows.sides(FlowId(9_999), end(5_000));
            assert!(flows.len() <= 2 * 64 + 1);
        }
        assert_eq!(flows.sides(FlowId(9_999), end(5_000))[0].tgid, 1);
    }
}
