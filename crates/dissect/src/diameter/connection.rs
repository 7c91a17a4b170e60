//! Requests and answers of one connection, and their pairing by hop-by-hop identifier. Both peers
//! ask.

use std::collections::VecDeque;

use remora_model::{Incomplete, Transport};

use super::header::{self, Header};
use super::message::Message;
use super::{detect, report};
use crate::framed::{self, Framed, Front, Next, Side};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Spent requests whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 8 << 10;

/// Bytes shown of a message while those that wait for answers hold more than a flow may.
const LITTLE: usize = 256;

/// A request that waits for its answer.
#[derive(Debug, Default)]
struct Pending {
    message: Message,
    asker: Option<Role>,
    seen: Seen,
    incomplete: Option<Incomplete>,
    /// Its answer may have been among bytes that are missing.
    doubtful: bool,
}

impl Pending {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.message.memory()
    }
}

/// The dissector of one connection; where the transport keeps messages apart, as UDP and the chunks
/// of SCTP do, of what each call of `data` shows.
pub(super) struct Diameter {
    transport: Transport,
    sides: [Side<Header>; 2],
    pending: VecDeque<Box<Pending>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    spare: Vec<Box<Pending>>,
    /// The answer being read.
    answer: Message,
    /// Memory of `pending`, and of `spare`.
    held: usize,
    spare_held: usize,
    /// Where summaries are written.
    summary: Vec<u8>,
}

impl Diameter {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport,
            sides: Default::default(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            answer: Message::default(),
            held: 0,
            spare_held: 0,
            summary: Vec::new(),
        }
    }

    fn fresh(&mut self) -> Box<Pending> {
        let p = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(p.memory());
        p
    }

    fn recycle(&mut self, p: Box<Pending>) {
        let memory = p.memory();
        if self.spare.len() < SPARE && memory <= SPARE_BYTES {
            self.spare_held += memory;
            self.spare.push(p);
        }
    }

    fn take(&mut self, at: usize) -> Option<Box<Pending>> {
        let p = self.pending.remove(at)?;
        self.held = self.held.saturating_sub(p.memory());
        Some(p)
    }

    /// Reports the request at `at`, which is not answered any more.
    fn give_up(&mut self, at: usize, why: Incomplete, cx: &mut Context<'_>) {
        let Some(p) = self.take(at) else { return };
        let why = if p.doubtful && why == Incomplete::NoResponse { Incomplete::Gap } else { why };
        let why = p.incomplete.or(Some(why));
        let asker = p.asker.unwrap_or(Role::Client);
        report::emit(asker, Some((&p.message, p.seen)), None, why, &mut self.summary, cx);
        self.recycle(p);
    }

    fn asked(
        &mut self,
        role: Role,
        mut p: Box<Pending>,
        seen: Seen,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let id = p.message.header.hop_by_hop;
        // Identifiers are used again once they were answered.
        if let Some(at) = self.waiting(role, id) {
            self.give_up(at, Incomplete::NoResponse, cx);
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        (p.asker, p.seen, p.incomplete, p.doubtful) = (Some(role), seen, incomplete, false);
        self.held += p.memory();
        self.pending.push_back(p);
    }

    fn waiting(&self, asker: Role, id: u32) -> Option<usize> {
        self.pending.iter().position(|p| p.asker == Some(asker) && p.message.header.hop_by_hop == id)
    }

    /// `self.answer` holds an answer, or what is known of it.
    fn answered(&mut self, role: Role, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let header = self.answer.header;
        let asker = role.other();
        let same = |p: &Pending| p.message.header.command == header.command;
        let found = self
            .waiting(asker, header.hop_by_hop)
            .filter(|at| self.pending.get(*at).is_some_and(|p| same(p)));
        let p = found.and_then(|at| self.take(at));
        let answer = Some((&self.answer, seen));
        match p {
            Some(p) => {
                let why = p.incomplete.or(incomplete);
                report::emit(asker, Some((&p.message, p.seen)), answer, why, &mut self.summary, cx);
                self.recycle(p);
            }
            None => {
                let why = incomplete.or(Some(Incomplete::NoRequest));
                report::emit(asker, None, answer, why, &mut self.summary, cx);
            }
        }
    }

    /// What is wrong with a message, counted.
    fn judge(message: &Message, len: usize, cx: &mut Context<'_>) {
        if message.cut() > 0 {
            cx.problem(Problem::PayloadLimit, message.cut());
        }
        if message.fault {
            cx.problem(Problem::Malformed, len as u64);
        }
    }
}

impl Framed for Diameter {
    type Head = Header;

    fn side(&mut self, role: Role) -> &mut Side<Header> {
        &mut self.sides[role.index()]
    }

    fn front(bytes: &[u8]) -> Front<Header> {
        header::front(bytes)
    }

    fn find(&self, role: Role, bytes: &[u8]) -> Option<usize> {
        detect::resync(bytes, role)
    }

    fn message(&mut self, role: Role, bytes: &[u8], cut: bool, seen: Seen, cx: &mut Context<'_>) -> Next {
        let request = header::read(bytes).is_ok_and(|(h, _)| h.is_request());
        let limit =
            if self.held > cx.limits.flow_bytes { LITTLE.min(cx.limits.payload) } else { cx.limits.payload };
        if request {
            let mut p = self.fresh();
            p.message.read(bytes, cut, limit);
            Self::judge(&p.message, bytes.len(), cx);
            let incomplete = p.message.fault.then_some(Incomplete::Truncated);
            self.asked(role, p, seen, incomplete, cx);
        } else {
            self.answer.read(bytes, cut, limit);
            Self::judge(&self.answer, bytes.len(), cx);
            let incomplete = self.answer.fault.then_some(Incomplete::Truncated);
            self.answered(role, seen, incomplete, cx);
        }
        Next::On
    }

    fn hole(&mut self, role: Role, head: Header, seen: Seen, why: Incomplete, cx: &mut Context<'_>) {
        if head.is_request() {
            let mut p = self.fresh();
            p.message.clear();
            p.message.header = head;
            self.asked(role, p, seen, Some(why), cx);
        } else {
            self.answer.clear();
            self.answer.header = head;
            self.answered(role, seen, Some(why), cx);
        }
    }

    fn lost(&mut self, role: Role) {
        self.pending.iter_mut().filter(|p| p.asker != Some(role)).for_each(|p| p.doubtful = true);
    }
}

impl Dissector for Diameter {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        if self.transport == Transport::Tcp {
            return framed::data(self, role, bytes, cx);
        }
        match header::front(bytes) {
            Front::Message(len, _) if len <= bytes.len() as u64 => {
                self.message(role, bytes, false, Seen::within(cx, 0, bytes.len()), cx);
            }
            _ => cx.problem(Problem::Malformed, bytes.len() as u64),
        }
        Taken::Bytes(bytes.len())
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
        let why = if how == Ending::Reset { Incomplete::Reset } else { Incomplete::NoResponse };
        let mut at = 0;
        while let Some(p) = self.pending.get(at) {
            // After its own end the other side may go on answering.
            if how != Ending::Closed || p.asker != Some(role) {
                self.give_up(at, why, cx);
            } else {
                at += 1;
            }
        }
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty() || self.sides.iter().any(Side::is_open)
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.spare_held + self.answer.memory() + self.summary.capacity()
    }
}

#[cfg(test)]
mod tests;
