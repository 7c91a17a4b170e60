//! Commands and replies of one connection, and their pairing by order.

use std::collections::VecDeque;

use remora_model::Incomplete;

use super::command::{self, Verb};
use super::exchange::{Content, Exchange};
use super::report;
use crate::{Context, Problem, Role, seen::Seen};

/// Spent exchanges whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 16 << 10;

/// Recipients kept of one mail, and bytes of an address.
const MAX_RECIPIENTS: usize = 100;
const MAX_ADDRESS: usize = 320;

/// Turns that each side must take one by one until it is believed again that a reply answers the
/// command in front of it.
const TURNS: u8 = 2;

/// What the client sends next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Command,
    /// Nothing before the server has answered: to DATA, STARTTLS, or a step of AUTH.
    Wait,
    /// A step of AUTH.
    Token,
    /// The message, up to a line with nothing but a dot.
    Data,
    /// That many bytes of the message.
    Chunk(u64),
}

/// The mail that is being sent.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<Vec<u8>>,
    /// Recipients in use of `to`; the others are there for their buffers.
    pub(super) recipients: usize,
    /// Recipients that the server took, those that are not kept too.
    pub(super) accepted: u32,
    /// All that was said of it was seen.
    pub(super) known: bool,
}

impl Envelope {
    fn begin(&mut self, from: &[u8]) {
        self.clear();
        self.known = true;
        self.from.extend_from_slice(from.get(..MAX_ADDRESS).unwrap_or(from));
    }

    /// There is none, or nothing is known of it.
    fn clear(&mut self) {
        self.from.clear();
        (self.recipients, self.accepted, self.known) = (0, 0, false);
    }

    /// Takes a recipient; false when it is not kept.
    fn add(&mut self, to: &[u8]) -> bool {
        self.accepted = self.accepted.saturating_add(1);
        if !self.known {
            return true;
        }
        if self.recipients >= MAX_RECIPIENTS {
            return false;
        }
        if self.recipients == self.to.len() {
            self.to.push(Vec::new());
        }
        if let Some(slot) = self.to.get_mut(self.recipients) {
            slot.clear();
            slot.extend_from_slice(to.get(..MAX_ADDRESS).unwrap_or(to));
            self.recipients += 1;
        }
        true
    }

    fn memory(&self) -> usize {
        self.from.capacity() + self.to.iter().map(|t| t.capacity() + size_of::<Vec<u8>>()).sum::<usize>()
    }
}

/// The dissector of one connection.
pub(super) struct Smtp {
    pub(super) mode: Mode,
    /// Sides whose line boundaries are lost.
    pub(super) lost: [bool; 2],
    /// The last line of the content ended as lines do, so that a dot may stand alone.
    pub(super) at_line: bool,
    pub(super) pending: VecDeque<Box<Exchange>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    spare: Vec<Box<Exchange>>,
    /// Memory of `pending` but for growing content, and of `spare`.
    spare_held: usize,
    envelope: Envelope,
    /// What the client calls itself.
    name: Vec<u8>,
    lmtp: bool,
    /// Whether the server has greeted or the client spoken.
    begun: bool,
    /// Replies may belong to commands that were not seen. Counts turns taken one by one; `None`
    /// when all is well.
    unsure: Option<u8>,
    /// Who spoke last while unsure.
    last: Option<Role>,
    pub(super) server_ended: bool,
    /// Where summaries are written.
    scratch: Vec<u8>,
}

impl Smtp {
    pub(super) fn new() -> Self {
        Self {
            mode: Mode::Command,
            lost: [false; 2],
            at_line: false,
            pending: VecDeque::new(),
            spare: Vec::new(),
            spare_held: 0,
            envelope: Envelope::default(),
            name: Vec::new(),
            lmtp: false,
            begun: false,
            unsure: None,
            last: None,
            server_ended: false,
            scratch: Vec::new(),
        }
    }

    pub(super) fn memory_held(&self) -> usize {
        let pending: usize = self.pending.iter().map(|e| e.memory()).sum();
        pending + self.spare_held + self.envelope.memory() + self.name.capacity() + self.scratch.capacity()
    }

    fn fresh(&mut self) -> Box<Exchange> {
        let e = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(e.memory());
        e
    }

    fn emit(&mut self, mut e: Box<Exchange>, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if e.content != Content::None {
            e.mail.finish();
        }
        let cut = e.cut + if e.content == Content::None { 0 } else { e.mail.cut() };
        if cut > 0 {
            cx.problem(Problem::PayloadLimit, cut);
        }
        let why = e.incomplete.or(incomplete);
        report::emit(&e, &self.envelope, &self.name, why, &mut self.scratch, cx);
        if self.spare.len() < SPARE && e.memory() <= SPARE_BYTES {
            e.clear();
            self.spare_held += e.memory();
            self.spare.push(e);
        }
    }

