//! One connection after its handshake: frames in, messages out.

use remora_model::Incomplete;

use super::control::Control;
use super::frame::{self, CONTROL_MAX, Front, HEADER_MAX, Header};
use super::handshake::Handshake;
use super::inflate::{History, Unreadable};
use super::message::Message;
use super::sync;
use crate::seen::Seen;
use crate::{Context, Ending, Problem, Role};

/// A buffer for payload beyond this is given back after its message.
const KEEP: usize = 64 << 10;
/// Bytes in which the next frame is looked for before some are passed over.
const SEARCH: usize = 8 << 10;

/// What one direction is at.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Between frames, or in the header of one.
    #[default]
    Header,
    /// In a frame's payload.
    Payload,
    /// Looking for the next frame, for that reason. Counts the bytes it passed over.
    Lost(Problem, u64),
    /// Behind the last frame.
    Over,
}

#[derive(Debug)]
struct Direction {
    state: State,
    /// A header was shown in part, and will be shown again.
    half: bool,
    /// Where it will not: the front of the header, and its length.
    front: [u8; HEADER_MAX],
    have: usize,
    /// Where the frame being read lies, as far as it was read.
    place: Seen,
    /// The frame being read.
    header: Header,
    /// Bytes of its payload that were read or passed.
    done: u64,
    /// Payload of a control frame.
    control: [u8; CONTROL_MAX],
    /// Bytes of a control frame are missing.
    torn: bool,
    /// The message being read.
    message: Option<Message>,
    /// The buffer of the message before.
    spare: Vec<u8>,
    history: History,
    /// A message began that was not seen.
    headless: bool,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            state: State::Header,
            front: [0; HEADER_MAX],
            half: false,
            have: 0,
            place: Seen::default(),
            header: Header::default(),
            done: 0,
            control: [0; CONTROL_MAX],
            torn: false,
            message: None,
            spare: Vec::new(),
            history: History::default(),
            headless: false,
        }
    }
}

/// Both directions of a connection.
#[derive(Debug)]
pub(crate) struct Socket {
    handshake: Handshake,
    directions: [Direction; 2],
    control: Control,
    /// Lost frames can be found again: the caller shows bytes again that are not taken.
    resumes: bool,
}

impl Socket {
    /// `resumes` says that [`read`](Self::read) is shown again what it does not take.
    pub(crate) fn new(handshake: Handshake, resumes: bool) -> Box<Self> {
        let control = Control::new(handshake.agreed.deflate.is_none() || handshake.request.is_none());
        Box::new(Self { handshake, directions: Default::default(), control, resumes })
    }

