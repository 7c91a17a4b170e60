//! Which response belongs to which request.

use std::collections::VecDeque;

use remora_model::{Incomplete, Timestamp};

use super::facts::list;
use super::fields;
use super::message::{Fate, Framing, Message};
use crate::ws::{self, Handshake};
use crate::{Context, Ending, Problem, Role};

/// The requests and the response that are open on a connection.
#[derive(Default)]
pub(super) struct Exchange {
    /// Requests in the order in which they were sent. The last may still be being read.
    requests: VecDeque<Box<Message>>,
    /// The response being read, or one that waits for the end of its request.
    response: Option<Box<Message>>,
    /// The response is the answer to the first request; otherwise its request was not seen.
    paired: bool,
    /// The response has ended and waits for the end of its request.
    held: bool,
    /// An interim response came for the first request.
    interim: bool,
    /// The response is the last message of HTTP on the connection.
    tunnel: bool,
    /// Requests sent behind the last one in the queue and not queued.
    unqueued: u32,
    /// Some request was sent before the response to the one before it, and no byte had been lost.
    pipelined: bool,
    /// Responses may have been lost since the last one that was read.
    lost: bool,
    /// Requests may have been lost since the last pair.
    unseen: bool,
    /// The response to the request that waits was lost, at least in part.
    missed: bool,
    /// Bytes of either side were lost at some time: what was read as a request since may be none,
    /// and a request that waits may have been answered.
    suspicious: bool,
    /// When the response before began, the last one that was read.
    answered: Timestamp,
    /// Responses reported without a request, and when the last of them began. A request sent
    /// before that and shown after it was answered by one of them.
    orphans: u32,
    orphan_time: Timestamp,
    ended: [Option<Ending>; 2],
    /// Memory of the requests that have ended.
    held_bytes: usize,
}

impl Exchange {
    /// The message of `role` that is being read.
    pub(super) fn open(&mut self, role: Role) -> Option<&mut Message> {
        match role {
            Role::Client => self.requests.back_mut().filter(|m| !m.done).map(AsMut::as_mut),
            Role::Server if self.held => None,
            Role::Server => self.response.as_deref_mut(),
        }
    }

    /// A request begins.
    pub(super) fn request(&mut self, mut message: Box<Message>, cx: &mut Context<'_>) {
        if self.orphans > 0 && message.first < self.orphan_time {
            self.orphans -= 1;
            message.fate = Fate::Missed;
        } else if self.requests.len() >= cx.limits.pending.max(1) {
            self.orphans = 0;
            cx.problem(Problem::TooManyPending, message.head_size);
            message.fate = Fate::Refused;
        } else {
            self.orphans = 0;
            message.unqueued_before = std::mem::take(&mut self.unqueued);
            // In one segment with the request before it.
            let together = |m: &Message| m.last == message.first && m.last.0 != 0;
            self.pipelined |= !self.suspicious && self.requests.back().is_some_and(|m| together(m));
        }
        self.requests.push_back(message);
    }

    /// An interim response came.
    pub(super) fn interim(&mut self) {
        self.interim = true;
    }

    /// A final response begins. Says how it is framed.
    pub(super) fn response(&mut self, message: Box<Message>, cx: &mut Context<'_>) -> (Framing, bool) {
        if self.response.is_some() {
            // A second response to a request that has not even ended.
            cx.problem(Problem::Malformed, message.head_size);
            if let Some(request) = self.requests.front_mut() {
                request.mark(Incomplete::Truncated);
            }
            self.report_held(cx);
        }
        self.paired = self.pair(message.first, cx);
        let method = match self.requests.front() {
            Some(request) if self.paired => request.head.at(request.head.method),
            _ => b"",
        };
        let status = message.head.status;
        self.tunnel = status == 101 || (method == b"CONNECT" && (200..300).contains(&status));
        let framing = message.response_framing(method);
        self.response = Some(message);
        framing
    }

    /// Brings the request that a response belongs to to the front of the queue. False when its
    /// request was not seen.
    fn pair(&mut self, first: Timestamp, cx: &mut Context<'_>) -> bool {
        self.skip_answered(cx);
        if std::mem::take(&mut self.lost) {
            self.skip_unanswered(first, cx);
        }
        self.answered = self.answered.max(first);
        let mut queue = self.requests.iter_mut();
        let Some(request) = queue.next() else {
            self.unqueued = self.unqueued.saturating_sub(1);
            return false;
        };
        if request.unqueued_before > 0 {
            request.unqueued_before -= 1;
            return false;
        }
        if request.fate != Fate::Waiting || request.first > first {
            return false;
        }
        self.pipelined |= !self.suspicious && queue.next().is_some_and(|next| next.first < first);
        self.unseen = false;
        true
    }