    /// Reports everything that is open.
    pub(super) fn give_up(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        while let Some(e) = self.pending.pop_front() {
            let why = if e.answered.is_some() && why == Incomplete::NoResponse {
                Incomplete::Truncated
            } else {
                why
            };
            self.emit(e, Some(why), cx);
        }
    }

    /// From here on it is not known which reply belongs to which command.
    pub(super) fn doubt(&mut self, cx: &mut Context<'_>) {
        self.give_up(Incomplete::Gap, cx);
        self.unsure = Some(0);
        self.last = None;
        self.mode = Mode::Command;
        self.envelope.clear();
        self.name.clear();
    }

    /// Counts turns while unsure.
    fn turn(&mut self, role: Role) {
        let Some(turns) = self.unsure else { return };
        let alternates = self.last != Some(role);
        self.last = Some(role);
        self.unsure = match (alternates, role) {
            (false, _) => Some(0),
            // The client speaks after the server has: one turn is over.
            (true, Role::Client) if turns >= TURNS => None,
            (true, Role::Client) => Some(turns + 1),
            (true, Role::Server) => Some(turns),
        };
    }

    /// A command line.
    pub(super) fn command(&mut self, line: &[u8], seen: Seen, cx: &mut Context<'_>) {
        if !self.begun {
            // Somebody spoke before: this is the middle of a connection.
            self.begun = true;
            self.unsure = Some(0);
        }
        let (verb, argument) = command::parse(line);
        let is_plausible = verb.is_plausible(argument) || verb == Verb::Noop && argument.is_empty();
        if self.unsure.is_some() && !is_plausible {
            // It may be a line of a message, or a step of AUTH.
            return cx.problem(Problem::Unsynced, seen.bytes.unsigned_abs());
        }
        self.turn(Role::Client);
        let mut e = self.fresh();
        e.verb = verb;
        e.asked = Some(seen);
        let (argument, secret) = command::shown(verb, argument);
        e.argue(argument, secret, cx.limits.payload);
        let mut mode = match verb {
            Verb::Data | Verb::StartTls | Verb::Auth => Mode::Wait,
            Verb::Bdat => match command::chunk(argument) {
                Some((0, _)) => Mode::Command,
                Some((n, _)) => Mode::Chunk(n),
                None => Mode::Command,
            },
            _ => Mode::Command,
        };
        if matches!(verb, Verb::Bdat) {
            e.content = if mode == Mode::Command { Content::Ended } else { Content::Open };
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.doubt(cx);
        }
        if self.unsure.is_some() && mode == Mode::Command {
            self.emit(e, Some(Incomplete::Gap), cx);
        } else {
            if self.unsure.is_some() && verb == Verb::Auth {
                // Its tokens must not be taken for commands.
                mode = Mode::Wait;
            }
            self.pending.push_back(e);
        }
        self.mode = mode;
    }

    /// A step of AUTH.
    pub(super) fn token(&mut self, seen: Seen) {
        if let Some(e) = self.pending.back_mut() {
            e.continued(seen);
        }
        self.mode = Mode::Wait;
    }

    /// The content that the newest command has ends.
    pub(super) fn content_ended(&mut self, cx: &mut Context<'_>) {
        self.mode = Mode::Command;
        if self.unsure.is_some() {
            // The reply to a chunk looks like any other.
            self.give_up(Incomplete::Gap, cx);
            return;
        }
        if let Some(e) = self.pending.back_mut() {
            (e.content, e.torn) = (Content::Ended, false);
            // The reply can be in front of it when packets were captured out of order.
            if e.awaited == 0
                && let Some(e) = self.pending.pop_back()
            {
                self.finish(e, cx);
            }
        }
    }

