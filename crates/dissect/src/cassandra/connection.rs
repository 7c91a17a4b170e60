//! Requests and responses of one connection, and their pairing.

use std::collections::VecDeque;

use remora_model::Incomplete;

use super::frames::{self, Frame};
use super::message::Message;
use super::wire::{self, HEADER, Header, flag};
use super::{detect, report};
use crate::compression::Damaged;
use crate::sql::statements::{Held, Statements};
use crate::{Context, Problem, Role, seen::Seen};

/// Spent requests whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 16;
const SPARE_BYTES: usize = 8 << 10;

/// Buffers that have grown beyond this are given back.
pub(super) const KEEP_BYTES: usize = 32 << 10;

/// Bytes shown of a request while those that wait hold more than a flow may.
pub(super) const LITTLE: usize = 256;

/// Bytes of a body that are looked at beyond the payload limit: columns stand in front of rows.
const BEYOND: usize = 16 << 10;

/// Prepared statements that are remembered.
pub(super) const MAX_PREPARED: usize = 1 << 10;

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 512;

/// What is known of a prepared statement.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) text: Vec<u8>,
    /// Columns of its parameters and of its result, as they were sent.
    pub(super) bound: Vec<u8>,
    pub(super) result: Vec<u8>,
}

impl Held for Prepared {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.bound.capacity() + self.result.capacity()
    }
}

/// A request that waits for its response.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) message: Message,
    /// The connection's keyspace when it was sent.
    pub(super) keyspace: Vec<u8>,
    /// Compression had been agreed.
    pub(super) compresses: bool,
    /// Bytes of the server were missing since, or of the client: another request may have taken its
    /// stream id if both were.
    pub(super) missed: [bool; 2],
}

impl Request {
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>() + self.message.memory() + self.keyspace.capacity()
    }
}

/// How a side's messages are carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Carried {
    /// As they are.
    #[default]
    Plain,
    /// In frames of version 5, compressed or not.
    Frames(bool),
}

/// Reading the messages of one side.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) carried: Carried,
    /// The message that was read as far as it is of interest; where it ends in the stream.
    pub(super) open: Option<u64>,
    pub(super) message: Message,
    /// A message that lies in several frames: what is kept of it, and the bytes that are to come.
    pub(super) large: Vec<u8>,
    pub(super) large_left: u64,
    pub(super) large_seen: Seen,
    pub(super) lost: bool,
}

/// The dissector of one connection.
pub(super) struct Cassandra {
    pub(super) sides: [Side; 2],
    pub(super) pending: VecDeque<Box<Request>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    pub(super) spare: Vec<Box<Request>>,
    /// Memory of `pending`, and of `spare`.
    pub(super) held: usize,
    pub(super) spare_held: usize,
    pub(super) prepared: Statements<Prepared>,
    /// What the client asked for in STARTUP.
    pub(super) compression: Vec<u8>,
    pub(super) keyspace: Vec<u8>,
    /// A decompressed body or frame.
    pub(super) plain: Vec<u8>,
    pub(super) server_ended: bool,
}

/// How far a side could be read.
pub(super) enum Progress {
    To(usize),
    More,
    /// To the end of what is shown, and so many bytes are of no interest.
    Skip(u64),
    Fault,
}

impl Cassandra {
    pub(super) fn new() -> Self {
        Self {
            sides: Default::default(),
            pending: VecDeque::new(),
            spare: Vec::new(),
            held: 0,
            spare_held: 0,
            prepared: Statements::new(),
            compression: Vec::new(),
            keyspace: Vec::new(),
            plain: Vec::new(),
            server_ended: false,
        }
    }

    pub(super) fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    pub(super) fn is_lost(&self, role: Role) -> bool {
        self.sides[role.index()].lost
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.sides.iter().any(|s| s.open.is_some() || s.large_left > 0)
    }

    pub(super) fn held(&self) -> usize {
        let sides = self.sides.iter().map(|s| s.message.memory() + s.large.capacity()).sum::<usize>();
        let buffers = self.compression.capacity() + self.keyspace.capacity() + self.plain.capacity();
        size_of::<Self>() + sides + buffers + self.held + self.spare_held + self.prepared.memory()
    }

