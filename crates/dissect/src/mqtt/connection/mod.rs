//! Packets of one connection: payloads of PUBLISH are read as they come, everything else whole.

mod aliases;
mod turns;

use std::collections::VecDeque;

use remora_model::{Incomplete, Timestamp};

use self::aliases::Aliases;
use super::detect;
use super::packet::{self, Packet, Type};
use super::publish::{self, Head};
use crate::messaging::{Held as _, Queue};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes shown of a packet while those that wait hold more than a flow may.
const LITTLE: usize = 256;

/// Bytes at the end of unusable data in which the beginning of a packet may lie.
const TAIL: usize = 4 << 10;

/// A PUBLISH whose payload is passing.
#[derive(Debug)]
struct Open {
    packet: Box<Packet>,
    /// Bytes of the payload that have not passed yet.
    left: u64,
}

/// Reading one side.
#[derive(Debug, Default)]
struct Side {
    /// Packet boundaries are lost.
    lost: bool,
    open: Option<Open>,
    aliases: Aliases,
}

/// The dissector of one connection.
#[derive(Default)]
pub(super) struct Mqtt {
    sides: [Side; 2],
    queue: Queue<Packet>,
    /// Protocol level, once it is known.
    version: u8,
    client_id: Vec<u8>,
    /// The CONNECT was seen.
    from_start: bool,
    /// Something was not seen since.
    gapped: bool,
    /// Exchanges of which something may still come that was overtaken.
    late: VecDeque<Late>,
    /// Nothing more comes from the client, and from the server.
    ended: [bool; 2],
}

/// What was told before all of it had come, by whether the server has asked, its identifier and what it
/// began with: PUBREL for exchanges of QoS 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Late {
    by_server: bool,
    id: Option<u16>,
    kind: Type,
    when: Timestamp,
}

/// How many of them are remembered.
const MAX_LATE: usize = 16;

/// How far a side could be read.
enum Step {
    Done(usize),
    More,
    /// To the end of what is there, and that many bytes that follow are of no interest.
    Skip(u64),
    /// Nothing that belongs there.
    Fault,
}

impl Mqtt {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    /// Bytes of texts, and of a payload, that are kept of the next packet.
    fn budget(&self, cx: &Context<'_>) -> usize {
        let open: usize = self.sides.iter().flat_map(|s| &s.open).map(|o| o.packet.memory()).sum();
        if self.queue.held() + open > cx.limits.flow_bytes {
            cx.limits.payload.min(LITTLE)
        } else {
            cx.limits.payload
        }
    }

    /// Reads a packet, or some of a payload, at `at` of the bytes shown.
    fn step(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let rest = bytes.get(at..).unwrap_or_default();
        if self.side(role).open.is_some() {
            return self.payload(role, at, rest, cx);
        }
        let Some(&first) = rest.first() else { return Step::More };
        let Some(kind) = Type::of(first).filter(|k| k.sender().is_none_or(|s| s == role)) else {
            return Step::Fault;
        };
        let (head, size) = match packet::header(rest) {
            Some(Some(found)) => found,
            Some(None) => return Step::More,
            None => return Step::Fault,
        };
        let size = size as usize;
        let body = rest.get(head..).unwrap_or_default();
        let whole = body.get(..size);
        if whole.is_none() && kind != Type::Publish {
            return Step::More;
        }
        let mut p = self.queue.fresh();
        let known = whole.filter(|_| self.version == 0).and_then(|b| detect::version(kind, b));
        if let Some(version) = known {
            self.version = version;
        }
        p.begin(kind, self.version, first, self.budget(cx), Seen::within(cx, at, at));
        match whole {
            Some(body) if kind != Type::Publish => {
                if kind == Type::Connect {
                    p.version = connect_version(body);
                }
                if p.read(body).is_none() {
                    // Its length is known, so that what follows it can be read.
                    cx.problem(Problem::Malformed, (head + size) as u64);
                    self.queue.recycle(p);
                    return Step::Done(head + size);
                }
                p.seen = p.seen.until(cx, at + head + size);
                self.note(&p);
                self.said(role, p, cx);
                Step::Done(head + size)
            }
            _ => match publish::read(&mut p, body, size) {
                Head::Bytes(n) => {
                    let left = size.saturating_sub(n) as u64;
                    p.size = Some(left).filter(|_| p.budget > 0 || p.version > 0);
                    self.resolve(role, &mut p, cx);
                    self.side(role).open = Some(Open { packet: p, left });
                    Step::Done(head + n)
                }
                Head::More => {
                    self.queue.recycle(p);
                    Step::More
                }
                Head::Fault => {
                    self.queue.recycle(p);
                    Step::Fault
                }
            },
        }
    }

    /// Passes some of a payload.
    fn payload(&mut self, role: Role, at: usize, rest: &[u8], cx: &mut Context<'_>) -> Step {
        let Some(open) = &mut self.sides[role.index()].open else { return Step::Fault };
        let here = usize::try_from(open.left).unwrap_or(usize::MAX).min(rest.len());
        open.packet.keep(rest.get(..here).unwrap_or_default());
        open.left -= here as u64;
        if open.left == 0 {
            self.published_whole(role, at + here, cx);
            return Step::Done(here);
        }
        if open.packet.payload.len() >= open.packet.budget {
            open.packet.cut += open.left;
            return Step::Skip(open.left);
        }
        if here == 0 { Step::More } else { Step::Done(here) }
    }

