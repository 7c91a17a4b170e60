//! IP fragments into datagrams (RFC 791, RFC 8200 section 4.5).

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;
use remora_model::{Endpoint, Timestamp, Transport};

use crate::packet::{self, Fragment, IpView};

/// How long fragments wait for the rest (RFC 8200; Linux waits half as long).
const WAIT: Duration = Duration::from_secs(60);

/// The largest payload of a datagram.
const MAX_PAYLOAD: u32 = 65_535;

/// Fragments of one datagram; no more than that of the smallest size make up the largest.
const MAX_PARTS: usize = 128;

/// What the fragments of a datagram share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// Part of the identity in IPv4; in IPv6 all fragments have the same anyway.
    protocol: u8,
    scope: u32,
}

/// A datagram being put together.
struct Partial {
    /// Tells it from an earlier one with the same key in the queue of time-outs.
    serial: u64,
    /// Payload so far, holes zeroed.
    payload: Vec<u8>,
    /// Offset and end of what has arrived, in order.
    parts: Vec<(u32, u32)>,
    /// End of the last fragment, once seen.
    len: Option<u32>,
    packets: u32,
    ip_bytes: u64,
    /// Overlapping fragments were seen: whatever else comes is dropped.
    spoiled: bool,
}

/// A datagram put together from its fragments.
#[derive(Clone, Debug)]
pub struct Datagram {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) scope: u32,
    pub(super) payload: Vec<u8>,
    /// Fragments it came in.
    pub(super) packets: u32,
    /// Sum of their IP lengths.
    pub(super) ip_bytes: u64,
}

impl Datagram {
    /// The flow that it belongs to: transport, sender, receiver. `None` where its payload is nothing that
    /// flows are made of.
    pub fn flow(&self) -> Option<(Transport, Endpoint, Endpoint)> {
        let len = u32::try_from(self.payload.len()).ok()?;
        let (transport, from, to) = packet::parse_transport(self.protocol, &self.payload, len).ok()?.ports();
        Some((transport, Endpoint { ip: self.src, port: from }, Endpoint { ip: self.dst, port: to }))
    }

    /// Bytes of its payload.
    pub fn len(&self) -> usize {
        self.payload.len()
    }

    /// True when it has no payload.
    pub fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }
}

/// What became of a fragment.
pub(super) enum Outcome {
    /// It waits for others.
    Kept,
    /// It was the last one missing.
    Whole(Box<Datagram>),
    /// It overlaps another one, or the datagram does since an earlier fragment.
    Overlap,
    /// It cannot be kept: cut by the snaplen, impossible, or one of too many.
    Refused,
}

/// Datagrams being put together.
#[derive(Default)]
pub(super) struct Fragments {
    datagrams: HashMap<Key, Partial>,
    /// In order of arrival of their first fragment.
    queue: VecDeque<(Timestamp, Key, u64)>,
    serial: u64,
    bytes: usize,
}

impl Fragments {
    pub(super) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a fragment. At most `max` datagrams are held, and no more than `max_bytes` bytes;
    /// `lost` is told the payload bytes of each that has to make room.
    pub(super) fn add(
        &mut self,
        scope: u32,
        ip: &IpView<'_>,
        at: Fragment,
        ts: Timestamp,
        (max, max_bytes): (usize, usize),
        mut lost: impl FnMut(u64),
    ) -> Outcome {
        let (start, end) = (at.offset, at.offset.saturating_add(ip.payload_len));
        // All but the last come in units of eight bytes.
        let odd = at.more && !ip.payload_len.is_multiple_of(8);
        if max == 0 || ip.payload.len() != ip.payload_len as usize || start == end || end > MAX_PAYLOAD || odd
        {
            return Outcome::Refused;
        }
        let key = Key { src: ip.src, dst: ip.dst, id: at.id, protocol: ip.protocol, scope };
        if !self.datagrams.contains_key(&key) {
            while self.datagrams.len() >= max || (self.bytes > max_bytes && !self.datagrams.is_empty()) {
                lost(self.drop_oldest());
            }
            self.serial += 1;
            self.queue.push_back((ts, key, self.serial));
        }
        let serial = self.serial;
        let datagram = self.datagrams.entry(key).or_insert_with(|| Partial {
            serial,
            payload: Vec::new(),
            parts: Vec::new(),
            len: None,
            packets: 0,
            ip_bytes: 0,
            spoiled: false,
        });
        if datagram.spoiled {
            return Outcome::Overlap;
        }
        let before = datagram.payload.capacity();
        let outcome = datagram.add(start, end, at.more, ip);
        self.bytes = self.bytes + datagram.payload.capacity() - before;
        match outcome {
            Outcome::Kept if datagram.is_whole() => {
                let Some(datagram) = self.datagrams.remove(&key) else { return Outcome::Refused };
                self.bytes -= datagram.payload.capacity();
                Outcome::Whole(Box::new(Datagram {
                    src: key.src,
                    dst: key.dst,
                    protocol: key.protocol,
                    scope,
                    payload: datagram.payload,
                    packets: datagram.packets,
                    ip_bytes: datagram.ip_bytes,
                }))
            }
            outcome => outcome,
        }
    }

