//! One flow: counters, handshake, both streams.

/// Splits a flow into its assemblers and what they feed.
macro_rules! feed {
    ($flow:ident, $lent:ident, $dir:expr) => {
        Feed {
            app: &mut $flow.app,
            dir: $dir,
            env: Env {
                flow: $flow.id,
                transport: $flow.transport,
                ends: $flow.ends,
                source: $lent.source,
                limits: $lent.limits,
                tls: false,
                registry: $lent.registry,
                within: $lent.within,
                sink: &mut *$lent.sink,
                missing: &mut $flow.missing,
            },
        }
    };
}

mod order;
pub(super) mod plain;
mod row;
mod sctp;
mod unknown;

use remora_model::{CaptureSource, CloseReason, Endpoint, FlowId, Timestamp, Transport};

use super::app::App;
use super::attention::Listed;
use super::counts::Counts;
use super::env::{Env, Within};
use super::table::Queue;
use crate::packet::TcpSegment;
use crate::tcp::{Assembler, Bounds, Receiver, Segment, Seq};
use crate::{Ending, Limits, Problem, Sink, detect::Entry};

/// TCP's part of a flow.
#[derive(Default)]
pub(super) struct Tcp {
    sides: [Assembler; 2],
    /// When the opener's newest SYN was seen.
    syn: Option<Timestamp>,
    /// The other side has answered it.
    answered: bool,
    handshake_us: Option<i64>,
    retransmits: u64,
    /// The opener's SYNs.
    syns: u64,
    /// The direction that the reset came from which ended it.
    reset_by: Option<usize>,
    /// Sides that took no more data, by what they said last.
    full: [bool; 2],
    /// Up to where each direction was offered for shunting.
    offered: [Option<Seq>; 2],
}

/// One flow. Direction 0 is that of the end with the lower address.
pub(super) struct Flow {
    pub(super) id: FlowId,
    /// Tells it from other flows that had the same slot.
    pub(super) serial: u64,
    transport: Transport,
    /// Sender of direction 0, sender of direction 1.
    pub(super) ends: [Endpoint; 2],
    /// What the addresses are part of.
    pub(super) scope: u32,
    /// The direction in which the client sends.
    client: usize,
    /// That was seen, not guessed.
    opened: bool,
    first_seen: Timestamp,
    pub(super) last_seen: Timestamp,
    /// The newest packet of which the capture has told: the engine may get it later, or not at all.
    counted_seen: Timestamp,
    counts: Counts,
    missing: i64,
    tcp: Option<Box<Tcp>>,
    sctp: Option<Box<sctp::Sctp>>,
    app: App,
    /// What the libraries at its ends show of what it carries encrypted.
    plain: Option<Box<plain::Plain>>,
    /// Length and checksum of the first datagram.
    head: Option<(u32, u32)>,
    /// It was reported that its protocol is unknown.
    told: bool,
    has_payload: bool,
    pub(super) closed: Option<CloseReason>,
    /// When the newest row was written, and the time that it has; `None`: never.
    row: Option<(Timestamp, Timestamp)>,
    /// The newest row says that it is closed.
    row_closed: bool,
    /// Something is not in the newest row.
    changed: bool,
    /// Bytes of memory that the engine's total counts for it.
    pub(super) charged: usize,
    /// A check for expired waits is scheduled.
    pub(super) scheduled: bool,
    pub(super) listed: Listed,
}

/// What the engine lends a flow.
pub(super) struct Lent<'a> {
    pub(super) source: CaptureSource,
    pub(super) limits: &'a Limits,
    pub(super) registry: &'static [Entry],
    pub(super) within: Within<'a>,
    pub(super) sink: &'a mut dyn Sink,
}

/// A packet's part in a segment's fate.
pub(super) enum Fate {
    /// It belongs to this flow.
    Ours,
    /// It opens a new connection between the same ends: this flow is over.
    Reopens,
}

/// Leads an assembler's output to the application side.
struct Feed<'a, 'b> {
    app: &'a mut App,
    dir: usize,
    env: Env<'b>,
}

