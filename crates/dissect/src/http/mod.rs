//! HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112), read passively from both directions.
//!
//! A message is read in two steps: its head when all of it is there ([`head`]), then its body as
//! it comes ([`body`]), of which the front is kept and the rest only counted. Requests wait in a
//! queue for their responses, which come in the same order ([`exchange`]); a request and its
//! response make a call ([`fields`]). Interim responses (1xx) are passed over; 101 and a
//! successful CONNECT end HTTP on the connection, unless it goes on as HTTP/2 or WebSocket.
//!
//! After bytes were lost, each direction looks for the next start line ([`start`]).

mod body;
mod dissect;
pub(crate) mod encoding;
mod exchange;
pub(crate) mod facts;
pub(crate) mod fields;
pub(crate) mod head;
pub(crate) mod message;
mod partial;
mod probe;
pub(crate) mod sse;
mod start;
mod target;
#[cfg(test)]
mod tests;
mod trace;
mod upgrade;
pub(crate) mod values;
mod web;

use remora_model::{Incomplete, Protocol, Transport};

use self::body::{Body, Step};
use self::exchange::Exchange;
use self::head::Scan;
use self::message::{Framing, Message};
use self::partial::Front;
use self::probe::DOUBTFUL_REQUEST_LINE;
use self::start::Begins;
use crate::detect::Entry;
use crate::http2::{Http2, PREFACE};
use crate::ws::Upgraded;
use crate::{Context, Limits, Problem, Role};

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Http,
    transports: &[Transport::Tcp],
    ports: &[80, 8080, 8000, 3000],
    probe: probe::probe,
    resync: |bytes, role| start::find(role, bytes),
    start: |_, _| Box::new(Http::default()),
};

/// The largest head or trailer section that is waited for. Servers accept 8 KiB to 1 MiB.
fn head_limit(limits: &Limits) -> usize {
    limits.message_bytes.min(256 << 10)
}

/// What one direction is at.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Between messages, or in a head.
    Head(Scan),
    /// In a body.
    Body(Body),
    /// Looking for the next message, for that reason. Counts the bytes it passed over.
    Lost(Problem, u64),
    /// Behind the end of HTTP, where something else begins.
    Opaque,
    /// It goes on as HTTP/2.
    Upgraded,
    /// It goes on as WebSocket.
    Socket,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Scan::default())
    }
}

#[derive(Debug, Default)]
struct Direction {
    state: State,
    /// Offset in the stream of the first byte that was not taken.
    pos: u64,
    /// What was asked not to be shown.
    skip: Option<u64>,
    /// A head was shown in part.
    half: bool,
    /// That part.
    front: Front,
    /// The next head was found behind lost bytes.
    found: bool,
}

/// The dissector of one connection.
#[derive(Default)]
struct Http {
    directions: [Direction; 2],
    exchange: Exchange,
    /// What reads on after an upgrade to HTTP/2.
    next: Option<Box<Http2>>,
    /// What reads on after an upgrade to WebSocket.
    socket: Option<Box<Upgraded>>,
}

impl Http {
    fn direction(&mut self, role: Role) -> &mut Direction {
        &mut self.directions[role.index()]
    }

    /// Reads a head and decides what follows it. `raw` begins at `at` of the shown bytes.
    /// False when it is none.
    fn on_head(&mut self, role: Role, raw: &[u8], at: usize, folded: bool, cx: &mut Context<'_>) -> bool {
        let mut message = Message::take();
        let Ok(faults) = message.head.read(role, raw, folded) else {
            message.give_back();
            return false;
        };
        if faults.malformed {
            cx.problem(Problem::Malformed, raw.len() as u64);
        }
        if faults.too_many {
            cx.problem(Problem::MessageTooLarge, raw.len() as u64);
        }
        self.begin(role, message, at, raw.len(), cx);
        true
    }

    /// Reads the head at the front of `rest`, which begins at `at` of the shown bytes, if all of it
    /// is there and nothing is wrong with it; gives its length.
    fn on_whole_head(&mut self, role: Role, rest: &[u8], at: usize, cx: &mut Context<'_>) -> Option<usize> {
        let mut message = Message::take();
        let Some(len) = message.head.read_at_once(role, rest) else {
            message.give_back();
            return None;
        };
        self.begin(role, message, at, len, cx);
        Some(len)
    }

