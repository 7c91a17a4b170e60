//! Which command does a reply answer, where some of either were not seen?
//!
//! Replies carry nothing that says. Those to the commands before a hole are still known by their
//! order. After that, and in a connection that was joined, there are two degrees of doubt:
//!
//! - *Unsure*: replies are reported without commands, and commands without replies, until the client
//!   asks after the server has spoken. That command is
//! - *tentative*: its reply is held back. A reply that its command cannot have, or one more than was
//!   asked for, shows that the order was wrong: nothing is then reported as a pair. When the client has
//!   waited for its replies several times, was quiet for a while, or says nothing more, it was right.

use remora_model::{Incomplete, Timestamp};

use super::{Pending, Redis};
use crate::redis::{
    answers, detect,
    report::{self, Answer},
    request::Effect,
};
use crate::{Context, Problem};

/// Times that a client has waited for all its replies before it went on, after which it is taken not
/// to be ahead of them.
const CALM: u8 = 4;

/// Microseconds of silence after which nothing is on its way any more.
const QUIET_US: i64 = 1_000_000;

/// What is known since it is not known which command the next reply answers.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Set while tentative: how often the client has waited for its replies.
    pub(super) waited: Option<u8>,
    /// The server was the last to speak, or may have been.
    pub(super) idle: bool,
    /// When the server was last heard.
    pub(super) heard: Option<Timestamp>,
    /// A command was among those without replies whose reply has secrets.
    pub(super) secret: bool,
}

impl Redis {
    /// The order is not known from here on. `idle`: everything that was asked may be answered.
    pub(super) fn doubt(&mut self, idle: bool, cx: &mut Context<'_>) {
        if self.is_tentative() {
            self.part(cx);
        }
        let doubt = self.doubt.get_or_insert_default();
        (doubt.waited, doubt.idle) = (None, idle);
    }

    /// True while replies are held back.
    pub(super) fn is_tentative(&self) -> bool {
        self.doubt.as_ref().is_some_and(|d| d.waited.is_some())
    }

    /// True when it is not known which reply will answer the command that has come now, at `now`.
    pub(super) fn doubts(&mut self, effect: Effect, now: Timestamp, cx: &mut Context<'_>) -> bool {
        let free = self.pending.is_empty() && self.unrecorded == 0 && self.server.open.is_none();
        let Some(doubt) = &mut self.doubt else { return false };
        let waited = std::mem::take(&mut doubt.idle) && free;
        let quiet = doubt.heard.is_some_and(|heard| now.micros_since(heard) >= QUIET_US);
        match &mut doubt.waited {
            Some(times) if waited => {
                *times += 1;
                if *times >= CALM || quiet {
                    self.release(cx);
                }
                false
            }
            Some(_) => false,
            none if waited => {
                *none = Some(0);
                false
            }
            None => {
                doubt.secret |= effect == Effect::SecretReply;
                true
            }
        }
    }

    /// The server has said something that is no push, the last of it at `at`. Where that cannot answer
    /// the command in front, the order is wrong.
    pub(super) fn heard(&mut self, at: Timestamp, cx: &mut Context<'_>) {
        if self.doubt.is_none() {
            return;
        }
        let fits = |p: &Pending| answers::may_answer(p.shown.kind(), p.effect, &self.reply);
        if self.is_tentative() && !self.pending.front().is_some_and(fits) {
            self.part(cx);
        }
        self.spoke(at);
    }

    /// The server has said something of which it is not known what it answers.
    pub(super) fn misheard(&mut self, at: Timestamp, cx: &mut Context<'_>) {
        if self.is_tentative() {
            self.part(cx);
        }
        self.spoke(at);
    }

    /// The server was heard at `at`.
    pub(super) fn spoke(&mut self, at: Timestamp) {
        if let Some(doubt) = &mut self.doubt {
            (doubt.idle, doubt.heard) = (true, Some(at));
        }
    }

