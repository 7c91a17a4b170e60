//! Queries and responses of one flow, and their pairing.

use std::collections::VecDeque;

use remora_model::{Incomplete, Timestamp, Transport};

use super::{
    detect,
    message::{HEADER, Header, Message, Section},
    report,
    transfer::{self, Transfer},
    types,
};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Spent queries whose buffers are kept for the next ones.
const SPARE: usize = 4;

/// Answered queries that are remembered because they had been repeated.
const REPEATED: usize = 8;

/// Port of mDNS (RFC 6762).
const MDNS: u16 = 5353;

/// A query that waits for its response.
#[derive(Default)]
struct Pending {
    query: Message,
    asker: Option<Role>,
    seen: Seen,
    /// When it was last repeated.
    newest: Timestamp,
    /// Times it was repeated.
    repeats: u32,
    /// The response so far, of a zone transfer.
    transfer: Transfer,
    response: Message,
    answered: Option<Seen>,
}

impl Pending {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.query.memory() + self.response.memory()
    }

    /// True while more messages of a zone transfer are expected.
    fn transferring(&self) -> bool {
        self.answered.is_some()
    }

    fn is_transfer(&self, transport: Transport) -> bool {
        transport == Transport::Tcp && matches!(self.query.asks_for(), Some(types::AXFR | types::IXFR))
    }
}

/// An answered query to whose repetitions answers may still come.
#[derive(Clone, Copy, Default)]
struct Repeated {
    asker: Option<Role>,
    id: u16,
    left: u32,
}

/// The dissector of one flow.
pub(super) struct Dns {
    transport: Transport,
    pending: VecDeque<Pending>,
    spare: Vec<Pending>,
    scratch: Message,
    repeated: [Repeated; REPEATED],
    next_repeated: usize,
    /// Sides of a TCP connection whose message boundaries are lost.
    lost: [bool; 2],
    /// Memory of `pending`.
    held: usize,
}

