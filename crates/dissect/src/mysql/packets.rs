//! Where packets begin and end in a stream, compressed or not.

use super::connection::{Framing, Mysql};
use super::detect;
use super::exchange::Stage;
use super::packet::{self, HEADER, MAX_LEN};
use crate::{Context, Problem, Role, seen::Seen};

/// Bytes at the end of unusable data in which the beginning of a packet may lie.
const TAIL: usize = 16;

/// What is looked at of packets whose content does not grow with users' data.
const SHORT: usize = 8 << 10;

/// What is looked at of packets that answer something unknown.
const GLANCE: usize = 512;

/// A packet of which the rest is counted off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub(super) left: u64,
    /// It goes on in the next packet.
    continues: bool,
}

/// A packet that is waited for: its beginning, and how much of it has not been shown.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    first: Option<u8>,
    len: u32,
    seq: u8,
    left: u64,
    seen: Seen,
}

/// Reading one side.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The packet that was looked at and has not ended.
    pub(super) body: Option<Body>,
    /// The next packet continues the one before.
    continuing: bool,
    waiting: Option<Waiting>,
    /// Packet boundaries are lost.
    pub(super) lost: bool,
}

impl Stream {
    /// It is not known where packets begin.
    pub(super) fn lost() -> Self {
        Self { lost: true, ..Self::default() }
    }

    /// True in the middle of a packet.
    pub(super) fn is_open(&self) -> bool {
        self.body.is_some() || self.waiting.is_some() || self.continuing
    }
}

/// Where the packets being read are on the wire: as they are, from an offset of the bytes being
/// shown on, or all in one compressed packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    At(usize),
    In(Seen),
}

impl Place {
    /// A packet at `start..end` of the bytes being read.
    pub(super) fn within(self, cx: &Context<'_>, start: usize, end: usize) -> Seen {
        match self {
            Self::At(offset) => Seen::within(cx, offset + start, offset + end),
            Self::In(outer) => outer,
        }
    }

    /// What began earlier and ends at `end`.
    pub(super) fn until(self, seen: Seen, cx: &Context<'_>, end: usize) -> Seen {
        match self {
            Self::At(offset) => seen.until(cx, offset + end),
            Self::In(outer) => Seen {
                last: outer.last.max(seen.first),
                bytes: outer.pos.saturating_add(outer.bytes).saturating_sub(seen.pos),
                ..seen
            },
        }
    }
}

/// A packet, as far as it is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) seq: u8,
    /// Length of the payload.
    pub(super) len: u32,
    /// The beginning of the payload.
    pub(super) payload: &'a [u8],
    /// All of the payload is there.
    pub(super) whole: bool,
    /// Bytes of it were not captured.
    pub(super) hole: bool,
    pub(super) seen: Seen,
}

/// It is not what the protocol allows here.
#[derive(Debug)]
pub(super) struct Misplaced;

impl Mysql {
    /// Reads packets from the front of `bytes` and says how many bytes it is done with.
    pub(super) fn packets(&mut self, role: Role, bytes: &[u8], place: Place, cx: &mut Context<'_>) -> usize {
        let (mut at, framing) = (0, self.framing);
        self.streams[role.index()].waiting = None;
        while framing == self.framing && !self.opaque && !self.handover {
            let rest = bytes.get(at..).unwrap_or_default();
            let stream = &mut self.streams[role.index()];
            if let Some(body) = &mut stream.body {
                let n = usize::try_from(body.left).unwrap_or(usize::MAX).min(rest.len());
                body.left -= n as u64;
                at += n;
                if body.left > 0 {
                    return at;
                }
                self.body_ended(role, at, place, cx);
                continue;
            }
            if stream.lost {
                if framing == Framing::Compressed {
                    return bytes.len();
                }
                match detect::resync_plain(rest, role) {
                    Some(start) => {
                        stream.lost = false;
                        at += start;
                        continue;
                    }
                    None => return at + rest.len().saturating_sub(TAIL),
                }
            }
            let Some(header) = rest.first_chunk::<HEADER>() else { return at };
            let (len, seq) = packet::header(header);
            if stream.continuing {
                stream.continuing = false;
                stream.body = Some(Body { left: len.into(), continues: len == MAX_LEN });
                self.continued(role, seq);
                at += HEADER;
                continue;
            }
            if role == Role::Client && self.begins_tls(rest) {
                self.handover = true;
                return at;
            }
            let shown = rest.get(HEADER..).unwrap_or_default();
            let wanted = self.wanted(role, shown, cx).min(len as usize);
            let Some(payload) = shown.get(..wanted) else {
                let left = u64::from(len) - shown.len() as u64;
                let seen = place.within(cx, at, at);
                let waiting = Waiting { first: shown.first().copied(), len, seq, left, seen };
                self.streams[role.index()].waiting = Some(waiting);
                return at;
            };
            let seen = place.within(cx, at, at + HEADER + wanted);
            let p = Packet { seq, len, payload, whole: wanted == len as usize, hole: false, seen };
            if self.packet(role, p, cx).is_err() {
                cx.problem(Problem::Malformed, rest.len() as u64);
                self.lose(role, cx);
                // What follows may be a packet, but this is none.
                at += 1;
                continue;
            }
            at += HEADER + wanted;
            let left = u64::from(len) - wanted as u64;
            self.streams[role.index()].body = Some(Body { left, continues: len == MAX_LEN });
            if left == 0 {
                self.body_ended(role, at, place, cx);
            }
        }
        at
    }

