//! A message of text or data, frame by frame.

use remora_model::Incomplete;

use super::frame::{self, Header};
use crate::Limits;
use crate::seen::Seen;

/// A message being read.
#[derive(Debug)]
pub(super) struct Message {
    /// [`frame::TEXT`] or [`frame::BINARY`].
    pub(super) opcode: u8,
    pub(super) compressed: bool,
    /// From its first frame to its last; the bytes are those of its own frames.
    pub(super) seen: Seen,
    pub(super) frames: u32,
    /// Bytes of payload on the wire.
    pub(super) size: u64,
    /// The front of the payload; of a compressed message all of it, until it ends.
    pub(super) body: Vec<u8>,
    /// `body` holds less than the whole.
    pub(super) cut: bool,
    /// Why it is not whole.
    pub(super) incomplete: Option<Incomplete>,
}

impl Message {
    /// A message whose first frame has that header, with the buffer of an earlier one.
    pub(super) fn new(header: Header, place: Seen, mut body: Vec<u8>) -> Self {
        body.clear();
        Self {
            opcode: header.opcode,
            compressed: header.rsv1,
            seen: Seen { bytes: 0, ..place },
            frames: 1,
            size: 0,
            body,
            cut: false,
            incomplete: None,
        }
    }

    /// How much of the payload is kept.
    fn room(&self, limits: &Limits) -> usize {
        // What is compressed can only be read as a whole.
        let most = if self.compressed { limits.message_bytes } else { limits.payload };
        most.saturating_sub(self.body.len())
    }

    /// Payload that lies `offset` bytes behind the front of its frame's.
    pub(super) fn push(&mut self, bytes: &[u8], mask: Option<[u8; 4]>, offset: u64, limits: &Limits) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.cut {
            return;
        }
        let kept = bytes.get(..self.room(limits)).unwrap_or(bytes);
        let from = self.body.len();
        self.body.extend_from_slice(kept);
        frame::unmask(self.body.get_mut(from..).unwrap_or_default(), mask, offset);
        self.cut = kept.len() < bytes.len();
        if self.cut && self.compressed {
            self.body.clear();
        }
    }

    /// Payload that was not shown; `missing` of it was not captured.
    pub(super) fn pass(&mut self, len: u64, missing: u64) {
        self.size = self.size.saturating_add(len);
        self.cut |= len > 0;
        if missing > 0 {
            self.mark(Incomplete::Gap);
        }
    }

    /// True when no more of its payload is to be kept.
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.cut || self.room(limits) == 0
    }

    /// A frame of it has ended, which lies there.
    pub(super) fn grow(&mut self, frame: Seen) {
        self.seen.last = self.seen.last.max(frame.last);
        self.seen.bytes = self.seen.bytes.saturating_add(frame.bytes);
    }

    /// Says why it is not whole, unless an earlier reason was given.
    pub(super) fn mark(&mut self, why: Incomplete) {
        self.incomplete.get_or_insert(why);
    }

    /// It ends here although its last frame has not been read.
    pub(super) fn cut_off(&mut self) {
        self.cut = true;
        if self.compressed {
            self.body.clear();
        }
    }

    /// True when all of its frames were seen.
    pub(super) fn is_whole(&self) -> bool {
        self.incomplete.is_none() && !(self.compressed && self.cut)
    }
}
