//! The two byte streams of a connection.

use remora_model::{Incomplete, Timestamp};

use super::compression::Outer;
use super::detect;
use super::exchange::{Exchange, Prepared, Session, Stage};
use super::packets::{Place, Stream};
use super::unsettled::Unsettled;
use crate::sql::LITTLE;
use crate::sql::pairing::{Exchange as _, Pairing};
use crate::sql::statements::Statements;
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

/// Bytes by which the framing of a connection that was joined in the middle shows.
const ENOUGH: usize = 64;

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The connection was joined in the middle.
    Unknown,
    Plain,
    /// In the compressed protocol's packets.
    Compressed,
}

/// What is known of how the two sides speak.
#[derive(Debug, Default)]
pub(super) struct Manner {
    /// What both can do, once the client has said so.
    pub(super) capabilities: Option<u64>,
    /// What the server can do.
    pub(super) offered: u64,
    /// The server's choice of authentication.
    pub(super) plugin: Vec<u8>,
    /// An EOF packet stands behind definitions of columns.
    pub(super) eof: Option<bool>,
    /// The client has to log in now.
    pub(super) greeted: bool,
    /// The client has asked for TLS.
    pub(super) tls: bool,
    /// A stream of replication follows.
    pub(super) replication: bool,
}

impl Manner {
    /// True when both sides have this capability; false also where that is not known.
    pub(super) fn has(&self, capability: u64) -> bool {
        self.capabilities.is_some_and(|c| c & capability != 0)
    }
}

/// The dissector of one connection.
pub(super) struct Mysql {
    pub(super) streams: [Stream; 2],
    pub(super) outer: [Outer; 2],
    pub(super) framing: Framing,
    pub(super) manner: Manner,
    pub(super) session: Session,
    pub(super) unsettled: Unsettled,
    pub(super) pairing: Pairing<Exchange>,
    pub(super) prepared: Statements<Prepared>,
    /// The statement that was sent last to be prepared: MariaDB executes it without its number.
    pub(super) last_prepared: Vec<u8>,
    /// What the server sends while it is not certain what it answers; `None` before its first
    /// packet.
    pub(super) orphan: Option<Exchange>,
    /// A command that is not answered.
    pub(super) one_way: Option<Exchange>,
    /// Nothing can be read any more.
    pub(super) opaque: bool,
    /// TLS begins.
    pub(super) handover: bool,
    /// Sides of which something was shown.
    heard: [bool; 2],
    server_ended: bool,
    pub(super) answered_at: Timestamp,
}

