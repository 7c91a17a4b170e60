//! Lines of one connection, and what follows them.

mod subscriptions;
mod turns;

use remora_model::{Incomplete, Timestamp};

use self::subscriptions::Subscriptions;
use super::detect;
use super::line::Op;
use super::message::Message;
use crate::messaging::{Held as _, Queue};
use crate::{Context, Dissector, Ending, Problem, Role, Taken, seen::Seen};

/// Bytes shown of a message while those that wait hold more than a flow may.
const LITTLE: usize = 256;

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 4 << 10;

/// First two bytes of a TLS handshake (RFC 8446, section 5.1).
const TLS: [u8; 2] = [22, 3];

/// Reading one side.
#[derive(Debug, Default)]
struct Side {
    /// Message boundaries are lost.
    lost: bool,
    /// A message whose payload is passing.
    open: Option<Box<Message>>,
}

/// The dissector of one connection.
#[derive(Default)]
pub(super) struct Nats {
    sides: [Side; 2],
    queue: Queue<Message>,
    subscriptions: Subscriptions,
    user: Vec<u8>,
    client: Vec<u8>,
    /// The client is told of everything that it was understood; `None`: not known.
    verbose: Option<bool>,
    /// The connection was joined in its middle.
    joined: bool,
    /// Bytes are missing: it is not known what a `+OK` or a PONG is for.
    gapped: bool,
    /// The connection was seen from its beginning, and all that the client has said since.
    from_start: bool,
    /// The same of the server.
    server_whole: bool,
    /// A consumer of JetStream whose newest fetch was seen, with its answer.
    fetched: Vec<u8>,
    /// The server offers TLS, and the client has not said anything yet.
    may_be_tls: bool,
    /// Nothing more comes from the client, and from the server.
    ended: [bool; 2],
    /// When the client said something last, and whether it has closed in good order.
    client_spoke: Timestamp,
    client_closed: bool,
}

/// How far a side could be read.
enum Step {
    Done(usize),
    More,
    /// To the end of what is there, and that many bytes that follow are of no interest.
    Skip(u64),
    /// Nothing that belongs there.
    Fault,
    /// TLS begins here.
    Tls,
}

impl Nats {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    /// Bytes of texts, of headers and of a payload that are kept of the next message.
    fn budget(&self, cx: &Context<'_>) -> usize {
        let open: usize = self.sides.iter().flat_map(|s| &s.open).map(|m| m.memory()).sum();
        if self.queue.held() + open > cx.limits.flow_bytes {
            cx.limits.payload.min(LITTLE)
        } else {
            cx.limits.payload
        }
    }

