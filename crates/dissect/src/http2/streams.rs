//! The open streams of a connection, and when their calls are reported.

use remora_model::{Incomplete, Timestamp};

use super::frame;
use super::stream::{Place, Stream};
use crate::grpc::Framer;
use crate::http::message::Message;
use crate::{Context, Ending, Problem, Role};

/// Streams remembered as closed although frames of them may still come.
const RECENT: usize = 32;
/// Buffers of closed streams that are kept for new ones.
const SPARE: usize = 16;

/// The open streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By ascending identifier.
    open: Vec<Stream>,
    /// The lowest and the highest stream that the client is known to have opened: all that it
    /// opened between them were seen. Identifiers only ascend (RFC 9113 section 5.1.1).
    watched: Option<(u32, u32)>,
    /// Some frames of that side were never seen.
    holes: [bool; 2],
    /// Streams closed lately.
    recent: [u32; RECENT],
    next_recent: usize,
    /// Streams whose response has ended while the request was not seen.
    orphans: usize,
    /// Streams with lost frames.
    damaged: usize,
    /// The error of the last GOAWAY.
    goaway: Option<u32>,
    ended: [Option<Ending>; 2],
    spare: Vec<[Framer; 2]>,
    /// Memory of the open streams.
    held: usize,
}

/// Why a message that ended early is not whole.
fn early(how: Ending) -> Incomplete {
    if how == Ending::Reset { Incomplete::Reset } else { Incomplete::Truncated }
}

/// Why a request has no response when nothing more comes.
fn no_response(how: Ending) -> Incomplete {
    if how == Ending::Reset { Incomplete::Reset } else { Incomplete::NoResponse }
}

impl Streams {
    /// After an upgrade from HTTP/1: its request is the one on stream 1.
    pub(super) fn upgraded(&mut self, request: Box<Message>, cx: &mut Context<'_>) {
        self.insert(0, 1, cx);
        self.watched = Some((1, self.watched.map_or(1, |(_, high)| high)));
        self.with(1, |s| {
            let half = s.half_mut(Role::Client);
            half.message = Some(request);
            half.done = true;
        });
    }

    fn index(&self, id: u32) -> Result<usize, usize> {
        // Nearly always it is the newest or one of few.
        self.open.binary_search_by_key(&id, |s| s.id)
    }

    /// The open stream with that identifier.
    pub(super) fn get(&self, id: u32) -> Option<&Stream> {
        self.index(id).ok().and_then(|i| self.open.get(i))
    }

    /// Works on an open stream, and counts what it holds afterwards.
    fn with<R>(&mut self, id: u32, f: impl FnOnce(&mut Stream) -> R) -> Option<R> {
        let i = self.index(id).ok()?;
        let stream = self.open.get_mut(i)?;
        let before = stream.memory();
        let result = f(stream);
        self.held = (self.held + stream.memory()).saturating_sub(before);
        Some(result)
    }

    /// The stream that a frame of `role` belongs to, opened if need be. False when it was closed
    /// before, or was never opened.
    fn open(&mut self, role: Role, id: u32, headers: bool, cx: &mut Context<'_>) -> bool {
        let Err(i) = self.index(id) else { return true };
        let seen = self.watched.is_some_and(|(low, high)| (low..=high).contains(&id));
        let by_client = id % 2 == 1;
        let may_begin = match role {
            // A stream that the client opens: not one that was seen to be opened, and closed.
            Role::Client => by_client && !seen && (headers || self.holes[0]),
            Role::Server if by_client => !seen && (headers || self.holes[1]),
            // A promise that was not seen.
            Role::Server => self.holes[1],
        };
        if !may_begin || self.recent.contains(&id) {
            return false;
        }
        self.insert(i, id, cx);
        true
    }

    fn insert(&mut self, mut i: usize, id: u32, cx: &mut Context<'_>) {
        if self.open.len() >= cx.limits.pending.max(1) {
            // One that may have ended unseen, else the one that was opened first.
            let lost = |s: &Stream| s.half(Role::Client).lost || s.half(Role::Server).lost;
            let victim = self.open.iter().position(lost).unwrap_or(0);
            cx.problem(Problem::TooManyPending, 0);
            self.close(victim, Some(Incomplete::NoResponse), cx);
            i = self.index(id).unwrap_or_else(|i| i);
        }
        let framers = self.spare.pop().unwrap_or_default();
        self.open.insert(i, Stream::new(id, framers));
    }

