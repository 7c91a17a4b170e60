//! Who answers what.

use remora_model::Incomplete;

use super::Amqp;
use super::channels::Publish;
use crate::amqp::message::Message;
use crate::amqp::method::{self, Turn};
use crate::amqp::report;
use crate::messaging::Asker;
use crate::{Context, Problem, Role};

impl Amqp {
    /// A method, with its content where it has one, has been read.
    pub(super) fn said(&mut self, role: Role, message: Box<Message>, cx: &mut Context<'_>) {
        let cut = message.cut();
        if cut + message.left_out > 0 {
            cx.problem(Problem::PayloadLimit, cut);
        }
        match role {
            Role::Client => self.client_said(message, cx),
            Role::Server => self.server_said(message, cx),
        }
    }

    fn client_said(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        if m.is(method::PUBLISH) {
            return match self.channels.publish(m.channel) {
                Publish::Confirmed(number) => {
                    m.confirm = Some(number);
                    self.wait(m, cx);
                }
                // Most publishers ask for no confirmation, and one that began before the capture and goes
                // on for days is not to be called incomplete all the time. A confirmation that comes
                // nevertheless is told by itself.
                Publish::Alone | Publish::Unknown => self.alone(Role::Client, m, None, cx),
            };
        }
        if m.is(method::CHANNEL_OPEN) {
            self.channels.open(m.channel, cx);
        }
        if m.is(method::CONFIRM_SELECT) {
            self.channels.confirm(m.channel, cx);
        }
        self.note_login(&m);
        // The protocol header is no method, and is answered.
        let Some(method) = m.method else { return self.wait(m, cx) };
        match method.turn {
            Turn::Asks(_) if !m.no_wait => self.wait(m, cx),
            Turn::Answers => {
                let asked = |q: &Message| q.by_server && q.channel == m.channel && answers(q, &m);
                // Both its answer and what this is the answer to may be missing.
                while let Some(i) = self.queue.find(|q| asked(q) && q.doubtful && q.followed) {
                    self.give_up(i, Incomplete::Gap, cx);
                }
                if let Some(q) = self.queue.find(asked).and_then(|i| self.queue.take(i)) {
                    self.report(Asker::Server, Some(&m), Some(&q), None, cx);
                    self.queue.recycle(q);
                    if is_close_ok(&m) {
                        self.closed(m.channel, cx);
                    }
                    return self.queue.recycle(m);
                }
                // The server's close was told as the answer to what it blames.
                let told = is_close_ok(&m) && self.channels.take_closed(m.channel);
                self.orphan(Role::Client, m, (!told).then_some(Incomplete::NoRequest), cx);
            }
            Turn::Asks(_) | Turn::Alone => {
                if m.is(method::CONSUME) {
                    self.note_consumer(&m, &m, cx);
                } else if m.is(method::CANCEL) {
                    self.channels.cancel(m.channel, m.shown(m.consumer_tag).unwrap_or_default());
                }
                self.alone(Role::Client, m, None, cx);
            }
        }
    }

    fn server_said(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        if m.is(method::ACK) || m.is(method::NACK) {
            return self.confirmed(m, cx);
        }
        if m.is(method::CHANNEL_CLOSE) || m.is(method::CONNECTION_CLOSE) {
            return self.server_closes(m, cx);
        }
        let turn = m.method.map_or(Turn::Alone, |method| method.turn);
        match turn {
            Turn::Answers => self.answered(m, cx),
            Turn::Asks(_) if !m.no_wait => {
                m.by_server = true;
                self.wait(m, cx);
            }
            // A server that does not know the version says which one it knows, and hangs up.
            Turn::Alone if m.name == super::PROTOCOL_HEADER => self.answered(m, cx),
            Turn::Asks(_) | Turn::Alone => {
                self.alone(Role::Server, m, None, cx);
            }
        }
    }

