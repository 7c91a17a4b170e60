//! What a network and a capture may do to TCP segments.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use remora_model::Endpoint;

use super::capture::{Packet, Segment};
use super::packets::{FIN, RST, SYN};

/// Random numbers that are the same in every run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Segments in pieces of at most `most` bytes, which arrive at once.
pub fn split(packets: &[Packet], most: usize, random: &mut Random) -> Vec<Packet> {
    let mut out = Vec::new();
    let mut known: BTreeSet<(Endpoint, Endpoint)> = BTreeSet::new();
    for p in packets {
        let new = p.segment.as_ref().is_some_and(|s| tells_beginning(s) && known.insert(s.stream()));
        let Some(s) = p.segment.as_ref().filter(|s| s.payload.len() > 1) else {
            out.push(p.clone());
            continue;
        };
        let (mut at, len) = (0, s.payload.len());
        while at < len {
            // A byte alone is what a keep-alive sends (RFC 9293 section 3.8.4), and taken for that
            // where it is the first that is seen of a stream.
            let least = if new && at == 0 && s.flags & SYN == 0 { 2 } else { 1 };
            let n = (1 + random.below(most)).max(least).min(len - at);
            let last = at + n == len;
            // What ends the stream stands behind its last byte.
            let flags = if last { s.flags } else { s.flags & !(FIN | RST) };
            let payload = s.payload[at..at + n].to_vec();
            out.push(Packet::of(
                p.ts,
                Segment { seq: s.seq.wrapping_add(at as u32), flags, payload, ..s.clone() },
            ));
            at += n;
        }
    }
    out
}

/// Some segments twice, the second time up to four packets later.
pub fn repeat(packets: &[Packet], percent: usize, random: &mut Random) -> Vec<Packet> {
    let mut out: Vec<Packet> = Vec::new();
    let mut late: Vec<(usize, Packet)> = Vec::new();
    for p in packets {
        late.iter_mut().for_each(|(wait, _)| *wait = wait.saturating_sub(1));
        out.push(p.clone());
        // Behind a segment of another connection between the same ends it would be part of that.
        let control = p.segment.as_ref().is_some_and(Segment::is_control);
        let (ready, rest): (Vec<_>, Vec<_>) = late.into_iter().partition(|(wait, _)| *wait == 0 || control);
        out.extend(ready.into_iter().map(|(_, again)| Packet { ts: p.ts, ..again }));
        late = rest;
        let data = p.segment.as_ref().is_some_and(|s| !s.payload.is_empty() && !s.is_control());
        if data && random.chance(percent) {
            late.push((random.below(4), p.clone()));
        }
    }
    out
}

/// Segments of one direction that follow one another, with nothing of the other direction between
/// them, in another order: what several queues of a network card do.
pub fn reorder(packets: &[Packet], window: usize, random: &mut Random) -> Vec<Packet> {
    let mut out = packets.to_vec();
    let mut known: BTreeSet<(Endpoint, Endpoint)> = BTreeSet::new();
    let mut at = 0;
    while at < out.len() {
        let mut end = at;
        if let Some(first) = movable(&out[at]).filter(|s| known.contains(&s.stream())) {
            let (stream, since) = (first.stream(), out[at].ts.0);
            while end < out.len()
                && end - at < window
                // A hole that waits for a second is given up.
                && out[end].ts.0 - since < 500_000_000
                && movable(&out[end]).is_some_and(|s| s.stream() == stream)
            {
                end += 1;
            }
        }
        for i in (at + 1..end).rev() {
            let j = at + random.below(i - at + 1);
            // What arrives later has the later time.
            let (a, b) = (out[i].ts, out[j].ts);
            out.swap(i, j);
            (out[i].ts, out[j].ts) = (a, b);
        }
        if let Some(s) = out[at].segment.as_ref().filter(|s| tells_beginning(s)) {
            // The first segment that is seen tells where the stream begins.
            known.insert(s.stream());
        }
        at = end.max(at + 1);
    }
    out
}

/// False for what may be a keep-alive, which begins a byte before the next one that is sent.
fn tells_beginning(segment: &Segment) -> bool {
    segment.flags & SYN != 0 || segment.payload.len() > 1
}

fn movable(packet: &Packet) -> Option<&Segment> {
    packet.segment.as_ref().filter(|s| !s.payload.is_empty() && !s.is_control())
}

/// Without `percent` of the packets.
pub fn lose(packets: &[Packet], percent: usize, random: &mut Random) -> Vec<Packet> {
    packets.iter().filter(|_| !random.chance(percent)).cloned().collect()
}