    /// Nothing has come for a while: what was answered was answered rightly.
    pub(super) fn settle(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let free = self.pending.is_empty() && self.server.open.is_none() && self.is_tentative();
        let heard = self.doubt.as_ref().filter(|d| d.idle).and_then(|d| d.heard);
        if free && heard.is_some_and(|heard| now.micros_since(heard) >= QUIET_US) {
            self.release(cx);
        }
    }

    /// Keeps a command with its reply until the order is known.
    pub(super) fn keep(&mut self, p: Pending, cx: &mut Context<'_>) {
        self.held += p.memory();
        self.kept.push(p);
        if self.kept.len() > cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.part(cx);
        }
    }

    /// The order was right: reports what was held back.
    pub(super) fn release(&mut self, cx: &mut Context<'_>) {
        self.doubt = None;
        let mut kept = std::mem::take(&mut self.kept);
        for p in kept.drain(..) {
            self.held = self.held.saturating_sub(p.memory());
            report::emit(Some((&p.shown, p.seen)), None, p.answer(), p.incomplete, cx);
            self.recycle(p);
        }
        self.kept = kept;
    }

    /// The order was wrong: reports commands and replies by themselves.
    fn part(&mut self, cx: &mut Context<'_>) {
        let mut secret = false;
        let mut kept = std::mem::take(&mut self.kept);
        for p in kept.drain(..) {
            self.held = self.held.saturating_sub(p.memory());
            secret |= self.report_apart(p, cx);
        }
        self.kept = kept;
        while let Some(p) = self.pop() {
            secret |= self.report_apart(p, cx);
        }
        self.unrecorded = 0;
        if let Some(doubt) = &mut self.doubt {
            doubt.waited = None;
            doubt.secret |= secret;
        }
    }

    /// Reports a command and what was taken for its reply by themselves. True when the reply, which is
    /// still to come or was another's, has secrets.
    fn report_apart(&mut self, p: Pending, cx: &mut Context<'_>) -> bool {
        report::emit(Some((&p.shown, p.seen)), None, None, p.incomplete.or(Some(Incomplete::Gap)), cx);
        // Replies to SUBSCRIBE and its kin may have been put together wrongly.
        if !matches!(p.effect, Effect::Subscribe { .. })
            && let Some(answer) = p.answer()
        {
            report::emit(None, None, Some(answer), Some(Incomplete::NoRequest), cx);
        }
        let secret = p.effect == Effect::SecretReply;
        self.recycle(p);
        secret
    }

    /// Finds the next reply after their boundaries were lost. What stands first behind a command is
    /// one. Otherwise only what can be no part of one is taken for one. `Err`: bytes to take.
    pub(super) fn resync_replies(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let mut from = 0;
        if self.asked {
            from = std::mem::take(&mut self.left).min(bytes.len());
            match detect::begins_reply(&bytes[from..]) {
                Some(true) => {
                    self.found_reply(from, cx);
                    return Ok(from);
                }
                None => {
                    if from > 0 {
                        cx.problem(Problem::Unsynced, from as u64);
                    }
                    return Err(from);
                }
                Some(false) => self.asked = false,
            }
        }
        if from < bytes.len() && self.left < bytes.len() {
            self.misheard(cx.time_at(bytes.len()), cx);
        }
        if let Some(at) = detect::find_push(&bytes[from..]).map(|at| from + at) {
            self.found_reply(at, cx);
            return Ok(at);
        }
        let passed = bytes.len().saturating_sub(super::TAIL).max(from);
        self.left = bytes.len() - passed;
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        Err(passed)
    }

    fn found_reply(&mut self, passed: usize, cx: &mut Context<'_>) {
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        self.server.lost = false;
        self.asked = false;
        self.left = 0;
    }
}

impl Pending {
    /// The reply that was kept with it.
    fn answer(&self) -> Option<Answer<'_>> {
        Some(Answer {
            seen: self.answered?,
            text: &self.replies,
            type_name: self.type_name,
            error: self.error.clone().and_then(|range| self.replies.get(range)),
        })
    }
}
