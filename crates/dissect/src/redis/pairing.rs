//! Commands and replies of one connection, and their pairing.

mod commands;
mod doubt;
mod replies;
mod subscriptions;

use std::collections::VecDeque;
use std::ops::Range;

use remora_model::{Incomplete, Timestamp};

use doubt::Doubt;

use super::{
    detect,
    reply::Reply,
    request::{Effect, Request, Shown},
    resp::{Kind, Parser},
};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Spent commands whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 32;
const SPARE_BYTES: usize = 1 << 10;

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 256;

/// A command that waits for its reply.
#[derive(Debug, Default)]
struct Pending {
    shown: Shown,
    effect: Effect,
    seen: Seen,
    incomplete: Option<Incomplete>,
    /// Commands behind it that were reported at once because too many were waiting.
    unrecorded: u64,
    /// Replies that came so far, of a command that has several, or whose reply is held back.
    replies: Vec<u8>,
    answered: Option<Seen>,
    /// Of a reply that is held back: its type, and where in it an error is.
    type_name: Option<&'static str>,
    error: Option<Range<usize>>,
}

impl Pending {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.shown.memory() + self.replies.capacity()
    }
}

/// Reading a message of one side.
#[derive(Debug)]
struct Side {
    parser: Parser,
    /// The message that is half read, where it began.
    open: Option<Seen>,
    /// Message boundaries are lost.
    lost: bool,
}

impl Side {
    fn new() -> Self {
        Self { parser: Parser::new(), open: None, lost: false }
    }
}

/// Whether the server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    On,
    Off,
    /// Not the next command.
    Skip,
}

/// The dissector of one connection.
pub(super) struct Redis {
    client: Side,
    server: Side,
    request: Request,
    /// Bytes of an unfinished inline command that are known to hold no line end.
    scanned: usize,
    reply: Reply,
    pending: VecDeque<Pending>,
    spare: Vec<Pending>,
    /// Commands in front of `pending` that were reported at once.
    unrecorded: u64,
    answers: Answers,
    /// Subscriptions to channels, patterns and shard channels.
    subscribed: [u64; 3],
    monitor: bool,
    /// The replication stream has begun.
    opaque: bool,
    /// Nothing more comes from the server.
    server_ended: bool,
    /// Set while it is unknown which command the next reply answers.
    doubt: Option<Doubt>,
    /// Commands with replies that are held back until the order is certain.
    kept: Vec<Pending>,
    /// The connection was joined at commands, and the other side has said nothing: it may be a replica,
    /// to which its master sends the like.
    unheard: bool,
    /// The server's boundaries are lost, and a command has come since: what follows answers it.
    asked: bool,
    /// Bytes of the server that were shown, and left because a push may begin in them.
    left: usize,
    /// Memory of `pending` and `kept`.
    held: usize,
}

impl Redis {
    pub(super) fn new() -> Self {
        Self {
            client: Side::new(),
            server: Side::new(),
            request: Request::default(),
            scanned: 0,
            reply: Reply::new(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            unrecorded: 0,
            answers: Answers::On,
            subscribed: [0; 3],
            monitor: false,
            opaque: false,
            server_ended: false,
            doubt: None,
            kept: Vec::new(),
            unheard: false,
            asked: false,
            left: 0,
            held: 0,
        }
    }

    fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Finds the next command after their boundaries were lost. `Err`: bytes to take.
    fn resync(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let found = detect::resync(bytes, Role::Client);
        let passed = found.unwrap_or(bytes.len().saturating_sub(TAIL));
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
            self.doubt(false, cx);
        }
        self.client.lost = found.is_none();
        found.ok_or(passed)
    }

    fn fault(&mut self, role: Role, at: usize, bytes: usize, cx: &mut Context<'_>) {
        cx.problem(Problem::Malformed, bytes as u64);
        self.lose(role, at, cx);
    }

