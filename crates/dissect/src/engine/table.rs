//! The flow table: flows by address, and in the order in which they may go.

use std::net::IpAddr;

use hashbrown::HashMap;
use remora_model::{Endpoint, Transport};

use super::flow::Flow;

/// Who talks to whom, without a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    low: (u128, u16),
    high: (u128, u16),
    transport: Transport,
    scope: u32,
}

impl Key {
    /// The key of a packet, and its direction: 0 when its sender is the lower end.
    pub(super) fn new(scope: u32, transport: Transport, src: Endpoint, dst: Endpoint) -> (Self, usize) {
        let number = |e: Endpoint| match e.ip {
            IpAddr::V4(ip) => (u128::from(ip.to_ipv6_mapped()), e.port),
            IpAddr::V6(ip) => (u128::from(ip), e.port),
        };
        let (a, b) = (number(src), number(dst));
        if a <= b {
            (Self { low: a, high: b, transport, scope }, 0)
        } else {
            (Self { low: b, high: a, transport, scope }, 1)
        }
    }
}

/// The lists that flows stand in, in the order in which a full table sheds them. In each list the
/// flow that was silent for the longest stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Queue {
    /// Over; kept for a while so that stragglers do not look like a new flow.
    Closed,
    /// TCP without payload yet: handshakes, scans, idle connections joined late.
    Embryonic,
    /// UDP.
    Datagrams,
    /// TCP with payload.
    Streams,
}

impl Queue {
    pub(super) const ALL: [Self; 4] = [Self::Closed, Self::Embryonic, Self::Datagrams, Self::Streams];
}

/// No flow.
const NONE: u32 = u32::MAX;

/// Neighbours in a queue.
#[derive(Clone, Copy, Debug)]
struct Links {
    queue: Queue,
    older: u32,
    newer: u32,
}

struct Slot {
    key: Key,
    links: Links,
    flow: Flow,
}

/// Flows. Slots are numbered and reused; [`Flow::serial`] tells one tenant from the next.
pub(super) struct Table {
    index: HashMap<Key, u32>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    /// Oldest and newest of each queue.
    ends: [(u32, u32); Queue::ALL.len()],
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            index: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            ends: [(NONE, NONE); Queue::ALL.len()],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// One more than the highest slot in use.
    pub(super) fn slots(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(NONE)
    }

    pub(super) fn find(&self, key: &Key) -> Option<u32> {
        self.index.get(key).copied()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Flow> {
        Some(&self.slots.get(slot as usize)?.as_ref()?.flow)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Flow> {
        Some(&mut self.slots.get_mut(slot as usize)?.as_mut()?.flow)
    }

    pub(super) fn insert(&mut self, key: Key, queue: Queue, flow: Flow) -> u32 {
        let links = Links { queue, older: NONE, newer: NONE };
        let entry = Some(Slot { key, links, flow });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = entry;
                slot
            }
            None => {
                self.slots.push(entry);
                u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
            }
        };
        self.index.insert(key, slot);
        self.append(slot, queue);
        slot
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Flow> {
        self.unlink(slot);
        let entry = self.slots.get_mut(slot as usize)?.take()?;
        self.index.remove(&entry.key);
        self.free.push(slot);
        Some(entry.flow)
    }

    /// Moves a flow to the newest end of a queue.
    pub(super) fn touch(&mut self, slot: u32, queue: Queue) {
        if self.ends[queue as usize].1 != slot {
            self.unlink(slot);
            self.append(slot, queue);
        }
    }

    /// The flow of a queue that was silent for the longest.
    pub(super) fn oldest(&self, queue: Queue) -> Option<u32> {
        let slot = self.ends[queue as usize].0;
        (slot != NONE).then_some(slot)
    }

    /// The flow that follows in its queue.
    pub(super) fn newer(&self, slot: u32) -> Option<u32> {
        let next = self.links(slot)?.newer;
        (next != NONE).then_some(next)
    }

    fn links(&self, slot: u32) -> Option<Links> {
        Some(self.slots.get(slot as usize)?.as_ref()?.links)
    }

    fn links_mut(&mut self, slot: u32) -> Option<&mut Links> {
        Some(&mut self.slots.get_mut(slot as usize)?.as_mut()?.links)
    }

    fn append(&mut self, slot: u32, queue: Queue) {
        let (_, newest) = self.ends[queue as usize];
        if let Some(links) = self.links_mut(slot) {
            *links = Links { queue, older: newest, newer: NONE };
        }
        match self.links_mut(newest) {
            Some(links) => links.newer = slot,
            None => self.ends[queue as usize].0 = slot,
        }
        self.ends[queue as usize].1 = slot;
    }

    fn unlink(&mut self, slot: u32) {
        let Some(Links { queue, older, newer }) = self.links(slot) else { return };
        match self.links_mut(older) {
            Some(links) => links.newer = newer,
            None => self.ends[queue as usize].0 = newer,
        }
        match self.links_mut(newer) {
            Some(links) => links.older = older,
            None => self.ends[queue as usize].1 = older,
        }
    }
}
