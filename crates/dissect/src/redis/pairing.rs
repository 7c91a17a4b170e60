//! Commands and replies of one connection, and their pairing.

use std::collections::VecDeque;

use remora_model::Incomplete;

use super::{
    detect,
    reply::{Reply, Secrecy},
    report::{self, Answer, Push},
    request::{Effect, Request, Shown},
    resp::{Kind, Parser, Step, Token},
};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes of an inline command (`PROTO_INLINE_MAX_SIZE` of Redis).
const MAX_INLINE: usize = 64 << 10;

/// Bytes kept of a command while those that wait for replies hold more than a flow may.
const LITTLE: usize = 128;

/// Spent commands whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 32;
const SPARE_BYTES: usize = 1 << 10;

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 64;

/// A command that waits for its reply.
#[derive(Debug, Default)]
struct Pending {
    shown: Shown,
    effect: Effect,
    seen: Seen,
    incomplete: Option<Incomplete>,
    /// Commands behind it that were reported at once because too many were waiting.
    unrecorded: u64,
    /// Replies that came so far, of a command that has several.
    replies: Vec<u8>,
    answered: Option<Seen>,
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
    /// Memory of `pending`.
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
            held: 0,
        }
    }

    fn side(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Client => &mut self.client,
            Role::Server => &mut self.server,
        }
    }

    /// Finds the next message of `role` after its boundaries were lost. `Err`: bytes to take.
    fn resync(&mut self, role: Role, bytes: &[u8]) -> Result<usize, usize> {
        match detect::resync(bytes, role) {
            Some(at) => {
                self.side(role).lost = false;
                Ok(at)
            }
            None => Err(bytes.len().saturating_sub(TAIL)),
        }
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
            }
            Role::Server => self.give_up(at, Incomplete::Gap, Incomplete::Gap, cx),
        }
        let side = self.side(role);
        side.parser.reset();
        side.open = None;
        side.lost = true;
    }

    fn client_data(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.client.lost {
                match self.resync(Role::Client, &bytes[at..]) {
                    Ok(start) => at += start,
                    Err(taken) => return Taken::Bytes(at + taken),
                }
            }
            let rest = &bytes[at..];
            if self.client.open.is_none() {
                match rest.first() {
                    None => return Taken::Bytes(at),
                    // Empty lines between commands are ignored by Redis too.
                    Some(b'\r' | b'\n') => {
                        at += 1;
                        continue;
                    }
                    Some(b'*') => {}
                    Some(_) => {
                        let Some(len) = self.inline(at, rest, cx) else { return Taken::Bytes(at) };
                        at += len;
                        if self.opaque {
                            return self.opaque_data(bytes.len(), bytes.len() - at, cx);
                        }
                        continue;
                    }
                }
            }
            match self.client.parser.step(rest) {
                Step::More => break,
                Step::Token { len, token, done } => {
                    if self.client.open.is_none() {
                        self.client.open = Some(Seen::within(cx, at, at));
                        self.request.begin(self.request_budget(cx));
                    }
                    at += len;
                    if !self.request_token(token) {
                        self.fault(Role::Client, at, bytes.len() - at, cx);
                    } else if done && let Some(seen) = self.client.open.take() {
                        if !self.request.is_empty() {
                            let incomplete = self.request.hole.then_some(Incomplete::Gap);
                            self.queue(seen.until(cx, at), incomplete, cx);
                        }
                        if self.opaque {
                            return self.opaque_data(bytes.len(), bytes.len() - at, cx);
                        }
                    }
                }
                Step::Fault => {
                    self.fault(Role::Client, at, rest.len(), cx);
                    at += rest.len().min(1);
                }
            }
        }
        let left = self.client.parser.payload_left();
        if left > 0 && at == bytes.len() && !self.request.wants() {
            self.client.parser.pass(left);
            self.request.unseen(left);
            return Taken::AndSkip(left);
        }
        Taken::Bytes(at)
    }

    /// Hands a token to the command being read. False when commands have no such thing.
    fn request_token(&mut self, token: Token<'_>) -> bool {
        match token {
            Token::Open(Kind::Array, Some(_)) => return self.client.parser.depth() == 1,
            Token::Begin(Kind::Bulk, Some(_)) => self.request.argument(),
            Token::Piece(bytes) => self.request.piece(bytes),
            // `*-1` asks for nothing.
            Token::Line(Kind::Null, _) => return self.client.parser.depth() == 0,
            Token::End | Token::Close(_) => {}
            _ => return false,
        }
        true
    }

    /// Reads an inline command at the front of `bytes`, which lie at `at` of those shown. Returns
    /// its length once it has ended.
    fn inline(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Option<usize> {
        let from = self.scanned.min(bytes.len());
        let Some(end) = memchr::memchr(b'\n', &bytes[from..]).map(|i| from + i) else {
            self.scanned = bytes.len();
            if bytes.len() > MAX_INLINE || !is_text(&bytes[from..]) {
                self.scanned = 0;
                self.fault(Role::Client, at, bytes.len(), cx);
                return Some(bytes.len());
            }
            return None;
        };
        self.scanned = 0;
        let line = bytes[..end].trim_ascii_end();
        self.request.begin(self.request_budget(cx));
        if end > MAX_INLINE || !is_text(line) || !self.request.inline(line) {
            self.fault(Role::Client, at, end + 1, cx);
        } else if !self.request.is_empty() {
            self.queue(Seen::within(cx, at, at + end + 1), None, cx);
        }
        Some(end + 1)
    }

    fn request_budget(&self, cx: &Context<'_>) -> usize {
        if self.held > cx.limits.flow_bytes { LITTLE.min(cx.limits.payload) } else { cx.limits.payload }
    }

    /// The command in `self.request` has been read as far as it can be.
    fn queue(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if self.request.cut() > 0 {
            cx.problem(Problem::PayloadLimit, self.request.cut());
        }
        let mut p = self.spare.pop().unwrap_or_default();
        p.effect = self.request.show(&mut p.shown);
        p.seen = seen;
        p.incomplete = incomplete;
        let unanswered = match (p.effect, self.answers) {
            (Effect::ReplyOn, _) => {
                self.answers = Answers::On;
                false
            }
            (Effect::ReplyOff, _) => {
                self.answers = Answers::Off;
                true
            }
            (_, Answers::Off) => true,
            (Effect::ReplySkip, _) => {
                self.answers = Answers::Skip;
                true
            }
            (_, Answers::Skip) => {
                self.answers = Answers::On;
                true
            }
            (Effect::Sync, _) => {
                self.opaque = true;
                true
            }
            (_, Answers::On) => false,
        };
        if unanswered {
            report::emit(Some((&p.shown, seen)), None, None, incomplete, cx);
            self.recycle(p);
        } else if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, u64::try_from(seen.bytes).unwrap_or(0));
            let why = incomplete.or(Some(Incomplete::NoResponse));
            report::emit(Some((&p.shown, seen)), None, None, why, cx);
            self.recycle(p);
            match self.pending.back_mut() {
                Some(last) => last.unrecorded += 1,
                None => self.unrecorded += 1,
            }
        } else {
            self.held += p.memory();
            self.pending.push_back(p);
        }
    }

    fn recycle(&mut self, mut p: Pending) {
        if self.spare.len() < SPARE && p.memory() <= SPARE_BYTES {
            p.replies.clear();
            p.answered = None;
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

    fn server_data(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.server.lost {
                match self.resync(Role::Server, &bytes[at..]) {
                    Ok(start) => at += start,
                    Err(taken) => return Taken::Bytes(at + taken),
                }
            }
            let rest = &bytes[at..];
            if self.server.open.is_none() {
                match rest.first() {
                    None => return Taken::Bytes(at),
                    // While it prepares a dump the master keeps the connection alive like this.
                    Some(b'\n') if self.front() == Effect::Psync => {
                        at += 1;
                        continue;
                    }
                    Some(_) => {}
                }
            }
            match self.server.parser.step(rest) {
                Step::More => break,
                Step::Token { len, token, done } => {
                    if self.server.open.is_none() {
                        self.server.open = Some(Seen::within(cx, at, at));
                        self.reply.begin(cx.limits.payload, self.secrecy());
                    }
                    at += len;
                    self.reply.token(token);
                    if done && let Some(seen) = self.server.open.take() {
                        self.replied(seen.until(cx, at), cx);
                        if self.opaque {
                            return self.opaque_data(bytes.len(), bytes.len() - at, cx);
                        }
                    }
                }
                Step::Fault => {
                    self.fault(Role::Server, at, rest.len(), cx);
                    at += rest.len().min(1);
                }
            }
        }
        let left = self.server.parser.payload_left();
        if left > 0 && at == bytes.len() && !self.reply.wants() {
            self.server.parser.pass(left);
            self.reply.unseen(left);
            return Taken::AndSkip(left);
        }
        Taken::Bytes(at)
    }

    /// What the command does that the next reply belongs to.
    fn front(&self) -> Effect {
        self.pending.front().filter(|_| self.unrecorded == 0).map_or(Effect::Plain, |p| p.effect)
    }

    fn secrecy(&self) -> Secrecy {
        match self.front() {
            Effect::ConfigGet => Secrecy::Settings,
            Effect::SecretReply => Secrecy::All,
            _ => Secrecy::No,
        }
    }

    /// `self.reply` is complete.
    fn replied(&mut self, seen: Seen, cx: &mut Context<'_>) {
        if self.reply.cut > 0 {
            cx.problem(Problem::PayloadLimit, self.reply.cut);
        }
        let hole = self.reply.hole.then_some(Incomplete::Gap);
        if self.is_push() {
            self.push(seen, hole, cx);
            return;
        }
        if self.unrecorded > 0 {
            self.unrecorded -= 1;
            return;
        }
        if let Effect::Subscribe { word, left } = self.front() {
            if self.reply.head(0).is_some_and(|h| h.eq_ignore_ascii_case(word.as_bytes())) {
                self.subscription(seen, left, cx);
                return;
            }
            // The number of replies was not known, and this is the next command's.
            if self.pending.front().is_some_and(|p| p.answered.is_some()) {
                self.finish_subscription(cx);
                self.replied(seen, cx);
                return;
            }
        }
        let Some(p) = self.pop() else {
            let incomplete = hole.or(Some(Incomplete::NoRequest));
            report::emit(None, None, Some(self.answer(seen)), incomplete, cx);
            return;
        };
        let ok = self.reply.kind() == Some(Kind::Simple);
        match p.effect {
            Effect::Monitor if ok => self.monitor = true,
            Effect::Reset if ok => {
                self.monitor = false;
                self.subscribed = [0; 3];
            }
            Effect::Psync if ok => self.opaque = true,
            _ => {}
        }
        let mut answer = self.answer(seen);
        if p.effect == Effect::Exec {
            answer.error = self.reply.error();
        }
        report::emit(Some((&p.shown, p.seen)), None, Some(answer), p.incomplete.or(hole), cx);
        self.recycle(p);
    }

    fn answer(&self, seen: Seen) -> Answer<'_> {
        Answer {
            seen,
            text: self.reply.text(),
            type_name: self.reply.type_name(),
            error: self.reply.error().filter(|_| self.reply.is_error()),
        }
    }

    /// One of the replies to a SUBSCRIBE or its kin.
    fn subscription(&mut self, seen: Seen, left: Option<u64>, cx: &mut Context<'_>) {
        let others = self.count_subscriptions();
        let text_budget = cx.limits.payload;
        let Some(p) = self.pending.front_mut() else { return };
        let before = p.memory();
        match &mut p.answered {
            Some(total) => {
                total.last = seen.last;
                total.bytes = total.bytes.saturating_add(seen.bytes);
                p.replies.push(b'\n');
            }
            none => *none = Some(seen),
        }
        let room = text_budget.saturating_sub(p.replies.len());
        p.replies.extend(self.reply.text().iter().take(room));
        let left = left.map(|n| n.saturating_sub(1));
        if let Effect::Subscribe { left: l, .. } = &mut p.effect {
            *l = left;
        }
        self.held = (self.held + p.memory()).saturating_sub(before);
        // Without channels, all subscriptions of the kind end; the count that remains says when.
        let last = left.map_or_else(
            || self.reply.head_number(2).is_none_or(|n| n <= others) || self.reply.head(1).is_none(),
            |n| n == 0,
        );
        if last {
            self.finish_subscription(cx);
        }
    }

    /// Reports the command in front with the replies that it has got.
    fn finish_subscription(&mut self, cx: &mut Context<'_>) {
        if let Some(p) = self.pop() {
            self.finish_without_reply(p, Incomplete::Truncated, cx);
        }
    }

    /// Reports a command that gets no more replies: `why` unless it has got all.
    fn finish_without_reply(&mut self, p: Pending, why: Incomplete, cx: &mut Context<'_>) {
        let answer = p.answered.map(|seen| Answer {
            seen,
            text: &p.replies,
            type_name: self.reply.type_name(),
            error: None,
        });
        let all = answer.is_some() && matches!(p.effect, Effect::Subscribe { left: None | Some(0), .. });
        let why = match why {
            Incomplete::NoResponse if answer.is_some() => Incomplete::Truncated,
            why => why,
        };
        let incomplete = p.incomplete.or(if all { None } else { Some(why) });
        report::emit(Some((&p.shown, p.seen)), None, answer, incomplete, cx);
        self.recycle(p);
    }

    /// Notes what a reply to SUBSCRIBE or its kin says of the subscriptions. Returns how many of
    /// another kind are in the same count.
    fn count_subscriptions(&mut self) -> u64 {
        let Some(count) = self.reply.head_number(2) else { return 0 };
        let [channels, patterns, shards] = &mut self.subscribed;
        // Channels and patterns are counted together, shard channels by themselves.
        let (kind, others) = match self.reply.head(0) {
            Some(b"subscribe" | b"unsubscribe") => (channels, *patterns),
            Some(b"psubscribe" | b"punsubscribe") => (patterns, *channels),
            _ => (shards, 0),
        };
        *kind = count.saturating_sub(others);
        others
    }

    /// True when `self.reply` answers no command.
    fn is_push(&self) -> bool {
        let idle = self.pending.is_empty() && self.unrecorded == 0;
        let word = self.reply.head(0).unwrap_or_default();
        let awaited = matches!(self.front(), Effect::Subscribe { word: w, .. } if w.as_bytes() == word);
        match self.reply.kind() {
            Some(Kind::Push) => !awaited,
            Some(Kind::Array) if idle || self.subscribed != [0; 3] => match (word, self.reply.items()) {
                (b"message" | b"smessage", Some(3)) | (b"pmessage", Some(4)) => true,
                (_, Some(3)) => {
                    !awaited && word.ends_with(b"subscribe") && self.reply.head_number(2).is_some()
                }
                _ => false,
            },
            Some(Kind::Simple) => (self.monitor || idle) && detect::is_monitor_line(self.reply.text()),
            _ => false,
        }
    }

    /// Reports `self.reply` as a push.
    fn push(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let word = self.reply.head(0).unwrap_or_default();
        if word.ends_with(b"subscribe") {
            self.count_subscriptions();
        }
        let monitor = self.reply.kind() == Some(Kind::Simple);
        let word = if monitor { b"monitor" } else { self.reply.head(0).unwrap_or_default() };
        let key = match word {
            b"monitor" => None,
            // The pattern comes first.
            b"pmessage" => self.reply.head(2),
            _ => self.reply.head(1),
        };
        let answer = Answer { type_name: Some("push"), error: None, ..self.answer(seen) };
        report::emit(None, Some(Push { kind: word, key }), Some(answer), incomplete, cx);
    }

    /// Reports what is open: `partial` for the command whose reply has begun and stops at `at` of
    /// the bytes being shown, `why` for the others.
    fn give_up(&mut self, at: usize, partial: Incomplete, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(seen) = self.server.open.take()
            && self.reply.kind().is_some()
        {
            if self.reply.cut > 0 {
                cx.problem(Problem::PayloadLimit, self.reply.cut);
            }
            let seen = seen.until(cx, at);
            let p =
                if self.unrecorded == 0 && self.reply.kind() != Some(Kind::Push) { self.pop() } else { None };
            let request = p.as_ref().map(|p| (&p.shown, p.seen));
            let incomplete = p.as_ref().and_then(|p| p.incomplete).unwrap_or(partial);
            report::emit(request, None, Some(self.answer(seen)), Some(incomplete), cx);
            if let Some(p) = p {
                self.recycle(p);
            }
        }
        while let Some(p) = self.pop() {
            self.finish_without_reply(p, why, cx);
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

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b >= 0x20 && *b != 0x7f || matches!(b, b'\t' | b'\r'))
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

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        // After a gap the engine passes over more bytes, which is reported as another one.
        if self.opaque || self.side(role).lost {
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
                    self.reply.unseen(len);
                    self.reply.hole = true;
                }
            }
        } else {
            self.lose(role, 0, cx);
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        self.opaque
            || match role {
                Role::Client => !self.client.lost,
                Role::Server => !self.server.lost,
            }
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
            self.give_up(rest.len(), partial, why, cx);
        }
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty() || self.client.open.is_some() || self.server.open.is_some()
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.held + self.request.memory() + self.reply.memory()
    }
}

#[cfg(test)]
mod tests;
