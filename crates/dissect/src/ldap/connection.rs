//! Requests and answers of one flow, and their pairing by message id.

use std::collections::VecDeque;

use remora_model::{Incomplete, Timestamp, Transport};

use super::answer::Answer;
use super::message::{self, Head};
use super::names::{self as op, START_TLS};
use super::request::Request;
use super::{detect, report};
use crate::framed::{self, Framed, Front, Next, Side};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Spent calls whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 8 << 10;

/// Bytes kept of who has bound.
const MAX_USER: usize = 256;

/// Bytes shown of one side of a call while those that are open hold more than a flow may.
const LITTLE: usize = 256;

/// A call that is not over.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) request: Request,
    pub(super) asked: Option<Seen>,
    pub(super) answer: Answer,
    pub(super) answered: Option<Seen>,
    pub(super) incomplete: Option<Incomplete>,
    id: i32,
    /// Its answer may have been among bytes that are missing.
    doubtful: bool,
    /// The client does not want the answer any more; it may come all the same.
    abandoned: bool,
}

impl Open {
    /// The message id.
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.request.memory() + self.answer.memory()
    }

    fn clear(&mut self) {
        self.request.clear();
        self.answer.clear();
        let Self { request, answer, .. } = std::mem::take(self);
        *self = Self { request, answer, ..Self::default() };
    }

    /// One more message of the answer.
    fn answered_by(&mut self, seen: Seen) {
        let total = self.answered.get_or_insert(Seen { bytes: 0, ..seen });
        total.last = total.last.max(seen.last);
        total.bytes = total.bytes.saturating_add(seen.bytes);
    }
}

/// The dissector of one flow.
pub(super) struct Ldap {
    transport: Transport,
    sides: [Side<Head>; 2],
    open: VecDeque<Box<Open>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    spare: Vec<Box<Open>>,
    /// Memory of `open`, and of `spare`.
    held: usize,
    spare_held: usize,
    /// Who the last bind that succeeded was for.
    user: Vec<u8>,
    /// How often bytes of the server were missing, and how often before the newest request was read.
    losses: u32,
    losses_before: u32,
    /// Message id of a StartTLS that was not answered yet.
    upgrade: Option<i32>,
    /// A bind by SASL has succeeded, which may have put a layer around what follows.
    layered: bool,
    server_ended: bool,
    /// Where summaries are written.
    summary: Vec<u8>,
}

