//! Which command does a reply answer, where some of either were not seen?
//!
//! Replies carry nothing that says. Those to the commands before a hole are still known by their
//! order. After them a client that waits for its replies before it goes on shows where the order is
//! known again: it sends a command after more replies than there were commands since the hole.

use super::Redis;
use crate::redis::{detect, request::Effect};
use crate::{Context, Problem};

/// Times that one command and one reply follow each other, after which none is taken to be still on
/// its way although there were no more replies than commands.
const CALM: u8 = 4;

/// What has come since it is unknown which command the next reply answers.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    asked: u64,
    replies: u64,
    /// Replies since the newest command.
    since: u64,
    /// How often in a row that was one.
    calm: u8,
    /// A command was among them whose reply has secrets.
    pub(super) secret: bool,
}

impl Doubt {
    /// More commands may have been missed.
    pub(super) fn more(&mut self) {
        (self.asked, self.replies, self.since, self.calm) = (0, 0, 0, 0);
    }

    /// A reply has come that answers nobody knows what.
    pub(super) fn reply(&mut self) {
        self.replies = self.replies.saturating_add(1);
        self.since = self.since.saturating_add(1);
    }

    /// Something has come from the server that cannot be counted.
    pub(super) fn some_replies(&mut self) {
        self.replies = self.replies.max(self.asked.saturating_add(1));
    }

    /// A command comes. True when nothing is on its way that answers another one.
    fn settled(&mut self) -> bool {
        self.calm = if self.since == 1 { self.calm.saturating_add(1) } else { 0 };
        self.since = 0;
        self.replies > self.asked || self.calm >= CALM
    }

    fn command(&mut self, effect: Effect) {
        self.asked = self.asked.saturating_add(1);
        self.secret |= effect == Effect::SecretReply;
    }
}

impl Redis {
    /// True when it is not known which reply will answer the command that has come now.
    pub(super) fn doubts(&mut self, effect: Effect) -> bool {
        // Joined among commands that do not wait for each other: as many may have been missed.
        if self.joined && self.doubt.is_none() && !self.pending.is_empty() {
            self.doubt = Some(Doubt::default());
        }
        let Some(doubt) = &mut self.doubt else { return false };
        if self.pending.is_empty() && self.unrecorded == 0 && self.server.open.is_none() && doubt.settled() {
            self.doubt = None;
            return false;
        }
        doubt.command(effect);
        true
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
        if let Some(doubt) = &mut self.doubt {
            doubt.some_replies();
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
