//! When and where on the wire a message was.

use remora_model::Timestamp;

use crate::Context;

/// The place of a message in time and in its sender's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Arrival of its first byte.
    pub(crate) first: Timestamp,
    /// Arrival of its last byte.
    pub(crate) last: Timestamp,
    /// Its bytes, framing included.
    pub(crate) bytes: i64,
    /// Stream offset of its first byte.
    pub(crate) pos: i64,
}

impl Seen {
    /// A message that lies at `start..end` in the bytes being shown.
    pub(crate) fn within(cx: &Context<'_>, start: usize, end: usize) -> Self {
        let pos = stream_pos(cx, start);
        Self {
            first: cx.time_at(start),
            last: cx.time_at(end.saturating_sub(1).max(start)),
            bytes: stream_pos(cx, end) - pos,
            pos,
        }
    }

    /// The same message up to `end` in the bytes being shown, where it began earlier.
    pub(crate) fn until(self, cx: &Context<'_>, end: usize) -> Self {
        let last = cx.time_at(end.saturating_sub(1)).max(self.first);
        Self { last, bytes: stream_pos(cx, end).saturating_sub(self.pos), ..self }
    }
}

/// Stream offset of the byte at `offset` of those being shown.
fn stream_pos(cx: &Context<'_>, offset: usize) -> i64 {
    i64::try_from(cx.pos.saturating_add(offset as u64)).unwrap_or(i64::MAX)
}
