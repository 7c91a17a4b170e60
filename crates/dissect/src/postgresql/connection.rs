//! The two byte streams of a connection: where messages begin and end in them.

use remora_model::{Incomplete, Timestamp};

use super::exchange::{Exchange, Kind, Portal, Session, Statement};
use super::message::{self, HEADER, MAX_STARTUP};
use super::{client, detect};
use crate::sql::LITTLE;
use crate::sql::pairing::Pairing;
use crate::sql::statements::Statements;
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 64;

/// What is looked at of messages whose content does not grow with users' data.
const SHORT: usize = 8 << 10;

/// Bytes of a row with one value in front of it: the number of columns and a length.
const ROW_HEADER: usize = 6;

/// What is looked at of a RowDescription.
const DESCRIPTION: usize = 64 << 10;

/// A message of which the rest is counted off.
#[derive(Clone, Copy, Debug)]
struct Body {
    kind: u8,
    left: u64,
}

/// Reading one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The message that was looked at and has not ended.
    body: Option<Body>,
    /// The message that is waited for: its type, and how much of it has not been shown.
    waiting: Option<(Body, Seen)>,
    /// Message boundaries are lost.
    pub(super) lost: bool,
    /// Something was shown of it.
    pub(super) heard: bool,
}

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encryption {
    None,
    /// The server has agreed; what follows tells whether the capture sees through it.
    Agreed,
    /// Nothing can be read any more. Also during replication.
    Opaque,
}

/// Where an answer stands of which the request is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Orphan {
    /// What came first may have been missed.
    Middle,
    /// From its beginning on.
    Begun,
    /// The first statement of it is answered. What follows belongs to the same query, or to others.
    Over,
}

/// The dissector of one connection.
pub(super) struct Postgresql {
    pub(super) sides: [Side; 2],
    pub(super) pairing: Pairing<Exchange>,
    pub(super) session: Session,
    pub(super) statements: Statements<Statement>,
    pub(super) portals: Statements<Portal>,
    pub(super) encryption: Encryption,
    /// What the server sends while it is not certain what it answers.
    pub(super) orphan: Exchange,
    pub(super) orphan_at: Orphan,
    /// The server passes over everything up to the next Sync.
    pub(super) skipping: bool,
    /// The message being read has a hole; where it began.
    pub(super) hole: Option<Seen>,
    server_ended: bool,
    /// When the last answer was complete.
    pub(super) answered_at: Timestamp,
}

impl Postgresql {
    pub(super) fn new() -> Self {
        Self {
            sides: Default::default(),
            pairing: Pairing::new(),
            session: Session::default(),
            statements: Statements::new(),
            portals: Statements::new(),
            encryption: Encryption::None,
            orphan: Exchange::default(),
            orphan_at: Orphan::Middle,
            skipping: false,
            hole: None,
            server_ended: false,
            answered_at: Timestamp(0),
        }
    }

    /// Bytes kept of each direction of a call.
    pub(super) fn budget(&self, cx: &Context<'_>) -> usize {
        if self.pairing.memory() > cx.limits.flow_bytes {
            LITTLE.min(cx.limits.payload)
        } else {
            cx.limits.payload
        }
    }

    /// How much of a message is worth waiting for.
    fn wanted(&mut self, role: Role, kind: u8, cx: &Context<'_>) -> usize {
        let payload = cx.limits.payload.saturating_add(SHORT);
        let n = match (role, kind) {
            (Role::Client, b'Q' | b'P' | b'B' | b'F') => payload,
            (Role::Client, b'd') => self.pairing.front().map_or(0, |e| e.input.room()),
            (Role::Client, b'p') => 0,
            (Role::Server, b'D') => self.pairing.front().map_or(2, |e| match e.body.room() {
                0 => 2,
                // Besides the value, its length.
                room => room.saturating_add(ROW_HEADER),
            }),
            (Role::Server, b'd') => self.pairing.front().map_or(0, |e| e.body.room()),
            (Role::Server, b'T') => DESCRIPTION,
            (Role::Server, b'A' | b'V') => payload,
            (Role::Server, b'K') => 0,
            _ => SHORT,
        };
        n.min(cx.limits.message_bytes / 2)
    }

    /// Where the message began that lies at `at` of the bytes being shown.
    pub(super) fn began(&self, at: usize, cx: &Context<'_>) -> Seen {
        self.hole.unwrap_or_else(|| Seen::within(cx, at, at))
    }