impl Ldap {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            sides: Default::default(),
            open: VecDeque::new(),
            spare: Vec::new(),
            held: 0,
            spare_held: 0,
            user: Vec::new(),
            losses: 0,
            losses_before: 0,
            upgrade: None,
            layered: false,
            server_ended: false,
            summary: Vec::new(),
        }
    }

    fn fresh(&mut self) -> Box<Open> {
        let call = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(call.memory());
        call
    }

    fn recycle(&mut self, mut call: Box<Open>) {
        let memory = call.memory();
        if self.spare.len() < SPARE && memory <= SPARE_BYTES {
            call.clear();
            self.spare_held += memory;
            self.spare.push(call);
        }
    }

    fn push(&mut self, call: Box<Open>, cx: &mut Context<'_>) {
        if self.open.len() >= cx.limits.pending.max(1) {
            let abandoned = self.open.iter().position(|c| c.abandoned);
            if abandoned.is_none() {
                cx.problem(Problem::TooManyPending, 0);
            }
            self.give_up(abandoned.unwrap_or(0), Incomplete::NoResponse, cx);
        }
        self.held += call.memory();
        self.open.push_back(call);
    }

    fn take(&mut self, at: usize) -> Option<Box<Open>> {
        let call = self.open.remove(at)?;
        self.held = self.held.saturating_sub(call.memory());
        Some(call)
    }

    /// Reports a call.
    fn emit(&mut self, call: Box<Open>, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let cut = call.request.cut() + call.answer.cut();
        if cut > 0 {
            cx.problem(Problem::PayloadLimit, cut);
        }
        report::emit(&call, &self.user, &mut self.summary, call.incomplete.or(incomplete), cx);
        self.recycle(call);
    }

    /// Reports the call at `at`, whose end does not come.
    fn give_up(&mut self, at: usize, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(call) = self.take(at) {
            let why = match why {
                Incomplete::NoResponse if call.doubtful => Incomplete::Gap,
                Incomplete::NoResponse if call.asked.is_none() => Incomplete::NoRequest,
                Incomplete::NoResponse if call.answered.is_some() => Incomplete::Truncated,
                why => why,
            };
            self.emit(call, Some(why), cx);
        }
    }

    /// Bytes that may be kept of one side of a call.
    fn limit(&self, cx: &Context<'_>) -> usize {
        if self.held > cx.limits.flow_bytes { LITTLE.min(cx.limits.payload) } else { cx.limits.payload }
    }

    /// A request has been read.
    fn asked(&mut self, mut call: Box<Open>, seen: Seen, cx: &mut Context<'_>) {
        let (id, tag) = (call.request.id, call.request.tag);
        call.id = id;
        call.asked = Some(seen);
        // The request may have come late, because others before it are missing.
        let lost = std::mem::replace(&mut self.losses_before, self.losses) != self.losses;
        call.doubtful = lost || !self.sides[Role::Server.index()].in_sync();
        if let Some(at) = self.open.iter().position(|c| c.id == id) {
            // Datagrams are repeated; else the id is free again, so what had it is over.
            if self.transport == Transport::Udp && self.open.get(at).is_some_and(|c| same(c, &call)) {
                self.recycle(call);
                return;
            }
            self.give_up(at, Incomplete::NoResponse, cx);
        }
        if let Some(target) = call.request.abandoned
            && let Some(target) = self.open.iter_mut().find(|c| c.id == target)
        {
            target.abandoned = true;
        }
        if op::operation(tag).is_none_or(|o| o.answer == 0) {
            self.emit(call, None, cx);
            return;
        }
        if call.request.text(call.request.oid) == START_TLS {
            self.upgrade = Some(id);
        }
        self.push(call, cx);
    }

    /// Place of the call that a message of the server belongs to; made if there is none.
    fn answering(&mut self, head: Head, cx: &mut Context<'_>) -> Option<usize> {
        let fits = |c: &Open| {
            let answer = op::operation(c.request.tag).map_or(0, |o| o.answer);
            let part = matches!(head.operation.tag, op::ENTRY | op::REFERENCE);
            c.id == head.id
                && (c.asked.is_none()
                    || answer == head.operation.tag
                    || part && answer == op::SEARCH_DONE
                    || head.operation.tag == op::INTERMEDIATE)
        };
        let found = self.open.iter().position(|c| fits(c));
        if found.is_some() {
            return found;
        }
        let mut call = self.fresh();
        call.id = head.id;
        self.push(call, cx);
        self.open.len().checked_sub(1)
    }

    /// A message of the server.
    fn answered(
        &mut self,
        head: Head,
        read: impl FnOnce(&mut Open, usize, &mut Context<'_>),
        seen: Seen,
        cx: &mut Context<'_>,
    ) -> Next {
        let Some(at) = self.answering(head, cx) else { return Next::On };
        let limit = self.limit(cx);
        let Some(call) = self.open.get_mut(at) else { return Next::On };
        let before = call.memory();
        call.answer.tag = head.operation.tag;
        call.answered_by(seen);
        read(call, limit, cx);
        let after = call.memory();
        self.held = self.held.saturating_sub(before) + after;
        if matches!(head.operation.tag, op::ENTRY | op::REFERENCE | op::INTERMEDIATE) {
            return Next::On;
        }
        let Some(call) = self.take(at) else { return Next::On };
        let success = call.answer.code == Some(0);
        let upgraded = self.upgrade == Some(head.id);
        if upgraded {
            self.upgrade = None;
        }
        let incomplete = match call.asked {
            // The server's own notices have no request.
            None if head.id == 0 => None,
            None => Some(Incomplete::NoRequest),
            // Entries may be missing.
            Some(_) if call.doubtful && matches!(call.request.tag, op::SEARCH | op::EXTENDED) => {
                Some(Incomplete::Gap)
            }
            Some(_) => None,
        };
        if head.operation.tag == op::BIND_ANSWER {
            // RFC 4511, section 4.2.1: who fails to bind is anonymous.
            self.user.clear();
            if success {
                self.layered = call.request.auth == Some("sasl");
                let who = call.request.text(call.request.dn);
                self.user.extend_from_slice(who.get(..MAX_USER).unwrap_or(who));
            }
        }
        self.emit(call, incomplete, cx);
        if upgraded && success { Next::Handover } else { Next::On }
    }
}

/// True when two datagrams ask the same.
fn same(a: &Open, b: &Open) -> bool {
    let (a, b) = (&a.request, &b.request);
    a.tag == b.tag && a.text(a.dn) == b.text(b.dn) && a.text(a.filter) == b.text(b.filter)
}

impl Framed for Ldap {
    type Head = Head;

    fn side(&mut self, role: Role) -> &mut Side<Head> {
        &mut self.sides[role.index()]
    }

