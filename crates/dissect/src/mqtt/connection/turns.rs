//! Who acknowledges what.

use remora_model::Incomplete;

use super::{Late, MAX_LATE, Mqtt};
use crate::messaging::Asker;
use crate::mqtt::packet::{Packet, Type};
use crate::mqtt::report;
use crate::{Context, Problem, Role, seen::Seen};

impl Mqtt {
    /// A packet has been read.
    pub(super) fn said(&mut self, role: Role, mut p: Box<Packet>, cx: &mut Context<'_>) {
        let cut = p.arena.cut() + p.cut;
        if cut + p.left_out > 0 {
            cx.problem(Problem::PayloadLimit, cut);
        }
        p.by_server = role == Role::Server;
        match p.kind {
            Type::Publish => self.published(role, p, cx),
            Type::Puback => self.acknowledged(role, p, |q| q.kind == Type::Publish && q.qos == Some(1), cx),
            Type::Pubrec => self.received(role, p, cx),
            Type::Pubrel => self.released(role, p, cx),
            Type::Pubcomp => {
                let open = |q: &Packet| q.kind == Type::Pubrel || q.kind == Type::Publish && q.qos == Some(2);
                self.acknowledged(role, p, open, cx);
            }
            Type::Connect | Type::Subscribe | Type::Unsubscribe | Type::Pingreq => self.wait(p, cx),
            Type::Connack => self.acknowledged(role, p, |q| q.kind == Type::Connect, cx),
            Type::Suback => self.acknowledged(role, p, |q| q.kind == Type::Subscribe, cx),
            Type::Unsuback => self.acknowledged(role, p, |q| q.kind == Type::Unsubscribe, cx),
            Type::Pingresp => self.acknowledged(role, p, |q| q.kind == Type::Pingreq, cx),
            Type::Disconnect | Type::Auth => self.alone(p, None, cx),
        }
    }

    fn published(&mut self, role: Role, mut p: Box<Packet>, cx: &mut Context<'_>) {
        if p.qos == Some(0) {
            return self.alone(p, None, cx);
        }
        if p.qos == Some(2) && self.overtaken(&p, Type::Pubrel).is_some() {
            // What came of it was told before its turn had come.
            cx.problem(Problem::Unsynced, p.seen.bytes.unsigned_abs());
            return self.queue.recycle(p);
        }
        if let Some(i) = self.find(role, p.id, |q| q.kind == Type::Pubrel && q.answer.is_some())
            && let Some(q) = self.queue.take(i)
        {
            // Its acknowledgement has overtaken it.
            p.answer = q.answer;
            p.incomplete = Some(Incomplete::Gap);
            if !q.unseen {
                p.seen.bytes += q.seen.bytes;
                p.released = true;
            }
            self.queue.recycle(q);
            return self.wait(p, cx);
        }
        // Sent once more, or the identifier is free again without an acknowledgement that was seen.
        if let Some(i) = self.find(role, p.id, |q| q.kind == Type::Publish) {
            self.give_up(i, Incomplete::NoResponse, cx);
        }
        self.wait(p, cx);
    }

    /// The oldest packet of `asker` with that identifier that fits.
    fn find(&self, asker: Role, id: Option<u16>, fits: impl Fn(&Packet) -> bool) -> Option<usize> {
        let by_server = asker == Role::Server;
        self.queue.find(|q| q.by_server == by_server && q.id == id && fits(q))
    }

    /// `p` ends what waits for it.
    fn acknowledged(
        &mut self,
        role: Role,
        p: Box<Packet>,
        fits: impl Fn(&Packet) -> bool,
        cx: &mut Context<'_>,
    ) {
        // Where something is missing, what came before a packet does not acknowledge it.
        let whole = self.from_start && !self.gapped;
        let fits = |q: &Packet| fits(q) && (whole || q.unseen || q.seen.first <= p.seen.first);
        let Some(i) = self.find(role.other(), p.id, fits) else { return self.orphan(role, p, cx) };
        if self.queue.get_mut(i).is_some_and(|q| q.doubtful && q.followed && q.answer.is_none()) {
            // Both its acknowledgement and what this one is for may be missing.
            self.give_up(i, Incomplete::Gap, cx);
            if p.kind != Type::Pubcomp {
                return self.orphan(role, p, cx);
            }
            // A part of what was told, or of something else.
            cx.problem(Problem::Unsynced, p.seen.bytes.unsigned_abs());
            return self.queue.recycle(p);
        }
        match self.queue.take(i) {
            Some(q) => {
                let seen = together(q.answer, p.seen);
                // Of QoS 2 there must have been a PUBREC and a PUBREL.
                let lacks =
                    p.kind == Type::Pubcomp && q.kind == Type::Publish && (q.answer.is_none() || !q.released);
                self.report(&q, Some((&p, seen)), lacks.then_some(Incomplete::Gap), cx);
                if p.kind == Type::Pubcomp && (q.kind == Type::Pubrel || lacks) {
                    self.note_late(q.by_server, p.id, Type::Pubrel, seen);
                }
                self.queue.recycle(q);
                self.queue.recycle(p);
            }
            None => self.orphan(role, p, cx),
        }
    }

