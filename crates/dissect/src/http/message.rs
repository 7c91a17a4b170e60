//! One message, as far as it was seen.

use std::cell::RefCell;

use remora_model::{Incomplete, Timestamp};
use sha2::{Digest as _, Sha256};

use super::facts::{Length, Transfer};
use super::head::Head;
use super::sse::{self, Counter};
use crate::{BodyAction, Limits};

/// Messages kept for reuse by all flows of a thread.
const SPARE_MESSAGES: usize = 64;
/// Largest buffer kept for reuse.
const SPARE_BYTES: usize = 64 << 10;

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body.
    None,
    /// By its length.
    Length(u64),
    /// By chunks.
    Chunked,
    /// The connection ends with it.
    UntilClose,
    /// The head contradicts itself, so that nobody can know.
    Unknown,
}

/// A request or a response.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) head: Head,
    /// The front of the body, without chunk framing and not decoded.
    pub(crate) body: Vec<u8>,
    /// Bytes of body that were transferred, without chunk framing.
    pub(crate) body_size: u64,
    /// `body` holds less than the whole body, or its rest is not known.
    pub(crate) cut: bool,
    /// Bytes of start line and headers, the empty line included.
    pub(crate) head_size: u64,
    /// Where it begins in its stream.
    pub(crate) start: u64,
    /// Where it ends, or how far it was read.
    pub(crate) end: u64,
    /// When its first byte arrived.
    pub(crate) first: Timestamp,
    /// When the last byte arrived that was read of it.
    pub(crate) last: Timestamp,
    /// Why it is not whole.
    pub(crate) incomplete: Option<Incomplete>,
    /// Its end was reached.
    pub(crate) whole: bool,
    /// What is to become of its body.
    pub(crate) action: BodyAction,
    /// The digest of its body so far.
    digest: Option<Box<Sha256>>,
    /// Of a stream of events: what they are.
    pub(crate) events: Option<Box<Counter>>,

    /// For a request: what became of it.
    pub(crate) fate: Fate,
    /// It was found behind lost bytes, and may be part of a body.
    pub(crate) found: bool,
    /// For a request: it has ended, whether all of it was seen or not.
    pub(crate) done: bool,
    /// For a request: bytes of the server were lost while it waited.
    pub(crate) in_gap: bool,
    /// For a request: bytes of the client were lost behind it, and with them perhaps requests.
    pub(crate) followed: bool,
    /// For a request: how many requests were sent between it and the one in the queue before it.
    pub(crate) unqueued_before: u32,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits for a response.
    #[default]
    Waiting,
    /// Its response came and was reported without it, because it was shown too late.
    Missed,
    /// Too many requests wait: it is reported as soon as it has ended.
    Refused,
    /// It was reported with its response before it had ended.
    Reported,
}

thread_local! {
    #[expect(clippy::vec_box, reason = "a message is large and moves often")]
    static SPARE: RefCell<Vec<Box<Message>>> = const { RefCell::new(Vec::new()) };
}

impl Message {
    /// An empty message, with the buffers of an earlier one where there is one.
    pub(crate) fn take() -> Box<Self> {
        SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
    }