    /// A reply. True when another protocol follows.
    pub(super) fn reply(&mut self, reply: super::reply::Reply<'_>, seen: Seen, cx: &mut Context<'_>) -> bool {
        self.turn(Role::Server);
        let limit = cx.limits.payload;
        if !self.begun {
            self.begun = true;
            // The greeting, and the refusal of a connection; the rest answers what was not seen.
            if matches!(reply.code, 220 | 421 | 554) {
                let mut e = self.fresh();
                e.greeting = true;
                e.replied(reply, seen, limit);
                self.emit(e, None, cx);
                return false;
            }
            self.unsure = Some(0);
        }
        if self.pending.front().is_some_and(|e| e.awaited == 0) && self.mode == Mode::Data {
            // The end of what was answered is missing.
            self.lost[Role::Client.index()] = true;
            self.doubt(cx);
        }
        // Some LMTP servers give one reply for all recipients.
        if self.pending.front().is_some_and(|e| e.answered.is_some() && !fits(e, reply.code))
            && self.pending.len() > 1
            && let Some(e) = self.pending.pop_front()
        {
            self.finish(e, cx);
        }
        if let Some(e) = self.pending.front_mut()
            && fits(e, reply.code)
            && (self.unsure.is_none() || proves(e.verb, reply.code))
        {
            self.unsure = None;
            match (e.verb, reply.code) {
                (Verb::Data, 354) => {
                    e.content = Content::Open;
                    if self.lmtp {
                        e.awaited = self.envelope.accepted.max(1);
                    }
                    if self.mode == Mode::Wait {
                        self.mode = Mode::Data;
                        self.at_line = true;
                    }
                    return false;
                }
                (Verb::Auth, 334) => {
                    if self.mode == Mode::Wait {
                        self.mode = Mode::Token;
                    }
                    return false;
                }
                _ => {}
            }
            e.replied(reply, seen, limit);
            if e.awaited > 0 {
                return false;
            }
            if e.content == Content::Open {
                match self.mode {
                    // Its end may be among bytes that are missing.
                    Mode::Data if e.incomplete.is_some() => {
                        self.mode = Mode::Command;
                        self.lost[Role::Client.index()] = true;
                    }
                    _ => return false,
                }
            }
            if matches!(self.mode, Mode::Wait | Mode::Token) && self.pending.len() == 1 {
                self.mode = Mode::Command;
            }
            let Some(e) = self.pending.pop_front() else { return false };
            let upgraded = e.verb == Verb::StartTls && reply.code == 220;
            self.finish(e, cx);
            return upgraded;
        }
        if matches!(reply.code, 334 | 354) && self.pending.is_empty() {
            // Not the end of what it answers, which was not seen.
            self.unsure = Some(0);
            cx.problem(Problem::Unsynced, seen.bytes.unsigned_abs());
            return false;
        }
        let mut e = self.fresh();
        e.replied(reply, seen, limit);
        if reply.code == 421 && self.pending.is_empty() {
            // The server closes the connection, of which it tells unasked.
            self.emit(e, None, cx);
            return false;
        }
        let why = if self.unsure.is_some() { Incomplete::Gap } else { Incomplete::NoRequest };
        self.emit(e, Some(why), cx);
        // While unsure a reply that cannot be the one to an open command is one to something before it.
        if !self.pending.is_empty() && (self.unsure.is_none() || reply.code >= 400) {
            self.doubt(cx);
        }
        false
    }

    /// A command and its reply are whole.
    fn finish(&mut self, e: Box<Exchange>, cx: &mut Context<'_>) {
        let done = e.code.is_some_and(|c| (200..300).contains(&c));
        match e.verb {
            Verb::Ehlo | Verb::Helo | Verb::Lhlo if done => {
                self.lmtp = e.verb == Verb::Lhlo;
                self.envelope.clear();
                self.name.clear();
                self.name.extend_from_slice(e.argument.get(..MAX_ADDRESS).unwrap_or(&e.argument));
            }
            Verb::Mail if done => self.envelope.begin(command::address(&e.argument)),
            Verb::Rcpt if done && !self.envelope.add(command::address(&e.argument)) => {
                cx.problem(Problem::PayloadLimit, e.argument.len() as u64);
            }
            _ => {}
        }
        let last = command::chunk(&e.argument).is_some_and(|c| c.1);
        let over = match e.verb {
            Verb::Rset => done,
            Verb::Data => e.content == Content::Ended,
            Verb::Bdat => last,
            _ => false,
        };
        self.emit(e, None, cx);
        if over {
            self.envelope.clear();
        }
    }
}

/// True when a reply with that code can answer the command. Where codes belong to one command alone
/// this tells when order was lost.
fn fits(e: &Exchange, code: u16) -> bool {
    let verb = e.verb;
    match code {
        220 => verb == Verb::StartTls,
        221 => verb == Verb::Quit,
        235 | 334 => verb == Verb::Auth,
        354 => verb == Verb::Data,
        211 | 214 => matches!(verb, Verb::Help | Verb::Unknown),
        251 | 252 => matches!(verb, Verb::Rcpt | Verb::Vrfy | Verb::Expn | Verb::Unknown),
        // Nothing else succeeds at once.
        200..400 => match verb {
            Verb::Data => e.content != Content::None,
            Verb::StartTls | Verb::Auth | Verb::Quit => false,
            _ => true,
        },
        _ => true,
    }
}

/// True when nothing but the command is answered so.
fn proves(verb: Verb, code: u16) -> bool {
    matches!((verb, code), (Verb::StartTls, 220) | (Verb::Auth, 235 | 334) | (Verb::Data, 354))
}