    /// The open PUBLISH ends at `at` of the bytes shown.
    fn published_whole(&mut self, role: Role, at: usize, cx: &mut Context<'_>) {
        if let Some(Open { mut packet, .. }) = self.side(role).open.take() {
            packet.seen = packet.seen.until(cx, at);
            self.said(role, packet, cx);
        }
    }

    /// Puts the topic in the place of its alias, or remembers it.
    fn resolve(&mut self, role: Role, p: &mut Packet, cx: &mut Context<'_>) {
        let Some(alias) = p.topic_alias else { return };
        let aliases = &mut self.sides[role.index()].aliases;
        match p.topic.and_then(|t| p.arena.get(t)) {
            Some(topic) => aliases.set(alias, topic, cx),
            None => {
                let topic = aliases.get(alias);
                p.topic = topic.map(|t| p.arena.add(t));
            }
        }
    }

    /// What later packets may refer to.
    fn note(&mut self, p: &Packet) {
        if p.kind == Type::Connect {
            (self.version, self.from_start) = (p.version, true);
        }
        let assigned =
            p.properties.iter().find(|[k, _]| k.of(p.arena.text()) == b"assigned_client_identifier");
        let id = match p.kind {
            Type::Connect => p.shown(p.client_id),
            Type::Connack => assigned.map(|[_, v]| v.of(p.arena.text())),
            _ => None,
        };
        if let Some(id) = id {
            self.client_id.clear();
            self.client_id.extend_from_slice(id.get(..id.len().min(LITTLE)).unwrap_or_default());
        }
    }

    /// `role` may be anywhere in a packet.
    fn lose(&mut self, role: Role, cx: &mut Context<'_>) {
        self.drop_open(role, Incomplete::Gap, cx);
        let side = self.side(role);
        side.lost = true;
        side.aliases.clear();
        // What this side acknowledged in between is not known.
        let by_server = role == Role::Client;
        for q in self.queue.iter_mut() {
            *(if q.by_server == by_server { &mut q.doubtful } else { &mut q.followed }) = true;
        }
        self.gapped = true;
    }

    /// Reports a PUBLISH whose end will not come.
    fn drop_open(&mut self, role: Role, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(Open { mut packet, .. }) = self.side(role).open.take() {
            packet.by_server = role == Role::Server;
            self.alone(packet, Some(why), cx);
        }
    }
}

/// The protocol level in a CONNECT, which is needed to read it.
fn connect_version(body: &[u8]) -> u8 {
    let name = body.get(1).map_or(0, |&n| usize::from(n));
    body.get(2 + name).map_or(4, |level| level & 0x7f)
}

impl Dissector for Mqtt {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.side(role).lost {
                let rest = bytes.get(at..).unwrap_or_default();
                let found = detect::resync(rest, role);
                let passed = found.unwrap_or_else(|| rest.len().saturating_sub(TAIL));
                if passed > 0 {
                    cx.problem(Problem::Unsynced, passed as u64);
                }
                at += passed;
                if found.is_none() {
                    return Taken::Bytes(at);
                }
                self.side(role).lost = false;
            }
            if at >= bytes.len() && self.side(role).open.as_ref().is_none_or(|o| o.left > 0) {
                return Taken::Bytes(at);
            }
            match self.step(role, at, bytes, cx) {
                Step::Done(n) => at += n,
                Step::More => return Taken::Bytes(at),
                Step::Skip(n) => return Taken::AndSkip(n),
                Step::Fault => {
                    cx.problem(Problem::Malformed, 1);
                    self.lose(role, cx);
                    at += 1;
                }
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        match &mut self.side(role).open {
            // Only some of a payload is lost.
            Some(open) if len <= open.left => {
                open.left -= len;
                open.packet.incomplete = Some(Incomplete::Gap);
                if open.left == 0 {
                    self.published_after(role, len, cx);
                }
            }
            _ => self.lose(role, cx),
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        if let Some(open) = &mut self.side(role).open {
            open.left = 0;
            if missing > 0 {
                open.packet.incomplete = Some(Incomplete::Gap);
            }
        }
        self.published_after(role, 0, cx);
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        if !rest.is_empty() && !self.side(role).lost && self.side(role).open.is_none() {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        self.drop_open(role, partial, cx);
        self.ended[role.index()] = true;
        // What waits for this side waits in vain.
        let by_server = role == Role::Client;
        while let Some(i) = self.queue.find(|q| q.by_server == by_server) {
            self.give_up(i, why, cx);
        }
    }

    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.sides.iter().any(|s| s.open.is_some())
    }

    fn memory(&self) -> usize {
        let sides: usize = self
            .sides
            .iter()
            .map(|s| s.aliases.memory() + s.open.as_ref().map_or(0, |o| o.packet.memory()))
            .sum();
        size_of::<Self>() + sides + self.queue.memory() + self.client_id.capacity()
    }
}

impl Mqtt {
    /// The open PUBLISH has ended with bytes that were not shown, `len` of which are still to be
    /// counted off.
    fn published_after(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let at = usize::try_from(len).unwrap_or(usize::MAX);
        self.published_whole(role, at, cx);
    }
}
