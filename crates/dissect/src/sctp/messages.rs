//! One direction's user messages, from chunks that may come twice, late, in fragments, or not at all.

use super::chunk::{Data, Group};
use crate::{Limits, Problem};

/// Ranges of numbers above the lowest hole that are remembered; when there are more, the hole is taken
/// to be lost.
const MAX_RANGES: usize = 32;

/// How far ahead a number may lie and still belong to the same association.
const MAX_AHEAD: u32 = 1 << 24;

/// A fragment that waits for others.
#[derive(Debug)]
struct Piece {
    group: Group,
    place: u32,
    begins: bool,
    ends: bool,
    bytes: Vec<u8>,
}

/// What has come of the numbers that count chunks.
#[derive(Debug, Default)]
struct Received {
    /// All before this one have come, or are given up.
    next: Option<u32>,
    /// Ranges beyond it, from and to (excluded), in order.
    beyond: Vec<(u32, u32)>,
}

impl Received {
    /// Notes a number. False when it has come before.
    fn note(&mut self, tsn: u32) -> bool {
        let next = *self.next.get_or_insert(tsn);
        let ahead = tsn.wrapping_sub(next);
        if ahead >= MAX_AHEAD {
            return false;
        }
        // The usual case.
        if ahead == 0 && self.beyond.is_empty() {
            self.next = Some(next.wrapping_add(1));
            return true;
        }
        let at = self.beyond.partition_point(|r| r.0.wrapping_sub(next) <= ahead);
        if let Some(before) = at.checked_sub(1).and_then(|i| self.beyond.get_mut(i)) {
            if ahead < before.1.wrapping_sub(next) {
                return false;
            }
            if before.1 == tsn {
                before.1 = tsn.wrapping_add(1);
                self.join(at);
                return true;
            }
        }
        self.beyond.insert(at, (tsn, tsn.wrapping_add(1)));
        self.join(at + 1);
        true
    }

    /// Joins the range at `at` to the one before it where they touch, and the first to what is complete.
    fn join(&mut self, at: usize) {
        if let (Some(&before), Some(&after)) =
            (at.checked_sub(1).and_then(|i| self.beyond.get(i)), self.beyond.get(at))
            && before.1 == after.0
        {
            self.beyond.remove(at);
            if let Some(range) = at.checked_sub(1).and_then(|i| self.beyond.get_mut(i)) {
                range.1 = after.1;
            }
        }
        if self.beyond.len() > MAX_RANGES {
            self.next = self.beyond.first().map(|r| r.0);
        }
        while let Some(&(from, to)) = self.beyond.first().filter(|r| Some(r.0) == self.next) {
            debug_assert_eq!(Some(from), self.next);
            self.next = Some(to);
            self.beyond.remove(0);
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    received: Received,
    pieces: Vec<Piece>,
    held: usize,
    whole: Vec<u8>,
}

impl Messages {
    /// The first number that the sender will use, from its INIT or INIT ACK.
    pub(crate) fn start(&mut self, tsn: u32) {
        if self.received.next.is_none() {
            self.received.next = Some(tsn);
        }
    }

    /// Takes a chunk. The message that it makes whole, if it does; problems are told to `problem`.
    pub(crate) fn take<'a>(
        &'a mut self,
        data: &Data<'a>,
        limits: &Limits,
        mut problem: impl FnMut(Problem, u64),
    ) -> Option<&'a [u8]> {
        if !self.received.note(data.tsn) {
            return None;
        }
        if data.begins && data.ends {
            return Some(data.payload);
        }
        let piece = Piece {
            group: data.group,
            place: data.place,
            begins: data.begins,
            ends: data.ends,
            bytes: data.payload.to_vec(),
        };
        self.held += piece.cost();
        let key = |p: &Piece| (p.group.stream, p.group.message, p.group.unordered, p.group.interleaved);
        let at = self
            .pieces
            .partition_point(|p| (key(p), p.place.wrapping_sub(piece.place) as i32) < (key(&piece), 0));
        self.pieces.insert(at, piece);
        let Some((from, to)) = self.run(at) else {
            self.bound(data.group, limits, &mut problem);
            return None;
        };
        self.whole.clear();
        for piece in self.pieces.drain(from..to) {
            self.held = self.held.saturating_sub(piece.cost());
            self.whole.extend_from_slice(&piece.bytes);
        }
        Some(&self.whole)
    }

    /// The fragments around the one at `at`, if they are a whole message.
    fn run(&self, at: usize) -> Option<(usize, usize)> {
        let follows =
            |a: &Piece, b: &Piece| a.group == b.group && a.place.wrapping_add(1) == b.place && !a.ends;
        let mut from = at;
        while !self.pieces.get(from)?.begins {
            let before = from.checked_sub(1)?;
            if !follows(self.pieces.get(before)?, self.pieces.get(from)?) {
                return None;
            }
            from = before;
        }
        let mut last = at;
        while !self.pieces.get(last)?.ends {
            if !follows(self.pieces.get(last)?, self.pieces.get(last + 1)?) {
                return None;
            }
            last += 1;
        }
        Some((from, last + 1))
    }

    /// Drops what is more than may be held.
    fn bound(&mut self, group: Group, limits: &Limits, problem: &mut impl FnMut(Problem, u64)) {
        let size = |pieces: &[Piece], group: Group| -> usize {
            pieces.iter().filter(|p| p.group == group).map(|p| p.bytes.len()).sum()
        };
        // Only where all together are too much can one message be: the sum is made rarely.
        if self.held > limits.message_bytes && size(&self.pieces, group) > limits.message_bytes {
            problem(Problem::MessageTooLarge, self.drop_group(group) as u64);
        }
        while self.held > limits.flow_bytes || self.pieces.len() > limits.segments {
            let Some(group) = self.pieces.first().map(|p| p.group) else { break };
            problem(Problem::FlowBudget, self.drop_group(group) as u64);
        }
    }

    fn drop_group(&mut self, group: Group) -> usize {
        let mut bytes = 0;
        self.pieces.retain(|p| {
            let keep = p.group != group;
            if !keep {
                bytes += p.bytes.len();
                self.held = self.held.saturating_sub(p.cost());
            }
            keep
        });
        bytes
    }

    /// Gives all memory back and says how many bytes of unfinished messages there were.
    pub(crate) fn release(&mut self) -> usize {
        let bytes = self.pieces.iter().map(|p| p.bytes.len()).sum();
        self.pieces = Vec::new();
        self.whole = Vec::new();
        self.held = 0;
        bytes
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.held + self.whole.capacity() + self.received.beyond.capacity() * size_of::<(u32, u32)>()
    }
}

impl Piece {
    fn cost(&self) -> usize {
        self.bytes.capacity() + size_of::<Self>()
    }
}
