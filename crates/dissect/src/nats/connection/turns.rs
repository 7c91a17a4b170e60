//! What answers what.

use remora_model::{Incomplete, Timestamp};

use super::Nats;
use crate::messaging::Asker;
use crate::nats::jetstream::Part;
use crate::nats::line::{self, Op};
use crate::nats::message::Message;
use crate::nats::{jetstream, report};
use crate::{Context, Problem, Role};

impl Nats {
    /// A line, with what follows it, has been read.
    pub(super) fn said(&mut self, role: Role, mut m: Box<Message>, cx: &mut Context<'_>) {
        m.finish();
        if role == Role::Client {
            self.client_spoke = m.seen.last;
        }
        let cut = m.cut + m.arena.cut();
        if cut + m.left_out > 0 {
            cx.problem(Problem::PayloadLimit, cut);
        }
        m.by_server = role == Role::Server;
        match role {
            // Its PONG could be that of another one.
            _ if m.op == Op::Ping && self.gapped => self.alone(m, Some(Incomplete::Gap), cx),
            Role::Client => self.client_said(m, cx),
            Role::Server => self.server_said(m, cx),
        }
    }

    fn client_said(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        let text = |span| m.shown(span).unwrap_or_default();
        match m.op {
            Op::Ping => return self.wait(m, cx),
            Op::Pong => {
                return match self.queue.find(|q| q.by_server && q.op == Op::Ping) {
                    Some(i) => self.answered_by_client(i, m, cx),
                    None => self.orphan(m, cx),
                };
            }
            Op::Connect => {
                // Verbose is what a client is that does not say (NATS client protocol, CONNECT).
                let verbose = crate::nats::options::word(text(m.text), "verbose") != Some(b"false");
                self.verbose = Some(verbose);
                for (known, said) in [(&mut self.user, m.user), (&mut self.client, m.client)] {
                    known.clear();
                    known.extend_from_slice(m.shown(said).unwrap_or_default());
                }
                m.wants_ok = verbose;
                return self.wait(m, cx);
            }
            Op::Sub => self.subscriptions.add(text(m.sid), text(m.subject), text(m.queue), cx),
            Op::Unsub if m.max.is_none() => self.subscriptions.remove(text(m.sid)),
            _ => {}
        }
        let subject = text(m.subject);
        let reply = text(m.reply);
        let wants_reply = !reply.is_empty() && (!self.from_start || self.subscriptions.want(reply));
        let answers = matches!(m.op, Op::Pub | Op::Hpub) && !wants_reply && !subject.is_empty();
        let found = self.queue.find(|q| answers && q.by_server && q.shown(q.reply) == Some(subject));
        m.wants_reply = wants_reply;
        m.wants_ok = self.verbose == Some(true) && !self.gapped;
        // There may be a `+OK` for it that is not known as such. As long as none was seen there is none:
        // hardly a client asks for it.
        let unsure = self.verbose == Some(true) && !m.wants_ok;
        m.doubtful = unsure || wants_reply && !self.from_start;
        match found {
            Some(i) => self.answered_by_client(i, m, cx),
            // What it answers, if it does, may not have been seen.
            None if !m.wants_reply && self.is_vague(m.shown(m.subject)) => self.vague(m, cx),
            None if answers && is_inbox(m.shown(m.subject)) => self.orphan(m, cx),
            None if unsure && !m.wants_reply => self.alone(m, Some(Incomplete::Gap), cx),
            None if m.wants_ok || m.wants_reply => self.wait(m, cx),
            None => self.alone(m, None, cx),
        }
    }

    fn server_said(&mut self, m: Box<Message>, cx: &mut Context<'_>) {
        if !matches!(m.op, Op::Info | Op::Err) {
            // Nothing was wrong with a CONNECT that is not answered otherwise.
            if let Some(i) = self.queue.find(|q| q.op == Op::Connect && !q.wants_ok) {
                self.give_up(i, Incomplete::NoResponse, cx);
            }
        }
        match m.op {
            Op::Ping => self.wait(m, cx),
            Op::Pong => match self.queue.find(|q| !q.by_server && q.op == Op::Ping) {
                Some(i) => self.answered_by_server(i, m, cx),
                None => self.orphan(m, cx),
            },
            Op::Ok => self.ok(m, cx),
            Op::Err => self.error(m, cx),
            Op::Msg | Op::Hmsg => self.delivered(m, cx),
            _ => self.alone(m, None, cx),
        }
    }

