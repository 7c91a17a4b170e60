//! The bytes of one direction on their way to a dissector.

use remora_model::Timestamp;

use crate::{Ending, dissector::Times};

/// Arrival times kept for one buffer. Beyond it every other one is forgotten: a byte in the middle
/// of a message then seems to have come a little earlier than it did.
const MAX_TIMES: usize = 256;

/// A buffer that has grown beyond this is given back when it runs empty.
const KEEP_CAPACITY: usize = 16 << 10;

/// State of one direction.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Offset in the stream of the first byte that the dissector has not taken.
    pub(super) pos: u64,
    /// Bytes still to be counted off unseen; `u64::MAX`: all that come.
    pub(super) skip: u64,
    /// How many of the bytes counted off were never captured.
    pub(super) skip_missing: u64,
    /// Set while the beginning of a message is being looked for: bytes passed over so far.
    pub(super) lost: Option<u64>,
    /// The stream was joined in the middle.
    pub(super) joined: bool,
    /// It is over.
    pub(super) ended: Option<Ending>,
    /// Arrival of the newest byte. Never runs backwards: a byte that had to wait for an earlier
    /// one counts as arriving with it.
    pub(super) newest: Timestamp,
    buffer: Vec<u8>,
    start: usize,
    times: Vec<(usize, Timestamp)>,
}

impl Stream {
    /// Bytes that wait to be taken.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// When the waiting bytes arrived.
    pub(super) fn times(&self) -> Times<'_> {
        Times(&self.times)
    }

    /// Arrival of the first waiting byte.
    pub(super) fn oldest(&self) -> Timestamp {
        self.times.first().map_or(self.newest, |&(_, t)| t)
    }

    pub(super) fn arrived(&mut self, ts: Timestamp) {
        self.newest = self.newest.max(ts);
    }

    /// Adds bytes that arrived at `newest`.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let at = self.buffer.len() - self.start;
        if self.times.last().is_none_or(|&(_, t)| t != self.newest) {
            if self.times.len() >= MAX_TIMES {
                let mut i = 0;
                self.times.retain(|_| {
                    i += 1;
                    i % 2 == 1
                });
            }
            self.times.push((at, self.newest));
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets the first `n` waiting bytes: they are taken or passed over.
    pub(super) fn take(&mut self, n: usize) {
        let n = n.min(self.buffer.len() - self.start);
        self.pos += n as u64;
        self.start += n;
        if self.is_empty() {
            self.buffer.clear();
            self.start = 0;
            self.times.clear();
            if self.buffer.capacity() > KEEP_CAPACITY {
                self.buffer = Vec::new();
            }
            return;
        }
        // The entry that covers the new first byte becomes entry 0.
        let covering = self.times.partition_point(|&(from, _)| from <= n).saturating_sub(1);
        self.times.drain(..covering);
        for (from, _) in &mut self.times {
            *from = from.saturating_sub(n);
        }
    }

    /// Forgets all waiting bytes and says how many they were.
    pub(super) fn clear(&mut self) -> u64 {
        let n = self.rest().len();
        self.take(n);
        n as u64
    }

    /// Counts bytes off that are to be skipped: up to `len` of them, of which the answer says how
    /// many there were.
    pub(super) fn count_off(&mut self, len: u64, missing: bool) -> u64 {
        let n = len.min(self.skip);
        if self.skip != u64::MAX {
            self.skip -= n;
        }
        self.pos += n;
        if missing {
            self.skip_missing += n;
        }
        n
    }

    /// Gives all memory back. The position and the ending stay.
    pub(super) fn forget(&mut self) {
        *self = Self { pos: self.pos, ended: self.ended, ..Self::default() };
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.buffer.capacity() + self.times.capacity() * size_of::<(usize, Timestamp)>()
    }
}