impl Dns {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            // Most flows ask once.
            pending: VecDeque::with_capacity(1),
            spare: Vec::new(),
            scratch: Message::default(),
            repeated: [Repeated::default(); REPEATED],
            next_repeated: 0,
            lost: [false; 2],
            held: 0,
        }
    }

    /// Takes one message. `cut` says why its end is missing, if it is.
    fn message(
        &mut self,
        role: Role,
        bytes: &[u8],
        seen: Seen,
        cut: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let mut message = std::mem::take(&mut self.scratch);
        if message.read(bytes, cx.limits.payload) {
            if message.fault.is_some() && cut.is_none() || message.oddities > 0 {
                cx.problem(Problem::Malformed, bytes.len() as u64);
            }
            if message.cut > 0 {
                cx.problem(Problem::PayloadLimit, message.cut);
            }
            let incomplete = damage(&message, cut);
            self.scratch = message;
            if self.scratch.header.is_response() {
                self.response(role, bytes, seen, incomplete, cx);
            } else {
                self.query(role, seen, incomplete, cx);
            }
        } else {
            cx.problem(Problem::Malformed, bytes.len() as u64);
            self.scratch = message;
        }
    }

    /// `self.scratch` holds a query.
    fn query(&mut self, role: Role, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if unanswered(cx) {
            report::emit(role, Some((&self.scratch, seen)), None, incomplete, cx);
            return;
        }
        if let Some(p) = self.pending.iter_mut().find(|p| same_query(p, role, &self.scratch)) {
            p.repeats = p.repeats.saturating_add(1);
            p.newest = seen.last;
            return;
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        let mut p = self.spare.pop().unwrap_or_default();
        std::mem::swap(&mut p.query, &mut self.scratch);
        p.asker = Some(role);
        p.seen = seen;
        p.newest = seen.last;
        p.repeats = 0;
        p.transfer = Transfer::Start;
        p.answered = None;
        self.held += p.memory();
        self.pending.push_back(p);
    }

    /// `self.scratch` holds a response.
    fn response(
        &mut self,
        role: Role,
        bytes: &[u8],
        seen: Seen,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let asker = role.other();
        if unanswered(cx) {
            report::emit(asker, None, Some((&self.scratch, seen)), incomplete, cx);
            return;
        }
        let Some(i) = self.asked(asker, bytes) else {
            if !self.answers_repetition(asker) {
                let incomplete = incomplete.or(Some(Incomplete::NoRequest));
                report::emit(asker, None, Some((&self.scratch, seen)), incomplete, cx);
            }
            return;
        };
        if self.pending.get(i).is_some_and(|p| p.is_transfer(self.transport)) {
            self.transfer(i, bytes, seen, incomplete, cx);
            return;
        }
        let Some(p) = self.pending.remove(i) else { return };
        self.held = self.held.saturating_sub(p.memory());
        report::emit(asker, Some((&p.query, p.seen)), Some((&self.scratch, seen)), incomplete, cx);
        self.recycle(p);
    }

    /// One more message of the zone transfer at `i`, which `self.scratch` holds.
    fn transfer(
        &mut self,
        i: usize,
        bytes: &[u8],
        seen: Seen,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let Some(p) = self.pending.get_mut(i) else { return };
        self.held = self.held.saturating_sub(p.memory());
        match &mut p.answered {
            Some(total) => {
                let before = p.response.cut;
                p.response.append(bytes, cx.limits.payload);
                if p.response.cut > before && before == 0 {
                    cx.problem(Problem::PayloadLimit, p.response.cut - before);
                }
                total.last = seen.last;
                total.bytes = total.bytes.saturating_add(seen.bytes);
            }
            none => {
                std::mem::swap(&mut p.response, &mut self.scratch);
                *none = Some(seen);
            }
        }
        p.transfer.advance(bytes, p.query.asks_for() == Some(types::IXFR));
        self.held += p.memory();
        if p.transfer == Transfer::Done || incomplete.is_some() {
            self.finish(i, incomplete, cx);
        }
    }

    /// The query that the response in `self.scratch` answers.
    fn asked(&self, asker: Role, bytes: &[u8]) -> Option<usize> {
        let response = &self.scratch;
        let candidate = |p: &&Pending| p.asker == Some(asker) && p.query.header.id == response.header.id;
        let by_question = self.pending.iter().position(|p| candidate(&p) && p.query.same_questions(response));
        // Errors may come without the question, and so may later messages of a zone transfer. A
        // damaged question is known by its id alone.
        let loose = response.questions().len() == 0
            && (response.rcode != 0
                || response.fault.is_some()
                || transfer::continues(bytes)
                || response.header.opcode() != 0);
        by_question.or_else(|| loose.then(|| self.pending.iter().position(|p| candidate(&p)))?)
    }

    /// True when the response in `self.scratch` is one to a repetition of an answered query.
    fn answers_repetition(&mut self, asker: Role) -> bool {
        let id = self.scratch.header.id;
        let known = self.repeated.iter_mut().find(|r| r.left > 0 && r.asker == Some(asker) && r.id == id);
        known.map(|r| r.left -= 1).is_some()
    }

    /// Reports the query at `i` with the response that has come so far, or without.
    fn finish(&mut self, i: usize, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let Some(p) = self.pending.remove(i) else { return };
        self.held = self.held.saturating_sub(p.memory());
        let response = p.answered.map(|seen| (&p.response, seen));
        report::emit(p.asker.unwrap_or(Role::Client), Some((&p.query, p.seen)), response, incomplete, cx);
        self.recycle(p);
    }

    /// Reports the query at `i`, whose response does not come, or not in full.
    fn give_up(&mut self, i: usize, why: Incomplete, cx: &mut Context<'_>) {
        let partial = self.pending.get(i).is_some_and(Pending::transferring);
        let why = if partial && why == Incomplete::NoResponse { Incomplete::Truncated } else { why };
        self.finish(i, Some(why), cx);
    }

    fn recycle(&mut self, p: Pending) {
        if p.repeats > 0 {
            self.repeated[self.next_repeated] =
                Repeated { asker: p.asker, id: p.query.header.id, left: p.repeats };
            self.next_repeated = (self.next_repeated + 1) % REPEATED;
        }
        // Large buffers, as of a zone transfer, are not worth keeping.
        if self.spare.len() < SPARE && p.memory() < 4 << 10 {
            self.spare.reserve_exact(1);
            self.spare.push(p);
        }
    }

    /// Reports queries of `asker`, or of both sides, that will not be answered any more.
    fn give_up_all(&mut self, asker: Option<Role>, why: Incomplete, cx: &mut Context<'_>) {
        let mut i = 0;
        while let Some(p) = self.pending.get(i) {
            if asker.is_none() || p.asker == asker {
                self.give_up(i, why, cx);
            } else {
                i += 1;
            }
        }
    }
}

