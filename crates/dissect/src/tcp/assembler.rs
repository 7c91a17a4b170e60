//! One direction of a connection.

mod holes;

use std::collections::VecDeque;
use std::time::Duration;

use remora_model::Timestamp;

use super::Seq;
use crate::Ending;

/// How far ahead of the stream a segment may lie: the largest window that TCP can announce
/// (RFC 7323, section 2.3). What lies further is from another life of the connection, or forged.
const MAX_AHEAD: u32 = 1 << 30;

/// How far ahead of the stream an acknowledgement is believed. Less than [`MAX_AHEAD`], because
/// an acknowledgement alone, without the data, makes the assembler give up bytes.
const MAX_ACK_AHEAD: u32 = 1 << 26;

/// A segment's place in the stream and its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sequence number of the first byte (behind the SYN, where there is one).
    pub seq: Seq,
    /// Captured bytes; fewer than `len` where a snaplen cut them.
    pub data: &'a [u8],
    /// Bytes on the wire.
    pub len: u32,
    /// The sender had received the peer's stream up to here when it sent this.
    pub ack: Option<Seq>,
    /// When it was captured.
    pub ts: Timestamp,
}

/// Takes what an [`Assembler`] puts in order.
pub trait Receiver {
    /// The next bytes.
    fn data(&mut self, bytes: &[u8], ts: Timestamp);
    /// The next `len` bytes were never captured.
    fn missing(&mut self, len: u64);
    /// The next `len` bytes were seen, or left out by the capture as agreed, and not kept because
    /// they were [`unwanted`](Self::unwanted).
    fn passed(&mut self, len: u64);
    /// How many of the next bytes need not be kept.
    fn unwanted(&self) -> u64;
    /// The stream is over.
    fn end(&mut self, how: Ending);
}

/// How far a stream has been handed on. The peer's assembler looks at it, to hand on nothing that
/// was said in reply to bytes not handed on yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach {
    next: Option<Seq>,
    excused: Option<Seq>,
    ended: bool,
    /// What comes next is there, and waits for the other stream to get here.
    wants: Option<Seq>,
}

impl Reach {
    /// True when a segment that acknowledges `ack` need not wait for this stream.
    fn covers(self, ack: Option<Seq>) -> bool {
        let (Some(ack), Some(next)) = (ack, self.next) else { return true };
        let ahead = ack.ahead_of(next);
        ahead == 0
            || ahead > MAX_ACK_AHEAD
            || self.ended
            || self.excused.is_some_and(|e| ack.ahead_of(e) == 0)
    }
}

/// Budgets of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes held out of order.
    pub bytes: usize,
    /// Pieces held out of order.
    pub pieces: usize,
    /// How long a hole keeps later data waiting.
    pub gap_wait: Duration,
}

/// What a segment turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It repeated bytes that had been seen.
    pub repeated: bool,
    /// Bytes of it that cannot belong to the stream: outside of any window, or behind the FIN.
    pub refused: u32,
    /// It made the assembler exceed its bounds and give up holes.
    pub over_budget: bool,
}

/// Something that came too early.
#[derive(Debug)]
struct Piece {
    seq: Seq,
    len: u32,
    /// What was captured of it; empty when it is `passed`.
    data: Vec<u8>,
    /// Seen and not kept, because nobody wanted it.
    passed: bool,
    ack: Option<Seq>,
    ts: Timestamp,
}

impl Piece {
    fn end(&self) -> Seq {
        self.seq.plus(self.len)
    }

    fn cost(&self) -> usize {
        size_of::<Self>() + self.data.len()
    }
}

