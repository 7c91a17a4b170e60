//! Bytes that do not come: how long they are waited for, and how the stream goes on without them.

use std::time::Duration;

use remora_model::Timestamp;

use super::{Assembler, Bounds, Reach, Receiver};
use crate::tcp::Seq;

/// A hole whose bytes the peer has acknowledged waits this fraction of [`Bounds::gap_wait`]. The
/// bytes have arrived and were not captured; only packets that reached the reader in another
/// order than they had on the wire are worth waiting for.
const ACKED_WAIT_FRACTION: u32 = 8;

impl Assembler {
    /// The capture has agreed to leave out the bytes before `until`, all of them unwanted: when
    /// they do not come they count as passed, not as missing.
    pub fn shunt(&mut self, until: Seq) {
        if self.next.is_some_and(|n| until.ahead_of(n) > 0) {
            self.shunt = Some(until);
        }
    }

    /// Gives up the holes that have waited too long at `now`. True when something was handed on.
    pub fn expire(&mut self, now: Timestamp, peer: Reach, bounds: &Bounds, out: &mut impl Receiver) -> bool {
        let mut moved = false;
        while self.hole_end().is_some() {
            let acked = self.acked_ahead() > 0;
            let wait = if acked { bounds.gap_wait / ACKED_WAIT_FRACTION } else { bounds.gap_wait };
            let since = self.waiting;
            if !self.waited(now, wait) || !self.give_up(peer, out) {
                break;
            }
            moved = true;
            self.waiting = None;
            self.settle(now);
            if peer.wants.is_some() && peer.wants == self.next {
                // The other side goes on first; the rest of the hole has waited as long.
                self.waiting = self.waiting.min(since);
                return true;
            }
        }
        self.settle(now);
        moved
    }

    /// Hands on what has waited too long for nothing but the peer's stream. The peer's holes
    /// are given up first: an answer that is shown before its question is taken for another's.
    pub fn part(&mut self, now: Timestamp, peer: Reach, bounds: &Bounds, out: &mut impl Receiver) -> bool {
        if self.hole_end().is_some() || !self.waited(now, bounds.gap_wait) {
            return false;
        }
        let moved = self.give_up(peer, out);
        self.waiting = None;
        self.settle(now);
        moved
    }

    fn waited(&self, now: Timestamp, wait: Duration) -> bool {
        let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        self.waiting.is_some_and(|since| now.0.abs_diff(since.0) >= wait)
    }

    /// The interval at which [`expire`](Self::expire) is worth calling while
    /// [`is_waiting`](Self::is_waiting).
    pub fn check_interval(bounds: &Bounds) -> Duration {
        bounds.gap_wait / ACKED_WAIT_FRACTION
    }

    /// Hands on what the peer's progress has made ready, at the end of the connection. True when the
    /// stream moved.
    pub fn go_on(&mut self, peer: Reach, out: &mut impl Receiver) -> bool {
        let before = self.next;
        self.drain(peer, out);
        self.next != before
    }

    /// Gives up the hole at the front, if there is one, however short it has waited. True when the
    /// stream moved.
    pub fn skip_hole(&mut self, peer: Reach, out: &mut impl Receiver) -> bool {
        !self.ended && self.hole_end().is_some() && self.give_up(peer, out)
    }

    /// True while something waits for time to pass.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Counts off bytes before `to` that the capture left out on request.
    pub(super) fn pass_shunted(&mut self, to: Seq, out: &mut impl Receiver) {
        let (Some(shunt), Some(next)) = (self.shunt, self.next) else { return };
        let mut to = shunt.earlier(to);
        if let Some(p) = self.pieces.front() {
            to = to.earlier(p.seq);
        }
        let len = to.ahead_of(next);
        if len > 0 {
            out.passed(u64::from(len));
            self.next = Some(to);
            self.waiting = None;
        }
        if self.next.is_none_or(|n| shunt.ahead_of(n) == 0) {
            self.shunt = None;
        }
    }

    /// Bytes acknowledged and not handed on, 0 when that may be no more than a FIN.
    fn acked_ahead(&self) -> u32 {
        let (Some(acked), Some(next)) = (self.acked, self.next) else { return 0 };
        match self.excused {
            Some(excused) if acked.ahead_of(excused) == 0 => 0,
            _ => acked.ahead_of(next),
        }
    }

    /// Bytes at the front that are known to be missing through an acknowledgement alone.
    pub(super) fn acked_hole(&self) -> u32 {
        if self.pieces.is_empty() && !self.ended { self.acked_ahead() } else { 0 }
    }

    /// Where the hole at the front ends, if there is one.
    fn hole_end(&self) -> Option<Seq> {
        let next = self.next?;
        let piece = self.pieces.front().map(|p| p.seq).or(self.fin);
        let acked = (self.acked_ahead() > 0).then_some(self.acked).flatten();
        let end = match (piece, acked) {
            (Some(p), Some(a)) => p.earlier(a),
            (Some(p), None) => p,
            (None, Some(a)) => a,
            (None, None) => return None,
        };
        (end.ahead_of(next) > 0).then_some(end)
    }

    /// Gives up whatever keeps the front waiting. True when the stream moved.
    pub(super) fn give_up(&mut self, peer: Reach, out: &mut impl Receiver) -> bool {
        let before = self.next;
        if let (Some(next), Some(end)) = (self.next, self.hole_end()) {
            if end.since(next) == 1 && self.pieces.is_empty() && self.fin.is_none() {
                // One sequence number may be a FIN that was not captured: nothing to miss yet.
                self.excused = Some(end);
                return false;
            }
            let end = self.give_up_to(next, end, peer);
            out.missing(u64::from(end.ahead_of(next)));
            self.next = Some(end);
        } else if let Some(p) = self.pieces.front_mut() {
            // It waits for the peer's stream only.
            p.ack = None;
        }
        self.drain(peer, out);
        self.next != before
    }

    /// How much of the hole up to `end` is given up at once.
    fn give_up_to(&mut self, next: Seq, end: Seq, peer: Reach) -> Seq {
        // What the other side said in the middle of it belongs there: a request that was sent behind a
        // response which is missing, and in front of another one.
        if let Some(wanted) =
            peer.wants.filter(|wanted| (1..end.ahead_of(next)).contains(&wanted.ahead_of(next)))
        {
            return wanted;
        }
        if peer.ended && self.pieces.is_empty() && self.fin.is_none() {
            // The last number may be that of a FIN.
            self.excused = Some(end);
            return end.plus(u32::MAX);
        }
        end
    }

    /// Notes since when something waits: a piece since it came.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let waits = !self.ended && (!self.pieces.is_empty() || self.hole_end().is_some());
        if !waits {
            self.waiting = None;
        } else if self.waiting.is_none() {
            self.waiting = Some(self.pieces.front().map_or(now, |p| p.ts.min(now)));
        }
    }
}