/// True in flows where nobody answers: to a group, or between two mDNS ports.
fn unanswered(cx: &Context<'_>) -> bool {
    cx.transport == Transport::Udp
        && (cx.client.ip.is_multicast()
            || cx.server.ip.is_multicast()
            || cx.client.port == MDNS && cx.server.port == MDNS)
}

fn same_query(p: &Pending, role: Role, query: &Message) -> bool {
    p.asker == Some(role)
        && p.query.header.id == query.header.id
        && p.query.header.opcode() == query.header.opcode()
        && !p.transferring()
        && p.query.same_questions(query)
}

/// Why a call of this message is not whole.
fn damage(message: &Message, cut: Option<Incomplete>) -> Option<Incomplete> {
    match message.fault {
        Some(Section::Question | Section::Answer) => cut.or(Some(Incomplete::Truncated)),
        Some(Section::Authority | Section::Additional) => cut,
        None => None,
    }
}

impl Dissector for Dns {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        if self.transport == Transport::Udp {
            self.message(role, bytes, Seen::within(cx, 0, bytes.len()), None, cx);
            return Taken::Bytes(bytes.len());
        }
        let mut at = 0;
        if self.lost[role.index()] {
            match detect::resync(bytes, role) {
                Some(start) => {
                    self.lost[role.index()] = false;
                    at = start;
                }
                // The longest message must fit before anything is given up.
                None if bytes.len() < 2 * usize::from(u16::MAX) => return Taken::Bytes(0),
                None => return Taken::Bytes(usize::from(u16::MAX)),
            }
        }
        while let Some((len, rest)) = detect::frame(&bytes[at..]) {
            if len < HEADER {
                cx.problem(Problem::Malformed, (bytes.len() - at) as u64);
                self.lost[role.index()] = true;
                return Taken::Bytes(bytes.len());
            }
            let Some(message) = rest.get(..len) else { break };
            let end = at + 2 + len;
            self.message(role, message, Seen::within(cx, at, end), None, cx);
            at = end;
        }
        Taken::Bytes(at)
    }

    fn gap(&mut self, role: Role, _: u64, cx: &mut Context<'_>) {
        if self.transport == Transport::Tcp {
            self.lost[role.index()] = true;
            // A zone transfer with a hole has no known end.
            while let Some(i) =
                self.pending.iter().position(|p| p.transferring() && p.asker == Some(role.other()))
            {
                self.finish(i, Some(Incomplete::Gap), cx);
            }
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.lost[role.index()]
    }

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (cut, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        if self.transport == Transport::Tcp && !rest.is_empty() && !self.lost[role.index()] {
            let message = rest.get(2..).unwrap_or_default();
            if Header::read(&mut super::cursor::Cursor::new(message)).is_some() {
                self.message(role, message, Seen::within(cx, 0, rest.len()), Some(cut), cx);
            } else {
                cx.problem(Problem::Malformed, rest.len() as u64);
            }
        }
        match how {
            // The other side may go on answering.
            Ending::Closed => self.give_up_all(Some(role.other()), why, cx),
            Ending::Reset | Ending::Lost => self.give_up_all(None, why, cx),
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        if self.transport != Transport::Udp {
            return;
        }
        let mut i = 0;
        while let Some(p) = self.pending.get(i) {
            if p.newest.plus(cx.limits.response_wait) <= now {
                self.give_up(i, Incomplete::NoResponse, cx);
            } else {
                i += 1;
            }
        }
    }

    fn awaits_time(&self) -> bool {
        self.transport == Transport::Udp && !self.pending.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.scratch.memory()
    }
}

#[cfg(test)]
mod tests;