    fn front(bytes: &[u8]) -> Front<Head> {
        message::front(bytes)
    }

    fn find(&self, role: Role, bytes: &[u8]) -> Option<usize> {
        detect::resync(bytes, role)
    }

    fn holds(&self, role: Role) -> bool {
        role == Role::Client && self.upgrade.is_some()
    }

    fn is_opaque(&self, _: Role, bytes: &[u8]) -> bool {
        // A buffer of a security layer begins with its length (RFC 4422, section 3.7).
        self.layered && bytes.first() == Some(&0)
    }

    fn message(&mut self, role: Role, bytes: &[u8], cut: bool, seen: Seen, cx: &mut Context<'_>) -> Next {
        let Some((head, mut reader)) = message::open(bytes, cut) else {
            cx.problem(Problem::Malformed, bytes.len() as u64);
            return Next::On;
        };
        let expected = if head.operation.is_answer { Role::Server } else { Role::Client };
        if role != expected {
            cx.problem(Problem::Malformed, bytes.len() as u64);
            return Next::On;
        }
        if role == Role::Server {
            let read = |call: &mut Open, limit: usize, cx: &mut Context<'_>| {
                let Open { request, answer, .. } = call;
                if answer.read(&mut reader, request.text(request.oid), limit).is_err() {
                    cx.problem(Problem::Malformed, bytes.len() as u64);
                }
            };
            return self.answered(head, read, seen, cx);
        }
        let mut call = self.fresh();
        call.request.id = head.id;
        call.request.tag = head.operation.tag;
        if call.request.read(&mut reader, self.limit(cx)).is_err() {
            cx.problem(Problem::Malformed, bytes.len() as u64);
        }
        self.asked(call, seen, cx);
        Next::On
    }

    fn hole(&mut self, role: Role, head: Head, seen: Seen, why: Incomplete, cx: &mut Context<'_>) {
        match (role, head.operation.is_answer) {
            (Role::Client, false) => {
                let mut call = self.fresh();
                call.request.id = head.id;
                call.request.tag = head.operation.tag;
                call.incomplete = Some(why);
                self.asked(call, seen, cx);
            }
            (Role::Server, true) => {
                self.answered(head, |call, _, _| call.incomplete = Some(why), seen, cx);
            }
            _ => cx.problem(Problem::Malformed, 0),
        }
    }

    fn lost(&mut self, role: Role) {
        // Somebody else may have bound.
        self.user.clear();
        if role == Role::Server {
            self.open.iter_mut().for_each(|c| c.doubtful = true);
            self.losses = self.losses.wrapping_add(1);
            // The answer to StartTLS may have been in there: what follows shows itself.
            self.upgrade = None;
        }
    }
}

impl Dissector for Ldap {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        if self.transport == Transport::Tcp {
            return framed::data(self, role, bytes, cx);
        }
        // A datagram may have several messages.
        let mut at = 0;
        while let Front::Message(len, _) = message::front(bytes.get(at..).unwrap_or_default()) {
            let end = usize::try_from(len).map_or(usize::MAX, |len| at.saturating_add(len));
            let Some(message) = bytes.get(at..end) else { break };
            self.message(role, message, false, Seen::within(cx, at, end), cx);
            at = end;
        }
        if at < bytes.len() {
            cx.problem(Problem::Malformed, (bytes.len() - at) as u64);
        }
        Taken::Bytes(bytes.len())
    }

    fn joined(&mut self, _: Role, _: u64) -> bool {
        self.losses = 1;
        false
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        if self.transport == Transport::Tcp {
            framed::gap(self, role, len, cx);
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        self.sides[role.index()].in_sync()
    }

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        framed::end(self, role, rest, how, cx);
        self.server_ended |= role == Role::Server;
        let why = if how == Ending::Reset { Incomplete::Reset } else { Incomplete::NoResponse };
        // After the client's end the server may go on answering.
        while self.server_ended && !self.open.is_empty() {
            self.give_up(0, why, cx);
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        if self.transport != Transport::Udp {
            return;
        }
        let mut at = 0;
        while let Some(call) = self.open.get(at) {
            let seen = call.answered.or(call.asked).unwrap_or_default();
            if seen.last.plus(cx.limits.response_wait) <= now {
                self.give_up(at, Incomplete::NoResponse, cx);
            } else {
                at += 1;
            }
        }
    }

    fn awaits_time(&self) -> bool {
        self.transport == Transport::Udp && !self.open.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.open.is_empty() || self.sides.iter().any(Side::is_open)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.spare_held + self.user.capacity() + self.summary.capacity()
    }
}

#[cfg(test)]
mod tests;