    /// A message whose head of `len` bytes was read, and lies at `at` of the shown bytes.
    fn begin(&mut self, role: Role, mut message: Box<Message>, at: usize, len: usize, cx: &mut Context<'_>) {
        message.found = std::mem::take(&mut self.direction(role).found);
        message.start = cx.pos + at as u64;
        message.head_size = len as u64;
        message.end = message.start + message.head_size;
        message.first = cx.time_at(at);
        message.last = cx.time_at(at + len.saturating_sub(1));
        message.judge_body(cx.limits);
        let (framing, faulty) = match role {
            Role::Client => {
                let framing = message.request_framing();
                self.exchange.request(message, cx);
                framing
            }
            Role::Server => match message.head.status {
                101 if self.upgrade(&message, cx) => {
                    return message.give_back();
                }
                100 | 102..=199 => {
                    self.exchange.interim();
                    message.give_back();
                    self.direction(role).state = State::default();
                    return;
                }
                _ => self.exchange.response(message, cx),
            },
        };
        if faulty {
            cx.problem(Problem::Malformed, len as u64);
        }
        if role == Role::Server && self.exchange.is_tunnel() {
            self.tunnel(cx);
            return;
        }
        match Body::start(framing) {
            Some(body) => self.direction(role).state = State::Body(body),
            None if framing == Framing::Unknown => {
                if let Some(message) = self.exchange.open(role) {
                    message.cut = true;
                    message.mark(Incomplete::Truncated);
                }
                self.exchange.finish(role, false, cx);
                self.lose(role, Problem::Malformed, 0, false);
            }
            None => {
                self.direction(role).state = State::default();
                self.exchange.finish(role, true, cx);
            }
        }
    }

    /// HTTP has ended on this connection, in both directions.
    fn tunnel(&mut self, cx: &mut Context<'_>) {
        let handshake = self.exchange.websocket();
        if self.exchange.open(Role::Client).is_some() {
            self.exchange.finish(Role::Client, true, cx);
        }
        self.exchange.finish(Role::Server, true, cx);
        match handshake {
            Some(handshake) => self.open_socket(handshake),
            None => self.directions.iter_mut().for_each(|d| d.state = State::Opaque),
        }
    }

    /// The next message has to be looked for. `at_front`: what was lost begins where a message begins.
    fn lose(&mut self, role: Role, why: Problem, passed: u64, at_front: bool) {
        self.direction(role).state = State::Lost(why, passed);
        match role {
            Role::Client => self.exchange.lost_requests(),
            Role::Server => self.exchange.lost_responses(at_front),
        }
    }

    /// The message being read cannot be read to its end.
    fn give_up(&mut self, role: Role, why: Problem, reason: Incomplete, cx: &mut Context<'_>) {
        if let Some(message) = self.exchange.open(role) {
            message.cut = true;
            message.mark(reason);
        }
        self.exchange.finish(role, false, cx);
        self.lose(role, why, 0, false);
    }

    /// A body that was announced does not come: the client gave it up when it saw the final
    /// response (RFC 9110 section 10.1.1), or the response was one to HEAD whose request was not
    /// seen. `None` while that cannot be told.
    fn omits_body(&mut self, role: Role, bytes: &[u8]) -> Option<bool> {
        if !self.exchange.may_omit_body(role) {
            return Some(false);
        }
        match start::begins(role, bytes) {
            _ if role == Role::Client && !start::may_have_known_method(bytes) => Some(false),
            Begins::Yes => Some(true),
            Begins::Maybe if bytes.len() < DOUBTFUL_REQUEST_LINE => None,
            _ => Some(false),
        }
    }