impl Receiver for Feed<'_, '_> {
    fn data(&mut self, bytes: &[u8], ts: Timestamp) {
        self.app.data(self.dir, bytes, ts, &mut self.env);
    }
    fn missing(&mut self, len: u64) {
        self.app.gap(self.dir, len, &mut self.env);
    }
    fn passed(&mut self, len: u64) {
        self.app.passed(self.dir, len, &mut self.env);
    }
    fn unwanted(&self) -> u64 {
        self.app.unwanted(self.dir)
    }
    fn end(&mut self, how: Ending) {
        self.app.end(self.dir, how, &mut self.env);
    }
}

fn bounds(limits: &Limits) -> Bounds {
    Bounds { bytes: limits.flow_bytes, pieces: limits.segments, gap_wait: limits.gap_wait }
}

impl Flow {
    /// A flow whose first packet goes in direction `dir` from `src` to `dst`.
    pub(super) fn new(
        id: FlowId,
        serial: u64,
        transport: Transport,
        src: Endpoint,
        dst: Endpoint,
        dir: usize,
        ts: Timestamp,
    ) -> Self {
        let mut ends = [src, dst];
        if dir == 1 {
            ends.reverse();
        }
        // A guess until something better is known: servers have low ports, clients speak first.
        let server_speaks = src.port < dst.port && (transport == Transport::Tcp || src.port < 1024);
        let client = if server_speaks { 1 - dir } else { dir };
        Self {
            id,
            serial,
            transport,
            ends,
            scope: 0,
            client,
            opened: false,
            first_seen: ts,
            last_seen: ts,
            counted_seen: ts,
            counts: Counts::default(),
            missing: 0,
            tcp: (transport == Transport::Tcp).then(Box::default),
            sctp: (transport == Transport::Sctp).then(Box::default),
            app: App::new(),
            plain: None,
            head: None,
            told: false,
            has_payload: false,
            closed: None,
            row: None,
            row_closed: false,
            changed: false,
            charged: 0,
            scheduled: false,
            listed: Listed::default(),
        }
    }

    /// Counts a packet.
    pub(super) fn count(&mut self, dir: usize, packets: u32, ip_bytes: u64, tag: u32, ts: Timestamp) {
        self.counts.packet(dir, packets, ip_bytes, tag);
        self.last_seen = ts;
        self.changed = true;
    }