    /// After bytes were lost: a client that does not pipeline has seen the answer to each request
    /// that it sent before the response before this one. What waits from that time is no request,
    /// but part of a body in which the next message was looked for, or its answer was lost.
    fn skip_answered(&mut self, cx: &mut Context<'_>) {
        if !self.suspicious || self.pipelined {
            return;
        }
        while self.requests.front().is_some_and(|m| m.done && m.first < self.answered) {
            self.report_unanswered(Incomplete::Gap, cx);
        }
    }

    /// After bytes of the server were lost: the response belongs to the last request that was
    /// sent before it, because a client that does not pipeline has seen the responses to the
    /// others. None is chosen where the client does pipeline, where requests may be missing that were
    /// sent behind that one, and where what is missing was the answer to it.
    fn skip_unanswered(&mut self, first: Timestamp, cx: &mut Context<'_>) {
        let mut before = self.requests.iter().take_while(|m| m.done && m.first <= first);
        let (mut sent, mut followed) = (0_usize, false);
        for request in &mut before {
            sent += 1;
            followed = request.followed;
        }
        let missed = std::mem::take(&mut self.missed) && sent == 1;
        let none = missed || followed || self.pipelined && sent > 1;
        let unanswered = if none { sent } else { sent.saturating_sub(1) };
        for _ in 0..unanswered {
            self.report_unanswered(Incomplete::Gap, cx);
        }
    }

