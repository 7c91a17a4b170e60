//! What each side of a flow has sent: the engine's count of the packets that it was given, and the
//! capture's count of all packets, where there is one.
//!
//! Both grow from the same beginning, so that the larger is right: the capture's while it has the
//! numbers; when it has lost them and begins anew under another tag, what was known by then plus
//! what it has counted since.

use crate::sink::{Counted, CountedSide};

/// The counts of one flow. They never decrease.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// By direction.
    pub(super) sent: [CountedSide; 2],
    /// What `sent` was when the tag came up.
    base: [CountedSide; 2],
    tag: u32,
    unasked: bool,
}

impl Counts {
    /// Takes a packet, or several that made one datagram; `tag` is 0 where it says nothing.
    pub(super) fn packet(&mut self, dir: usize, packets: u32, bytes: u64, tag: u32) {
        if tag != 0 && tag != self.tag {
            self.base = self.sent;
            self.tag = tag;
        }
        let side = &mut self.sent[dir];
        side.packets += u64::from(packets);
        side.bytes += bytes;
        self.unasked = true;
    }

    /// The newest tag.
    pub(super) fn tag(&self) -> u32 {
        self.tag
    }

    /// True when a packet came since the capture was asked.
    pub(super) fn unasked(&self) -> bool {
        self.unasked
    }

    /// The capture was asked.
    pub(super) fn asked(&mut self) {
        self.unasked = false;
    }

    /// Takes over what the capture has counted. True when that is more than was known.
    pub(super) fn merge(&mut self, counted: &Counted) -> bool {
        let before = self.sent;
        for ((sent, base), counted) in self.sent.iter_mut().zip(&self.base).zip(&counted.sent) {
            sent.packets = sent.packets.max(base.packets.saturating_add(counted.packets));
            sent.bytes = sent.bytes.max(base.bytes.saturating_add(counted.bytes));
            sent.tcp_flags |= counted.tcp_flags;
        }
        self.sent != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(packets: u64, bytes: u64) -> Counted {
        let side = CountedSide { packets, bytes, tcp_flags: 0x10 };
        Counted { sent: [side, CountedSide::default()], ..Counted::default() }
    }

    #[test]
    fn the_captures_count_replaces_a_smaller_one() {
        let mut counts = Counts::default();
        counts.packet(0, 1, 100, 7);
        assert!(counts.merge(&counted(5, 900)));
        assert_eq!((counts.sent[0].packets, counts.sent[0].bytes, counts.sent[0].tcp_flags), (5, 900, 0x10));
        assert!(!counts.merge(&counted(5, 900)));
        // The engine is ahead of an older reading, and behind a newer one.
        counts.packet(0, 1, 100, 7);
        assert!(!counts.merge(&counted(5, 900)));
        assert_eq!(counts.sent[0].packets, 6);
        assert!(counts.merge(&counted(8, 1_200)));
        assert_eq!((counts.sent[0].packets, counts.sent[0].bytes), (8, 1_200));
    }

    #[test]
    fn a_count_that_begins_anew_is_added() {
        let mut counts = Counts::default();
        counts.packet(0, 1, 100, 7);
        counts.merge(&counted(10, 1_000));
        // The capture has lost its count, and counts this packet as its first.
        counts.packet(0, 1, 100, 8);
        counts.merge(&counted(3, 300));
        assert_eq!((counts.sent[0].packets, counts.sent[0].bytes), (13, 1_300));
        // A datagram without a tag of its own does not begin anything.
        counts.packet(0, 2, 50, 0);
        assert_eq!(counts.tag(), 8);
        assert_eq!(counts.sent[0].packets, 15);
    }
}
