//! HTTP/2 (RFC 9113), read passively from both directions: prior knowledge, after an upgrade from
//! HTTP/1 (h2c), and as the plaintext of TLS.
//!
//! Frames ([`frame`]) are followed one by one; header blocks are decoded ([`hpack`]) and content
//! is kept up to the payload limit. Each stream makes a call ([`stream`], [`streams`]), which is
//! reported as HTTP/1's are, or as one of gRPC where its content type says so ([`crate::grpc`]).
//!
//! A connection that is joined in the middle, or lost bytes, is read from the next place where
//! frames leave no doubt ([`sync`]). Header fields that refer to what was missed are marked with a
//! question mark, until the sender has added what it refers to again.

mod blocks;
mod direction;
mod frame;
mod hpack;
mod read;
mod stream;
mod streams;
mod sync;

use remora_model::{Protocol, Timestamp, Transport};

use self::direction::{Direction, State};
pub(crate) use self::frame::PREFACE;
use self::streams::Streams;
use crate::detect::Entry;
use crate::http::message::Message;
use crate::{Context, Dissector, Ending, Problem, Role, Taken};

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Http,
    transports: &[Transport::Tcp],
    ports: &[50051],
    probe: |bytes, _| sync::probe(bytes),
    resync: |bytes, role| Some(sync::enter(role, bytes)),
    start: |_, _| Box::new(Http2::default()),
};

/// What `http_version` says.
const VERSION: &[u8] = b"HTTP/2";

/// The dissector of one connection.
#[derive(Debug, Default)]
pub(crate) struct Http2 {
    directions: [Direction; 2],
    streams: Streams,
}

impl Http2 {
    /// After an upgrade from HTTP/1: `request` is the one on stream 1 (RFC 7540 section 3.2).
    pub(crate) fn upgrade(&mut self, request: Box<Message>, cx: &mut Context<'_>) {
        self.streams.upgraded(request, cx);
    }

    /// The stream of `role` begins at that offset, where HTTP/1 has ended.
    pub(crate) fn enter(&mut self, role: Role, pos: u64) {
        self.direction(role).pos = pos;
    }

    fn direction(&mut self, role: Role) -> &mut Direction {
        &mut self.directions[role.index()]
    }

    /// Where the next frame begins has to be found.
    fn lose(&mut self, role: Role, why: Problem, passed: u64, joined: bool, cx: &mut Context<'_>) {
        let direction = self.direction(role);
        direction.state = State::Lost(why, passed);
        direction.decoder.forget();
        direction.block.clear();
        self.streams.lose(role, joined, cx);
    }

    /// Reads on in `bytes` from `at`. What [`Dissector::data`] does, for a caller that has used
    /// the front of the bytes itself.
    pub(crate) fn read(&mut self, role: Role, bytes: &[u8], mut at: usize, cx: &mut Context<'_>) -> Taken {
        let direction = self.direction(role);
        direction.skip = None;
        direction.half = false;
        while self.step(role, bytes, &mut at, cx) {}
        let direction = &mut self.directions[role.index()];
        direction.pos = cx.pos + at as u64;
        let unwanted = match &direction.state {
            _ if at < bytes.len() => 0,
            State::Pass(left) => *left,
            State::Data(data) if !data.padded => {
                let content = data.left - data.padding;
                let wanted = self
                    .streams
                    .get(data.stream)
                    .map_or(0, |s| content - s.unwanted(role, content, cx).min(content));
                if wanted == 0 { data.left } else { content - wanted }
            }
            _ => 0,
        };
        if unwanted == 0 {
            return Taken::Bytes(at);
        }
        direction.skip = Some(unwanted);
        Taken::AndSkip(unwanted)
    }
}

impl Dissector for Http2 {
    fn data(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Taken {
        self.read(role, bytes, 0, cx)
    }

    fn gap(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let direction = self.direction(role);
        // What was shown and not taken is lost with the gap.
        let lost = cx.pos.saturating_add(len).saturating_sub(direction.pos).max(len);
        direction.pos = direction.pos.saturating_add(lost);
        direction.half = false;
        self.pass(role, lost, lost, cx);
    }

    fn in_sync(&self, _: Role) -> bool {
        // It looks for the next frame itself, as it must behind malformed bytes.
        true
    }

    fn skipped(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        let direction = self.direction(role);
        if let Some(n) = direction.skip.take() {
            direction.pos = direction.pos.saturating_add(n);
            self.pass(role, n, missing.min(n), cx);
        }
    }

    fn end(&mut self, role: Role, rest: &[u8], how: Ending, cx: &mut Context<'_>) {
        let direction = self.direction(role);
        let seen = cx.pos.saturating_sub(direction.pos);
        if let Some(asked) = direction.skip.take() {
            self.pass(role, seen.min(asked), 0, cx);
        }
        match self.direction(role).state {
            State::Lost(why, passed) => {
                let passed = passed.saturating_add(rest.len() as u64);
                if passed > 0 {
                    cx.problem(why, passed);
                }
            }
            _ if !rest.is_empty() => cx.problem(Problem::Malformed, rest.len() as u64),
            _ => {}
        }
        let direction = self.direction(role);
        direction.half = false;
        direction.block.clear();
        direction.state = State::Frame;
        self.streams.end(role, how, cx);
    }

    fn tick(&mut self, now: Timestamp, cx: &mut Context<'_>) {
        self.streams.tick(now, cx);
    }

    fn awaits_time(&self) -> bool {
        self.streams.awaits_time()
    }

    fn is_busy(&self) -> bool {
        self.streams.is_busy() || self.directions.iter().any(|d| d.half || d.block.stream != 0)
    }

    fn memory(&self) -> usize {
        let directions: usize =
            self.directions.iter().map(|d| d.decoder.memory() + d.block.bytes.capacity()).sum();
        size_of::<Self>() + directions + self.streams.memory()
    }
}
