//! Requests and answers of one flow, and their pairing.

use std::collections::VecDeque;

use remora_model::{Incomplete, Timestamp};

use super::packet::Packet;
use super::{codes, report};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Spent packets whose buffers are kept for the next ones.
const SPARE: usize = 8;

/// Answered requests that are remembered because they had been repeated.
const REPEATED: usize = 8;

/// A request that waits for its answer.
#[derive(Default)]
struct Pending {
    packet: Packet,
    asker: Option<Role>,
    seen: Seen,
    /// When it was last repeated.
    newest: Timestamp,
    /// Times it was repeated.
    repeats: u32,
    incomplete: Option<Incomplete>,
}

impl Pending {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.packet.memory()
    }
}

/// An answered request to whose repetitions answers may still come.
#[derive(Clone, Copy, Default)]
struct Repeated {
    asker: Option<Role>,
    code: u8,
    id: u8,
    left: u32,
}

/// The dissector of one flow.
#[derive(Default)]
pub(super) struct Radius {
    pending: VecDeque<Box<Pending>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    spare: Vec<Box<Pending>>,
    scratch: Packet,
    repeated: [Repeated; REPEATED],
    next_repeated: usize,
    /// Memory of `pending`, and of `spare`.
    held: usize,
    spare_held: usize,
    /// Where summaries are written.
    summary: Vec<u8>,
}

impl Radius {
    /// `self.scratch` holds a request.
    fn request(&mut self, role: Role, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let header = self.scratch.header;
        // An identifier is used again once its request was answered or given up, and not before; a
        // repetition has the same authenticator (RFC 2865, sections 2.5 and 3).
        let same = |p: &Pending| p.asker == Some(role) && p.packet.header.id == header.id;
        if let Some(at) = self.pending.iter().position(|p| same(p) && p.packet.header.code == header.code) {
            match self.pending.get_mut(at) {
                Some(p) if p.packet.header.authenticator == header.authenticator => {
                    p.repeats = p.repeats.saturating_add(1);
                    p.newest = seen.last;
                    return;
                }
                _ => self.give_up(at, Incomplete::NoResponse, cx),
            }
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        let mut p = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(p.memory());
        std::mem::swap(&mut p.packet, &mut self.scratch);
        (p.asker, p.seen, p.newest, p.repeats, p.incomplete) = (Some(role), seen, seen.last, 0, incomplete);
        self.held += p.memory();
        self.pending.push_back(p);
    }

    /// `self.scratch` holds an answer.
    fn answer(&mut self, role: Role, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let asker = role.other();
        let header = self.scratch.header;
        let fits = |p: &Pending| {
            p.asker == Some(asker)
                && p.packet.header.id == header.id
                && codes::answers(p.packet.header.code, header.code)
        };
        let found = self.pending.iter().position(|p| fits(p));
        let Some(p) = found.and_then(|at| self.take(at)) else {
            let known = self.repeated.iter_mut().find(|r| {
                r.left > 0
                    && r.asker == Some(asker)
                    && r.id == header.id
                    && codes::answers(r.code, header.code)
            });
            match known {
                Some(repeated) => repeated.left -= 1,
                None => {
                    let incomplete = incomplete.or(Some(Incomplete::NoRequest));
                    let answer = Some((&self.scratch, seen));
                    report::emit(asker, None, answer, incomplete, &mut self.summary, cx);
                }
            }
            return;
        };
        let incomplete = p.incomplete.or(incomplete);
        let asked = Some((&p.packet, p.seen));
        report::emit(asker, asked, Some((&self.scratch, seen)), incomplete, &mut self.summary, cx);
        self.recycle(p);
    }

    fn take(&mut self, at: usize) -> Option<Box<Pending>> {
        let p = self.pending.remove(at)?;
        self.held = self.held.saturating_sub(p.memory());
        Some(p)
    }

    /// Reports the request at `at`, which is not answered any more.
    fn give_up(&mut self, at: usize, why: Incomplete, cx: &mut Context<'_>) {
        let Some(p) = self.take(at) else { return };
        let asker = p.asker.unwrap_or(Role::Client);
        let why = p.incomplete.or(Some(why));
        report::emit(asker, Some((&p.packet, p.seen)), None, why, &mut self.summary, cx);
        self.recycle(p);
    }

    fn recycle(&mut self, p: Box<Pending>) {
        if p.repeats > 0
            && let Some(slot) = self.repeated.get_mut(self.next_repeated)
        {
            let header = p.packet.header;
            *slot = Repeated { asker: p.asker, code: header.code, id: header.id, left: p.repeats };
            self.next_repeated = (self.next_repeated + 1) % REPEATED;
        }
        if self.spare.len() < SPARE {
            self.spare_held += p.memory();
            self.spare.push(p);
        }
    }
}

impl Dissector for Radius {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let done = Taken::Bytes(bytes.len());
        if !self.scratch.read(bytes, cx.limits.payload) || codes::name(self.scratch.header.code).is_none() {
            cx.problem(Problem::Malformed, bytes.len() as u64);
            return done;
        }
        if self.scratch.cut > 0 {
            cx.problem(Problem::PayloadLimit, self.scratch.cut);
        }
        if self.scratch.fault {
            cx.problem(Problem::Malformed, bytes.len() as u64);
        }
        let incomplete = self.scratch.fault.then_some(Incomplete::Truncated);
        let seen = Seen::within(cx, 0, bytes.len());
        if codes::is_request(self.scratch.header.code) {
            self.request(role, seen, incomplete, cx);
        } else {
            self.answer(role, seen, incomplete, cx);
        }
        done
    }

    fn gap(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn end(&mut self, role: Role, _: &[u8], how: Ending, cx: &mut Context<'_>) {
        let why = if how == Ending::Reset { Incomplete::Reset } else { Incomplete::NoResponse };
        let mut at = 0;
        while let Some(p) = self.pending.get(at) {
            // The other side may go on answering.
            if how != Ending::Closed || p.asker != Some(role) {
                self.give_up(at, why, cx);
            } else {
                at += 1;
            }
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some(p) = self.pending.get(at) {
            if p.newest.plus(cx.limits.response_wait) <= now {
                self.give_up(at, Incomplete::NoResponse, cx);
            } else {
                at += 1;
            }
        }
    }

    fn awaits_time(&self) -> bool {
        !self.pending.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.spare_held + self.scratch.memory() + self.summary.capacity()
    }
}

#[cfg(test)]
mod tests;
