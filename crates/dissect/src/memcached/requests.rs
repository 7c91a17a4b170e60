//! What the client sends.

use super::answer::keep;
use super::binary::{self, HEADER};
use super::connection::{Memcached, Progress, Value};
use super::line::{self, Kind};
use crate::sql::pairing::Exchange as _;
use crate::{Context, Role, seen::Seen};
use remora_model::Incomplete;

/// Bytes of a line that is no command and may yet be answered by an error.
const MAX_UNKNOWN: usize = 256;

impl Memcached {
    /// A request begins at `at`.
    pub(super) fn request(&mut self, at: usize, bytes: &[u8], cx: &mut Context<'_>) -> Progress {
        let rest = bytes.get(at..).unwrap_or_default();
        let seen = Seen::within(cx, at, at + 1);
        if rest.first() == Some(&binary::REQUEST) {
            let header = match binary::header(rest, binary::REQUEST) {
                None => return Progress::More(at),
                Some(None) => return Progress::Fault(at),
                Some(Some(header)) => header,
            };
            let key_at = HEADER + header.extras;
            let head = key_at + header.key;
            let (Some(extras), Some(key)) = (rest.get(HEADER..key_at), rest.get(key_at..head)) else {
                return Progress::More(at);
            };
            self.asking.clear();
            self.asking.binary(&header, extras, key);
            let side = self.side(Role::Client);
            side.open = Some(seen);
            side.value = Some(Value { left: header.value, tail: 0 });
            return Progress::To(at + head);
        }
        let side = self.side(Role::Client);
        let (line, next) = match line::end(rest, side.scanned) {
            Ok(found) => found,
            Err(true) => {
                side.scanned = rest.len();
                return Progress::More(at);
            }
            Err(false) => return Progress::Fault(at),
        };
        side.scanned = 0;
        self.asking.clear();
        if !self.asking.line(line) && !self.unknown(line) {
            return Progress::Fault(at);
        }
        self.asking.asked.secret = self.authenticated == Some(false) && self.asking.asked.kind == Kind::Store;
        let size = self.asking.asked.size.and_then(|n| u64::try_from(n).ok());
        let side = self.side(Role::Client);
        side.open = Some(seen);
        if let Some(left) = size {
            side.value = Some(Value { left, tail: 2 });
        } else {
            self.asked(at + next, cx);
        }
        Progress::To(at + next)
    }

    /// A line that is no command, to which the server will say so.
    fn unknown(&mut self, line: &[u8]) -> bool {
        let text =
            !line.is_empty() && line.len() <= MAX_UNKNOWN && line.iter().all(|b| (b' '..=b'~').contains(b));
        if text {
            let word = line::words(line).next().unwrap_or_default();
            let asked = &mut self.asking.asked;
            keep(&mut asked.command, word);
            asked.command.make_ascii_lowercase();
            keep(&mut asked.line, line);
        }
        text
    }

    /// The next bytes of the value that is stored. False when no more of it is wanted.
    pub(super) fn value_sent(&mut self, piece: &[u8], cx: &Context<'_>) -> bool {
        let budget = if self.asking.asked.secret { 0 } else { self.budget(cx) };
        let asked = &mut self.asking.asked;
        // Behind a hole nothing is kept, lest what stands on both sides of it is read as one.
        let room = if asked.cut > 0 { 0 } else { budget.saturating_sub(asked.value.len()) };
        let n = piece.len().min(room);
        asked.value.extend_from_slice(piece.get(..n).unwrap_or_default());
        if !asked.secret {
            asked.cut += (piece.len() - n) as u64;
        }
        asked.value.len() < budget
    }

    /// The request has been read, up to `end` of the bytes shown.
    pub(super) fn asked(&mut self, end: usize, cx: &mut Context<'_>) {
        let side = self.side(Role::Client);
        let Some(seen) = side.open.take() else { return };
        let hole = std::mem::take(&mut side.hole);
        self.asking.request = Some(seen.until(cx, end));
        self.asking.asked.doubtful = self.authenticated.is_none() && self.asking.asked.may_authenticate();
        self.asking.incomplete = hole.then_some(Incomplete::Gap);
        if self.asking.asked.noreply {
            self.asking.emit(None, &(), cx);
            self.asking.clear();
            return;
        }
        if !self.heard && self.pairing.is_empty() {
            self.pairing.assume_idle();
        }
        self.pairing.ask(|_| false, &(), cx);
        let fresh = self.pairing.make();
        let exchange = std::mem::replace(&mut self.asking, fresh);
        self.pairing.push(exchange, &(), cx);
    }
}