    /// The first answer to a PUBLISH with QoS 2, which is the last one when it refuses.
    fn received(&mut self, role: Role, p: Box<Packet>, cx: &mut Context<'_>) {
        let open = |q: &Packet| q.kind == Type::Publish && q.qos == Some(2);
        if p.code().is_some_and(|c| c >= 0x80) {
            return self.acknowledged(role, p, open, cx);
        }
        match self.find(role.other(), p.id, open).and_then(|i| self.queue.get_mut(i)) {
            Some(q) => {
                q.answer = Some(together(q.answer, p.seen));
                self.queue.recycle(p);
            }
            None => {
                // The rest of its exchange is still to come.
                let mut q = self.queue.fresh();
                q.begin(Type::Pubrel, self.version, 0, 0, p.seen);
                (q.id, q.by_server, q.unseen) = (p.id, role == Role::Client, true);
                (q.answer, q.incomplete) = (Some(p.seen), Some(Incomplete::NoRequest));
                self.queue.recycle(p);
                self.wait(q, cx);
            }
        }
    }

    /// The sender goes on with a PUBLISH with QoS 2, perhaps one of an earlier connection.
    fn released(&mut self, role: Role, p: Box<Packet>, cx: &mut Context<'_>) {
        let open = |q: &Packet| q.kind == Type::Publish && q.qos == Some(2) || q.unseen;
        let overtaken = self.overtaken(&p, Type::Pubrel).is_some();
        match self.find(role, p.id, open).and_then(|i| self.queue.get_mut(i)) {
            Some(q) => {
                if q.unseen {
                    (q.seen, q.unseen) = (p.seen, false);
                } else {
                    q.seen.bytes += p.seen.bytes;
                }
                q.released = true;
                self.queue.recycle(p);
            }
            None if overtaken => self.queue.recycle(p),
            None => self.wait(p, cx),
        }
    }

    /// The place of what is known of `p`, which comes after its end was told.
    fn overtaken(&self, p: &Packet, kind: Type) -> Option<usize> {
        let key = (p.by_server, p.id, kind);
        self.late.iter().position(|l| (l.by_server, l.id, l.kind) == key && p.seen.first <= l.when)
    }

    fn note_late(&mut self, by_server: bool, id: Option<u16>, kind: Type, end: Seen) {
        if self.late.len() >= MAX_LATE {
            self.late.pop_front();
        }
        self.late.push_back(Late { by_server, id, kind, when: end.last });
    }

    fn wait(&mut self, mut p: Box<Packet>, cx: &mut Context<'_>) {
        if let Some(at) = self.overtaken(&p, p.kind) {
            // Its acknowledgement was told by itself.
            self.late.remove(at);
            return self.alone(p, Some(Incomplete::Gap), cx);
        }
        if self.queue.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up(0, Incomplete::NoResponse, cx);
        }
        // The side that is to answer may have hung up.
        let over = self.ended[usize::from(!p.by_server)];
        p.doubtful |= self.sides[usize::from(!p.by_server)].lost;
        self.queue.push(p);
        if over {
            self.give_up(self.queue.len() - 1, Incomplete::NoResponse, cx);
        }
    }

    /// Reports what waits at `i` without its acknowledgement.
    pub(super) fn give_up(&mut self, i: usize, why: Incomplete, cx: &mut Context<'_>) {
        let Some(q) = self.queue.take(i) else { return };
        let why = match why {
            _ if q.doubtful => Incomplete::Gap,
            Incomplete::NoResponse if q.answer.is_some() => Incomplete::Truncated,
            why => why,
        };
        self.alone(q, Some(why), cx);
    }

    /// Reports something that has no counterpart.
    pub(super) fn alone(&mut self, p: Box<Packet>, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        self.report(&p, None, incomplete, cx);
        self.queue.recycle(p);
    }

    /// Reports what `role` acknowledges, of which nothing else was seen.
    fn orphan(&mut self, role: Role, p: Box<Packet>, cx: &mut Context<'_>) {
        let asker = if role == Role::Server { Asker::Client } else { Asker::Server };
        let incomplete = p.incomplete.or(Some(Incomplete::NoRequest));
        let answer = Some((&*p, p.seen));
        let kind = p.kind.acknowledges();
        report::emit(asker, kind, None, answer, incomplete, self.known(), cx);
        if let Some(kind) = kind.filter(|_| p.kind != Type::Pubrec) {
            self.note_late(role == Role::Client, p.id, kind, p.seen);
        }
        self.queue.recycle(p);
    }

    fn known(&self) -> report::Known<'_> {
        report::Known { client_id: &self.client_id, version_known: self.from_start }
    }

    fn report(
        &mut self,
        asked: &Packet,
        answer: Option<(&Packet, Seen)>,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let asker = if asked.by_server { Asker::Server } else { Asker::Client };
        let incomplete = asked.incomplete.or(answer.and_then(|a| a.0.incomplete)).or(incomplete);
        let partial = asked.kind == Type::Pubrel && (!self.from_start || self.gapped);
        let incomplete = incomplete.or(partial.then_some(Incomplete::Gap));
        // A PUBREL may go on with a PUBLISH that was not seen, or be the first of this connection.
        let kind = match asked.kind {
            // What was received was published.
            Type::Pubrel if asked.answer.is_some() => Some(Type::Publish),
            Type::Pubrel if !self.from_start || self.gapped => None,
            kind => Some(kind),
        };
        report::emit(asker, kind, Some(asked), answer, incomplete, self.known(), cx);
    }
}

/// Two parts of what one side said.
fn together(before: Option<Seen>, now: Seen) -> Seen {
    before.map_or(now, |b| Seen { last: now.last, bytes: b.bytes + now.bytes, ..b })
}
