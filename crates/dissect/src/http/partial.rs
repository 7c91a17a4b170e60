//! Heads that are not whole: what of one had been shown when bytes were lost or the stream ended.

use remora_model::{Incomplete, Timestamp};

use super::message::Message;
use super::start::{self, Begins};
use super::{Http, State};
use crate::{Context, Role};

/// Bytes of a head that are kept in case that its rest is lost.
const KEPT: usize = 16 << 10;

/// The front of a head of which the rest has not arrived.
#[derive(Debug, Default)]
pub(super) struct Front {
    bytes: Vec<u8>,
    /// Where it begins in its stream.
    pos: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Front {
    /// Keeps `rest`, which begins at `at` of the shown bytes and will be shown again.
    pub(super) fn keep(&mut self, rest: &[u8], at: usize, cx: &Context<'_>) {
        let pos = cx.pos + at as u64;
        if self.pos != pos || self.bytes.len() > rest.len() {
            self.bytes.clear();
        }
        let most = rest.get(..KEPT).unwrap_or(rest);
        self.bytes.extend_from_slice(most.get(self.bytes.len()..).unwrap_or_default());
        self.pos = pos;
        self.first = cx.time_at(at);
        self.last = cx.time_at(at + rest.len().saturating_sub(1));
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Http {
    /// The rest of the head that was kept is lost: what is certain of it makes a message, which
    /// is not whole for that reason. False when nothing is.
    pub(super) fn partial(&mut self, role: Role, why: Incomplete, cx: &mut Context<'_>) -> bool {
        let front = std::mem::take(&mut self.direction(role).front);
        let read =
            start::begins(role, &front.bytes) == Begins::Yes && self.read_partial(role, &front, why, cx);
        let kept = &mut self.direction(role).front;
        *kept = front;
        kept.clear();
        read
    }

    fn read_partial(&mut self, role: Role, front: &Front, why: Incomplete, cx: &mut Context<'_>) -> bool {
        // The last line may go on.
        let Some(lines) = memchr::memrchr(b'\n', &front.bytes).and_then(|end| front.bytes.get(..=end)) else {
            return false;
        };
        let mut message = Message::take();
        let raw = [lines, b"\r\n"].concat();
        let folded = lines.windows(2).any(|w| matches!(w, [b'\n', b' ' | b'\t']));
        if message.head.read(role, &raw, folded).is_err() {
            message.give_back();
            return false;
        }
        message.found = std::mem::take(&mut self.direction(role).found);
        message.start = front.pos;
        message.head_size = lines.len() as u64;
        message.end = front.pos + front.bytes.len() as u64;
        message.first = front.first;
        message.last = front.last;
        message.cut = true;
        message.mark(why);
        match (role, message.head.status) {
            (Role::Client, _) => self.exchange.request(message, cx),
            (Role::Server, 100 | 102..=199) => {
                self.exchange.interim();
                message.give_back();
                return true;
            }
            (Role::Server, _) => {
                self.exchange.response(message, cx);
                if self.exchange.is_tunnel() {
                    self.tunnel(cx);
                    return true;
                }
            }
        }
        self.exchange.finish(role, false, cx);
        self.direction(role).state = State::default();
        true
    }
}