impl Mysql {
    pub(super) fn new() -> Self {
        Self {
            streams: Default::default(),
            outer: Default::default(),
            framing: Framing::Unknown,
            manner: Manner::default(),
            session: Session::default(),
            unsettled: Unsettled::default(),
            pairing: Pairing::new(),
            prepared: Statements::new(),
            last_prepared: Vec::new(),
            orphan: None,
            one_way: None,
            opaque: false,
            handover: false,
            heard: [false; 2],
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

    /// True for a TLS record (RFC 8446 section 5.1) where the client has asked for TLS.
    pub(super) fn begins_tls(&mut self, bytes: &[u8]) -> bool {
        std::mem::take(&mut self.manner.tls) && matches!(bytes, [0x16, 3, 0..=4, ..])
    }

    /// From here on `role` may be anywhere in a packet.
    pub(super) fn lose(&mut self, role: Role, cx: &mut Context<'_>) {
        self.doubt(cx);
        if role == Role::Client {
            self.forget();
        }
        self.streams[role.index()] = Stream::lost();
        if let Some(e) = self.one_way.take() {
            e.emit(Some(Incomplete::Gap), &self.session, cx);
            self.pairing.recycle(e);
        }
    }

    /// The client may have said something that was not seen.
    pub(super) fn forget(&mut self) {
        self.unsettled = Unsettled::default();
        self.session.database.clear();
        self.session.user.clear();
        self.last_prepared.clear();
        self.unbind();
        self.prepared.update_all(|p| p.may_be_closed = true);
    }

    /// A statement may have been executed with parameters that were not seen.
    pub(super) fn unbind(&mut self) {
        self.prepared.update_all(|p| {
            p.types.clear();
            p.sent_ahead = 0;
            p.unsure = true;
        });
    }

    /// It is not certain any more what is answered.
    pub(super) fn doubt(&mut self, cx: &mut Context<'_>) {
        self.unsettled.give_up(&mut self.session);
        self.pairing.doubt(Incomplete::Gap, &self.session, cx);
        self.manner.greeted = false;
        self.orphan = None;
    }

    fn give_up(&mut self, partial: Incomplete, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(e) = self.orphan.take() {
            self.report_orphan(e, cx);
        }
        let begun = self.pairing.front().is_some_and(|e| e.answer.is_some());
        self.pairing.end(begun.then_some(partial), why, &self.session, cx);
    }
}

impl Dissector for Mysql {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        if self.heard == [false; 2] && role == Role::Client {
            // Clients wait for answers, all but MariaDB's, which is noticed.
            self.pairing.assume_idle();
        }
        self.heard[role.index()] = true;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if self.opaque {
                if !rest.is_empty() {
                    cx.problem(Problem::Opaque, rest.len() as u64);
                }
                return Taken::AndSkip(u64::MAX);
            }
            if rest.is_empty() {
                return Taken::Bytes(at);
            }
            // Positions and times are those of the bytes being shown.
            let framing = self.framing;
            let taken = match framing {
                Framing::Unknown => {
                    match detect::framing(rest, role) {
                        Some(framing) => self.framing = framing,
                        None if rest.len() < ENOUGH => return Taken::Bytes(at),
                        None => self.framing = Framing::Plain,
                    }
                    0
                }
                Framing::Plain if at == 0 => self.packets(role, bytes, Place::At(0), cx),
                Framing::Plain => self.packets(role, rest, Place::At(at), cx),
                Framing::Compressed => self.unwrap(role, at, rest, cx),
            };
            at += taken;
            if self.handover {
                return Taken::Handover(at);
            }
            if self.framing == framing && !self.opaque {
                let left = self.streams[role.index()].body.map_or(0, |b| b.left);
                if framing == Framing::Plain && left > 0 && at == bytes.len() {
                    return Taken::AndSkip(left);
                }
                return Taken::Bytes(at);
            }
        }
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        // After a gap the engine passes over more bytes, which is reported as another one.
        if self.opaque || !self.in_sync(role) {
            return;
        }
        if !self.heard[role.index()] && !self.pairing.is_sure() {
            // What was passed over in front of a stream that was joined in the middle.
            self.streams[role.index()] = Stream::lost();
            self.outer[role.index()].lose();
            return;
        }
        let passed = match self.framing {
            Framing::Unknown => false,
            Framing::Plain => self.pass(role, len, Place::At(0), cx),
            Framing::Compressed => self.pass_compressed(role, len, cx),
        };
        if !passed {
            self.lose(role, cx);
            self.outer[role.index()].lose();
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        match self.framing {
            Framing::Compressed => !self.outer[role.index()].is_lost(),
            _ => !self.streams[role.index()].lost,
        }
    }

    fn skipped(&mut self, role: Role, _: u64, cx: &mut Context<'_>) {
        if let Some(body) = &mut self.streams[role.index()].body {
            body.left = 0;
            self.body_ended(role, 0, Place::At(0), cx);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        let stream = &self.streams[role.index()];
        if !rest.is_empty() && !self.opaque && !stream.lost && !stream.is_open() && self.in_sync(role) {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        if role == Role::Client && stream.is_open() {
            if let Some(e) = self.one_way.take() {
                e.emit(Some(partial), &self.session, cx);
            } else if let Some(e) = self.pairing.back().filter(|e| e.stage == Stage::First) {
                e.incomplete = e.incomplete.or(Some(partial));
            }
        }
        self.streams[role.index()] = Stream::default();
        self.outer[role.index()] = Outer::default();
        // After the client's end the server may go on answering.
        self.server_ended |= role == Role::Server;
        if self.server_ended {
            self.give_up(partial, why, cx);
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
            || self.orphan.is_some()
            || self.one_way.is_some()
            || self.streams.iter().any(Stream::is_open)
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.pairing.memory()
            + self.prepared.memory()
            + self.last_prepared.capacity()
            + self.session.user.capacity()
            + self.session.database.capacity()
            + self.session.version.capacity()
            + self.unsettled.memory()
            + self.manner.plugin.capacity()
            + self.orphan.iter().chain(&self.one_way).map(Exchange::memory).sum::<usize>()
            + self.outer.iter().map(Outer::memory).sum::<usize>()
    }
}
