//! Reading commands, and putting them in the queue for their replies.

use remora_model::Incomplete;

use super::{Answers, Redis};
use crate::redis::{
    report,
    request::Effect,
    resp::{Kind, Step, Token},
};
use crate::{Context, Problem, Role, Taken, seen::Seen};

/// Bytes of an inline command (`PROTO_INLINE_MAX_SIZE` of Redis).
const MAX_INLINE: usize = 64 << 10;

/// Bytes kept of a command while those that wait for replies hold more than a flow may.
const LITTLE: usize = 128;

impl Redis {
    pub(super) fn client_data(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.client.lost {
                match self.resync(&bytes[at..], cx) {
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
    pub(super) fn queue(&mut self, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
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
        if p.effect == Effect::ReplicaAck {
            // Only a replica says so, in the stream that it is sent.
            self.opaque = true;
            self.recycle(p);
        } else if unanswered {
            report::emit(Some((&p.shown, seen)), None, None, incomplete, cx);
            self.recycle(p);
        } else if self.doubts(p.effect, seen.first, cx) && !self.unheard {
            // Its reply cannot be told from others.
            let why = incomplete.or(Some(Incomplete::Gap));
            report::emit(Some((&p.shown, seen)), None, None, why, cx);
            self.recycle(p);
        } else if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, u64::try_from(seen.bytes).unwrap_or(0));
            if self.doubt.is_some() {
                // Who does not wait for replies is a master, if nobody has answered.
                if self.unheard {
                    self.forget_commands(cx);
                    return self.recycle(p);
                }
                self.doubt(false, cx);
            }
            let why = incomplete.or(Some(Incomplete::NoResponse));
            report::emit(Some((&p.shown, seen)), None, None, why, cx);
            self.recycle(p);
            if self.doubt.is_some() {
                return;
            }
            match self.pending.back_mut() {
                Some(last) => last.unrecorded += 1,
                None => self.unrecorded += 1,
            }
        } else {
            self.held += p.memory();
            self.asked = self.server.lost;
            self.pending.push_back(p);
        }
    }
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b >= 0x20 && *b != 0x7f || matches!(b, b'\t' | b'\r'))
}