    /// Drops what has waited too long; `lost` is told the payload bytes of each datagram.
    pub(super) fn expire(&mut self, now: Timestamp, mut lost: impl FnMut(u64)) {
        let wait = u64::try_from(WAIT.as_nanos()).unwrap_or(u64::MAX);
        while let Some(&(since, key, serial)) = self.queue.front() {
            let waits = self.datagrams.get(&key).is_some_and(|d| d.serial == serial);
            if !waits {
                self.queue.pop_front();
            } else if now.0.abs_diff(since.0) > wait {
                lost(self.drop_oldest());
            } else {
                break;
            }
        }
    }

    /// Drops everything; `lost` is told the payload bytes of each datagram.
    pub(super) fn clear(&mut self, mut lost: impl FnMut(u64)) {
        while !self.datagrams.is_empty() {
            lost(self.drop_oldest());
        }
        *self = Self::default();
    }

    /// Drops the datagram that has waited longest, and says how many bytes had arrived of it.
    fn drop_oldest(&mut self) -> u64 {
        while let Some((_, key, serial)) = self.queue.pop_front() {
            if self.datagrams.get(&key).is_some_and(|d| d.serial == serial)
                && let Some(datagram) = self.datagrams.remove(&key)
            {
                self.bytes -= datagram.payload.capacity();
                return datagram.parts.iter().map(|&(from, to)| u64::from(to - from)).sum();
            }
        }
        0
    }
}

impl Partial {
    fn add(&mut self, start: u32, end: u32, more: bool, ip: &IpView<'_>) -> Outcome {
        let i = self.parts.partition_point(|&(from, _)| from < start);
        // An exact copy is a retransmission or was captured twice; any other overlap is an attack
        // or a fault, and the whole datagram goes (RFC 5722).
        if self.parts.get(i) == Some(&(start, end)) {
            return Outcome::Kept;
        }
        let overlaps = self.parts.get(i).is_some_and(|&(from, _)| from < end)
            || i.checked_sub(1).and_then(|i| self.parts.get(i)).is_some_and(|&(_, to)| to > start);
        let contradicts = match self.len {
            Some(len) => end > len || (!more && end != len),
            None => !more && self.parts.last().is_some_and(|&(_, to)| to > end),
        };
        if overlaps || contradicts {
            self.spoiled = true;
            self.payload = Vec::new();
            self.parts = Vec::new();
            return Outcome::Overlap;
        }
        if self.parts.len() >= MAX_PARTS {
            return Outcome::Refused;
        }
        self.parts.insert(i, (start, end));
        if self.payload.len() < end as usize {
            self.payload.resize(end as usize, 0);
        }
        self.payload[start as usize..end as usize].copy_from_slice(ip.payload);
        if !more {
            self.len = Some(end);
        }
        self.packets = self.packets.saturating_add(1);
        self.ip_bytes += u64::from(ip.wire_len);
        Outcome::Kept
    }

    fn is_whole(&self) -> bool {
        let mut at = 0;
        self.parts.iter().all(|&(from, to)| {
            let follows = from == at;
            at = to;
            follows
        }) && self.len == Some(at)
    }
}
