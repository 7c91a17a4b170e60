//! Reading a direction, frame by frame.

use super::Http2;
use super::direction::{Data, State};
use super::frame::{self, HEADER_LEN, Header, PREFACE};
use super::stream::Place;
use super::sync::{self, Found};
use crate::{Context, Problem, Role};

impl Http2 {
    /// One step at `at`. False when no more can be done with these bytes.
    pub(super) fn step(&mut self, role: Role, bytes: &[u8], at: &mut usize, cx: &mut Context<'_>) -> bool {
        let rest = bytes.get(*at..).unwrap_or_default();
        match self.direction(role).state {
            State::Start => self.begin(role, rest, at, cx),
            State::Frame => match Header::read(rest) {
                Some(header) => self.frame(role, header, rest, at, cx),
                None => {
                    self.direction(role).half = !rest.is_empty();
                    false
                }
            },
            State::Data(data) => !rest.is_empty() && self.data(role, data, rest, at, cx),
            State::Pass(left) => {
                let n = left.min(rest.len() as u64);
                *at += n as usize;
                let left = left - n;
                self.direction(role).state = if left == 0 { State::Frame } else { State::Pass(left) };
                left == 0
            }
            State::Lost(why, passed) => {
                let (over, found) = match sync::find(role, rest, |id| self.streams.get(id).is_some()) {
                    Found::At(n) => (n, true),
                    Found::Perhaps(n) => (n, false),
                    Found::Nowhere => (rest.len(), false),
                };
                *at += over;
                let passed = passed + over as u64;
                self.direction(role).state = State::Lost(why, passed);
                if found {
                    if passed > 0 {
                        cx.problem(why, passed);
                    }
                    // A preface in the middle is one of a capture that has lost its beginning.
                    self.direction(role).state = State::Frame;
                    if rest.get(over..).is_some_and(|r| r.starts_with(PREFACE)) {
                        *at += PREFACE.len();
                    }
                }
                found
            }
        }
    }

    /// The first bytes of a direction: a preface, a server's settings, or the middle of it.
    fn begin(&mut self, role: Role, rest: &[u8], at: &mut usize, cx: &mut Context<'_>) -> bool {
        if rest.is_empty() {
            return false;
        }
        match role {
            Role::Client => {
                let seen = rest.get(..PREFACE.len()).unwrap_or(rest);
                if PREFACE.starts_with(seen) {
                    let whole = seen.len() == PREFACE.len();
                    let direction = self.direction(role);
                    if whole {
                        *at += PREFACE.len();
                        direction.state = State::Frame;
                    } else {
                        direction.half = true;
                    }
                    return whole;
                }
            }
            Role::Server if rest.len() < HEADER_LEN => {
                self.direction(role).half = true;
                return false;
            }
            Role::Server => {
                if sync::is_settings(rest) {
                    self.direction(role).state = State::Frame;
                    return true;
                }
            }
        }
        self.lose(role, Problem::Unsynced, 0, true, cx);
        true
    }

