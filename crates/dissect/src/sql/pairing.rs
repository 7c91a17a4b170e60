//! Which request a response answers, where responses come in the order of the requests.
//!
//! Order alone says nothing after bytes were missed or in a connection that was joined in the
//! middle: an earlier request may still be open. So there are three degrees of certainty:
//!
//! - *Sure*: every request since the beginning is known.
//! - *Unsure*: responses are reported without requests, and requests without responses, until the
//!   server has finished answering and the client asks next. That request is
//! - *Tentative*: its call is held back until the client asks again, having waited for the whole
//!   response. If it did not wait, or more came from the server, the pair was wrong and is never
//!   reported as one.

use std::collections::VecDeque;

use remora_model::Incomplete;

use crate::{Context, Problem};

/// Exchanges whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 8 << 10;

/// A request with its response.
pub(crate) trait Exchange: Default {
    /// What calls show of the connection.
    type Session;

    /// Makes it ready for another request.
    fn clear(&mut self);

    /// Takes everything away that it was answered.
    fn forget_answer(&mut self);

    /// Reports it.
    fn emit(&self, why: Option<Incomplete>, session: &Self::Session, cx: &mut Context<'_>);

    /// Bytes of memory held.
    fn memory(&self) -> usize;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    Sure,
    Tentative,
    Unsure,
}

/// An exchange, and how much memory it was last seen to hold.
#[derive(Debug)]
struct Slot<E> {
    exchange: E,
    counted: usize,
}

/// The exchanges of a connection.
#[derive(Debug)]
pub(crate) struct Pairing<E> {
    pending: VecDeque<Slot<E>>,
    /// Answered, not yet certain.
    held: Vec<Slot<E>>,
    spare: Vec<E>,
    /// Memory of all of them, without what the first and last of `pending` have grown since.
    counted: usize,
    certainty: Certainty,
    /// The server has finished answering, and nothing was asked since.
    idle: bool,
}

impl<E: Exchange> Pairing<E> {
    /// Pairs nothing until it is told that the connection begins, or has seen both sides.
    pub(crate) fn new() -> Self {
        Self {
            pending: VecDeque::new(),
            held: Vec::new(),
            spare: Vec::new(),
            counted: 0,
            certainty: Certainty::Unsure,
            idle: false,
        }
    }

    /// Nothing was heard of the server. The client asks in a way in which it waits for answers:
    /// it may have got the last one. That it does wait is checked before anything is reported.
    pub(crate) fn assume_idle(&mut self) {
        self.idle = true;
    }

    /// This is the beginning of the connection.
    pub(crate) fn begin(&mut self) {
        if self.pending.is_empty() && self.held.is_empty() {
            self.certainty = Certainty::Sure;
        }
    }

    /// An empty exchange.
    pub(crate) fn make(&mut self) -> E {
        let e = self.spare.pop().unwrap_or_default();
        self.counted = self.counted.saturating_sub(size(&e));
        e
    }

    /// Takes an exchange back that is reported.
    pub(crate) fn recycle(&mut self, mut e: E) {
        e.clear();
        if self.spare.len() < SPARE && size(&e) <= SPARE_BYTES {
            self.counted += size(&e);
            self.spare.push(e);
        }
    }

    /// The client begins to ask. `overlaps`: something waits that it should have waited for.
    pub(crate) fn ask(&mut self, overlaps: impl Fn(&E) -> bool, session: &E::Session, cx: &mut Context<'_>) {
        match self.certainty {
            Certainty::Tentative if self.idle && self.pending.is_empty() => {
                self.certainty = Certainty::Sure;
                self.release(session, cx);
            }
            Certainty::Tentative if self.pending().any(overlaps) => self.doubt(Incomplete::Gap, session, cx),
            Certainty::Unsure if self.idle && self.pending.is_empty() => {
                self.certainty = Certainty::Tentative;
            }
            _ => {}
        }
        self.idle = false;
    }

    /// A request follows those that wait.
    pub(crate) fn push(&mut self, exchange: E, session: &E::Session, cx: &mut Context<'_>) {
        if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.doubt(Incomplete::NoResponse, session, cx);
        }
        if let Some(last) = self.pending.back_mut() {
            let now = size(&last.exchange);
            self.counted = (self.counted + now).saturating_sub(last.counted);
            last.counted = now;
        }
        self.pending.push_back(Slot { exchange, counted: 0 });
    }

    /// The exchange that the server answers now, if that is certain enough.
    pub(crate) fn front(&mut self) -> Option<&mut E> {
        if self.certainty == Certainty::Unsure {
            return None;
        }
        self.pending.front_mut().map(|s| &mut s.exchange)
    }

    /// The youngest request.
    pub(crate) fn back(&mut self) -> Option<&mut E> {
        self.pending.back_mut().map(|s| &mut s.exchange)
    }

