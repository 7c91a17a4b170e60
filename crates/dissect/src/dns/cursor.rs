//! Reads a message front to back without ever leaving a given range.

use super::name;

/// A position in a message and the end of what may be read. Names may point anywhere before
/// themselves, so the whole message stays in view.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) msg: &'a [u8],
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Cursor<'a> {
    /// The whole of `msg`.
    pub(super) fn new(msg: &'a [u8]) -> Self {
        Self { msg, at: 0, end: msg.len() }
    }

    /// Octets left in the range.
    pub(super) fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// The next `n` octets.
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        if n > self.left() {
            return None;
        }
        let bytes = self.msg.get(self.at..self.at + n)?;
        self.at += n;
        Some(bytes)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        self.take(self.left()).unwrap_or_default()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// Steps over a name, checking its own octets but not what it points to.
    pub(super) fn skip_name(&mut self) -> Option<()> {
        self.at = name::skip(self.msg, self.at, self.end)?;
        Some(())
    }

    /// Appends a name as text.
    pub(super) fn name(&mut self, out: &mut Vec<u8>) -> Option<()> {
        self.at = name::write(self.msg, self.at, self.end, out)?;
        Some(())
    }

    /// Steps over a name and checks it with everything it points to.
    pub(super) fn check_name(&mut self) -> Option<()> {
        self.at = name::check(self.msg, self.at, self.end)?;
        Some(())
    }

    /// The next `n` octets as a range of their own, in which names may still point outside it.
    pub(super) fn part(&mut self, n: usize) -> Option<Self> {
        let start = self.at;
        self.take(n)?;
        Some(Self { msg: self.msg, at: start, end: start + n })
    }
}