    /// Takes a stream out and reports it.
    fn close(&mut self, i: usize, why: Option<Incomplete>, cx: &mut Context<'_>) {
        if i >= self.open.len() {
            return;
        }
        let mut stream = self.open.remove(i);
        if !stream.half(Role::Server).message.as_ref().is_some_and(|m| m.whole) {
            stream.error = stream.error.or(self.goaway.filter(|code| *code != frame::NO_ERROR));
        }
        self.held = self.held.saturating_sub(stream.memory());
        for role in [Role::Client, Role::Server] {
            stream.cut(
                role,
                if why == Some(Incomplete::Reset) { Incomplete::Reset } else { Incomplete::Truncated },
            );
        }
        let how = if why == Some(Incomplete::Reset) { Ending::Reset } else { Ending::Closed };
        if !stream.end_socket(how, cx) {
            stream.report(why, cx);
        }
        if let Some(slot) = self.recent.get_mut(self.next_recent) {
            *slot = stream.id;
            self.next_recent = (self.next_recent + 1) % RECENT;
        }
        let framers = stream.give_back();
        if self.spare.len() < SPARE {
            self.spare.push(framers);
        }
    }

    /// A header block of `role` on `id` has come: its fields are in `message`, of which `unknown`
    /// are not known in full.
    pub(super) fn headers(
        &mut self,
        role: Role,
        id: u32,
        message: Box<Message>,
        unknown: u32,
        place: &Place,
        cx: &mut Context<'_>,
    ) {
        let interim = role == Role::Server && matches!(message.head.status, 100..=199);
        if interim || !self.open(role, id, true, cx) {
            return message.give_back();
        }
        if role == Role::Client {
            let (low, high) = self.watched.unwrap_or((id, id));
            self.watched = Some((low, high.max(id)));
        }
        self.with(id, |s| {
            s.unknown += unknown;
            s.headers(role, message, place, cx.limits);
            if role == Role::Server {
                s.begin_socket(cx);
            }
        });
        if role == Role::Client && self.orphans > 0 {
            // Requests come in the order of their streams: those of lower ones will not.
            self.report_orphans(|s| s.id < id, cx);
        }
    }

    /// A server promises a response on `id` to the request in `message`.
    pub(super) fn promise(
        &mut self,
        id: u32,
        message: Box<Message>,
        unknown: u32,
        place: &Place,
        cx: &mut Context<'_>,
    ) {
        match self.index(id) {
            Err(i) if id.is_multiple_of(2) && !self.recent.contains(&id) => self.insert(i, id, cx),
            _ => return message.give_back(),
        }
        self.with(id, |s| {
            s.pushed = true;
            s.unknown = unknown;
            s.headers(Role::Client, message, place, cx.limits);
            s.end(Role::Client, true);
        });
    }

    /// A header block of `role` on `id` that could not be read.
    pub(super) fn unreadable(&mut self, role: Role, id: u32, place: &Place, cx: &mut Context<'_>) {
        if self.open(role, id, true, cx) {
            if role == Role::Client {
                let (low, high) = self.watched.unwrap_or((id, id));
                self.watched = Some((low, high.max(id)));
            }
            self.with(id, |s| {
                s.half_mut(role).lost = true;
                s.data(role, place);
                s.lose(role, cx);
            });
        }
    }

    /// A DATA frame of `role` begins.
    pub(super) fn data(&mut self, role: Role, id: u32, place: &Place, cx: &mut Context<'_>) {
        if self.open(role, id, false, cx) {
            self.with(id, |s| s.data(role, place));
        }
    }

    /// Bytes of the DATA frame being read, from `at` of those shown: `content`, then `padding`.
    pub(super) fn content(
        &mut self,
        role: Role,
        id: u32,
        content: &[u8],
        at: usize,
        padding: u64,
        cx: &mut Context<'_>,
    ) {
        let last = cx.time_at((at + content.len() + padding as usize).saturating_sub(1));
        self.with(id, |s| {
            s.content(role, content, at, cx);
            s.grow(role, content.len() as u64 + padding, last);
        });
    }

    /// The same for bytes that were not shown, of which `missing` were never captured.
    pub(super) fn pass(
        &mut self,
        role: Role,
        id: u32,
        content: u64,
        padding: u64,
        missing: u64,
        cx: &mut Context<'_>,
    ) {
        let last = cx.time_at(0);
        self.with(id, |s| {
            s.pass(role, content, missing, cx);
            s.grow(role, content + padding, last);
        });
    }

    /// `role` has ended its side of the stream.
    pub(super) fn end_stream(&mut self, role: Role, id: u32, cx: &mut Context<'_>) {
        if self.with(id, |s| s.end(role, true)).is_some() {
            self.settle(id, cx);
        }
    }

    /// Reports a stream if nothing more of it is to come.
    fn settle(&mut self, id: u32, cx: &mut Context<'_>) {
        let Ok(i) = self.index(id) else { return };
        let Some(stream) = self.open.get(i) else { return };
        let (request, response) = (stream.half(Role::Client), stream.half(Role::Server));
        match (request.done, response.done) {
            (true, true) => self.close(i, None, cx),
            (true, false) => {
                if let Some(how) = self.ended[Role::Server.index()] {
                    self.close(i, Some(no_response(how)), cx);
                }
            }
            (false, true) if request.message.is_some() => {
                let over = request.lost || self.ended[Role::Client.index()].is_some();
                if over {
                    self.close(i, None, cx);
                }
            }
            (false, true) => {
                let passed = self.watched.is_some_and(|(_, high)| id < high);
                if id.is_multiple_of(2) || passed || self.ended[Role::Client.index()].is_some() {
                    self.close(i, Some(Incomplete::NoRequest), cx);
                } else {
                    self.orphans += 1;
                }
            }
            (false, false) => {}
        }
    }