    /// An answer of the server.
    fn answered(&mut self, m: Box<Message>, cx: &mut Context<'_>) {
        // Where some of what the client has asked is missing, what came before a question does not answer it.
        let whole = self.from_start;
        let before = |q: &Message| !whole && m.seen.first < q.seen.first;
        let asked = |q: &Message| !q.by_server && q.channel == m.channel && answers(q, &m) && !before(q);
        // Of several that could be meant, some of which may have been answered among bytes that are
        // missing, it is not known which.
        let several = self.queue.iter().filter(|q| asked(q)).count() > 1;
        if self.queue.iter().any(|q| asked(q) && q.doubtful && (several || q.followed)) {
            while let Some(i) = self.queue.find(asked) {
                self.give_up(i, Incomplete::Gap, cx);
            }
        }
        let Some(mut at) = self.queue.find(asked) else {
            if is_close_ok(&m) {
                self.closed(m.channel, cx);
            }
            return self.orphan(Role::Server, m, Some(Incomplete::NoRequest), cx);
        };
        // Answers come in order: what was asked before on the channel has none.
        let older = |q: &Message| !q.by_server && q.confirm.is_none() && q.channel == m.channel;
        while let Some(i) = self.queue.find(older).filter(|&i| i < at) {
            self.give_up(i, Incomplete::NoResponse, cx);
            at -= 1;
        }
        let Some(q) = self.queue.take(at) else { return };
        if q.is(method::CONSUME) {
            self.note_consumer(&q, &m, cx);
        }
        let failed = m.name == super::PROTOCOL_HEADER;
        self.report(Asker::Client, Some(&q), Some(&m), None, cx);
        if q.is(method::CANCEL) {
            self.channels.cancel(m.channel, m.shown(m.consumer_tag).unwrap_or_default());
        }
        if is_close_ok(&m) || failed {
            self.closed(m.channel, cx);
        }
        self.queue.recycle(q);
        self.queue.recycle(m);
    }

    /// The server confirms publishes, or does not.
    fn confirmed(&mut self, m: Box<Message>, cx: &mut Context<'_>) {
        let tag = m.delivery_tag.unwrap_or(0);
        let mut found = false;
        loop {
            let meant = |q: &Message| {
                q.channel == m.channel
                    && q.confirm.is_some_and(|n| if m.multiple { n <= tag || tag == 0 } else { n == tag })
            };
            let Some(i) = self.queue.find(meant) else { break };
            found = true;
            // It may have had an answer of its own, among bytes that are missing.
            if self.queue.get_mut(i).is_some_and(|q| q.doubtful && q.confirm != Some(tag)) {
                self.give_up(i, Incomplete::Gap, cx);
                continue;
            }
            let Some(q) = self.queue.take(i) else { break };
            self.report(Asker::Client, Some(&q), Some(&m), q.incomplete, cx);
            self.queue.recycle(q);
            if !m.multiple {
                break;
            }
        }
        if found {
            self.queue.recycle(m);
        } else {
            self.orphan(Role::Server, m, Some(Incomplete::NoRequest), cx);
        }
    }

    /// The server closes a channel or the connection, perhaps because of a method that is open.
    fn server_closes(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        let channel = m.channel;
        let open = |q: &Message| {
            let blamed = m.about == (0, 0) || q.is(m.about);
            !q.by_server && q.confirm.is_none() && (channel == 0 || q.channel == channel) && blamed
        };
        // What may have been answered among missing bytes is to blame, or something else is.
        let several = self.queue.iter().filter(|q| open(q)).count() > 1;
        let unnamed = m.about == (0, 0);
        let doubt = self.queue.iter().any(|q| open(q) && q.doubtful && (several || q.followed || unnamed));
        let at = self.queue.find(|q| open(q) && !doubt);
        let asks = |m: (u16, u16)| {
            method::find(m.0, m.1).is_some_and(|m| matches!(m.turn, Turn::Asks(_)) && m.is_from(Role::Client))
        };
        match at.and_then(|i| self.queue.take(i)) {
            Some(q) => {
                self.report(Asker::Client, Some(&q), Some(&m), None, cx);
                self.queue.recycle(q);
                self.queue.recycle(m);
                self.closed(channel, cx);
                self.channels.note_closed(channel, cx);
            }
            None if unnamed && (doubt || !self.from_start) => {
                // It ends what was not seen, or is no answer.
                self.closed(channel, cx);
                m.vague = true;
                self.orphan(Role::Server, m, Some(Incomplete::Gap), cx);
            }
            None if (doubt || !self.from_start) && asks(m.about) => {
                self.closed(channel, cx);
                self.channels.note_closed(channel, cx);
                self.orphan(Role::Server, m, Some(Incomplete::NoRequest), cx);
            }
            None => {
                self.closed(channel, cx);
                m.by_server = true;
                self.wait(m, cx);
            }
        }
    }