    /// Reads a message or frame that begins at `at` of the bytes shown.
    pub(super) fn step(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Progress {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.is_empty() {
            return Progress::More;
        }
        match self.side(role).carried {
            Carried::Plain => match wire::header(rest, role) {
                None => Progress::More,
                Some(Some(header)) => self.envelope(role, header, at, bytes, cx),
                Some(None) => match detect::frame(rest) {
                    None => Progress::More,
                    Some(None) => Progress::Fault,
                    Some(Some(compressed)) => {
                        self.side(role).carried = Carried::Frames(compressed);
                        Progress::To(at)
                    }
                },
            },
            Carried::Frames(compressed) => match frames::header(rest, compressed) {
                None => Progress::More,
                Some(Some(frame)) if rest.len() < frame.size() => Progress::More,
                Some(Some(frame)) => {
                    self.frame(role, &frame, at, rest, cx);
                    Progress::To(at + frame.size())
                }
                Some(None) if matches!(wire::header(rest, role), Some(Some(_))) => {
                    self.side(role).carried = Carried::Plain;
                    Progress::To(at)
                }
                Some(None) => Progress::Fault,
            },
        }
    }

    /// A message that is not in a frame.
    fn envelope(
        &mut self,
        role: Role,
        header: Header,
        at: usize,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Progress {
        let len = header.len as usize;
        let body = bytes.get(at + HEADER..).unwrap_or_default();
        let limit = cx.limits.message_bytes.saturating_sub(HEADER);
        let compressed = header.flags & flag::COMPRESSED != 0;
        let want =
            if compressed { len } else { len.min(cx.limits.payload.saturating_add(BEYOND)).min(limit) };
        let unread = want > limit;
        if !unread && body.len() < want {
            return Progress::More;
        }
        let end = at + HEADER + len;
        let seen = Seen::within(cx, at, end.min(bytes.len()));
        if unread {
            cx.problem(Problem::MessageTooLarge, len as u64);
            self.read(role, header, &[], false, seen, cx);
        } else {
            let there = body.get(..want).unwrap_or_default();
            self.read(role, header, there, want == len, seen, cx);
        }
        if end <= bytes.len() {
            self.complete(role, cx);
            return Progress::To(end);
        }
        self.side(role).open = Some(cx.pos.saturating_add(end as u64));
        Progress::Skip((end - bytes.len()) as u64)
    }

    /// The bytes that were of no interest have passed.
    pub(super) fn passed(&mut self, role: Role, missing: u64, cx: &mut Context<'_>) {
        if self.side(role).open.take().is_some() {
            let message = &mut self.side(role).message;
            message.seen = message.seen.until(cx, 0);
            if missing > 0 {
                message.incomplete = Some(Incomplete::Gap);
            }
            self.complete(role, cx);
        }
    }

    /// A frame that is whole.
    fn frame(&mut self, role: Role, frame: &Frame, at: usize, bytes: &[u8], cx: &mut Context<'_>) {
        let mut plain = std::mem::take(&mut self.plain);
        match frames::payload(frame, bytes, &mut plain) {
            Err(Damaged) => cx.problem(Problem::BadEncoding, frame.len as u64),
            Ok(payload) => {
                // Where envelopes lie in what was compressed says nothing about the stream.
                let as_sent = payload.len() == frame.len
                    && std::ptr::eq(payload.as_ptr(), bytes[frame.head..].as_ptr());
                let whole = Seen::within(cx, at, at + frame.size());
                if frame.whole {
                    let base = as_sent.then_some(at + frame.head);
                    self.envelopes(role, payload, base, whole, cx);
                } else {
                    self.part(role, payload, whole, cx);
                }
            }
        }
        if plain.capacity() > KEEP_BYTES * 4 {
            plain = Vec::new();
        }
        self.plain = plain;
    }

    /// Messages that lie in one frame, behind each other. `base` is where they begin in the bytes
    /// shown, if they were not compressed.
    fn envelopes(
        &mut self,
        role: Role,
        payload: &[u8],
        base: Option<usize>,
        frame: Seen,
        cx: &mut Context<'_>,
    ) {
        let mut at = 0;
        while let Some(rest) = payload.get(at..).filter(|r| !r.is_empty()) {
            let Some(Some(header)) = wire::header(rest, role) else {
                return cx.problem(Problem::Malformed, rest.len() as u64);
            };
            let end = HEADER + header.len as usize;
            let Some(body) = rest.get(HEADER..end) else {
                return cx.problem(Problem::Malformed, rest.len() as u64);
            };
            let seen = base.map_or(frame, |base| Seen::within(cx, base + at, base + at + end));
            self.read(role, header, body, true, seen, cx);
            self.complete(role, cx);
            at += end;
        }
    }

    /// A part of a message that lies in several frames.
    fn part(&mut self, role: Role, payload: &[u8], frame: Seen, cx: &mut Context<'_>) {
        let cap = cx.limits.payload.saturating_add(BEYOND);
        let side = self.side(role);
        let more = payload.len() as u64;
        if side.large_left == 0 {
            let Some(Some(header)) = wire::header(payload, role) else {
                return cx.problem(Problem::Malformed, more);
            };
            side.large.clear();
            side.large_left = HEADER as u64 + u64::from(header.len);
            side.large_seen = Seen { bytes: 0, ..frame };
        }
        let kept = payload.len().min((HEADER + cap).saturating_sub(side.large.len()));
        side.large.extend_from_slice(payload.get(..kept).unwrap_or_default());
        side.large_left = side.large_left.saturating_sub(more);
        side.large_seen.last = frame.last;
        side.large_seen.bytes = side.large_seen.bytes.saturating_add(frame.bytes);
        if side.large_left > 0 {
            return;
        }
        let large = std::mem::take(&mut side.large);
        let seen = side.large_seen;
        if let Some(Some(header)) = wire::header(&large, role) {
            let body = large.get(HEADER..).unwrap_or_default();
            self.read(role, header, body, body.len() as u64 == u64::from(header.len), seen, cx);
            self.complete(role, cx);
        }
        if large.capacity() <= KEEP_BYTES {
            self.side(role).large = large;
        }
    }

    /// From `at` of the bytes shown on, `role` may be anywhere in a message.
    pub(super) fn lose(&mut self, role: Role, at: usize, cx: &mut Context<'_>) {
        // Another keyspace may have been chosen in what is missing.
        if role == Role::Client || self.pending.iter().any(|p| p.message.chooses_keyspace()) {
            self.keyspace.clear();
        }
        let side = self.side(role);
        side.lost = true;
        side.large_left = 0;
        if side.open.take().is_some() {
            side.message.seen = side.message.seen.until(cx, at);
            side.message.incomplete = Some(Incomplete::Gap);
            self.complete(role, cx);
        }
        // A request whose answer may be missing, and whose stream id may have been used again since.
        for i in (0..self.pending.len()).rev() {
            let Some(p) = self.pending.get_mut(i) else { continue };
            if p.missed[role.other().index()] {
                self.give_up(i, Incomplete::Gap, cx);
            } else {
                p.missed[role.index()] = true;
            }
        }
    }

    /// Finds the next message of `role` after its boundaries were lost. `Err`: bytes to take.
    pub(super) fn resync(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let found = detect::find(bytes, role);
        if let Some((_, carried)) = found {
            self.side(role).carried = carried;
        }
        let found = found.map(|(at, _)| at).ok_or(bytes.len().saturating_sub(TAIL));
        let (Ok(passed) | Err(passed)) = found;
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        self.side(role).lost = found.is_err();
        found
    }

    /// Nothing more comes from `role`; `rest` of it was not taken.
    pub(super) fn ended(
        &mut self,
        role: Role,
        rest: &[u8],
        partial: Incomplete,
        why: Incomplete,
        cx: &mut Context<'_>,
    ) {
        let side = self.side(role);
        if side.open.take().is_some() {
            side.message.seen = side.message.seen.until(cx, rest.len());
            side.message.incomplete = Some(partial);
            self.complete(role, cx);
        } else if let Some(Some(header)) = wire::header(rest, role).filter(|_| !self.is_lost(role)) {
            // The beginning of a message.
            let seen = Seen::within(cx, 0, rest.len());
            let compressed = header.flags & flag::COMPRESSED != 0;
            let body = if compressed { &[] } else { rest.get(HEADER..).unwrap_or_default() };
            self.read(role, header, body, false, seen, cx);
            self.side(role).message.incomplete = Some(partial);
            self.complete(role, cx);
        } else if !rest.is_empty() {
            let problem = if self.is_lost(role) { Problem::Unsynced } else { Problem::Malformed };
            cx.problem(problem, rest.len() as u64);
        }
        self.side(role).large_left = 0;
        // After the client's end the server may go on answering.
        self.server_ended |= role == Role::Server;
        while self.server_ended && !self.pending.is_empty() {
            self.give_up(0, why, cx);
        }
    }

    pub(super) fn find(&self, stream: i16) -> Option<usize> {
        self.pending.iter().position(|p| p.message.header.stream == stream)
    }

    pub(super) fn take(&mut self, at: usize) -> Option<Box<Request>> {
        let p = self.pending.remove(at)?;
        self.held = self.held.saturating_sub(p.memory());
        Some(p)
    }

    pub(super) fn recycle(&mut self, p: Box<Request>) {
        let memory = p.memory();
        if self.spare.len() < SPARE && memory <= SPARE_BYTES {
            self.spare_held += memory;
            self.spare.push(p);
        }
    }

    /// Reports the request at `i` as one without a response.
    pub(super) fn give_up(&mut self, i: usize, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(p) = self.take(i) {
            let why = if p.missed.contains(&true) { Incomplete::Gap } else { why };
            let why = p.message.incomplete.or(Some(why));
            if p.message.chooses_keyspace() {
                self.keyspace.clear();
            }
            report::emit(Some(&p), None, &self.compression, why, cx);
            self.recycle(p);
        }
    }
}