    /// Keeps the buffers for the next message of any flow.
    pub(crate) fn give_back(mut self: Box<Self>) {
        if self.memory() > SPARE_BYTES + size_of::<Self>() {
            return;
        }
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MESSAGES {
                let mut head = std::mem::take(&mut self.head);
                let mut body = std::mem::take(&mut self.body);
                head.clear();
                body.clear();
                *self = Self { head, body, ..Self::default() };
                spare.push(self);
            }
        });
    }

    /// Bytes of memory that it holds.
    pub(crate) fn memory(&self) -> usize {
        let events = self.events.as_ref().map_or(0, |e| size_of::<Counter>() + e.memory());
        let digest = self.digest.as_ref().map_or(0, |_| size_of::<Sha256>());
        size_of::<Self>() + self.head.memory() + self.body.capacity() + events + digest
    }

    /// The head is there: decides what becomes of the body.
    pub(crate) fn judge_body(&mut self, limits: &Limits) {
        let content_type = self.head.at(self.head.facts.content_type);
        self.action = limits.bodies.action(content_type);
        if self.action == BodyAction::Hash {
            self.digest = Some(Box::default());
        }
        if self.head.status != 0 && !self.head.facts.encoded && sse::is_stream(content_type) {
            self.events = Some(Box::default());
        }
    }

    /// The digest of the body, where it was asked for and all of it was seen.
    pub(crate) fn digest(&self) -> Option<[u8; 64]> {
        let digest = self.digest.as_ref().filter(|_| self.whole && self.body_size > 0)?;
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(Sha256::clone(digest).finalize()) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = char::from_digit(u32::from(nibble), 16).map_or(b'0', |c| c as u8);
            }
        }
        Some(hex)
    }

    /// A message with the same head and nothing else.
    pub(crate) fn head_only(&self) -> Self {
        Self { head: self.head.clone(), ..Self::default() }
    }

    /// Adds bytes of body and keeps them up to the payload limit.
    pub(crate) fn push_body(&mut self, bytes: &[u8], limits: &Limits) {
        self.body_size = self.body_size.saturating_add(bytes.len() as u64);
        if let Some(events) = &mut self.events {
            events.push(bytes);
        }
        if self.action != BodyAction::Keep {
            if let Some(digest) = &mut self.digest {
                digest.update(bytes);
            }
            self.cut |= !bytes.is_empty();
            return;
        }
        if self.cut || bytes.is_empty() {
            return;
        }
        let room = limits.payload.saturating_sub(self.body.len());
        self.body.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        self.cut = bytes.len() > room;
    }

    /// Counts bytes of body that are not kept.
    pub(crate) fn pass_body(&mut self, len: u64) {
        self.body_size = self.body_size.saturating_add(len);
        if len > 0 {
            self.cut = true;
            self.digest = None;
            if let Some(events) = &mut self.events {
                events.lose();
            }
        }
    }

    /// True when no more of the body is to be looked at.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        let full = self.cut || self.body.len() >= limits.payload || self.action != BodyAction::Keep;
        full && self.digest.is_none() && self.events.is_none()
    }

    /// Says why it is not whole, unless an earlier reason was given.
    pub(crate) fn mark(&mut self, why: Incomplete) {
        self.incomplete.get_or_insert(why);
    }

    /// How a request is framed, and whether its head contradicts itself.
    pub(crate) fn request_framing(&self) -> (Framing, bool) {
        let facts = &self.head.facts;
        match (facts.transfer, facts.length) {
            (Transfer::Chunked, _) => (Framing::Chunked, self.is_suspicious()),
            (Transfer::Other, _) | (Transfer::Absent, Length::Bad) => (Framing::Unknown, true),
            (Transfer::Absent, Length::Absent | Length::Is(0)) => (Framing::None, false),
            (Transfer::Absent, Length::Is(n)) => (Framing::Length(n), false),
        }
    }

    /// How a response to a request with `method` is framed, and whether its head contradicts
    /// itself. An unknown method is taken for one whose responses have bodies.
    pub(crate) fn response_framing(&self, method: &[u8]) -> (Framing, bool) {
        let facts = &self.head.facts;
        if method == b"HEAD" || matches!(self.head.status, 100..=199 | 204 | 304) {
            return (Framing::None, false);
        }
        match (facts.transfer, facts.length) {
            (Transfer::Chunked, _) => (Framing::Chunked, self.is_suspicious()),
            (Transfer::Other, _) => (Framing::UntilClose, self.is_suspicious()),
            (Transfer::Absent, Length::Absent) => (Framing::UntilClose, false),
            (Transfer::Absent, Length::Bad) => (Framing::Unknown, true),
            (Transfer::Absent, Length::Is(0)) => (Framing::None, false),
            (Transfer::Absent, Length::Is(n)) => (Framing::Length(n), false),
        }
    }

    /// Transfer-Encoding together with Content-Length, in HTTP/1.0, or with `chunked` in the
    /// wrong place: what request smuggling is made of (RFC 9112 section 6.1).
    fn is_suspicious(&self) -> bool {
        let facts = &self.head.facts;
        facts.length != Length::Absent || facts.transfer_odd || self.head.at(self.head.version) == b"HTTP/1.0"
    }
}
