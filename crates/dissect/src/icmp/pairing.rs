//! Messages of one flow, and the pairing of requests with replies.

use std::collections::VecDeque;

use remora_model::{Incomplete, Timestamp};

use super::message::Message;
use super::report::{self, Asked};
use super::types::{Class, Version};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Answered requests that are remembered because they were seen several times.
const REPEATED: usize = 8;

/// A request that waits for its reply.
#[derive(Clone, Copy, Debug)]
struct Pending {
    asker: Role,
    key: u64,
    asked: Asked,
    /// When it was last seen.
    newest: Timestamp,
    /// Times it was seen again.
    repeats: u32,
}

/// An answered request to whose repetitions replies may still come.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    asker: Role,
    kind: u8,
    key: u64,
    left: u32,
}

/// The dissector of one flow.
pub(super) struct Icmp {
    pending: VecDeque<Pending>,
    repeated: [Option<Repeated>; REPEATED],
    next_repeated: usize,
}

impl Icmp {
    pub(super) fn new() -> Self {
        Self { pending: VecDeque::new(), repeated: [None; REPEATED], next_repeated: 0 }
    }

    fn request(&mut self, role: Role, message: &Message<'_>, key: u64, seen: Seen, cx: &mut Context<'_>) {
        let asked = Asked {
            kind: message.kind,
            code: message.code,
            numbers: message.numbers(),
            len: message.len(),
            seen,
        };
        if cx.client.ip.is_multicast() || cx.server.ip.is_multicast() {
            report::exchange(role, message.version, &asked, None, None, cx);
            return;
        }
        let same = |p: &&mut Pending| p.asker == role && p.key == key && p.asked.kind == message.kind;
        if let Some(p) = self.pending.iter_mut().find(same) {
            p.repeats = p.repeats.saturating_add(1);
            p.newest = seen.last;
            return;
        }
        if self.pending.len() >= cx.limits.pending.max(1) {
            cx.problem(Problem::TooManyPending, 0);
            self.give_up_oldest(cx);
        }
        self.pending.push_back(Pending { asker: role, key, asked, newest: seen.last, repeats: 0 });
    }

    /// A reply to a request of type `kind`.
    fn reply(
        &mut self,
        role: Role,
        message: &Message<'_>,
        (kind, key): (u8, u64),
        seen: Seen,
        cx: &mut Context<'_>,
    ) {
        // Who talks to himself has one role only.
        let asker = if cx.client == cx.server { role } else { role.other() };
        let found =
            self.pending.iter().position(|p| p.asker == asker && p.key == key && p.asked.kind == kind);
        if let Some(p) = found.and_then(|i| self.pending.remove(i)) {
            report::exchange(asker, message.version, &p.asked, Some((message, seen)), None, cx);
            if p.repeats > 0 {
                if let Some(slot) = self.repeated.get_mut(self.next_repeated) {
                    *slot = Some(Repeated { asker, kind, key, left: p.repeats });
                }
                self.next_repeated = (self.next_repeated + 1) % REPEATED;
            }
            return;
        }
        let known = self.repeated.iter_mut().flatten();
        let mut known = known.filter(|r| r.left > 0 && r.asker == asker && r.kind == kind && r.key == key);
        match known.next() {
            Some(r) => r.left -= 1,
            None => report::alone(role, message, seen, cx),
        }
    }

    fn give_up_oldest(&mut self, cx: &mut Context<'_>) {
        if let Some(p) = self.pending.pop_front() {
            let version = version(cx);
            report::exchange(p.asker, version, &p.asked, None, Some(Incomplete::NoResponse), cx);
        }
    }
}

/// The addresses say which version is spoken.
fn version(cx: &Context<'_>) -> Version {
    if cx.client.ip.is_ipv4() { Version::V4 } else { Version::V6 }
}

impl Dissector for Icmp {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let Some(message) = Message::read(bytes, version(cx)) else {
            cx.problem(Problem::Malformed, bytes.len() as u64);
            return Taken::Bytes(bytes.len());
        };
        let seen = Seen::within(cx, 0, bytes.len());
        match (message.class, message.key()) {
            (Class::Request, Some(key)) => self.request(role, &message, key, seen, cx),
            (Class::Reply(kind), Some(key)) => self.reply(role, &message, (kind, key), seen, cx),
            (Class::Request | Class::Reply(_), None) => cx.problem(Problem::Malformed, bytes.len() as u64),
            (Class::Error | Class::Redirect | Class::Notice, _) => report::alone(role, &message, seen, cx),
        }
        Taken::Bytes(bytes.len())
    }

    fn gap(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}

    fn end(&mut self, _: Role, _: &[u8], _: Ending, cx: &mut Context<'_>) {
        while !self.pending.is_empty() {
            self.give_up_oldest(cx);
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        // In order of their first sending, which is that of their last but for repetitions.
        while self.pending.front().is_some_and(|p| p.newest.plus(cx.limits.response_wait) <= now) {
            self.give_up_oldest(cx);
        }
    }

    fn awaits_time(&self) -> bool {
        !self.pending.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.pending.is_empty()
    }

    fn memory(&self) -> usize {
        size_of::<Self>() + self.pending.capacity() * size_of::<Pending>()
    }
}