    /// One step at `at`. False when no more can be done with these bytes.
    fn step(&mut self, role: Role, bytes: &[u8], at: &mut usize, cx: &mut Context<'_>) -> bool {
        let rest = bytes.get(*at..).unwrap_or_default();
        let mut state = self.direction(role).state;
        match &mut state {
            State::Opaque | State::Upgraded | State::Socket => false,
            State::Lost(why, passed) => {
                let found = start::find(role, rest);
                let over = found.unwrap_or_else(|| rest.len() - start::may_begin(role, rest));
                *at += over;
                *passed += over as u64;
                if found.is_some() {
                    if *passed > 0 {
                        cx.problem(*why, *passed);
                    }
                    state = State::default();
                }
                let direction = self.direction(role);
                direction.state = state;
                direction.found = found.is_some();
                found.is_some()
            }
            State::Head(scan) => {
                if scan.is_new() {
                    // Empty lines before a start line are ignored (RFC 9112 section 2.2).
                    let blank = rest.iter().position(|b| !matches!(b, b'\r' | b'\n'));
                    *at += blank.unwrap_or(rest.len());
                }
                let rest = bytes.get(*at..).unwrap_or_default();
                if rest.is_empty() {
                    return false;
                }
                if scan.is_new()
                    && let Some(end) = self.on_whole_head(role, rest, *at, cx)
                {
                    *at += end;
                    return true;
                }
                if let Some(end) = scan.find_end(rest) {
                    let raw = rest.get(..end).unwrap_or_default();
                    let folded = scan.folded;
                    if self.on_head(role, raw, *at, folded, cx) {
                        *at += end;
                        return true;
                    }
                    return self.no_start_line(role, rest, at);
                }
                if start::begins(role, rest) == Begins::No {
                    return self.no_start_line(role, rest, at);
                }
                if rest.len() >= head_limit(cx.limits) {
                    cx.problem(Problem::MessageTooLarge, rest.len() as u64);
                    self.lose(role, Problem::MessageTooLarge, 0, false);
                    *at += 1;
                    return true;
                }
                let direction = self.direction(role);
                direction.state = state;
                direction.half = true;
                direction.front.keep(rest, *at, cx);
                false
            }
            State::Body(body) => {
                match self.omits_body(role, rest) {
                    None => return false,
                    Some(true) => {
                        self.direction(role).state = State::default();
                        self.exchange.finish(role, true, cx);
                        return true;
                    }
                    Some(false) => {}
                }
                let Some(message) = self.exchange.open(role) else {
                    // Cannot be: a body belongs to an open message.
                    self.lose(role, Problem::Malformed, 0, false);
                    return true;
                };
                let before = *at;
                let step = body.read(message, bytes, at, cx);
                if *at > before {
                    message.end = cx.pos + *at as u64;
                    message.last = cx.time_at(*at - 1);
                }
                self.direction(role).state = state;
                match step {
                    Step::More => false,
                    Step::Done => {
                        self.direction(role).state = State::default();
                        self.exchange.finish(role, true, cx);
                        true
                    }
                    Step::Bad(problem) => {
                        self.give_up(role, problem, Incomplete::Truncated, cx);
                        true
                    }
                }
            }
        }
    }

    /// What stands where a start line should be is none. False when it has to wait.
    fn no_start_line(&mut self, role: Role, rest: &[u8], at: &mut usize) -> bool {
        if role == Role::Client && self.exchange.awaits_tunnel() {
            let seen = rest.get(..PREFACE.len()).unwrap_or(rest);
            if PREFACE.starts_with(seen) && self.exchange.awaits_http2() {
                self.hand_over(role);
                return true;
            }
            // The client did not wait for the answer to its CONNECT or Upgrade, or the answer is
            // shown late: that will tell what these bytes are.
            let direction = self.direction(role);
            direction.half = true;
            direction.front.clear();
            return false;
        }
        *at += 1;
        self.lose(role, Problem::Malformed, 1, false);
        true
    }

    /// `len` bytes of `role` were passed over or are missing, in the middle of a body.
    fn pass(&mut self, role: Role, len: u64, missing: u64, cx: &mut Context<'_>) {
        let State::Body(mut body) = self.direction(role).state else { return };
        let passed = match self.exchange.open(role) {
            Some(message) => {
                let passed = body.pass(message, len, missing);
                if passed.is_ok() {
                    message.end = message.end.saturating_add(len);
                    message.last = message.last.max(cx.time_at(0));
                }
                passed
            }
            None => Err(()),
        };
        match passed {
            Err(()) => self.give_up(role, Problem::Unsynced, Incomplete::Gap, cx),
            Ok(behind) => {
                self.direction(role).state = State::Body(body);
                if body.is_over() {
                    if let Some(message) = self.exchange.open(role) {
                        message.end = message.end.saturating_sub(behind);
                    }
                    self.direction(role).state = State::default();
                    self.exchange.finish(role, true, cx);
                    if behind > 0 {
                        self.lose(role, Problem::Unsynced, 0, true);
                    }
                }
            }
        }
    }
}