    /// From `at` of the bytes being shown on, `role` may be anywhere in a message.
    fn lose(&mut self, role: Role, at: usize, cx: &mut Context<'_>) {
        match role {
            // What was read of it will be answered all the same.
            Role::Client => {
                if let Some(seen) = self.client.open.take()
                    && !self.request.is_empty()
                {
                    self.queue(seen.until(cx, at), Some(Incomplete::Gap), cx);
                }
                self.scanned = 0;
                self.doubt(false, cx);
            }
            Role::Server => {
                // Of several commands it is unknown which are still to be answered.
                let one = self.pending.len() as u64 + self.unrecorded <= 1;
                let unsure = self.doubt.as_ref().filter(|_| !self.is_tentative());
                let idle = unsure.map_or(one, |d| d.idle);
                self.doubt(idle, cx);
                if !self.unheard {
                    self.give_up(at, Incomplete::Gap, Incomplete::Gap, cx);
                }
                self.asked = false;
                self.left = 0;
            }
        }
        let side = self.side(role);
        side.parser.reset();
        side.open = None;
        side.lost = true;
    }

    fn recycle(&mut self, mut p: Pending) {
        if self.spare.len() < SPARE && p.memory() <= SPARE_BYTES {
            p.replies.clear();
            (p.answered, p.type_name, p.error) = (None, None, None);
            p.unrecorded = 0;
            self.spare.push(p);
        }
    }

    /// Takes the oldest command off the queue.
    fn pop(&mut self) -> Option<Pending> {
        let p = self.pending.pop_front()?;
        self.held = self.held.saturating_sub(p.memory());
        self.unrecorded += p.unrecorded;
        Some(p)
    }

    /// What was taken for commands is part of a replication stream.
    fn forget_commands(&mut self, cx: &mut Context<'_>) {
        while let Some(p) = self.pop() {
            cx.problem(Problem::Opaque, u64::try_from(p.seen.bytes).unwrap_or(0));
            self.recycle(p);
        }
        self.unrecorded = 0;
    }

    /// Everything from here on is the replication stream.
    fn opaque_data(&self, shown: usize, opaque: usize, cx: &mut Context<'_>) -> Taken {
        if opaque > 0 {
            cx.problem(Problem::Opaque, opaque as u64);
        }
        Taken::Bytes(shown)
    }
}

impl Dissector for Redis {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        if self.opaque {
            return self.opaque_data(bytes.len(), bytes.len(), cx);
        }
        match role {
            Role::Client => self.client_data(bytes, cx),
            Role::Server => self.server_data(bytes, cx),
        }
    }

    fn joined(&mut self, role: Role, passed: u64) -> bool {
        self.side(role).lost = true;
        self.unheard |= role == Role::Client;
        // A client that was joined where a command begins may have waited for that moment.
        let doubt = self.doubt.get_or_insert_with(|| Doubt { idle: true, ..Doubt::default() });
        doubt.idle &= passed == 0;
        true
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        if self.opaque {
            return;
        }
        // Inside a string only its content is lost.
        if self.side(role).parser.pass(len) {
            match role {
                Role::Client => {
                    self.request.unseen(len);
                    self.request.hole = true;
                }
                Role::Server => {
                    self.reply.lost(len);
                }
            }
        } else {
            self.lose(role, 0, cx);
        }
    }

    fn in_sync(&self, _: Role) -> bool {
        // It looks for the next message itself: what begins one of the server depends on what was
        // asked.
        true
    }

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        if self.opaque {
            // Commands that were sent before the stream began are still open.
            self.client.open = None;
        } else if role == Role::Client
            && let Some(seen) = self.client.open.take()
        {
            if self.request.is_empty() {
                cx.problem(Problem::Malformed, rest.len() as u64);
            } else {
                self.queue(seen.until(cx, rest.len()), Some(partial), cx);
            }
        } else if !rest.is_empty() && !self.side(role).lost && self.side(role).open.is_none() {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        // After the client's end the server may go on answering, and the end of its stream tells
        // how far a half-read reply came.
        self.server_ended |= role == Role::Server;
        if self.server_ended {
            if self.server.open.is_some() && self.reply.kind().is_some_and(|kind| kind != Kind::Push) {
                self.heard(cx.time_at(rest.len()), cx);
            }
            if self.is_tentative() {
                self.release(cx);
            }
            // Nobody has answered: the side with the lower port is the server, whatever it says.
            if self.unheard && cx.client.port < cx.server.port {
                self.forget_commands(cx);
            }
            self.give_up(rest.len(), partial, why, cx);
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        self.settle(now, cx);
    }

    fn awaits_time(&self) -> bool {
        !self.pending.is_empty() || !self.kept.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty()
            || !self.kept.is_empty()
            || self.client.open.is_some()
            || self.server.open.is_some()
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.request.memory() + self.reply.memory()
    }
}

#[cfg(test)]
mod tests;
