//! One stream: a request and its response.

use remora_model::{Incomplete, Timestamp};

use super::frame;
use crate::grpc::{Follower, Format, Framer};
use crate::http::facts::Length;
use crate::http::fields::{self, Extra};
use crate::http::message::Message;
use crate::ws::{Handshake, Socket};
use crate::{Context, Ending, Limits, Role};

/// What one side sends on a stream.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// What was seen of it.
    pub(super) message: Option<Box<Message>>,
    /// Nothing more comes of it.
    pub(super) done: bool,
    /// Frames of it may have been lost.
    pub(super) lost: bool,
    /// Messages are being followed: the content is, or may be, of gRPC.
    framed: bool,
    /// Content came before it was known whether to follow messages.
    unframed: bool,
}

/// One stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) id: u32,
    halves: [Half; 2],
    framers: [Framer; 2],
    /// Reads the server's descriptors, in a call of reflection.
    follower: Option<Box<Follower>>,
    /// The request was promised by the server.
    pub(super) pushed: bool,
    /// The error that ended it.
    pub(super) error: Option<u32>,
    /// Header fields that are not known in full.
    pub(super) unknown: u32,
    /// When the newest frame of it arrived.
    pub(super) newest: Timestamp,
    /// It carries WebSocket (RFC 8441); then its own call has been reported.
    socket: Option<Box<Socket>>,
}

/// Where and when a frame was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Stream offset of its first byte.
    pub(super) start: u64,
    /// Bytes on the wire, of several frames where a header block needs them.
    pub(super) bytes: u64,
    /// Bytes of header block.
    pub(super) block: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// True for a request for WebSocket (RFC 8441 section 4).
fn asks_for_socket(request: &Message) -> bool {
    request.head.at(request.head.method) == b"CONNECT"
        && request.head.last(b":protocol").is_some_and(|p| p.eq_ignore_ascii_case(b"websocket"))
}

impl Stream {
    pub(super) fn new(id: u32, framers: [Framer; 2]) -> Self {
        Self { id, framers, ..Self::default() }
    }

    pub(super) fn half(&self, role: Role) -> &Half {
        &self.halves[role.index()]
    }

    pub(super) fn half_mut(&mut self, role: Role) -> &mut Half {
        &mut self.halves[role.index()]
    }

    /// True when `role` has begun its message.
    pub(super) fn has(&self, role: Role) -> bool {
        self.half(role).message.is_some()
    }

    pub(super) fn is_done(&self, role: Role) -> bool {
        self.half(role).done
    }

    /// All of the answer has come, by the length that it has told.
    pub(super) fn is_answered(&self) -> bool {
        let whole = |m: &Message| {
            m.incomplete.is_none() && matches!(m.head.facts.length, Length::Is(len) if len == m.body_size)
        };
        self.half(Role::Server).message.as_deref().is_some_and(whole)
    }

    /// The message of `role`, which begins at `place` if it has not begun yet. One that begins
    /// without its headers is not whole.
    fn message(&mut self, role: Role, place: &Place) -> &mut Message {
        self.half_mut(role).message.get_or_insert_with(|| {
            let mut message = Message::take();
            message.start = place.start;
            message.end = place.start;
            message.first = place.first;
            message.head.seal(super::VERSION);
            message.mark(Incomplete::Gap);
            message
        })
    }

    /// Headers, as `message`, or trailers of `role` have come.
    pub(super) fn headers(&mut self, role: Role, mut message: Box<Message>, place: &Place, limits: &Limits) {
        self.newest = place.last;
        if self.has(role) || !message.head.is_initial(role) {
            let to = self.message(role, place);
            for (name, value) in message.head.fields().iter() {
                to.head.push(name, value, usize::MAX);
            }
            to.end += place.bytes;
            to.head_size += place.block;
            to.last = place.last;
            message.give_back();
        } else {
            message.start = place.start;
            message.end = place.start + place.bytes;
            message.head_size = place.block;
            message.first = place.first;
            message.last = place.last;
            message.judge_body(limits);
            if role == Role::Client {
                self.follower = Follower::of(message.head.at(message.head.target));
            }
            self.half_mut(role).message = Some(message);
        }
        self.judge_framing(role);
    }