    /// The requests that wait, oldest first.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &E> {
        self.pending.iter().map(|s| &s.exchange)
    }

    /// Drops those requests behind the first, up to the first for which `until` holds, for which
    /// `out` holds: they are not answered, and not reported.
    pub(crate) fn drop_behind(&mut self, until: impl Fn(&E) -> bool, out: impl Fn(&E) -> bool) {
        let end = self.pending.iter().position(|s| until(&s.exchange)).unwrap_or(self.pending.len());
        for i in (1..end).rev() {
            if self.pending.get(i).is_some_and(|s| out(&s.exchange))
                && let Some(slot) = self.pending.remove(i)
            {
                self.counted = self.counted.saturating_sub(slot.counted);
                self.recycle(slot.exchange);
            }
        }
    }

    /// True while no pair can be made.
    pub(crate) fn is_unsure(&self) -> bool {
        self.certainty == Certainty::Unsure
    }

    /// True when every request since the beginning is known.
    pub(crate) fn is_sure(&self) -> bool {
        self.certainty == Certainty::Sure
    }

    /// True when no request waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The oldest request is answered: it is reported, now or when it is certain.
    pub(crate) fn finish(&mut self, session: &E::Session, cx: &mut Context<'_>) {
        if self.certainty == Certainty::Tentative && self.held.len() >= cx.limits.pending.max(1) {
            self.doubt(Incomplete::NoResponse, session, cx);
        }
        let Some(mut slot) = self.pending.pop_front() else { return };
        if self.certainty == Certainty::Tentative {
            let now = size(&slot.exchange);
            self.counted = (self.counted + now).saturating_sub(slot.counted);
            slot.counted = now;
            self.held.push(slot);
        } else {
            self.report(slot, None, session, cx);
        }
    }

    /// Drops the oldest request unreported.
    pub(crate) fn drop_front(&mut self) {
        if let Some(slot) = self.pending.pop_front() {
            self.counted = self.counted.saturating_sub(slot.counted);
            self.recycle(slot.exchange);
        }
    }

    /// The server answers something that is not known.
    pub(crate) fn busy(&mut self) {
        self.idle = false;
    }

    /// The server has finished answering.
    pub(crate) fn rest(&mut self, session: &E::Session, cx: &mut Context<'_>) {
        self.idle = true;
        if self.certainty == Certainty::Unsure {
            self.give_up(Incomplete::Gap, session, cx);
        }
    }

    /// Order says nothing any more: what is open, and what was paired without certainty, is
    /// reported without answers. A whole exchange may have begun since, so the server does not
    /// count as done.
    pub(crate) fn doubt(&mut self, why: Incomplete, session: &E::Session, cx: &mut Context<'_>) {
        self.certainty = Certainty::Unsure;
        self.idle = false;
        let mut held = std::mem::take(&mut self.held);
        for mut slot in held.drain(..) {
            slot.exchange.forget_answer();
            self.report(slot, Some(Incomplete::Gap), session, cx);
        }
        self.held = held;
        self.give_up(why, session, cx);
    }

    /// Nothing more comes: reports everything. The exchange that is half answered, if it is
    /// certain which, stays as it is for the reason `partial`.
    pub(crate) fn end(
        &mut self,
        partial: Option<Incomplete>,
        why: Incomplete,
        session: &E::Session,
        cx: &mut Context<'_>,
    ) {
        self.release(session, cx);
        if partial.is_some()
            && self.certainty != Certainty::Unsure
            && let Some(slot) = self.pending.pop_front()
        {
            self.report(slot, partial, session, cx);
        }
        self.doubt(why, session, cx);
    }

    /// Reports what was held back.
    pub(crate) fn release(&mut self, session: &E::Session, cx: &mut Context<'_>) {
        let mut held = std::mem::take(&mut self.held);
        for slot in held.drain(..) {
            self.report(slot, None, session, cx);
        }
        self.held = held;
    }

    fn give_up(&mut self, why: Incomplete, session: &E::Session, cx: &mut Context<'_>) {
        while let Some(mut slot) = self.pending.pop_front() {
            slot.exchange.forget_answer();
            self.report(slot, Some(why), session, cx);
        }
    }

    fn report(&mut self, slot: Slot<E>, why: Option<Incomplete>, session: &E::Session, cx: &mut Context<'_>) {
        self.counted = self.counted.saturating_sub(slot.counted);
        slot.exchange.emit(why, session, cx);
        self.recycle(slot.exchange);
    }

    /// True while something is open.
    pub(crate) fn is_busy(&self) -> bool {
        !self.pending.is_empty() || !self.held.is_empty()
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        let ends = [self.pending.front(), self.pending.back()];
        self.counted + ends.iter().flatten().map(|s| size(&s.exchange)).sum::<usize>()
    }
}

fn size<E: Exchange>(e: &E) -> usize {
    size_of::<E>() + e.memory()
}