    /// Everything from here on is encrypted or a replication stream.
    fn opaque(&self, bytes: usize, cx: &mut Context<'_>) -> Taken {
        if bytes > 0 {
            cx.problem(Problem::Opaque, bytes as u64);
        }
        Taken::AndSkip(u64::MAX)
    }

    /// Reads a startup packet or what stands in its place, at `at` of the bytes being shown. Says
    /// how long it is; `Err` when it is none.
    fn startup(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Result<Option<usize>, ()> {
        let Some(header) = bytes.first_chunk::<4>() else { return Ok(None) };
        let len = u32::from_be_bytes(*header);
        if !(8..=MAX_STARTUP).contains(&len) {
            return Err(());
        }
        let len = len as usize;
        let Some(packet) = bytes.get(4..len) else { return Ok(None) };
        let seen = Seen::within(cx, at, at + len);
        if client::startup(self, packet, seen, cx) { Ok(Some(len)) } else { Err(()) }
    }

    /// The server's answer to a request for encryption at the front of `bytes`, if that is what
    /// it answers now. Says how long it is.
    fn encryption_answer(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Option<usize> {
        let kind = self.pairing.front()?.kind;
        if !matches!(kind, Kind::Ssl | Kind::Gss) || self.sides[Role::Client.index()].lost {
            return None;
        }
        let agreed = match bytes.first()? {
            b'N' => false,
            b'S' if kind == Kind::Ssl => true,
            b'G' if kind == Kind::Gss => true,
            _ => return None,
        };
        let seen = Seen::within(cx, at, at + 1);
        if let Some(e) = self.pairing.front() {
            e.answer = Some(seen);
            e.body.raw(&bytes[..1]);
        }
        if agreed {
            self.encryption = Encryption::Agreed;
        }
        self.pairing.finish(&self.session, cx);
        self.pairing.rest(&self.session, cx);
        Some(1)
    }

    /// What the client says next depends on the server's answer.
    fn awaits_encryption(&mut self) -> bool {
        !self.sides[Role::Server.index()].lost
            && self.pairing.front().is_some_and(|e| e.kind == Kind::Ssl && e.answer.is_none())
    }

    fn fault(&mut self, role: Role, bytes: usize, cx: &mut Context<'_>) {
        cx.problem(Problem::Malformed, bytes as u64);
        self.lose(role, cx);
    }

    /// From here on `role` may be anywhere in a message.
    fn lose(&mut self, role: Role, cx: &mut Context<'_>) {
        self.doubt(Incomplete::Gap, cx);
        if role == Role::Client {
            // Another statement may have been prepared in their place.
            self.statements.remove(b"");
            self.portals.clear();
        } else {
            self.session.application.clear();
            self.statements.update_all(|s| s.unsure = true);
        }
        self.sides[role.index()] = Side { lost: true, heard: true, ..Side::default() };
    }

    /// It is not certain any more what is answered.
    pub(super) fn doubt(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        self.pairing.doubt(why, &self.session, cx);
        self.skipping = false;
        self.forget_orphan();
    }

    /// A message of `role` ends at `at` of the bytes being shown.
    fn ended(&mut self, role: Role, kind: u8, at: usize, cx: &mut Context<'_>) {
        match role {
            Role::Client => self.client_message_ended(kind, at, cx),
            Role::Server => self.server_message_ended(kind, at, cx),
        }
        self.hole = None;
    }

    fn message(&mut self, role: Role, kind: u8, at: usize, body: &[u8], whole: bool, cx: &mut Context<'_>) {
        match role {
            Role::Client => self.client_message(kind, at, body, whole, cx),
            Role::Server => self.server_message(kind, at, body, whole, cx),
        }
    }
}

impl Dissector for Postgresql {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        self.sides[role.index()].waiting = None;
        self.sides[role.index()].heard = true;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.encryption == Encryption::Opaque {
                return self.opaque(rest.len(), cx);
            }
            let side = &mut self.sides[role.index()];
            if let Some(body) = &mut side.body {
                let n = usize::try_from(body.left).unwrap_or(usize::MAX).min(rest.len());
                body.left -= n as u64;
                at += n;
                let Body { kind, left } = *body;
                if left > 0 {
                    return Taken::AndSkip(left);
                }
                side.body = None;
                self.ended(role, kind, at, cx);
                continue;
            }
            if side.lost {
                match detect::resync(rest, role) {
                    Some(start) => {
                        side.lost = false;
                        at += start;
                        continue;
                    }
                    None => return Taken::Bytes(at + rest.len().saturating_sub(TAIL)),
                }
            }
            let Some(first) = rest.first() else { return Taken::Bytes(at) };
            if self.encryption == Encryption::Agreed {
                // A TLS record (RFC 8446 section 5.1), or a capture of plaintext that goes on; a GSS
                // packet begins like a startup packet, but has no version.
                if matches!(first, 0x14..=0x17) {
                    return Taken::Handover(at);
                }
                if role == Role::Server {
                    self.encryption = Encryption::None;
                }
            }
            if role == Role::Client && self.awaits_encryption() {
                return Taken::Bytes(at);
            }
            if role == Role::Client && *first == 0 {
                match self.startup(at, rest, cx) {
                    Ok(Some(len)) => at += len,
                    Ok(None) => return Taken::Bytes(at),
                    Err(()) if self.encryption == Encryption::Agreed => self.encryption = Encryption::Opaque,
                    Err(()) => self.fault(role, rest.len(), cx),
                }
                continue;
            }
            if role == Role::Server
                && let Some(len) = self.encryption_answer(at, rest, cx)
            {
                at += len;
                continue;
            }
            let Some(header) = rest.first_chunk::<HEADER>() else { return Taken::Bytes(at) };
            let Ok((kind, len)) = message::header(role, header) else {
                self.fault(role, rest.len(), cx);
                continue;
            };
            let wanted = self.wanted(role, kind, cx).min(len as usize);
            let shown = &rest[HEADER..];
            let Some(body) = shown.get(..wanted) else {
                let left = u64::from(len) - shown.len() as u64;
                self.sides[role.index()].waiting = Some((Body { kind, left }, Seen::within(cx, at, at)));
                return Taken::Bytes(at);
            };
            let whole = wanted == len as usize;
            self.message(role, kind, at, body, whole, cx);
            at += HEADER + wanted;
            if self.sides[role.index()].lost {
                continue;
            }
            if whole {
                self.ended(role, kind, at, cx);
            } else {
                let left = u64::from(len) - wanted as u64;
                self.sides[role.index()].body = Some(Body { kind, left });
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        // After a gap the engine passes over more bytes, which is reported as another one.
        if self.encryption == Encryption::Opaque || self.sides[role.index()].lost {
            return;
        }
        if !self.sides[role.index()].heard && !self.pairing.is_sure() {
            // What was passed over in front of a stream that was joined in the middle.
            self.sides[role.index()].lost = true;
            return;
        }
        let waiting = self.sides[role.index()].waiting.take().filter(|(body, _)| body.left >= len);
        let Some((Body { kind, left }, began)) = waiting else {
            self.lose(role, cx);
            return;
        };
        // Only what the message says is lost.
        self.hole = Some(began);
        self.message(role, kind, 0, &[], false, cx);
        if self.sides[role.index()].lost {
            return;
        }
        match left - len {
            0 => self.ended(role, kind, 0, cx),
            left => self.sides[role.index()].body = Some(Body { kind, left }),
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn skipped(&mut self, role: Role, _: u64, cx: &mut Context<'_>) {
        if let Some(body) = self.sides[role.index()].body.take() {
            self.ended(role, body.kind, 0, cx);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        let side = &self.sides[role.index()];
        let half = side.body.is_some() || side.waiting.is_some();
        if !rest.is_empty() && !side.lost && !half && self.encryption != Encryption::Opaque {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        if role == Role::Client && side.body.is_some() {
            self.client_cut_off(partial);
        }
        self.sides[role.index()] = Side::default();
        // After the client's end the server may go on answering.
        self.server_ended |= role == Role::Server;
        if self.server_ended {
            self.give_up(rest.len(), partial, why, cx);
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let waited = now.0.saturating_sub(self.answered_at.0);
        if self.pairing.is_empty()
            && waited > i64::try_from(cx.limits.response_wait.as_nanos()).unwrap_or(i64::MAX)
        {
            self.pairing.release(&self.session, cx);
        }
    }

    fn awaits_time(&self) -> bool {
        self.pairing.is_busy()
    }

    fn is_busy(&self) -> bool {
        self.pairing.is_busy()
            || self.orphan.answer.is_some()
            || self.sides.iter().any(|s| s.body.is_some() || s.waiting.is_some())
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.pairing.memory()
            + crate::sql::pairing::Exchange::memory(&self.orphan)
            + self.statements.memory()
            + self.portals.memory()
            + self.session.user.capacity()
            + self.session.database.capacity()
            + self.session.application.capacity()
    }
}