    /// Decides whether the content of `role` is to be followed message by message.
    fn judge_framing(&mut self, role: Role) {
        let format = |half: &Half| {
            let head = half.message.as_ref().map(|m| &m.head)?;
            let value = head.at(head.facts.content_type);
            (!value.is_empty()).then(|| Format::of(value).is_some_and(Format::is_framed))
        };
        let own = format(self.half(role));
        let framed = own.or(format(self.half(role.other())));
        // Where no content type is known it may have been among what was not seen.
        let framed = framed.unwrap_or(self.unknown > 0 || self.half(role).lost);
        self.half_mut(role).framed = framed;
    }

    /// True for a request for WebSocket of which the answer was not seen: what follows is no body.
    fn awaits_socket(&self) -> bool {
        self.socket.is_none()
            && !self.has(Role::Server)
            && self.half(Role::Client).message.as_deref().is_some_and(asks_for_socket)
    }

    /// A DATA frame of `role` begins: `place` is its front.
    pub(super) fn data(&mut self, role: Role, place: &Place) {
        if self.awaits_socket() {
            self.half_mut(Role::Server).lost = true;
            self.newest = place.last;
            return;
        }
        if !self.has(role) {
            self.half_mut(role).lost = true;
            // It may begin in the middle of a message of gRPC.
            self.framers[role.index()].lose();
            self.message(role, place);
        }
        let message = self.message(role, place);
        message.end += place.bytes;
        message.last = place.last;
        self.newest = place.last;
    }

    /// The response has begun: where it accepts WebSocket the call is reported, and what follows
    /// are frames (RFC 8441 section 5).
    pub(super) fn begin_socket(&mut self, cx: &mut Context<'_>) {
        let [Some(request), Some(response)] =
            [Role::Client, Role::Server].map(|r| self.half(r).message.as_deref())
        else {
            return;
        };
        let asks = asks_for_socket(request);
        if self.socket.is_some() || !asks || !(200..300).contains(&response.head.status) {
            return;
        }
        let handshake = Handshake::new(Some(request), response);
        for message in self.halves.iter_mut().filter_map(|h| h.message.as_mut()) {
            message.whole = true;
        }
        self.report(None, cx);
        self.socket = Some(Socket::new(handshake, false));
    }

    /// The stream is over: ends what it carries. False when it carries nothing, and its own call
    /// is to be reported.
    pub(super) fn end_socket(&mut self, how: Ending, cx: &mut Context<'_>) -> bool {
        let Some(mut socket) = self.socket.take() else { return false };
        for role in [Role::Client, Role::Server] {
            socket.end(role, 0, how, cx);
        }
        true
    }

    /// Content of `role`: the payload of DATA without padding, which begins at `at` of the shown
    /// bytes.
    pub(super) fn content(&mut self, role: Role, bytes: &[u8], at: usize, cx: &mut Context<'_>) {
        if let Some(socket) = &mut self.socket {
            socket.read(role, bytes, at, cx);
            return;
        }
        if self.awaits_socket() {
            return;
        }
        let limits = cx.limits;
        if role == Role::Server
            && let Some(follower) = self.follower.as_mut()
        {
            let head = self.halves[role.index()].message.as_ref().map(|m| &m.head);
            let coding = head.and_then(|head| head.last(b"grpc-encoding")).unwrap_or_default();
            follower.push(bytes, coding, cx.server, limits, |p, n| cx.sink.problem(p, n));
        }
        let half = &mut self.halves[role.index()];
        if let Some(message) = half.message.as_mut() {
            message.push_body(bytes, limits);
        }
        let framer = &mut self.framers[role.index()];
        if half.framed {
            framer.push(bytes);
        } else {
            half.unframed |= !bytes.is_empty();
        }
    }

    /// Content of `role` that is not shown; `missing` of it was never captured.
    pub(super) fn pass(&mut self, role: Role, len: u64, missing: u64, cx: &mut Context<'_>) {
        if let Some(socket) = &mut self.socket {
            return socket.pass(role, len, missing, cx);
        }
        if self.awaits_socket() {
            return;
        }
        if len > 0 {
            self.unfollow(role);
        }
        let half = &mut self.halves[role.index()];
        if let Some(message) = half.message.as_mut() {
            message.pass_body(len);
            if missing > 0 {
                message.mark(Incomplete::Gap);
            }
        }
        self.framers[role.index()].pass(len);
    }

    /// Content of `role` is not shown.
    fn unfollow(&mut self, role: Role) {
        if role == Role::Server
            && let Some(follower) = self.follower.as_mut()
        {
            follower.lose();
        }
    }