    /// Reports responses whose requests were not seen.
    fn report_orphans(&mut self, which: impl Fn(&Stream) -> bool, cx: &mut Context<'_>) {
        let is_orphan = |s: &Stream| s.is_done(Role::Server) && !s.has(Role::Client);
        let mut i = 0;
        while let Some(stream) = self.open.get(i) {
            if is_orphan(stream) && which(stream) {
                self.close(i, Some(Incomplete::NoRequest), cx);
            } else {
                i += 1;
            }
        }
        self.orphans = self.open.iter().filter(|s| is_orphan(s)).count();
    }

    /// `role` resets a stream.
    pub(super) fn reset(&mut self, role: Role, id: u32, code: u32, cx: &mut Context<'_>) {
        let Ok(i) = self.index(id) else { return };
        let Some(stream) = self.open.get_mut(i) else { return };
        // A server that has answered asks the client so to stop sending (RFC 9113 section 8.1).
        let stop = role == Role::Server && code == frame::NO_ERROR && stream.is_done(Role::Server);
        if stop {
            if let Some(request) = stream.half_mut(Role::Client).message.as_mut() {
                request.cut = true;
            }
            stream.end(Role::Client, false);
            return self.close(i, None, cx);
        }
        // A client that has counted all of the answer does not wait for its formal end: curl before 8 resets
        // then.
        if role == Role::Client && stream.is_done(Role::Client) && stream.is_answered() {
            stream.end(Role::Server, true);
            return self.close(i, None, cx);
        }
        stream.error = Some(code);
        self.close(i, Some(Incomplete::Reset), cx);
    }

    /// `role` will not look at streams of the other side above `last`.
    pub(super) fn go_away(&mut self, role: Role, last: u32, code: u32, cx: &mut Context<'_>) {
        self.goaway = Some(code);
        let theirs = u32::from(role == Role::Server);
        let mut i = 0;
        while let Some(stream) = self.open.get_mut(i) {
            if stream.id > last && stream.id % 2 == theirs && !stream.has(Role::Server) {
                stream.error = Some(code);
                self.close(i, Some(Incomplete::NoResponse), cx);
            } else {
                i += 1;
            }
        }
    }

    /// Frames of `role` were lost, of any stream. `joined`: they were sent before the capture.
    pub(super) fn lose(&mut self, role: Role, joined: bool, cx: &mut Context<'_>) {
        self.holes[role.index()] = true;
        if role == Role::Client {
            self.watched = None;
        }
        if !joined {
            self.open.iter_mut().for_each(|s| s.lose(role, cx));
            self.damaged = self.open.len();
        }
    }

    /// Time has passed: reports what waits for something that was lost.
    /// True while [`tick`](Self::tick) may close something.
    pub(super) fn awaits_time(&self) -> bool {
        self.orphans > 0 || self.damaged > 0
    }

    pub(super) fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        if self.orphans == 0 && self.damaged == 0 {
            return;
        }
        let wait = cx.limits.response_wait;
        let old = |s: &Stream| s.newest.plus(wait) < now;
        self.report_orphans(old, cx);
        let damaged = |s: &Stream| s.half(Role::Client).lost || s.half(Role::Server).lost;
        let mut i = 0;
        while let Some(stream) = self.open.get(i) {
            if damaged(stream) && old(stream) {
                self.close(i, Some(Incomplete::Gap), cx);
            } else {
                i += 1;
            }
        }
        self.damaged = self.open.iter().filter(|s| damaged(s)).count();
    }

    /// Nothing more comes from `role`.
    pub(super) fn end(&mut self, role: Role, how: Ending, cx: &mut Context<'_>) {
        self.ended[role.index()].get_or_insert(how);
        let client_ended = self.ended[Role::Client.index()].is_some();
        let server = self.ended[Role::Server.index()];
        let mut i = 0;
        while let Some(stream) = self.open.get_mut(i) {
            stream.cut(role, early(how));
            let over = match server {
                // Its request may still end, or come at all.
                Some(_) => client_ended || stream.is_done(Role::Client),
                None => false,
            };
            let whole = |role| stream.half(role).message.as_ref().is_some_and(|m| m.whole);
            let is_whole = whole(Role::Client) && whole(Role::Server);
            if over && let Some(server) = server {
                self.close(i, (!is_whole).then(|| no_response(server)), cx);
            } else {
                i += 1;
            }
        }
        if client_ended && server.is_some() {
            self.orphans = 0;
            self.damaged = 0;
        }
    }

    /// True while a stream is open.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.held
            + self.open.capacity() * size_of::<Stream>()
            + self.spare.capacity() * size_of::<[Framer; 2]>()
    }
}