/// Puts one direction of a connection in order.
///
/// Where bytes were sent more than once the first copy counts, as in the receiving Linux kernel.
/// Two things keep bytes waiting: a hole before them, and an acknowledgement in their segment for
/// bytes of the peer that have not been handed on (so that an answer never comes before its
/// question even if the capture shuffled the packets). Neither wait is longer than
/// [`Bounds::gap_wait`].
#[derive(Debug, Default)]
pub struct Assembler {
    /// The next byte to hand on; `None` until the stream's place is known.
    next: Option<Seq>,
    /// Initial sequence number, when the SYN was seen.
    isn: Option<Seq>,
    /// Where the stream was joined.
    first: Seq,
    /// The first that the peer was seen to wait for, before the stream was joined.
    awaited: Option<Seq>,
    /// It was joined at a segment without payload, which may have been a keep-alive.
    probed: bool,
    /// In order, disjoint, none before `next`.
    pieces: VecDeque<Piece>,
    /// Sum of the pieces' costs.
    held: usize,
    /// Where the stream ends.
    fin: Option<Seq>,
    /// The peer has received everything before this.
    acked: Option<Seq>,
    /// Acknowledged up to here with only a sequence number of a possible FIN missing.
    excused: Option<Seq>,
    /// Since when something waits.
    waiting: Option<Timestamp>,
    /// Up to here the capture leaves bytes out on request.
    shunt: Option<Seq>,
    ended: bool,
}

impl Assembler {
    /// The sequence number of the next byte to hand on, once the stream's place is known.
    pub fn next(&self) -> Option<Seq> {
        self.next
    }

    /// Initial sequence number, when the SYN was seen.
    pub fn isn(&self) -> Option<Seq> {
        self.isn
    }

    /// Where the stream was joined.
    pub fn first(&self) -> Seq {
        self.first
    }

    /// True once the end has been handed on.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// True when a FIN was seen, even if bytes before it still miss.
    pub fn fin_seen(&self) -> bool {
        self.fin.is_some()
    }

    /// Bytes of memory held out of order.
    pub fn held(&self) -> usize {
        self.held
    }

    /// For the peer's assembler.
    pub fn reach(&self) -> Reach {
        let front = self.pieces.front().filter(|p| Some(p.seq) == self.next);
        let wants = front.and_then(|p| p.ack);
        Reach { next: self.next, excused: self.excused, ended: self.ended, wants }
    }

    /// Joins the stream at `seq`.
    pub fn start(&mut self, seq: Seq) {
        if self.next.is_none() {
            self.next = Some(seq);
            self.first = seq;
        }
    }

    /// Joins the stream in the middle, at the sequence number of a segment with `len` bytes. One
    /// with at most a byte may be a keep-alive, whose number is the one before the next byte's
    /// (RFC 9293, section 3.8.4): the stream then begins behind that.
    /// It begins earlier where the peer still waited for earlier bytes: those were lost.
    pub fn join(&mut self, seq: Seq, len: u32) {
        let missed = |from: &Seq| (1..MAX_ACK_AHEAD).contains(&seq.ahead_of(*from));
        if let Some(from) = self.awaited.take().filter(missed) {
            self.start(from);
        }
        if self.next.is_none() {
            self.start(if len == 1 { seq.plus(1) } else { seq });
            self.probed = len == 0;
        }
    }

    /// The peer waits for the byte at `ack` of a stream of which nothing was seen.
    pub fn awaits(&mut self, ack: Seq) {
        if self.next.is_none() && self.awaited.is_none() {
            self.awaited = Some(ack);
        }
    }

    /// Something shows that bytes before `seq` were sent. One byte that would be missing at the
    /// very beginning is that of a keep-alive.
    fn correct(&mut self, seq: Seq) {
        if self.next != Some(self.first) {
            self.probed = false;
        } else if seq.since(self.first) == 1 {
            self.next = Some(seq);
            self.first = seq;
            self.probed = false;
        }
    }

    /// A SYN with this sequence number was seen. True when it had been seen before. Another number
    /// than before moves the stream as long as it is [fresh](Self::is_fresh).
    pub fn syn(&mut self, isn: Seq) -> bool {
        let repeated = self.isn == Some(isn);
        if !repeated && self.is_fresh() {
            self.next = None;
            self.isn = None;
        }
        if self.isn.is_none() {
            self.isn = Some(isn);
        }
        self.start(isn.plus(1));
        repeated
    }

    /// True while nothing but a SYN was seen.
    pub fn is_fresh(&self) -> bool {
        self.isn.is_some_and(|isn| self.next == Some(isn.plus(1)))
            && self.pieces.is_empty()
            && self.fin.is_none()
    }

