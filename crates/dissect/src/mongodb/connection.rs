//! Requests and replies of one connection, and their pairing.

use std::collections::VecDeque;

use remora_model::Incomplete;

use super::detect;
use super::message::Message;
use super::reader::{Progress, Reader};
use super::report::{self, Answered};
use super::wire::{self, HEADER, Header, flag, op};
use crate::compression::{self, Damaged, Stop, snappy};
use crate::{Context, Problem, Role, seen::Seen};

/// Spent requests whose buffers are kept for the next ones, and how large these may be.
const SPARE: usize = 8;
const SPARE_BYTES: usize = 8 << 10;

/// Buffers that have grown beyond this are given back.
const KEEP_BYTES: usize = 32 << 10;

/// Bytes shown of a request while those that wait for replies hold more than a flow may.
const LITTLE: usize = 256;

/// Bytes of OP_COMPRESSED in front of what is compressed.
const COMPRESSED: usize = 9;

/// Bytes at the end of unusable data in which the beginning of a message may lie.
const TAIL: usize = 1 << 10;

/// A request that waits for its reply.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Its own id; in an exhaust stream that of the last reply.
    id: i32,
    pub(super) number: i32,
    pub(super) opcode: i32,
    pub(super) compressor: Option<u8>,
    pub(super) message: Message,
    pub(super) seen: Seen,
    incomplete: Option<Incomplete>,
    /// The reply is that of a command, not of a query.
    command: bool,
    /// A part of an exhaust stream has answered it.
    answered: bool,
    /// Its reply may have been among bytes that are missing.
    doubtful: bool,
}

impl Request {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.message.memory()
    }
}

/// A message of which the header has been read.
#[derive(Clone, Copy, Debug)]
struct Open {
    header: Header,
    /// What is inside of OP_COMPRESSED; else that of the header.
    opcode: i32,
    compressor: Option<u8>,
    seen: Seen,
    /// Where it ends in the stream.
    end: u64,
    /// It is read; if not, the rest of it is passed over.
    reading: bool,
    incomplete: Option<Incomplete>,
}

/// Reading the messages of one side.
#[derive(Debug, Default)]
struct Side {
    open: Option<Open>,
    reader: Reader,
    message: Message,
    /// Message boundaries are lost.
    lost: bool,
}

/// The dissector of one connection.
pub(super) struct Mongo {
    sides: [Side; 2],
    /// The request that is being answered.
    answering: Option<Box<Request>>,
    pending: VecDeque<Box<Request>>,
    #[expect(clippy::vec_box, reason = "they move to the queue and back, and are large")]
    spare: Vec<Box<Request>>,
    /// Memory of `pending`, and of `spare`.
    held: usize,
    spare_held: usize,
    /// What OP_COMPRESSED held.
    plain: Vec<u8>,
    /// Nothing more comes from the server.
    server_ended: bool,
}

/// What the bytes at a boundary begin.
pub(super) enum Begin {
    /// A message whose header is so long.
    Message(usize),
    More,
    /// Nothing that belongs there.
    Lost,
}

impl Mongo {
    pub(super) fn new() -> Self {
        Self {
            sides: Default::default(),
            answering: None,
            pending: VecDeque::new(),
            spare: Vec::new(),
            held: 0,
            spare_held: 0,
            plain: Vec::new(),
            server_ended: false,
        }
    }

    fn side(&mut self, role: Role) -> &mut Side {
        &mut self.sides[role.index()]
    }

    pub(super) fn is_open(&self, role: Role) -> bool {
        self.sides[role.index()].open.is_some()
    }

    pub(super) fn is_lost(&self, role: Role) -> bool {
        self.sides[role.index()].lost
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || self.sides.iter().any(|s| s.open.is_some())
    }

    pub(super) fn held(&self) -> usize {
        let sides = self.sides.iter().map(|s| s.message.memory() + s.reader.memory()).sum::<usize>();
        let answering = self.answering.as_ref().map_or(0, |p| p.memory());
        size_of::<Self>() + sides + answering + self.held + self.spare_held + self.plain.capacity()
    }