    /// A frame, of which the front is there.
    fn frame(
        &mut self,
        role: Role,
        header: Header,
        rest: &[u8],
        at: &mut usize,
        cx: &mut Context<'_>,
    ) -> bool {
        if !header.is_valid() {
            *at += 1;
            self.lose(role, Problem::Malformed, 1, false, cx);
            return true;
        }
        let len = header.len;
        let place = Place {
            start: cx.pos + *at as u64,
            bytes: HEADER_LEN as u64,
            block: 0,
            first: cx.time_at(*at),
            last: cx.time_at(*at + HEADER_LEN - 1),
        };
        let continues = header.kind == frame::CONTINUATION;
        let open = self.direction(role).block.stream;
        if (open != 0) != continues || (continues && open != header.stream) {
            // Nothing may come between the frames of a header block (RFC 9113 section 6.10).
            cx.problem(Problem::Malformed, HEADER_LEN as u64);
            let direction = self.direction(role);
            direction.decoder.forget();
            let of = direction.block.place;
            direction.block.clear();
            if open != 0 {
                self.streams.unreadable(role, open, &of, cx);
            }
            if continues {
                *at += HEADER_LEN;
                self.direction(role).state = State::Pass(len as u64);
                return true;
            }
        }
        match header.kind {
            frame::DATA => {
                self.streams.data(role, header.stream, &place, cx);
                *at += HEADER_LEN;
                let data = Data {
                    stream: header.stream,
                    left: len as u64,
                    padding: 0,
                    padded: header.has(frame::PADDED),
                    end: header.has(frame::END_STREAM),
                };
                self.direction(role).state = State::Data(data);
                if len == 0 {
                    self.data_end(role, data, cx);
                }
                return true;
            }
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION => {
                return self.block_frame(role, header, rest, place, at, cx);
            }
            frame::RST_STREAM | frame::GOAWAY => {
                let front = if header.kind == frame::GOAWAY { 8 } else { 4 };
                let Some(payload) = rest.get(HEADER_LEN..HEADER_LEN + front) else {
                    self.direction(role).half = true;
                    return false;
                };
                let word = |at: usize| payload.get(at..).and_then(frame::word).unwrap_or_default();
                if header.kind == frame::GOAWAY {
                    self.streams.go_away(role, word(0) & 0x7fff_ffff, word(4), cx);
                } else {
                    self.streams.reset(role, header.stream, word(0), cx);
                }
                *at += HEADER_LEN + front;
                self.direction(role).state = State::Pass((len - front) as u64);
            }
            _ => {
                *at += HEADER_LEN;
                self.direction(role).state = State::Pass(len as u64);
            }
        }
        true
    }

    /// The payload of a DATA frame, as far as it is there.
    fn data(
        &mut self,
        role: Role,
        mut data: Data,
        rest: &[u8],
        at: &mut usize,
        cx: &mut Context<'_>,
    ) -> bool {
        if data.padded {
            let pad = rest.first().map_or(0, |b| u64::from(*b));
            data.padded = false;
            data.left -= 1;
            if pad > data.left {
                cx.problem(Problem::Malformed, data.left);
            }
            data.padding = pad.min(data.left);
            self.streams.content(role, data.stream, b"", *at, 1, cx);
            *at += 1;
        } else {
            let n = data.left.min(rest.len() as u64);
            let content = n.min(data.left - data.padding);
            let bytes = rest.get(..content as usize).unwrap_or_default();
            self.streams.content(role, data.stream, bytes, *at, n - content, cx);
            *at += n as usize;
            data.left -= n;
            data.padding = data.padding.min(data.left);
        }
        self.direction(role).state = State::Data(data);
        if data.left == 0 {
            self.data_end(role, data, cx);
        }
        true
    }

    /// The end of a DATA frame.
    fn data_end(&mut self, role: Role, data: Data, cx: &mut Context<'_>) {
        self.direction(role).state = State::Frame;
        if data.end {
            self.streams.end_stream(role, data.stream, cx);
        }
    }

    /// `len` bytes of `role` were passed over or are missing.
    pub(super) fn pass(&mut self, role: Role, len: u64, missing: u64, cx: &mut Context<'_>) {
        match self.direction(role).state {
            State::Data(mut data) if !data.padded && len <= data.left => {
                let content = len.min(data.left - data.padding);
                self.streams.pass(role, data.stream, content, len - content, missing, cx);
                data.left -= len;
                data.padding = data.padding.min(data.left);
                self.direction(role).state = State::Data(data);
                if data.left == 0 {
                    self.data_end(role, data, cx);
                }
            }
            State::Pass(left) if len <= left => {
                let left = left - len;
                self.direction(role).state = if left == 0 { State::Frame } else { State::Pass(left) };
            }
            State::Start => self.lose(role, Problem::Unsynced, 0, true, cx),
            State::Lost(..) => {}
            _ => self.lose(role, Problem::Unsynced, 0, false, cx),
        }
    }
}