    /// A channel, or with 0 the connection, is closed: nothing more will be answered on it.
    fn closed(&mut self, channel: u16, cx: &mut Context<'_>) {
        while let Some(i) = self.queue.find(|q| channel == 0 || q.channel == channel) {
            self.give_up(i, Incomplete::NoResponse, cx);
        }
        self.channels.close(channel);
    }

    fn wait(&mut self, mut m: Box<Message>, cx: &mut Context<'_>) {
        if self.queue.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        let by_server = m.by_server;
        m.doubtful |= self.sides[usize::from(!by_server)].lost;
        self.queue.push(m);
        if self.ended[Role::Server.index()] && !by_server {
            self.give_up(self.queue.len() - 1, Incomplete::NoResponse, cx);
        }
    }

    /// Reports what waits at `i` without an answer.
    pub(super) fn give_up(&mut self, i: usize, why: Incomplete, cx: &mut Context<'_>) {
        let Some(mut q) = self.queue.take(i) else { return };
        if q.by_server && q.doubtful && (q.is(method::CHANNEL_CLOSE) || q.is(method::CONNECTION_CLOSE)) {
            // What it answers may be missing as well.
            q.vague = true;
            return self.orphan(Role::Server, q, Some(Incomplete::Gap), cx);
        }
        if q.by_server {
            // The client need not stay for the end.
            let why = q.doubtful.then_some(Incomplete::Gap);
            return self.alone(Role::Server, q, why, cx);
        }
        let why = if q.doubtful { Incomplete::Gap } else { why };
        self.alone(Role::Client, q, Some(why), cx);
    }

    /// Reports something that has no counterpart.
    pub(super) fn alone(
        &mut self,
        role: Role,
        m: Box<Message>,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let incomplete = m.incomplete.or(incomplete);
        match role {
            Role::Client => self.report(Asker::Client, Some(&m), None, incomplete, cx),
            Role::Server => self.report(Asker::Server, None, Some(&m), incomplete, cx),
        }
        if role == Role::Server && m.is(method::CANCEL) {
            self.channels.cancel(m.channel, m.shown(m.consumer_tag).unwrap_or_default());
        }
        self.queue.recycle(m);
    }

    /// Reports an answer to something that was not seen.
    fn orphan(&mut self, role: Role, m: Box<Message>, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        match role {
            Role::Client => self.report(Asker::Server, Some(&m), None, incomplete, cx),
            Role::Server => self.report(Asker::Client, None, Some(&m), incomplete, cx),
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
        let parts = [client, server].into_iter().flatten().find_map(|m| m.incomplete);
        // Deliveries and cancels name the consumer, and not its queue.
        let consumer = client.or(server).and_then(|m| Some((m.channel, m.shown(m.consumer_tag)?)));
        let known = report::Known {
            queue: consumer.and_then(|(channel, tag)| self.channels.queue(channel, tag)),
            user: &self.user,
            virtual_host: &self.virtual_host,
        };
        report::emit(asker, client, server, known, parts.or(incomplete), &mut self.summary, cx);
    }

    fn note_consumer(&mut self, asked: &Message, answer: &Message, cx: &mut Context<'_>) {
        if let (Some(tag), Some(queue)) = (answer.shown(answer.consumer_tag), asked.shown(asked.queue)) {
            self.channels.consume(asked.channel, tag, queue, cx);
        }
    }

    /// Who is on the connection, and where.
    fn note_login(&mut self, m: &Message) {
        for (known, said) in [(&mut self.user, m.user), (&mut self.virtual_host, m.virtual_host)] {
            if let Some(text) = m.shown(said) {
                known.clear();
                known.extend_from_slice(text);
            }
        }
    }
}

/// True when `m` is what `asked` waits for.
fn answers(asked: &Message, m: &Message) -> bool {
    match (asked.method, m.method) {
        (None, method) => method.is_none_or(|method| method.is(method::START)),
        (Some(asked), Some(m)) => {
            matches!(asked.turn, Turn::Asks(answers) if answers.contains(&(m.class, m.id)))
        }
        (Some(_), None) => false,
    }
}

fn is_close_ok(m: &Message) -> bool {
    m.is(method::CHANNEL_CLOSE_OK) || m.is(method::CONNECTION_CLOSE_OK)
}