    /// `len` bytes are missing. False when it is not known any more where packets begin.
    pub(super) fn pass(&mut self, role: Role, len: u64, place: Place, cx: &mut Context<'_>) -> bool {
        let stream = &mut self.streams[role.index()];
        if let Some(body) = stream.body.as_mut().filter(|b| b.left >= len) {
            // Inside of what nobody wanted to see.
            body.left -= len;
            if body.left == 0 {
                self.body_ended(role, 0, place, cx);
            }
            return true;
        }
        let Some(w) = stream.waiting.take().filter(|w| w.left >= len && !stream.lost) else { return false };
        let Some(first) = w.first else { return false };
        let payload = [first];
        let p = Packet { seq: w.seq, len: w.len, payload: &payload, whole: false, hole: true, seen: w.seen };
        if self.packet(role, p, cx).is_err() {
            return false;
        }
        let left = w.left - len;
        self.streams[role.index()].body = Some(Body { left, continues: w.len == MAX_LEN });
        if left == 0 {
            self.body_ended(role, 0, place, cx);
        }
        true
    }

    /// The body that was counted off is over, at `at`.
    pub(super) fn body_ended(&mut self, role: Role, at: usize, place: Place, cx: &mut Context<'_>) {
        let Some(body) = self.streams[role.index()].body.take() else { return };
        if body.continues {
            self.streams[role.index()].continuing = true;
            return;
        }
        match role {
            Role::Client => self.client_packet_ended(at, place, cx),
            Role::Server => self.server_packet_ended(at, place, cx),
        }
    }

    fn packet(&mut self, role: Role, p: Packet<'_>, cx: &mut Context<'_>) -> Result<(), Misplaced> {
        match role {
            Role::Client => self.client_packet(p, cx),
            Role::Server => self.server_packet(p, cx),
        }
    }

    /// Another packet of the same message.
    fn continued(&mut self, role: Role, seq: u8) {
        let e = match role {
            Role::Client => self.pairing.back(),
            Role::Server => self.pairing.front(),
        };
        if let Some(e) = e {
            e.seq = seq.wrapping_add(1);
        }
    }

    /// How much of a packet is worth waiting for.
    fn wanted(&mut self, role: Role, shown: &[u8], cx: &Context<'_>) -> usize {
        let stage = self.pairing.front().map(|e| (e.stage, e.body.room(), e.input.room()));
        let n = match (role, stage) {
            (Role::Client, Some((Stage::File, _, room))) => room,
            (Role::Client, _) => cx.limits.payload.saturating_add(SHORT),
            // ERR and EOF packets begin with bytes of their own.
            (Role::Server, Some((Stage::Rows, ..))) if matches!(shown, [0xfe | 0xff, ..]) => SHORT,
            (Role::Server, Some((Stage::Rows, room, _))) => room.saturating_add(1),
            (Role::Server, Some(_)) => SHORT,
            (Role::Server, None) => GLANCE,
        };
        n.min(cx.limits.message_bytes / 2)
    }
}