    fn ok(&mut self, m: Box<Message>, cx: &mut Context<'_>) {
        self.verbose = Some(true);
        let Some(i) = self.queue.find(|q| q.wants_ok) else {
            if self.gapped || !self.from_start {
                // What it confirms may have another answer, which tells more.
                cx.problem(Problem::Unsynced, m.seen.bytes.unsigned_abs());
                return self.queue.recycle(m);
            }
            return self.orphan(m, cx);
        };
        match self.queue.get_mut(i) {
            // The reply is still to come.
            Some(q) if q.wants_reply => {
                q.wants_ok = false;
                self.queue.recycle(m);
            }
            _ => self.answered_by_server(i, m, cx),
        }
    }

    fn error(&mut self, m: Box<Message>, cx: &mut Context<'_>) {
        let text = m.shown(m.text).unwrap_or_default();
        let of_request = [&b"Permissions Violation"[..], b"Invalid"].iter().any(|t| text.starts_with(t));
        let found = self
            .queue
            .find(|q| q.op == Op::Connect)
            .or_else(|| self.queue.find(|q| q.wants_ok && of_request));
        match found {
            Some(i) => self.answered_by_server(i, m, cx),
            // It may be about something that was not seen.
            None if self.gapped || !self.from_start => self.orphan(m, cx),
            None => self.alone(m, None, cx),
        }
    }

    /// True when JetStream's acknowledgements on `subject` may be of a message that answers a fetch
    /// which was not seen.
    fn is_vague(&self, subject: Option<&[u8]>) -> bool {
        let whole = self.from_start && self.server_whole;
        let part = subject.filter(|_| !whole).and_then(jetstream::ack);
        part.is_some_and(|p| p.consumer.is_none_or(|c| c != self.fetched))
    }

    /// Remembers the consumer of the fetch at `i`, which is answered.
    fn note_fetch(&mut self, i: usize) {
        if let Some(q) = self.queue.get_mut(i).filter(|q| is_fetch(q) && !q.followed)
            && let Some(consumer) = fetches(q).and_then(|p| p.consumer)
        {
            self.fetched.clear();
            self.fetched.extend_from_slice(consumer);
        }
    }

    /// Reports a message of which it is not known what it is a part of.
    fn vague(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        m.vague = true;
        self.orphan(m, cx);
    }

    /// A message of the server: the reply to a request, or something of its own.
    fn delivered(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        let mut found = self.request_of(&m);
        // Of several that share an inbox, one whose reply may be among missing bytes is not meant
        // for certain.
        while let Some(i) = found.filter(|&i| self.is_uncertain(i)) {
            self.give_up(i, Incomplete::Gap, cx);
            found = self.request_of(&m);
        }
        // What a client says is confirmed before anything comes of it.
        if found.and_then(|i| self.queue.get_mut(i)).is_some_and(|q| !q.followed) {
            self.verbose.get_or_insert(false);
        }
        let pushed = m.shown(m.sid).and_then(|sid| self.subscriptions.get(sid));
        let pushed = pushed.is_some_and(|(subject, _)| !is_inbox(Some(subject)));
        match found {
            Some(i) => {
                self.note_fetch(i);
                self.answered_by_server(i, m, cx);
            }
            None if is_inbox(m.shown(m.subject)) => self.orphan(m, cx),
            None if !pushed && self.is_vague(m.shown(m.reply)) => self.vague(m, cx),
            None if m.reply.is_some() => {
                m.wants_reply = true;
                // Its reply may have been told before it came.
                m.doubtful = !self.server_whole;
                self.wait(m, cx);
            }
            None => self.alone(m, None, cx),
        }
    }

    /// The oldest request that a message of the server replies to.
    fn request_of(&self, m: &Message) -> Option<usize> {
        let asked = |q: &Message| !q.by_server && q.wants_reply;
        let subject = m.shown(m.subject)?;
        self.queue.find(|q| asked(q) && q.shown(q.reply) == Some(subject)).or_else(|| {
            // What is fetched keeps its subject, and comes by the subscription of the inbox. Where its
            // beginning was not seen the names tell.
            let from = jetstream::ack(m.shown(m.reply)?)?;
            let inbox = self.subscriptions.get(m.shown(m.sid)?);
            self.queue.find(|q| {
                let by = |(inbox, _)| q.shown(q.reply).is_some_and(|r| line::matches(inbox, r));
                let of =
                    || fetches(q).is_some_and(|p| (p.stream, p.consumer) == (from.stream, from.consumer));
                asked(q) && is_fetch(q) && inbox.map_or_else(of, by)
            })
        })
    }

    fn is_uncertain(&self, i: usize) -> bool {
        let Some(q) = self.queue.iter().nth(i).filter(|q| q.doubtful) else { return false };
        let reply = q.shown(q.reply);
        is_fetch(q) || self.queue.iter().filter(|other| other.shown(other.reply) == reply).count() > 1
    }

