//! Reading replies, and giving each to the command that it answers.

use remora_model::Incomplete;

use super::Redis;
use crate::redis::{
    detect,
    reply::Secrecy,
    report::{self, Answer},
    request::Effect,
    resp::{Kind, Step},
};
use crate::{Context, Problem, Role, Taken, seen::Seen};

impl Redis {
    pub(super) fn server_data(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        if self.unheard {
            match detect::is_replica(bytes) {
                Some(true) => {
                    self.forget_commands(cx);
                    self.opaque = true;
                    return self.opaque_data(bytes.len(), bytes.len(), cx);
                }
                Some(false) => self.unheard = false,
                None => return Taken::Bytes(0),
            }
            if !self.is_tentative() {
                // They were held back only for this.
                self.give_up(0, Incomplete::Gap, Incomplete::Gap, cx);
            }
        }
        loop {
            if self.server.lost {
                match self.resync_replies(&bytes[at..], cx) {
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
    pub(super) fn front(&self) -> Effect {
        self.pending.front().filter(|_| self.unrecorded == 0).map_or(Effect::Plain, |p| p.effect)
    }

    fn secrecy(&self) -> Secrecy {
        let open = self.pending.is_empty() || self.is_tentative();
        match self.front() {
            Effect::SecretReply => Secrecy::All,
            _ if open && self.doubt.as_ref().is_some_and(|d| d.secret) => Secrecy::All,
            Effect::ConfigGet => Secrecy::Settings,
            // The command was not seen: it may have asked for anything.
            _ if self.unrecorded > 0 || open => Secrecy::Settings,
            _ => Secrecy::No,
        }
    }

    /// `self.reply` is complete.
    pub(super) fn replied(&mut self, seen: Seen, cx: &mut Context<'_>) {
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
                self.spoke(seen.last);
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
        self.heard(seen.last, cx);
        let Some(mut p) = self.pop() else {
            let incomplete = hole.or(Some(Incomplete::NoRequest));
            report::emit(None, None, Some(self.answer(seen)), incomplete, cx);
            // A replica has asked for this.
            let text = self.reply.text();
            self.opaque |= self.doubt.is_some()
                && self.reply.kind() == Some(Kind::Simple)
                && (text.starts_with(b"FULLRESYNC ") || text.starts_with(b"CONTINUE"));
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
        if self.is_tentative() {
            p.replies.clear();
            p.replies.extend_from_slice(self.reply.text());
            let told = self.reply.is_error() || p.effect == Effect::Exec;
            (p.answered, p.type_name) = (Some(seen), self.reply.type_name());
            p.error = self.reply.error_range().filter(|_| told);
            p.incomplete = p.incomplete.or(hole);
            return self.keep(p, cx);
        }
        let mut answer = self.answer(seen);
        if p.effect == Effect::Exec {
            answer.error = self.reply.error();
        }
        report::emit(Some((&p.shown, p.seen)), None, Some(answer), p.incomplete.or(hole), cx);
        self.recycle(p);
    }

    pub(super) fn answer(&self, seen: Seen) -> Answer<'_> {
        Answer {
            seen,
            text: self.reply.text(),
            type_name: self.reply.type_name(),
            error: self.reply.error().filter(|_| self.reply.is_error()),
        }
    }

    /// Reports what is open: `partial` for the command whose reply has begun and stops at `at` of
    /// the bytes being shown, `why` for the others.
    pub(super) fn give_up(&mut self, at: usize, partial: Incomplete, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(seen) = self.server.open.take()
            && self.reply.kind().is_some()
        {
            if self.reply.cut > 0 {
                cx.problem(Problem::PayloadLimit, self.reply.cut);
            }
            let seen = seen.until(cx, at);
            self.reply.stop();
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
}