    /// How much of `len` bytes of content of `role` need not be shown.
    pub(super) fn unwanted(&self, role: Role, len: u64, cx: &Context<'_>) -> u64 {
        if let Some(socket) = &self.socket {
            return socket.unwanted(role, cx).min(len);
        }
        let half = self.half(role);
        if role == Role::Server && self.follower.as_ref().is_some_and(|f| f.is_following()) {
            return 0;
        }
        if !half.message.as_ref().is_some_and(|m| m.is_full(cx.limits)) {
            return 0;
        }
        if half.framed { len.min(self.framers[role.index()].unwanted()) } else { len }
    }

    /// More bytes of the frame being read belong to the message of `role`.
    pub(super) fn grow(&mut self, role: Role, bytes: u64, last: Timestamp) {
        if self.awaits_socket() {
            self.newest = last;
            return;
        }
        if let Some(message) = self.half_mut(role).message.as_mut() {
            message.end += bytes;
            message.last = last;
        }
        self.newest = last;
    }

    /// The message of `role` has ended, at its end if `whole`.
    pub(super) fn end(&mut self, role: Role, whole: bool) {
        let half = self.half_mut(role);
        half.done = true;
        if let Some(message) = half.message.as_mut() {
            message.whole = whole;
        }
    }

    /// Frames of `role` were lost.
    pub(super) fn lose(&mut self, role: Role, cx: &mut Context<'_>) {
        let half = &mut self.halves[role.index()];
        if half.done {
            return;
        }
        half.lost = true;
        if let Some(socket) = &mut self.socket {
            // What follows of it may begin anywhere in a frame.
            return socket.pass(role, u64::MAX, u64::MAX, cx);
        }
        self.unfollow(role);
        self.framers[role.index()].lose();
        if let Some(message) = self.half_mut(role).message.as_mut() {
            message.cut = true;
            message.mark(Incomplete::Gap);
        }
    }

    /// Ends what has not ended, for that reason.
    pub(super) fn cut(&mut self, role: Role, why: Incomplete) {
        if self.is_done(role) {
            return;
        }
        // Its formal end was not waited for.
        if role == Role::Server && self.is_answered() {
            return self.end(role, true);
        }
        let half = self.half_mut(role);
        half.done = true;
        if let Some(message) = half.message.as_mut() {
            message.cut = true;
            message.mark(why);
        }
    }

    /// Reports the call. `why` says why it is not whole, if its messages do not.
    pub(super) fn report(&mut self, why: Option<Incomplete>, cx: &mut Context<'_>) {
        let [request, response] = &mut self.halves;
        for (half, framer) in [&mut *request, &mut *response].into_iter().zip(&mut self.framers) {
            if half.unframed {
                framer.lose();
            }
            // Without what names the call it is not whole.
            if self.unknown > 0
                && let Some(message) = half.message.as_mut()
                && message.head.status == 0
                && message.head.at(message.head.target).is_empty()
                && message.head.at(message.head.method) != b"CONNECT"
            {
                message.mark(Incomplete::Gap);
            }
        }
        let lost = request.lost && request.message.is_none() || response.lost && response.message.is_none();
        let why = match (&request.message, &response.message) {
            (None, Some(_)) => Some(Incomplete::NoRequest),
            _ if lost => Some(Incomplete::Gap),
            _ => why,
        };
        let extra = Extra {
            stream: self.id,
            error: self.error.map(frame::error_name),
            failed: self.error.is_some_and(|e| !matches!(e, frame::NO_ERROR | frame::CANCEL)),
            pushed: self.pushed,
            unknown: self.unknown,
            framers: &self.framers,
        };
        fields::report(request.message.as_deref(), response.message.as_deref(), why, Some(&extra), cx);
    }

    /// Gives the buffers back, and those that a new stream may use.
    pub(super) fn give_back(self) -> [Framer; 2] {
        for message in self.halves.into_iter().filter_map(|h| h.message) {
            message.give_back();
        }
        let mut framers = self.framers;
        framers.iter_mut().for_each(Framer::clear);
        framers
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        let messages: usize = self.halves.iter().filter_map(|h| h.message.as_ref()).map(|m| m.memory()).sum();
        let follower = self.follower.as_ref().map_or(0, |f| f.memory());
        let socket = self.socket.as_ref().map_or(0, |s| s.memory());
        messages + follower + socket + self.framers.iter().map(Framer::memory).sum::<usize>()
    }
}