    fn answered_by_server(&mut self, i: usize, m: Box<Message>, cx: &mut Context<'_>) {
        let Some(q) = self.queue.take(i) else { return };
        self.report(Asker::Client, Some(&q), Some(&m), None, cx);
        self.queue.recycle(q);
        self.queue.recycle(m);
    }

    fn answered_by_client(&mut self, i: usize, mut m: Box<Message>, cx: &mut Context<'_>) {
        let Some(q) = self.queue.take(i) else { return };
        self.report(Asker::Server, Some(&m), Some(&q), None, cx);
        self.queue.recycle(q);
        if m.wants_ok {
            // The `+OK` that it is answered by belongs to a call that is over.
            m.op = Op::Ok;
            self.queue.push(m);
        } else {
            self.queue.recycle(m);
        }
    }

    fn wait(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        if self.queue.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        // The side that is to answer may have hung up.
        let over = self.ended[usize::from(!m.by_server)];
        m.doubtful |= self.sides[usize::from(!m.by_server)].lost;
        self.queue.push(m);
        if over {
            self.give_up(self.queue.len() - 1, Incomplete::NoResponse, cx);
        }
    }

    /// Reports what waits at `i` without an answer.
    pub(super) fn give_up(&mut self, i: usize, why: Incomplete, cx: &mut Context<'_>) {
        let Some(q) = self.queue.take(i) else { return };
        // Not everybody who gets a message replies, and a CONNECT is not always answered.
        let is_whole = q.by_server && q.op != Op::Ping || q.op == Op::Connect && !q.wants_ok;
        if q.op == Op::Ok {
            self.queue.recycle(q);
        } else if is_whole {
            // A client that has gone on since has not replied; of another one that cannot be known.
            let silent = q.by_server && !self.client_closed && self.client_spoke <= q.seen.last;
            let unknown = silent && q.reply.is_some();
            let why = match q.doubtful {
                true => Some(Incomplete::Gap),
                false => unknown.then_some(why),
            };
            self.alone(q, why, cx);
        } else {
            let why = if q.doubtful { Incomplete::Gap } else { why };
            self.alone(q, Some(why), cx);
        }
    }

    /// Reports messages that nobody has replied to for long.
    pub(super) fn give_up_old(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        let wait = i64::try_from(cx.limits.response_wait.as_micros()).unwrap_or(i64::MAX);
        let old = |q: &Message| q.by_server && q.op != Op::Ping && now.micros_since(q.seen.last) >= wait;
        while let Some(i) = self.queue.find(old) {
            self.give_up(i, Incomplete::NoResponse, cx);
        }
    }

    /// Reports an answer to something that was not seen.
    fn orphan(&mut self, m: Box<Message>, cx: &mut Context<'_>) {
        let why = Some(Incomplete::NoRequest);
        if m.by_server {
            self.report(Asker::Client, None, Some(&m), why, cx);
        } else {
            self.report(Asker::Server, Some(&m), None, why, cx);
        }
        self.queue.recycle(m);
    }

    /// Reports something that has no counterpart.
    pub(super) fn alone(&mut self, m: Box<Message>, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        if m.by_server {
            self.report(Asker::Server, None, Some(&m), incomplete, cx);
        } else {
            self.report(Asker::Client, Some(&m), None, incomplete, cx);
        }
        self.queue.recycle(m);
    }

    fn report(
        &mut self,
        asker: Asker,
        client: Option<&Message>,
        server: Option<&Message>,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        // An answer of which the client waited for more has its `+OK` taken off: nothing to show.
        if client.is_some_and(|m| m.op == Op::Ok) {
            return;
        }
        let parts = [client, server].into_iter().flatten().find_map(|m| m.incomplete);
        let delivered = server.and_then(|m| self.subscriptions.get(m.shown(m.sid)?));
        let known = report::Known {
            queue: delivered.map(|(_, queue)| queue).filter(|q| !q.is_empty()),
            user: &self.user,
            client: &self.client,
        };
        report::emit(asker, client, server, known, parts.or(incomplete), cx);
    }
}

/// The stream and the consumer that a request is about.
fn fetches(q: &Message) -> Option<Part<'_>> {
    q.shown(q.subject).and_then(jetstream::api)
}

fn is_inbox(subject: Option<&[u8]>) -> bool {
    subject.is_some_and(|s| s.starts_with(b"_INBOX."))
}

/// True for a request of messages from a stream, of which the next one often has the same inbox.
fn is_fetch(q: &Message) -> bool {
    fetches(q).is_some_and(|a| a.name == b"CONSUMER.MSG.NEXT")
}