    /// Takes a segment with payload. `peer` is the reach of the other direction.
    pub fn segment(
        &mut self,
        seg: Segment<'_>,
        peer: Reach,
        bounds: &Bounds,
        out: &mut impl Receiver,
    ) -> Seen {
        let mut seen = Seen::default();
        self.start(seg.seq);
        if self.probed {
            self.correct(seg.seq);
        }
        let Some(next) = self.next else { return seen };
        let whole = seg.data.len() == seg.len as usize;
        // The fast path: nothing waits and this is what comes next.
        let idle = self.pieces.is_empty() && self.fin.is_none() && !self.ended;
        if seg.seq == next && whole && idle && peer.covers(seg.ack) {
            out.data(seg.data, seg.ts);
            self.next = Some(next.plus(seg.len));
            self.waiting = None;
            if self.acked.is_some() {
                self.settle(seg.ts);
            }
            return seen;
        }
        if self.ended {
            seen.repeated = seg.seq.since(next) < 0;
            seen.refused = if seen.repeated { 0 } else { seg.len };
            return seen;
        }
        self.pass_shunted(seg.seq, out);
        let Some(seg) = self.fit(seg, &mut seen) else { return seen };
        self.keep(seg, out.unwanted(), peer, &mut seen, out);
        while self.held > bounds.bytes || self.pieces.len() > bounds.pieces {
            seen.over_budget = true;
            if !self.give_up(peer, out) {
                break;
            }
        }
        self.settle(seg.ts);
        seen
    }

    /// The stream ends at `at`. True when that was known.
    pub fn fin(&mut self, at: Seq, peer: Reach, ts: Timestamp, out: &mut impl Receiver) -> bool {
        self.start(at);
        if self.probed {
            self.correct(at);
        }
        let repeated = self.fin.is_some();
        let Some(next) = self.next else { return repeated };
        if !repeated && at.since(next) >= 0 && at.ahead_of(next) < MAX_AHEAD {
            // Pieces behind the end were never part of the stream.
            while self.pieces.back().is_some_and(|p| p.end().since(at) > 0) {
                if let Some(p) = self.pieces.pop_back() {
                    self.held -= p.cost();
                }
            }
            self.fin = Some(at);
            self.pass_shunted(at, out);
            self.drain(peer, out);
            self.settle(ts);
        }
        repeated
    }

    /// The peer has received everything before `ack`.
    pub fn acked(&mut self, ack: Seq, peer: Reach, ts: Timestamp, out: &mut impl Receiver) {
        if self.probed {
            self.correct(ack);
        }
        let Some(next) = self.next else { return };
        // The usual case: it acknowledges what was handed on.
        let ahead = ack.ahead_of(next);
        if ahead == 0 || self.ended || ahead > MAX_ACK_AHEAD {
            return;
        }
        if self.acked.is_none_or(|a| ack.since(a) > 0) {
            self.acked = Some(ack);
        }
        if self.shunt.is_some() {
            self.pass_shunted(ack, out);
            self.drain(peer, out);
        }
        self.settle(ts);
    }

    /// Hands on what the peer's progress has made ready. True when something was.
    pub fn resume(&mut self, peer: Reach, now: Timestamp, out: &mut impl Receiver) -> bool {
        if self.waiting.is_none() || self.pieces.is_empty() {
            return false;
        }
        let before = self.next;
        self.drain(peer, out);
        let moved = self.next != before;
        if moved {
            self.waiting = None;
            self.settle(now);
        }
        moved
    }

    /// Nothing more will come: hands on everything that waits, with its holes, and the end.
    pub fn finish(&mut self, how: Ending, out: &mut impl Receiver) {
        if self.ended {
            return;
        }
        while !self.pieces.is_empty() || self.acked_hole() > 0 {
            if !self.give_up(Reach::default(), out) {
                break;
            }
        }
        if !self.ended {
            self.ended = true;
            out.end(how);
        }
        self.pieces = VecDeque::new();
        self.held = 0;
        self.waiting = None;
    }

    /// Gives back the memory of what waits: it will count as passed, because nobody wants it any
    /// more.
    pub fn release(&mut self) {
        for p in &mut self.pieces {
            self.held -= p.data.len();
            p.data = Vec::new();
            p.passed = true;
        }
    }

