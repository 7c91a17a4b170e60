//! Short texts on the stack: addresses and numbers.

use std::fmt::{self, Write as _};

/// A short text: an address or a number.
#[derive(Clone, Copy)]
pub(super) struct Word {
    bytes: [u8; 48],
    len: usize,
}

impl Word {
    pub(super) const EMPTY: Self = Self { bytes: [0; 48], len: 0 };

    pub(super) fn new(value: impl fmt::Display) -> Self {
        let mut word = Self::EMPTY;
        // What does not fit is cut; nothing that is shown here is that long.
        let _ = write!(word, "{value}");
        word
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Write for Word {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let n = s.len().min(room.len());
        for (to, from) in room.iter_mut().zip(s.bytes()) {
            *to = from;
        }
        self.len += n;
        if n == s.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
