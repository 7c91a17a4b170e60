//! A capturing thread's way into the ring.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pcapng::write::{self, Meta};
use crate::pcapng::{Direction, PACKET_OVERHEAD};
use crate::ring::{InterfaceId, Shared};
use crate::stats::{Count, Shed};

/// A packet to be kept.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// When it was captured, nanoseconds since 1970.
    pub ts: i64,
    /// Where.
    pub interface: InterfaceId,
    /// Which way it went there.
    pub direction: Direction,
    /// Bytes on the wire from the IP header on.
    pub wire_len: u32,
    /// Bytes from the IP header on, as many as were captured.
    pub data: &'a [u8],
}

/// Collects the packets of one thread in a buffer and hands it over when it is full or old. What is
/// in it when the feed is dropped is handed over then.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    count: Count,
    cut: Count,
    began: Option<Instant>,
    full: usize,
    snaplen: usize,
    age: Duration,
}

impl Feed {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let config = &shared.config;
        Self {
            buffer: Vec::with_capacity(config.batch_bytes),
            count: Count::default(),
            cut: Count::default(),
            began: None,
            full: config.batch_bytes,
            snaplen: config.snaplen as usize,
            age: config.batch_age,
            shared,
        }
    }

    /// Copies a packet into the buffer. It never waits for the disk, and takes a lock only to hand a
    /// full buffer over.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let data = match packet.data.get(..self.snaplen) {
            Some(data) if data.len() < packet.data.len() => {
                self.cut.add(Count { packets: 1, bytes: (packet.data.len() - data.len()) as u64 });
                data
            }
            _ => packet.data,
        };
        if self.buffer.len() + data.len() + PACKET_OVERHEAD > self.full {
            self.flush();
        }
        if self.began.is_none() {
            self.began = Some(Instant::now());
        }
        let meta = Meta {
            interface: packet.interface.0,
            ts: packet.ts,
            wire_len: packet.wire_len,
            direction: packet.direction,
        };
        write::packet(&mut self.buffer, &meta, data, "");
        self.count.add(Count { packets: 1, bytes: data.len() as u64 });
    }

    /// To be called now and then: hands over what has become old.
    pub fn turn(&mut self, now: Instant) {
        if self.began.is_some_and(|began| now.saturating_duration_since(began) >= self.age) {
            self.flush();
        }
    }

    /// Hands everything over.
    pub fn flush(&mut self) {
        if self.began.take().is_none() {
            return;
        }
        let count = std::mem::take(&mut self.count);
        let cut = std::mem::take(&mut self.cut);
        let taken = self.shared.queue.packets(&mut self.buffer, count);
        if !taken || cut.packets > 0 {
            let mut stats = self.shared.stats();
            stats.cut.add(cut);
            if !taken {
                stats.shed_mut(Shed::QueueFull).add(count);
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.flush();
    }
}