    /// Cuts off what is old or impossible. `None` when nothing new is left.
    fn fit<'a>(&self, mut seg: Segment<'a>, seen: &mut Seen) -> Option<Segment<'a>> {
        let next = self.next?;
        let ahead = seg.seq.since(next);
        if ahead.unsigned_abs() >= MAX_AHEAD {
            seen.refused = seg.len;
            return None;
        }
        if ahead < 0 {
            let old = ahead.unsigned_abs().min(seg.len);
            seen.repeated = old > 0;
            seg.seq = seg.seq.plus(old);
            seg.len -= old;
            seg.data = seg.data.get(old as usize..).unwrap_or_default();
        }
        if let Some(fin) = self.fin {
            let room = fin.ahead_of(seg.seq);
            if seg.len > room {
                seen.refused = seg.len - room;
                seg.len = room;
                seg.data = &seg.data[..seg.data.len().min(room as usize)];
            }
        }
        (seg.len > 0).then_some(seg)
    }

    /// Hands a new segment on or keeps it.
    fn keep(
        &mut self,
        seg: Segment<'_>,
        unwanted: u64,
        peer: Reach,
        seen: &mut Seen,
        out: &mut impl Receiver,
    ) {
        let Some(next) = self.next else { return };
        let end = seg.seq.plus(seg.len);
        let before_pieces = self.pieces.front().is_none_or(|p| end.since(p.seq) <= 0);
        if seg.seq == next && before_pieces && peer.covers(seg.ack) {
            self.hand_on(seg.data, seg.len, seg.ts, out);
            self.waiting = None;
        } else {
            let passed = u64::from(end.ahead_of(next)) <= unwanted;
            seen.repeated |= self.insert(seg, passed);
        }
        self.drain(peer, out);
    }

    /// Keeps those parts of a segment that no piece covers. True when some were covered.
    fn insert(&mut self, seg: Segment<'_>, passed: bool) -> bool {
        let (mut at, end, mut repeated) = (seg.seq, seg.seq.plus(seg.len), false);
        let mut i = self.pieces.partition_point(|p| p.end().since(at) <= 0);
        loop {
            let stop = self.pieces.get(i).map_or(end, |p| p.seq.earlier(end));
            if stop.since(at) > 0 {
                let from = (at.ahead_of(seg.seq) as usize).min(seg.data.len());
                let to = (stop.ahead_of(seg.seq) as usize).min(seg.data.len());
                let data = if passed { Vec::new() } else { seg.data[from..to].to_vec() };
                let piece = Piece { seq: at, len: stop.ahead_of(at), data, passed, ack: seg.ack, ts: seg.ts };
                self.held += piece.cost();
                self.pieces.insert(i, piece);
                i += 1;
            }
            match self.pieces.get(i) {
                Some(p) if p.seq.since(end) < 0 => {
                    repeated = true;
                    at = p.end();
                    i += 1;
                }
                _ => return repeated,
            }
            if at.since(end) >= 0 {
                return repeated;
            }
        }
    }

    fn hand_on(&mut self, data: &[u8], len: u32, ts: Timestamp, out: &mut impl Receiver) {
        if !data.is_empty() {
            out.data(data, ts);
        }
        let cut = u64::from(len).saturating_sub(data.len() as u64);
        if cut > 0 {
            out.missing(cut);
        }
        self.next = self.next.map(|n| n.plus(len));
    }

    /// Hands on what is ready.
    fn drain(&mut self, peer: Reach, out: &mut impl Receiver) {
        while self.pieces.front().is_some_and(|p| Some(p.seq) == self.next && peer.covers(p.ack)) {
            let Some(p) = self.pieces.pop_front() else { break };
            self.held -= p.cost();
            self.waiting = None;
            if p.passed {
                out.passed(u64::from(p.len));
                self.next = Some(p.end());
            } else {
                self.hand_on(&p.data, p.len, p.ts, out);
            }
        }
        if self.fin.is_some() && self.fin == self.next && !self.ended {
            self.ended = true;
            self.waiting = None;
            out.end(Ending::Closed);
        }
    }
}