    /// Reads `bytes` of `role`, which begin at `base` of the shown bytes, and says how many were
    /// taken: all, but when it looks for a frame.
    pub(crate) fn read(&mut self, role: Role, bytes: &[u8], base: usize, cx: &mut Context<'_>) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let direction = &mut self.directions[role.index()];
            match direction.state {
                State::Over => return bytes.len(),
                State::Header => {
                    direction.half = false;
                    at += self.header(role, rest, base + at, cx);
                    if self.directions[role.index()].half {
                        return at;
                    }
                }
                State::Payload => at += self.payload(role, rest, base + at, cx),
                State::Lost(..) if !self.resumes => return bytes.len(),
                State::Lost(why, passed) => match sync::find(rest, Some(role)) {
                    Some(over) => {
                        at += over;
                        let passed = passed + over as u64;
                        if passed > 0 {
                            cx.problem(why, passed);
                        }
                        direction.state = State::Header;
                    }
                    None => {
                        let over = rest.len().saturating_sub(SEARCH / 2);
                        if rest.len() >= SEARCH {
                            direction.state = State::Lost(why, passed + over as u64);
                            at += over;
                        }
                        return at;
                    }
                },
            }
        }
        at
    }

    /// The header of a frame. Says how many bytes of it were there.
    fn header(&mut self, role: Role, rest: &[u8], at: usize, cx: &mut Context<'_>) -> usize {
        let direction = &mut self.directions[role.index()];
        if direction.have == 0 {
            direction.place = Seen::within(cx, at, at);
        }
        // One that is whole is read where it lies; else its pieces are put together.
        let (front, before) = match direction.have {
            0 => (Header::read(rest), 0),
            have => {
                let n = rest.len().min(HEADER_MAX - have);
                let room = direction.front.get_mut(have..have + n).unwrap_or_default();
                room.copy_from_slice(rest.get(..n).unwrap_or_default());
                (Header::read(direction.front.get(..have + n).unwrap_or_default()), have)
            }
        };
        match front {
            Front::Needs(_) if self.resumes => {
                direction.half = true;
                0
            }
            Front::Needs(_) => {
                if before == 0 {
                    let n = rest.len().min(HEADER_MAX);
                    let room = direction.front.get_mut(..n).unwrap_or_default();
                    room.copy_from_slice(rest.get(..n).unwrap_or_default());
                }
                direction.have = before + rest.len();
                direction.place = direction.place.grown(cx, at, rest.len());
                rest.len()
            }
            Front::Bad => {
                direction.have = 0;
                self.lose(role, Problem::Malformed, 1, cx);
                1
            }
            Front::Is(header) => {
                let n = header.size.saturating_sub(before);
                direction.have = 0;
                direction.place = direction.place.grown(cx, at, n);
                if self.begin(role, header, cx) {
                    if header.len == 0 {
                        self.end_frame(role, cx);
                    }
                } else {
                    self.lose(role, Problem::Malformed, n as u64, cx);
                }
                n
            }
        }
    }

    /// A frame begins. False when it cannot follow what came before.
    fn begin(&mut self, role: Role, header: Header, cx: &mut Context<'_>) -> bool {
        let deflate = self.handshake.agreed.deflate.unwrap_or(true);
        let direction = &mut self.directions[role.index()];
        if header.rsv1 && (!deflate || header.opcode == frame::CONTINUATION) {
            return false;
        }
        direction.header = header;
        direction.done = 0;
        direction.torn = false;
        direction.state = State::Payload;
        if header.is_control() {
            return true;
        }
        match (header.opcode, &mut direction.message) {
            (frame::CONTINUATION, Some(message)) => message.frames = message.frames.saturating_add(1),
            (frame::CONTINUATION, None) if !direction.headless => return false,
            (frame::CONTINUATION, None) => {}
            (_, open) => {
                if let Some(mut message) = open.take() {
                    // Its last frame never came.
                    message.mark(Incomplete::Truncated);
                    cx.problem(Problem::Malformed, header.size as u64);
                    direction.history.forget();
                    self.handshake.message(role, &message, cx);
                    direction.spare = message.body;
                }
                let body = std::mem::take(&mut direction.spare);
                direction.message = Some(Message::new(header, direction.place, body));
                direction.headless = false;
            }
        }
        true
    }

    /// Payload of a frame. Says how many bytes of it were there.
    fn payload(&mut self, role: Role, rest: &[u8], at: usize, cx: &mut Context<'_>) -> usize {
        let direction = &mut self.directions[role.index()];
        let header = direction.header;
        let n = usize::try_from(header.len - direction.done).unwrap_or(usize::MAX).min(rest.len());
        let bytes = rest.get(..n).unwrap_or_default();
        if header.is_control() {
            let from = usize::try_from(direction.done).unwrap_or(CONTROL_MAX);
            if let Some(room) = direction.control.get_mut(from..from + n) {
                room.copy_from_slice(bytes);
                frame::unmask(room, header.mask, direction.done);
            }
        } else if let Some(message) = &mut direction.message {
            message.push(bytes, header.mask, direction.done, cx.limits);
        }
        direction.done += n as u64;
        direction.place = direction.place.grown(cx, at, n);
        if direction.done == header.len {
            self.end_frame(role, cx);
        }
        n
    }

    /// A frame has ended.
    fn end_frame(&mut self, role: Role, cx: &mut Context<'_>) {
        let direction = &mut self.directions[role.index()];
        let header = direction.header;
        direction.state = State::Header;
        let place = direction.place;
        if header.is_control() {
            let len = usize::try_from(header.len).unwrap_or(CONTROL_MAX);
            let payload = direction.control.get(..len).unwrap_or_default();
            if header.opcode == frame::CLOSE {
                direction.state = State::Over;
            }
            self.control.frame(role, header.opcode, payload, place, direction.torn, &self.handshake, cx);
            return;
        }
        let Some(message) = &mut direction.message else {
            direction.headless &= !header.fin;
            return;
        };
        message.grow(place);
        if header.fin
            && let Some(message) = direction.message.take()
        {
            self.end_message(role, message, cx);
        }
    }

    /// A message has ended.
    fn end_message(&mut self, role: Role, mut message: Message, cx: &mut Context<'_>) {
        let direction = &mut self.directions[role.index()];
        if message.compressed {
            if message.is_whole() {
                let size = message.body.len() as u64;
                match direction.history.inflate(
                    &mut message.body,
                    &self.handshake.agreed,
                    role.index(),
                    cx.limits,
                ) {
                    Ok(all) => message.cut = !all,
                    Err(why) => {
                        // Where the history is not known it is no fault of the message.
                        let known = why == Unreadable::Bomb || self.handshake.agreed.deflate == Some(true);
                        cx.problem(if known { Problem::BadEncoding } else { Problem::Unsynced }, size);
                        message.cut = true;
                        if why == Unreadable::Broken && (self.control.has_missed() || !known) {
                            // It refers to what was missed.
                            message.mark(Incomplete::Gap);
                        }
                    }
                }
            } else {
                if message.incomplete.is_none() {
                    cx.problem(Problem::MessageTooLarge, message.size);
                }
                message.cut_off();
                direction.history.forget();
            }
        }
        if message.cut && message.is_whole() && message.body.len() >= cx.limits.payload {
            cx.problem(Problem::PayloadLimit, message.size.saturating_sub(message.body.len() as u64));
        }
        self.handshake.message(role, &message, cx);
        message.body.clear();
        message.body.shrink_to(KEEP);
        direction.spare = message.body;
    }

    /// Where the next frame of `role` begins is not known. `passed` bytes were none.
    fn lose(&mut self, role: Role, why: Problem, passed: u64, cx: &mut Context<'_>) {
        let direction = &mut self.directions[role.index()];
        direction.state = State::Lost(why, passed);
        direction.half = false;
        direction.have = 0;
        direction.history.forget();
        direction.headless = true;
        self.control.lose(&self.handshake, cx);
        let direction = &mut self.directions[role.index()];
        if let Some(mut message) = direction.message.take() {
            message.mark(Incomplete::Gap);
            message.cut_off();
            self.handshake.message(role, &message, cx);
            message.body.clear();
            self.directions[role.index()].spare = message.body;
        }
    }

    /// How many bytes of `role` that have not arrived need not be shown.
    pub(crate) fn unwanted(&self, role: Role, cx: &Context<'_>) -> u64 {
        let direction = &self.directions[role.index()];
        match (direction.state, &direction.message) {
            (State::Over, _) => u64::MAX,
            (State::Lost(..), _) if !self.resumes => u64::MAX,
            (State::Payload, None) if !direction.header.is_control() => direction.header.len - direction.done,
            (State::Payload, Some(message))
                if !direction.header.is_control() && message.is_full(cx.limits) =>
            {
                direction.header.len - direction.done
            }
            _ => 0,
        }
    }

    /// `len` bytes of `role` were not shown, `missing` of them because they were not captured.
    pub(crate) fn pass(&mut self, role: Role, len: u64, missing: u64, cx: &mut Context<'_>) {
        let direction = &mut self.directions[role.index()];
        match direction.state {
            State::Payload if len <= direction.header.len - direction.done => {
                direction.done += len;
                direction.place = direction.place.passed(cx, len);
                direction.torn |= missing > 0;
                if !direction.header.is_control()
                    && let Some(message) = &mut direction.message
                {
                    message.pass(len, missing);
                }
                if direction.done == direction.header.len {
                    self.end_frame(role, cx);
                }
            }
            State::Over => {}
            State::Lost(..) => {}
            State::Header | State::Payload => self.lose(role, Problem::Unsynced, 0, cx),
        }
    }

    /// Nothing more comes from `role`. `rest` bytes had been shown and not taken.
    pub(crate) fn end(&mut self, role: Role, rest: u64, how: Ending, cx: &mut Context<'_>) {
        let direction = &mut self.directions[role.index()];
        let open = matches!(direction.state, State::Payload);
        if let State::Lost(why, passed) = direction.state
            && passed + rest > 0
        {
            cx.problem(why, passed + rest);
        }
        direction.state = State::Over;
        direction.half = false;
        direction.have = 0;
        let why = if how == Ending::Reset { Incomplete::Reset } else { Incomplete::Truncated };
        if let Some(mut message) = direction.message.take() {
            if open && !direction.header.is_control() {
                message.grow(direction.place);
            }
            message.mark(why);
            message.cut_off();
            self.handshake.message(role, &message, cx);
        }
        self.control.end(role, how, &self.handshake, cx);
        if role == Role::Server || self.directions.iter().all(|d| matches!(d.state, State::Over)) {
            self.handshake.end(why, cx);
        }
    }

    /// True while a message is half read or a ping waits.
    pub(crate) fn is_busy(&self) -> bool {
        let open =
            |d: &Direction| d.half || d.have > 0 || d.message.is_some() || matches!(d.state, State::Payload);
        self.directions.iter().any(open) || self.control.is_busy() || self.handshake.is_busy()
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        let direction = |d: &Direction| {
            d.spare.capacity() + d.history.memory() + d.message.as_ref().map_or(0, |m| m.body.capacity())
        };
        size_of::<Self>()
            + self.handshake.memory()
            + self.control.memory()
            + self.directions.iter().map(direction).sum::<usize>()
    }
}

impl Seen {
    /// The same with `len` more bytes, which lie at `at` in the bytes being shown.
    fn grown(self, cx: &Context<'_>, at: usize, len: usize) -> Self {
        if len == 0 {
            return self;
        }
        Self {
            last: cx.time_at(at + len - 1).max(self.first),
            bytes: self.bytes.saturating_add(len as i64),
            ..self
        }
    }

    /// The same with `len` more bytes that were not shown.
    fn passed(self, cx: &Context<'_>, len: u64) -> Self {
        let bytes = self.bytes.saturating_add(i64::try_from(len).unwrap_or(i64::MAX));
        Self { last: cx.time_at(0).max(self.last), bytes, ..self }
    }
}