    /// True when the response just begun is the last message of HTTP on the connection.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel
    }

    /// True when a request waits whose answer may end HTTP on the connection.
    pub(super) fn awaits_tunnel(&self) -> bool {
        self.requests.back().is_some_and(|m| {
            m.done
                && m.fate == Fate::Waiting
                && (m.head.facts.upgrade || m.head.at(m.head.method) == b"CONNECT")
        })
    }

    /// The handshake of WebSocket that the response just begun ends.
    pub(super) fn websocket(&self) -> Option<Handshake> {
        let response = self.response.as_deref().filter(|m| m.head.status == 101 && ws::accepts(m))?;
        let request = self.requests.front().filter(|_| self.paired);
        Some(Handshake::new(request.map(AsRef::as_ref), response))
    }

    /// True when a request waits that asks to go on with HTTP/2.
    pub(super) fn awaits_http2(&self) -> bool {
        self.requests.back().is_some_and(|m| asks_http2(m))
    }

    /// Takes out the only request, which is answered after an upgrade to HTTP/2.
    pub(super) fn take_upgraded(&mut self) -> Option<Box<Message>> {
        let [request] = self.requests.make_contiguous() else { return None };
        if !request.done || request.fate != Fate::Waiting || !asks_http2(request) {
            return None;
        }
        let request = self.requests.pop_front()?;
        self.held_bytes = self.held_bytes.saturating_sub(request.memory());
        Some(request)
    }

    /// True at the start of a body that may not come although the head announces it.
    pub(super) fn may_omit_body(&self, role: Role) -> bool {
        match role {
            Role::Client => self.requests.back().is_some_and(|m| {
                let refused = self.response.as_ref().is_some_and(|r| r.head.status >= 300);
                let first = self.requests.len() == 1 && self.paired;
                m.body_size == 0 && m.head.facts.expects && first && refused && !self.interim
            }),
            Role::Server => {
                // The request may have been another one, and of another method.
                let doubtful = !self.paired || self.requests.front().is_some_and(|m| m.found);
                doubtful && self.response.as_ref().is_some_and(|m| m.end == m.start + m.head_size)
            }
        }
    }

    /// The message of `role` that is being read has ended; `whole` when its end was reached.
    pub(super) fn finish(&mut self, role: Role, whole: bool, cx: &mut Context<'_>) {
        match role {
            Role::Client => self.finish_request(whole, cx),
            Role::Server => self.finish_response(whole, cx),
        }
    }

    fn finish_request(&mut self, whole: bool, cx: &mut Context<'_>) {
        let Some(request) = self.requests.back_mut().filter(|m| !m.done) else { return };
        request.whole = whole;
        request.done = true;
        self.held_bytes += request.memory();
        let fate = request.fate;
        let only = self.requests.len() == 1;
        match (fate, self.ended[Role::Server.index()]) {
            (Fate::Waiting, _) if only && self.held => self.report_held(cx),
            (Fate::Waiting, Some(how)) if only => self.report_unanswered(no_response(how), cx),
            (Fate::Waiting, _) => {}
            (Fate::Missed, _) => self.withdraw(Some(Incomplete::Gap), cx),
            (Fate::Refused, _) => {
                self.unqueued = self.unqueued.saturating_add(1);
                self.withdraw(Some(Incomplete::NoResponse), cx);
            }
            (Fate::Reported, _) => self.withdraw(None, cx),
        }
    }

    /// Takes the last request out of the queue, and reports it for that reason.
    fn withdraw(&mut self, why: Option<Incomplete>, cx: &mut Context<'_>) {
        if let Some(request) = self.requests.pop_back() {
            self.held_bytes = self.held_bytes.saturating_sub(request.memory());
            if why.is_some() {
                fields::report(Some(&request), None, why, None, cx);
            }
            request.give_back();
        }
    }

    fn finish_response(&mut self, whole: bool, cx: &mut Context<'_>) {
        let Some(response) = self.response.as_mut() else { return };
        response.whole = whole;
        if !self.paired {
            self.orphans = self.orphans.saturating_add(1);
            self.orphan_time = response.first;
            if let Some(response) = self.response.take() {
                fields::report(None, Some(&response), Some(Incomplete::NoRequest), None, cx);
                response.give_back();
            }
            return;
        }
        self.held = true;
        if self.requests.front().is_some_and(|m| m.done) {
            self.report_held(cx);
        }
    }

    /// Reports the first request with its response.
    fn report_held(&mut self, cx: &mut Context<'_>) {
        self.held = false;
        self.interim = false;
        let (Some(request), Some(response)) = (self.requests.front_mut(), self.response.take()) else {
            return;
        };
        fields::report(Some(request), Some(&response), None, None, cx);
        response.give_back();
        if request.done {
            self.drop_first();
        } else {
            request.fate = Fate::Reported;
        }
    }

    /// Reports the first request without a response.
    fn report_unanswered(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        self.interim = false;
        if let Some(request) = self.requests.front() {
            let why = if request.in_gap { Incomplete::Gap } else { why };
            if request.fate != Fate::Reported {
                fields::report(Some(request), None, Some(why), None, cx);
            }
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some(request) = self.requests.pop_front() {
            if request.done {
                self.held_bytes = self.held_bytes.saturating_sub(request.memory());
            }
            request.give_back();
        }
    }

    /// Bytes of either side were lost.
    pub(super) fn lost_bytes(&mut self) {
        self.suspicious = true;
    }

    /// Bytes of the client were lost, and with them perhaps requests.
    pub(super) fn lost_requests(&mut self) {
        self.suspicious = true;
        self.unseen = true;
        if let Some(request) = self.requests.back_mut() {
            request.followed = true;
        }
    }

    /// What `role` has sent before is not known.
    pub(super) fn joined(&mut self, role: Role) {
        self.unseen |= role == Role::Client;
    }

    /// Bytes of the server were lost, and with them perhaps responses. `at_front`: they begin where a
    /// response begins.
    pub(super) fn lost_responses(&mut self, at_front: bool) {
        self.suspicious = true;
        self.lost = true;
        // Where requests are missing, it was that of the one in front of them.
        let front = self.requests.front();
        let only = self.requests.len() == 1 && !self.pipelined;
        let answer = !self.unseen || front.is_some_and(|request| request.followed);
        self.missed |= (at_front && front.is_some() || only) && answer;
        self.requests.iter_mut().for_each(|m| m.in_gap = true);
    }

    /// The server's stream ended inside the head of a response.
    pub(super) fn response_cut(&mut self, why: Incomplete) {
        if let Some(request) = self.requests.front_mut() {
            request.mark(why);
        }
    }

    /// Nothing more comes from `role`, and its open message has been finished.
    pub(super) fn end(&mut self, role: Role, how: Ending, cx: &mut Context<'_>) {
        self.ended[role.index()].get_or_insert(how);
        let Some(how) = self.ended[Role::Server.index()] else { return };
        let client_ended = self.ended[Role::Client.index()].is_some();
        if self.held {
            // Its request is still being read, and may end.
            if !client_ended {
                return;
            }
            self.report_held(cx);
        }
        while self.requests.front().is_some_and(|m| m.done || client_ended) {
            self.report_unanswered(no_response(how), cx);
        }
    }

    /// True while a message is open.
    pub(super) fn is_busy(&self) -> bool {
        !self.requests.is_empty() || self.response.is_some()
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        let reading = self.requests.back().filter(|m| !m.done).map_or(0, |m| m.memory());
        let response = self.response.as_ref().map_or(0, |m| m.memory());
        let queue = self.requests.capacity() * size_of::<Box<Message>>();
        self.held_bytes + reading + response + queue
    }
}

/// Why a request has no response when the server's stream has ended.
fn no_response(how: Ending) -> Incomplete {
    if how == Ending::Reset { Incomplete::Reset } else { Incomplete::NoResponse }
}

/// True for a request with `Upgrade: h2c` among its wishes (RFC 7540 section 3.2).
fn asks_http2(request: &Message) -> bool {
    request.head.last(b"upgrade").is_some_and(|v| list(v).any(|p| p.eq_ignore_ascii_case(b"h2c")))
}