    /// Reads a line, or some of a payload, at `at` of the bytes shown.
    fn step(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Step {
        let rest = bytes.get(at..).unwrap_or_default();
        if self.side(role).open.is_some() {
            return self.payload(role, at, rest, cx);
        }
        if role == Role::Client && self.may_be_tls && rest.first() == TLS.first() {
            return match rest.get(1) {
                None => Step::More,
                Some(second) if *second == TLS[1] => Step::Tls,
                Some(_) => Step::Fault,
            };
        }
        if memchr::memchr(b'\n', rest).is_none() {
            return Step::More;
        }
        let Some((line, n)) = detect::first_line(rest) else { return Step::Fault };
        if line.op.sender().is_some_and(|s| s != role) {
            return Step::Fault;
        }
        match line.op {
            Op::Info => {
                // A server says it again when something has changed.
                let begins = !self.joined && !self.gapped;
                self.from_start |= begins;
                self.server_whole |= begins;
                let offers = |key| super::options::word(line.text, key) == Some(b"true");
                self.may_be_tls = offers("tls_required") || offers("tls_available");
            }
            Op::Connect => {
                (self.from_start, self.may_be_tls, self.gapped) = (true, false, false);
            }
            _ => {}
        }
        let mut m = self.queue.fresh();
        m.begin(&line, self.budget(cx), Seen::within(cx, at, at + n));
        if line.total.is_some() {
            self.side(role).open = Some(m);
        } else {
            self.said(role, m, cx);
        }
        Step::Done(n)
    }

    /// Passes some of a payload.
    fn payload(&mut self, role: Role, at: usize, rest: &[u8], cx: &mut Context<'_>) -> Step {
        let Some(m) = &mut self.sides[role.index()].open else { return Step::Fault };
        let n = m.pass(rest);
        if m.head_left + m.left > 0 {
            let unwanted = m.unwanted();
            if unwanted > 0 {
                m.left = 0;
                m.cut += unwanted;
                return Step::Skip(unwanted);
            }
            return if n == 0 { Step::More } else { Step::Done(n) };
        }
        match rest.get(n..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([] | [b'\r']) => return if n == 0 { Step::More } else { Step::Done(n) },
            _ => return Step::Fault,
        }
        if let Some(mut m) = self.side(role).open.take() {
            m.seen = m.seen.until(cx, at + n + 2);
            self.said(role, m, cx);
        }
        Step::Done(n + 2)
    }

    /// Reports a message whose end will not come.
    fn drop_open(&mut self, role: Role, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(mut m) = self.side(role).open.take() {
            m.finish();
            m.by_server = role == Role::Server;
            let why = m.incomplete.unwrap_or(why);
            self.alone(m, Some(why), cx);
        }
    }

    /// `role` may be anywhere in a message.
    fn lose(&mut self, role: Role, cx: &mut Context<'_>) {
        self.drop_open(role, Incomplete::Gap, cx);
        self.side(role).lost = true;
        self.gapped = true;
        self.from_start &= role == Role::Server;
        self.server_whole &= role == Role::Client;
        self.fetched.clear();
        while let Some(i) = self.queue.find(|q| q.wants_ok || q.op == Op::Ping) {
            self.give_up(i, Incomplete::Gap, cx);
        }
        let by_server = role == Role::Client;
        for q in self.queue.iter_mut() {
            q.doubtful |= q.by_server == by_server;
            q.followed = true;
        }
    }
}

impl Dissector for Nats {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        let mut at = 0;
        loop {
            if self.side(role).lost {
                let rest = bytes.get(at..).unwrap_or_default();
                let found = detect::resync(rest, role);
                let passed = found.unwrap_or_else(|| rest.len().saturating_sub(TAIL));
                if passed > 0 {
                    cx.problem(Problem::Unsynced, passed as u64);
                }
                at += passed;
                if found.is_none() {
                    return Taken::Bytes(at);
                }
                self.side(role).lost = false;
            }
            if at >= bytes.len() {
                return Taken::Bytes(at);
            }
            match self.step(role, at, bytes, cx) {
                Step::Done(n) => at += n,
                Step::More => return Taken::Bytes(at),
                Step::Skip(n) => return Taken::AndSkip(n),
                Step::Tls => return Taken::Handover(at),
                Step::Fault => {
                    cx.problem(Problem::Malformed, 1);
                    self.lose(role, cx);
                    at += 1;
                }
            }
        }
    }

    fn joined(&mut self, _: Role, _: u64) -> bool {
        (self.joined, self.gapped) = (true, true);
        false
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let side = self.side(role);
        // Only some of a payload may be lost.
        if let Some(m) = &mut side.open
            && m.pass_unseen(len)
        {
            m.incomplete = Some(Incomplete::Gap);
        } else {
            self.lose(role, cx);
        }
    }

    fn in_sync(&self, role: Role) -> bool {
        !self.sides[role.index()].lost
    }

    fn skipped(&mut self, role: Role, missing: u64, _: &mut Context<'_>) {
        if missing > 0
            && let Some(m) = &mut self.side(role).open
        {
            m.incomplete = Some(Incomplete::Gap);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let (partial, why) = match how {
            Ending::Closed | Ending::Lost => (Incomplete::Truncated, Incomplete::NoResponse),
            Ending::Reset => (Incomplete::Reset, Incomplete::Reset),
        };
        if !rest.is_empty() && !self.side(role).lost && self.side(role).open.is_none() {
            cx.problem(Problem::Malformed, rest.len() as u64);
        }
        self.drop_open(role, partial, cx);
        self.ended[role.index()] = true;
        self.client_closed |= role == Role::Client && how == Ending::Closed;
        // What waits for this side waits in vain.
        let by_server = role == Role::Client;
        while let Some(i) = self.queue.find(|q| q.by_server == by_server) {
            self.give_up(i, why, cx);
        }
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        self.give_up_old(now, cx);
    }

    fn awaits_time(&self) -> bool {
        !self.queue.is_empty()
    }

    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.sides.iter().any(|s| s.open.is_some())
    }

    fn memory(&self) -> usize {
        let open: usize = self.sides.iter().flat_map(|s| &s.open).map(|m| m.memory()).sum();
        size_of::<Self>()
            + open
            + self.queue.memory()
            + self.subscriptions.memory()
            + self.user.capacity()
            + self.client.capacity()
            + self.fetched.capacity()
    }
}
