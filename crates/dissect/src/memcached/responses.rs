//! What the server sends, and which request it answers.

use remora_model::Incomplete;

use super::binary::{self, HEADER, op};
use super::connection::{Memcached, Progress, Value};
use super::exchange::Exchange;
use super::line::{self, Kind, Reply};
use crate::sql::pairing::Exchange as _;
use crate::{Context, Role, seen::Seen};

/// Bytes kept of a text that is no value.
const MAX_TEXT: usize = 1 << 10;

/// What the bytes being read are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shown {
    /// A value, or an item of statistics.
    #[default]
    Value,
    /// A text, such as a version or an error.
    Text,
    /// A number of 64 bits.
    Number,
}

impl Memcached {
    /// A response, or a line of one, begins at `at`.
    pub(super) fn response(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Progress {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.first() == Some(&binary::RESPONSE) {
            return self.binary_response(at, rest, cx);
        }
        let side = self.side(Role::Server);
        let (line, next) = match line::end(rest, side.scanned) {
            Ok(found) => found,
            Err(true) => {
                side.scanned = rest.len();
                return Progress::More(at);
            }
            Err(false) => return Progress::Fault(at),
        };
        side.scanned = 0;
        let Some(reply) = line::reply(line) else { return Progress::Fault(at) };
        self.open_answer(at, cx);
        let answer = &mut self.answer;
        let word = line::words(line).next().unwrap_or_default();
        let end = at + next;
        match reply {
            Reply::Value(key, flags, len, cas) => {
                answer.status(b"VALUE");
                if answer.hits == 0 {
                    answer.flags = i64::try_from(flags).ok();
                    answer.cas = cas.and_then(|n| i64::try_from(n).ok());
                }
                answer.begin_value(key, len);
                self.begin_value(len, 2, true, Shown::Value);
            }
            Reply::MetaValue(len) => {
                answer.status(b"VA");
                line::words(line).skip(2).for_each(|flag| answer.meta(flag));
                self.name_value(len, false);
                self.begin_value(len, 2, false, Shown::Value);
            }
            Reply::Item(name, value) => {
                let status = if word.starts_with(b"key=") { b"ITEM" } else { word };
                answer.status(status);
                answer.item(name, value);
                self.block = true;
            }
            Reply::End => {
                if !self.block {
                    answer.status(b"END");
                }
                self.answered(end, false, cx);
            }
            Reply::Word(word) => {
                answer.status(word);
                answer.line(line);
                if word.len() == 2 {
                    line::words(line).skip(1).for_each(|flag| answer.meta(flag));
                    answer.hits = i64::from(word == b"HD");
                }
                self.answered(end, false, cx);
            }
            Reply::Number(_) => {
                answer.status(b"NUMBER");
                answer.line(line.trim_ascii_end());
                self.answered(end, false, cx);
            }
            Reply::Error(client) => {
                answer.status(word);
                answer.line(line);
                (answer.failed, answer.client_error) = (true, client);
                if line == b"CLIENT_ERROR unauthenticated" {
                    self.authenticated = Some(false);
                }
                self.answered(end, false, cx);
            }
        }
        Progress::To(end)
    }

    fn open_answer(&mut self, at: usize, cx: &Context<'_>) {
        if self.sides[Role::Server.index()].open.is_none() {
            let seen = Seen::within(cx, at, at + 1);
            self.side(Role::Server).open = Some(seen);
            self.answer.begin(cx.limits.payload);
            self.block = false;
        }
    }

    fn begin_value(&mut self, len: u64, tail: u64, block: bool, shown: Shown) {
        self.side(Role::Server).value = Some(Value { left: len, tail });
        self.block = block;
        self.shown = shown;
    }

    /// Begins a value that comes without its key: that of the request, where it is known which one that
    /// is.
    fn name_value(&mut self, len: u64, binary: bool) {
        let found = self.matching(binary);
        let Self { pairing, answer, .. } = self;
        let asked = match found {
            (Some(i), 1) => pairing.pending().nth(i),
            _ => None,
        };
        let key = std::mem::take(&mut answer.key);
        let name =
            if key.is_empty() { asked.and_then(|e| e.asked.first_key()) } else { Some(key.as_slice()) };
        answer.begin_value(name.unwrap_or_default(), len);
        answer.key = key;
    }

    fn binary_response(&mut self, at: usize, rest: &[u8], cx: &mut Context<'_>) -> Progress {
        let header = match binary::header(rest, binary::RESPONSE) {
            None => return Progress::More(at),
            Some(None) => return Progress::Fault(at),
            Some(Some(header)) => header,
        };
        let key_at = HEADER + header.extras;
        let head = key_at + header.key;
        let (Some(extras), Some(key)) = (rest.get(HEADER..key_at), rest.get(key_at..head)) else {
            return Progress::More(at);
        };
        self.open_answer(at, cx);
        let answer = &mut self.answer;
        (answer.binary, answer.opcode, answer.opaque) = (true, header.opcode, header.opaque);
        let (name, failed, client) = binary::status(header.status).unwrap_or(("", true, false));
        answer.status(name.as_bytes());
        (answer.failed, answer.client_error) = (failed, client);
        answer.secret = matches!(header.opcode, op::SASL_AUTH | op::SASL_STEP);
        if header.cas != 0 {
            answer.cas = i64::try_from(header.cas).ok();
        }
        if let Some(flags) = extras.first_chunk::<4>() {
            answer.flags = Some(u32::from_be_bytes(*flags).into());
        }
        let operation = binary::operation(header.opcode);
        let ok = header.status == 0;
        let len = header.value;
        let (block, shown) = if ok && header.opcode == op::STAT && header.key > 0 {
            answer.begin_value(key, len);
            (true, Shown::Value)
        } else if ok && operation.is_some_and(|o| o.retrieves) {
            answer.key.clear();
            answer.key.extend_from_slice(key);
            self.name_value(len, true);
            (false, Shown::Value)
        } else {
            let number = ok && matches!(header.opcode, 0x05 | 0x06 | 0x15 | 0x16) && len == 8;
            answer.begin_text();
            (false, if number { Shown::Number } else { Shown::Text })
        };
        self.begin_value(len, 0, block, shown);
        Progress::To(at + head)
    }

    /// The next bytes of a value. False when no more of it is wanted.
    pub(super) fn value_returned(&mut self, piece: &[u8]) -> bool {
        match self.shown {
            Shown::Value => {
                self.answer.piece(piece);
                self.answer.room() > 0
            }
            Shown::Text | Shown::Number => self.answer.text(piece, MAX_TEXT),
        }
    }

    /// The value ends at `end` of the bytes shown.
    pub(super) fn value_ends(&mut self, end: usize, cx: &mut Context<'_>) {
        match self.shown {
            Shown::Value => self.answer.end_value(),
            Shown::Text => {}
            Shown::Number => self.answer.number(),
        }
        if !self.block {
            self.answered(end, self.answer.binary, cx);
        }
    }

    /// The answer ends at `end` of the bytes shown.
    fn answered(&mut self, end: usize, binary: bool, cx: &mut Context<'_>) {
        let side = self.side(Role::Server);
        let Some(seen) = side.open.take() else { return };
        let hole = std::mem::take(&mut side.hole);
        self.block = false;
        self.heard = true;
        if !self.answer.failed {
            self.authenticated = Some(true);
        }
        self.answer.finish();
        let seen = seen.until(cx, end);
        let why = hole.then_some(Incomplete::Gap);
        let (matching, count) = self.matching(binary);
        match matching {
            Some(i) if count == 1 => {
                self.pass_quiet(i, cx);
                if let Some(front) = self.pairing.front() {
                    std::mem::swap(&mut front.answer, &mut self.answer);
                    front.answered = Some(seen);
                    front.incomplete = front.incomplete.or(why);
                    self.opaque |= front.asked.kind == Kind::Watch && !front.answer.failed;
                }
                self.pairing.finish(&(), cx);
            }
            _ => {
                let idle = self.pairing.is_empty() && self.pairing.is_sure();
                if !self.pairing.is_unsure() && !idle {
                    let why = if count > 1 { Incomplete::NoResponse } else { Incomplete::Gap };
                    self.pairing.doubt(why, &(), cx);
                }
                self.alone(seen, cx);
            }
        }
        if self.pairing.is_empty() || self.pairing.is_unsure() {
            self.pairing.rest(&(), cx);
        }
    }

    /// The first request that the answer may be to, and how many there are.
    fn matching(&self, binary: bool) -> (Option<usize>, usize) {
        let (mut matching, mut count) = (None, 0);
        if !self.pairing.is_unsure() {
            for (i, e) in self.pairing.pending().enumerate() {
                if e.asked.expects(&self.answer, binary) {
                    matching.get_or_insert(i);
                    count += 1;
                }
                if !e.asked.quiet {
                    break;
                }
            }
        }
        (matching, count)
    }

    /// Reports an answer to a request that is not known.
    fn alone(&mut self, seen: Seen, cx: &mut Context<'_>) {
        let mut exchange = self.pairing.make();
        std::mem::swap(&mut exchange.answer, &mut self.answer);
        exchange.answered = Some(seen);
        exchange.emit(Some(Incomplete::NoRequest), &(), cx);
        self.pairing.recycle(exchange);
    }

    /// The first `n` requests, as far as they are quiet, have not been answered, and will not be.
    pub(super) fn pass_quiet(&mut self, n: usize, cx: &mut Context<'_>) {
        let mut left = n.min(self.pairing.pending().count());
        while left > 0 {
            left -= 1;
            match self.pairing.front() {
                Some(Exchange { asked, passed_over, .. }) if asked.quiet => *passed_over = true,
                _ => return,
            }
            self.pairing.finish(&(), cx);
        }
    }
}