    /// The queue that it stands in.
    pub(super) fn queue(&self) -> Queue {
        match (self.closed, self.transport) {
            (Some(_), _) => Queue::Closed,
            (None, Transport::Udp | Transport::Icmp | Transport::Sctp) => Queue::Datagrams,
            (None, Transport::Tcp) if self.has_payload || self.plain.is_some() => Queue::Streams,
            (None, Transport::Tcp) => Queue::Embryonic,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.app.is_busy() || self.plain.as_ref().is_some_and(|plain| plain.is_busy())
    }

    /// True while [`tick`](Self::tick) may do something.
    pub(super) fn awaits_time(&self) -> bool {
        self.app.awaits_time()
            || self.plain.as_ref().is_some_and(|plain| plain.awaits_time(self.closed.is_some()))
    }

    /// Bytes of memory held beyond the flow's own size.
    pub(super) fn memory(&self) -> usize {
        let tcp = self.tcp.as_ref().map_or(0, |t| t.sides[0].held() + t.sides[1].held());
        let sctp = self.sctp.as_ref().map_or(0, |s| s.memory());
        tcp + sctp + self.app.memory() + self.plain.as_ref().map_or(0, |plain| plain.memory())
    }

    /// One datagram. `head` is its length and its checksum as its header has them.
    pub(super) fn datagram(
        &mut self,
        dir: usize,
        payload: &[u8],
        head: (u32, u32),
        ts: Timestamp,
        lent: &mut Lent<'_>,
    ) {
        self.has_payload |= !payload.is_empty();
        self.head.get_or_insert(head);
        let mut feed = feed!(self, lent, dir);
        feed.app.datagram(dir, payload, ts, &mut feed.env);
        self.orient();
    }

    /// Does a SYN belong to this flow, or does it begin another one?
    pub(super) fn judge(&self, dir: usize, seg: &TcpSegment<'_>) -> Fate {
        let Some(tcp) = &self.tcp else { return Fate::Ours };
        if !seg.flags.syn() || seg.flags.rst() {
            return Fate::Ours;
        }
        let (side, peer) = (&tcp.sides[dir], &tcp.sides[1 - dir]);
        let isn = Seq(seg.seq);
        // It answers what this flow has seen of the other side, data on the SYN included.
        let answers = seg.flags.ack()
            && peer.next().is_some_and(|next| {
                let (ack, first) = (Seq(seg.ack), peer.isn().unwrap_or(peer.first().plus(u32::MAX)));
                ack.ahead_of(first) > 0 && ack.since(next) <= 0
            });
        let known = match side.isn() {
            // A second answer to the same SYN with another number replaces the first, as long as
            // nothing was built on that.
            Some(known) => known == isn || (answers && side.is_fresh()),
            // A SYN that was captured late opens the stream that was joined without it.
            None if side.next().is_some() => side.first() == isn.plus(1),
            None => !self.has_payload || answers,
        };
        // The stream of a flow that is over is known by its number only.
        let stale = self.closed.is_some() && side.isn() != Some(isn);
        if known && !stale { Fate::Ours } else { Fate::Reopens }
    }

    /// One segment. `judge` has said that it is ours.
    pub(super) fn segment(&mut self, dir: usize, seg: &TcpSegment<'_>, ts: Timestamp, lent: &mut Lent<'_>) {
        self.counts.sent[dir].tcp_flags |= seg.flags.0;
        let Some(tcp) = self.tcp.as_deref_mut() else { return };
        let bounds = bounds(lent.limits);
        let ack = seg.flags.ack().then_some(Seq(seg.ack));
        let mut repeated = false;
        let mut seq = Seq(seg.seq);
        let [low, high] = &mut tcp.sides;
        let (side, peer) = if dir == 0 { (low, high) } else { (high, low) };

        if seg.flags.syn() {
            repeated |= side.syn(seq);
            seq = seq.plus(1);
            if !seg.flags.ack() {
                tcp.syn = Some(ts);
                tcp.syns += 1;
                if !self.opened && peer.isn().is_none() {
                    self.opened = true;
                    self.client = dir;
                    self.app.set_opener(dir);
                }
            } else {
                tcp.answered = true;
                if !self.opened {
                    self.opened = true;
                    self.client = 1 - dir;
                    self.app.set_opener(1 - dir);
                }
                // Where the peer's SYN was not captured this says where its stream begins.
                peer.start(Seq(seg.ack));
            }
        } else {
            if side.next().is_none() && !seg.flags.rst() {
                self.app.joined(dir);
                // A byte that is pushed is one that was just written, and no keep-alive's.
                let len = if seg.flags.psh() { seg.payload_len.max(2) } else { seg.payload_len };
                side.join(seq, len);
            }
            if let (Some(ack), None, Some(_)) = (ack, peer.next(), side.isn()) {
                // The answer to our SYN was not captured, but this acknowledges it.
                peer.start(ack);
            }
            // A capture that counts by itself leaves out segments without payload: what comes in
            // the place of the last one of the handshake may come much later.
            if tcp.answered
                && dir == self.client
                && tcp.handshake_us.is_none()
                && let Some(syn) = tcp.syn.take()
                && (self.counts.tag() == 0 || seg.payload_len == 0)
            {
                tcp.handshake_us = Some(ts.micros_since(syn));
            }
        }

        tcp.full[dir] = seg.window == 0 && !seg.flags.rst();
        if let Some(ack) = ack {
            peer.awaits(ack);
            let reach = side.reach();
            peer.acked(ack, reach, ts, &mut feed!(self, lent, 1 - dir));
        }
        // One old byte, or none, right before the next one: a keep-alive (RFC 9293, 3.8.4).
        let keep_alive = seg.payload_len <= 1
            && seg.flags.0 & 0b111 == 0
            && side.next().is_some_and(|n| n.since(seq) == 1);
        if seg.payload_len > 0 && !keep_alive {
            self.has_payload = true;
            let segment = Segment { seq, data: seg.payload, len: seg.payload_len, ack, ts };
            let seen = side.segment(segment, peer.reach(), &bounds, &mut feed!(self, lent, dir));
            repeated |= seen.repeated;
            if seen.refused > 0 {
                lent.sink.problem(Problem::BadPacket, u64::from(seen.refused));
            }
            if seen.over_budget {
                lent.sink.problem(Problem::FlowBudget, u64::from(seg.payload_len));
            }
        }
        if seg.flags.fin() && !seg.flags.rst() {
            repeated |= side.fin(seq.plus(seg.payload_len), peer.reach(), ts, &mut feed!(self, lent, dir));
        }
        if repeated {
            tcp.retransmits += 1;
        }
        if seg.flags.rst() && credible(side, seq) {
            tcp.reset_by = Some(dir);
            self.end(Ending::Reset, CloseReason::Reset, lent);
            return;
        }
        self.settle(ts, lent);
    }

    /// True while something waits for time to pass.
    pub(super) fn is_waiting(&self) -> bool {
        self.closed.is_none()
            && self.tcp.as_ref().is_some_and(|t| t.sides[0].is_waiting() || t.sides[1].is_waiting())
    }

    /// Time has passed: lets the dissector report what waits.
    pub(super) fn tick(&mut self, now: Timestamp, lent: &mut Lent<'_>) {
        let mut feed = feed!(self, lent, 0);
        feed.app.tick(now, &mut feed.env);
        self.tick_plaintext(now, lent);
    }

    /// Ends the flow: hands on what is held and frees it.
    pub(super) fn end(&mut self, how: Ending, reason: CloseReason, lent: &mut Lent<'_>) {
        if self.closed.is_some() {
            return;
        }
        let mut reason = reason;
        if how == Ending::Lost
            && self.tcp.as_ref().is_some_and(|tcp| tcp.sides.iter().all(Assembler::fin_seen))
        {
            reason = CloseReason::Fin;
        }
        self.finish(how, lent);
        for dir in [self.client, 1 - self.client] {
            let mut feed = feed!(self, lent, dir);
            feed.app.end(dir, how, &mut feed.env);
        }
        self.end_association(lent);
        self.orient();
        self.app.forget();
        self.closed = Some(reason);
        self.changed = true;
        self.tell_unknown(lent);
    }

    /// Stops dissecting, to give memory back. The counters go on. Says how much it was.
    pub(super) fn shed(&mut self, lent: &mut Lent<'_>) -> usize {
        let held = self.memory();
        let mut feed = feed!(self, lent, 0);
        feed.app.shed(&mut feed.env);
        self.shed_plaintext(lent);
        if let Some(tcp) = self.tcp.as_deref_mut() {
            for dir in [0, 1] {
                tcp.sides[dir].release();
            }
        }
        if let Some(sctp) = self.sctp.as_deref_mut() {
            sctp.release();
        }
        held
    }

    /// The part of direction `dir` that nobody wants, when it has at least `min` bytes and was
    /// not offered yet: up to which sequence number.
    pub(super) fn offer_shunt(&mut self, dir: usize, min: u64) -> Option<Seq> {
        /// Sequence numbers compare rightly only within half their range.
        const MAX: u64 = 1 << 30;
        let skip = self.app.skipping(dir);
        let tcp = self.tcp.as_deref_mut()?;
        let next = tcp.sides[dir].next()?;
        if skip < min || self.closed.is_some() {
            return None;
        }
        let pending = tcp.offered[dir].map_or(0, |until| u64::from(until.ahead_of(next)));
        if pending >= min.min(MAX / 2) {
            return None;
        }
        let until = next.plus(u32::try_from(skip.min(MAX)).unwrap_or(0));
        tcp.offered[dir] = Some(until);
        Some(until)
    }

    /// The capture leaves out the bytes of `dir` before `until`.
    pub(super) fn shunted(&mut self, dir: usize, until: Seq) {
        if let Some(tcp) = self.tcp.as_deref_mut() {
            tcp.sides[dir].shunt(until);
        }
    }

    /// Takes over who asks from the protocol, unless the handshake has told.
    fn orient(&mut self) {
        let inside = self.plain.as_ref().and_then(|plain| plain.client());
        if let (false, Some(client)) = (self.opened, inside.or(self.app.client())) {
            self.changed |= self.client != client;
            self.client = client;
        }
    }
}

/// Is a reset with this sequence number plausible? One far from the stream is forged, or belongs
/// to another life of the connection.
fn credible(side: &Assembler, seq: Seq) -> bool {
    side.next().is_none_or(|next| seq.since(next).unsigned_abs() < 1 << 26)
}