    /// A message begins at `at` of the bytes shown.
    pub(super) fn begin(&mut self, role: Role, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Begin {
        let rest = bytes.get(at..).unwrap_or_default();
        let header = match wire::header(rest) {
            None => return Begin::More,
            Some(None) => return Begin::Lost,
            Some(Some(header)) => header,
        };
        let (mut opcode, mut compressor, mut len) = (header.opcode, None, HEADER);
        if opcode == op::COMPRESSED {
            let Some(prefix) = rest.get(HEADER..HEADER + COMPRESSED) else { return Begin::More };
            let inner = wire::int(prefix, 0).unwrap_or(0);
            if wire::opcode_name(inner).is_none() || (header.len as usize) < HEADER + COMPRESSED {
                return Begin::Lost;
            }
            (opcode, compressor) = (inner, prefix.get(8).copied());
            len += COMPRESSED;
        }
        if (opcode == op::REPLY) != (role == Role::Server) && opcode != op::MSG {
            return Begin::Lost;
        }
        let seen = Seen::within(cx, at, at);
        let end = cx.pos.saturating_add(at as u64 + u64::from(header.len));
        let mut budget = cx.limits.payload;
        let mut command = false;
        let mut users = false;
        if role == Role::Server {
            self.answering = self.find(header.response_to).and_then(|i| self.take(i));
            if let Some(p) = &self.answering {
                (command, users) = (p.command, p.message.asks_about_users());
            }
        } else if self.held > cx.limits.flow_bytes {
            budget = budget.min(LITTLE);
        }
        let side = self.side(role);
        side.message.begin(role == Role::Client, budget, cx.limits);
        if users {
            side.message.about_users();
        }
        side.reader.begin(opcode, u64::from(header.len) - len as u64, command);
        side.open = Some(Open { header, opcode, compressor, seen, end, reading: true, incomplete: None });
        if compressor.is_some() && header.len as usize > cx.limits.message_bytes {
            cx.problem(Problem::MessageTooLarge, u64::from(header.len));
            self.stop_reading(role);
        }
        Begin::Message(len)
    }

    fn stop_reading(&mut self, role: Role) {
        if let Some(open) = &mut self.side(role).open {
            open.reading = false;
        }
    }

    /// Reads on in the open message of `role` from `at` of the bytes shown; says up to where, and
    /// how far it has come.
    pub(super) fn proceed(
        &mut self,
        role: Role,
        at: usize,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> (usize, Progress) {
        let Some(open) = self.side(role).open else { return (at, Progress::More) };
        let here = cx.pos.saturating_add(at as u64);
        let left = open.end.saturating_sub(here);
        let shown = bytes.get(at..).unwrap_or_default();
        let inside = shown.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(shown);
        if !open.reading {
            let rest = left - inside.len() as u64;
            let progress = if rest == 0 { Progress::Done } else { Progress::Skip(rest) };
            return (at + inside.len(), progress);
        }
        if let Some(compressor) = open.compressor {
            if (inside.len() as u64) < left {
                return (at, Progress::More);
            }
            self.compressed(role, compressor, inside, cx);
            self.stop_reading(role);
            return (at + inside.len(), Progress::Done);
        }
        let Side { reader, message, .. } = self.side(role);
        let (used, progress) = reader.read(inside, message);
        match progress {
            Progress::More if inside.len() as u64 == left => {
                cx.problem(Problem::Malformed, left);
            }
            Progress::Fault => cx.problem(Problem::Malformed, left),
            Progress::Opaque => cx.problem(Problem::Opaque, left),
            Progress::Done => {}
            Progress::More | Progress::Skip(_) => return (at + used, progress),
        }
        self.stop_reading(role);
        self.proceed_rest(role, at + used, bytes, cx)
    }

    /// Passes over what is left of the open message.
    fn proceed_rest(
        &mut self,
        role: Role,
        at: usize,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> (usize, Progress) {
        let Some(open) = self.side(role).open else { return (at, Progress::More) };
        let left = open.end.saturating_sub(cx.pos.saturating_add(at as u64));
        let there = (bytes.len() - at.min(bytes.len())).min(usize::try_from(left).unwrap_or(usize::MAX));
        let rest = left - there as u64;
        (at + there, if rest == 0 { Progress::Done } else { Progress::Skip(rest) })
    }

    /// Undoes the compression of a message that is whole, and reads it.
    fn compressed(&mut self, role: Role, compressor: u8, input: &[u8], cx: &mut Context<'_>) {
        let ratio = input.len().saturating_mul(cx.limits.expansion).max(compression::RATIO_FLOOR);
        let max = ratio.min(cx.limits.message_bytes);
        self.plain.clear();
        let stop = match compressor {
            0 => {
                self.plain.extend_from_slice(input);
                Ok(Stop::End)
            }
            1 => snappy::block(input, &mut self.plain, max),
            2 => compression::drain(&mut flate2::bufread::ZlibDecoder::new(input), &mut self.plain, max),
            3 => compression::zstd(input, &mut self.plain, max),
            _ => Err(Damaged),
        };
        match stop {
            Ok(Stop::End) => {}
            Ok(Stop::Full) if max == ratio => cx.problem(Problem::BadEncoding, input.len() as u64),
            Ok(Stop::Full) => cx.problem(Problem::MessageTooLarge, input.len() as u64),
            Ok(Stop::Early) | Err(Damaged) => cx.problem(Problem::BadEncoding, input.len() as u64),
        }
        let Self { sides, plain, .. } = self;
        let Side { reader, message, open, .. } = &mut sides[role.index()];
        let Some(open) = open else { return };
        let length =
            if matches!(stop, Ok(Stop::Full)) { u64::from(wire::MAX_MESSAGE) } else { plain.len() as u64 };
        reader.set_left(length);
        let (_, progress) = reader.read(plain, message);
        match progress {
            Progress::Done | Progress::Skip(_) => {}
            Progress::More if !matches!(stop, Ok(Stop::End)) => {}
            Progress::Opaque => cx.problem(Problem::Opaque, plain.len() as u64),
            Progress::More | Progress::Fault => cx.problem(Problem::Malformed, plain.len() as u64),
        }
        if !matches!(stop, Ok(Stop::End)) {
            open.incomplete = open.incomplete.or(Some(Incomplete::Truncated));
        }
        if plain.capacity() > KEEP_BYTES {
            *plain = Vec::new();
        }
    }

    /// The open message of `role` ends at `at` of the bytes shown, whole or not.
    pub(super) fn complete(
        &mut self,
        role: Role,
        at: usize,
        incomplete: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        let Some(open) = self.side(role).open.take() else { return };
        let seen = open.seen.until(cx, at);
        let incomplete = open.incomplete.or(incomplete);
        let message = &mut self.side(role).message;
        message.finish();
        if let Some(cut) = message.cut() {
            cx.problem(Problem::PayloadLimit, cut);
        }
        match role {
            Role::Client => self.asked(open, seen, incomplete, cx),
            Role::Server => self.answered(open, seen, incomplete, cx),
        }
        let message = &mut self.side(role).message;
        if message.memory() > KEEP_BYTES {
            *message = Message::default();
        }
    }

    /// A request has been read as far as it can be.
    fn asked(&mut self, open: Open, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let mut p = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(p.memory());
        let side = self.side(Role::Client);
        std::mem::swap(&mut p.message, &mut side.message);
        (p.id, p.number, p.opcode, p.compressor) =
            (open.header.id, open.header.id, open.opcode, open.compressor);
        (p.seen, p.incomplete, p.answered, p.doubtful) = (seen, incomplete, false, false);
        p.command = side.reader.is_command() || open.opcode == op::MSG;
        let unanswered = match open.opcode {
            op::MSG => p.message.flags & flag::MORE_TO_COME != 0,
            op::QUERY | op::GET_MORE => false,
            _ => true,
        };
        if unanswered {
            report::emit(Some(&p), true, None, incomplete, cx);
            return self.recycle(p);
        }
        self.push(p, cx);
    }

    fn push(&mut self, p: Box<Request>, cx: &mut Context<'_>) {
        if self.pending.len() >= cx.limits.pending.max(1) {
            // Servers answer in order: of all that wait, the oldest has the least hope.
            let bytes = self.pending.front().map_or(0, |p| p.seen.bytes);
            cx.problem(Problem::TooManyPending, u64::try_from(bytes).unwrap_or(0));
            self.give_up(Incomplete::NoResponse, cx);
        }
        self.held += p.memory();
        self.pending.push_back(p);
    }

    /// A reply has been read as far as it can be.
    fn answered(&mut self, open: Open, seen: Seen, incomplete: Option<Incomplete>, cx: &mut Context<'_>) {
        let p = self.answering.take();
        let message = &mut self.side(Role::Server).message;
        if p.is_none() && open.opcode == op::REPLY {
            message.may_answer_command();
        }
        let message = &self.side(Role::Server).message;
        let more = match open.opcode {
            op::MSG => message.flags & flag::MORE_TO_COME != 0,
            _ => {
                let exhaust = p
                    .as_ref()
                    .is_some_and(|p| p.opcode == op::QUERY && p.message.flags & flag::QUERY_EXHAUST != 0);
                exhaust && message.cursor.is_some_and(|id| id != 0)
            }
        };
        let answered = Answered { opcode: open.opcode, compressor: open.compressor, message, seen };
        let Some(mut p) = p else {
            return report::emit(None, false, Some(answered), Some(Incomplete::NoRequest), cx);
        };
        let first = !p.answered;
        report::emit(Some(&p), first, Some(answered), p.incomplete.filter(|_| first).or(incomplete), cx);
        let asked = p.seen.pos;
        if more {
            p.answered = true;
            p.id = open.header.id;
            self.push(p, cx);
        } else {
            self.recycle(p);
        }
        // Servers answer in order, so what was asked before is not answered any more. Only where
        // bytes are missing is that believed.
        while self.pending.front().is_some_and(|p| p.doubtful && p.seen.pos < asked) {
            self.give_up(Incomplete::Gap, cx);
        }
    }

    /// `len` bytes of `role` are missing.
    pub(super) fn missing(&mut self, role: Role, len: u64, cx: &mut Context<'_>) {
        let side = self.side(role);
        // After a gap the engine passes over more bytes, which is reported as another one.
        if side.lost {
            return;
        }
        match &mut side.open {
            Some(open) if cx.pos.saturating_add(len) <= open.end => {
                open.incomplete = Some(Incomplete::Gap);
                open.reading = false;
            }
            _ => self.lose(role, 0, cx),
        }
    }

    /// The next `n` bytes of `role` will not be shown.
    pub(super) fn skipping(&mut self, role: Role, n: u64) {
        let side = self.side(role);
        if side.open.is_some_and(|open| open.reading) {
            side.reader.pass(n);
        }
    }

    /// They have gone by; some are missing from the capture.
    pub(super) fn passed(&mut self, role: Role, missing: bool) {
        if let Some(open) = self.side(role).open.as_mut().filter(|_| missing) {
            open.incomplete = open.incomplete.or(Some(Incomplete::Gap));
        }
    }

    /// From `at` of the bytes shown on, `role` may be anywhere in a message.
    pub(super) fn lose(&mut self, role: Role, at: usize, cx: &mut Context<'_>) {
        self.complete(role, at, Some(Incomplete::Gap), cx);
        self.side(role).lost = true;
        if role == Role::Server {
            self.pending.iter_mut().for_each(|p| p.doubtful = true);
        }
    }

    /// Finds the next message of `role` after its boundaries were lost. `Err`: bytes to take.
    pub(super) fn resync(&mut self, role: Role, bytes: &[u8], cx: &mut Context<'_>) -> Result<usize, usize> {
        let found = detect::find(bytes, role).ok_or(bytes.len().saturating_sub(TAIL));
        let (Ok(passed) | Err(passed)) = found;
        if passed > 0 {
            cx.problem(Problem::Unsynced, passed as u64);
        }
        self.side(role).lost = found.is_err();
        found
    }

    /// Nothing more comes from `role`.
    pub(super) fn ended(&mut self, role: Role, why: Incomplete, cx: &mut Context<'_>) {
        // After the client's end the server may go on answering.
        self.server_ended |= role == Role::Server;
        while self.server_ended && !self.pending.is_empty() {
            self.give_up(why, cx);
        }
    }

    /// Where the open message of `role` ends in the stream.
    pub(super) fn open_end(&self, role: Role) -> Option<u64> {
        self.sides[role.index()].open.map(|open| open.end)
    }

    fn find(&self, response_to: i32) -> Option<usize> {
        self.pending.iter().position(|p| p.id == response_to)
    }

    fn take(&mut self, at: usize) -> Option<Box<Request>> {
        let p = self.pending.remove(at)?;
        self.held = self.held.saturating_sub(p.memory());
        Some(p)
    }

    fn recycle(&mut self, p: Box<Request>) {
        let memory = p.memory();
        if self.spare.len() < SPARE && memory <= SPARE_BYTES {
            self.spare_held += memory;
            self.spare.push(p);
        }
    }

    /// Reports the oldest request as one without a reply, unless it had some.
    fn give_up(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        if let Some(p) = self.take(0) {
            let why = if p.doubtful { Incomplete::Gap } else { why };
            if !p.answered {
                report::emit(Some(&p), true, None, p.incomplete.or(Some(why)), cx);
            }
            self.recycle(p);
        }
    }
}
