//! Length-prefixed messages (the gRPC protocol over HTTP/2, "Length-Prefixed-Message").

/// Flag and length before each message.
pub(super) const PREFIX: usize = 5;
/// The message is compressed.
pub(super) const COMPRESSED: u8 = 0x01;
/// The message is the trailers (gRPC-Web).
pub(super) const TRAILERS: u8 = 0x80;

/// Most bytes kept of the trailers that gRPC-Web puts into the body.
const MAX_TRAILERS: usize = 8 << 10;

/// Follows the messages in a body that is seen piece by piece.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framer {
    /// The prefix, as far as it is there.
    prefix: [u8; PREFIX],
    have: u8,
    /// Bytes of the current message to come.
    left: u32,
    messages: u64,
    /// Where messages begin is not known any more.
    lost: bool,
    /// The trailers of gRPC-Web.
    trailers: Vec<u8>,
}

impl Framer {
    /// The next bytes.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.lost {
            if self.left > 0 {
                let n = bytes.len().min(self.left as usize);
                let (message, rest) = bytes.split_at(n);
                if self.prefix[0] & TRAILERS != 0 {
                    let room = MAX_TRAILERS.saturating_sub(self.trailers.len());
                    self.trailers.extend_from_slice(message.get(..room).unwrap_or(message));
                }
                self.left -= n as u32;
                bytes = rest;
                continue;
            }
            let have = usize::from(self.have);
            let n = bytes.len().min(PREFIX - have);
            let (front, rest) = bytes.split_at(n);
            if let Some(room) = self.prefix.get_mut(have..have + n) {
                room.copy_from_slice(front);
            }
            bytes = rest;
            self.have += n as u8;
            if usize::from(self.have) == PREFIX {
                self.have = 0;
                let [flags, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length);
                self.lost = flags & !(COMPRESSED | TRAILERS) != 0;
                self.messages += u64::from(!self.lost && flags & TRAILERS == 0);
            }
        }
    }

    /// `len` bytes are not shown.
    pub(crate) fn pass(&mut self, len: u64) {
        match u32::try_from(len) {
            Ok(n) if n <= self.left => self.left -= n,
            _ => self.lost = true,
        }
    }

    /// An unknown number of bytes is missing.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    /// How many of the next bytes say nothing about where messages begin.
    pub(crate) fn unwanted(&self) -> u64 {
        match self.lost {
            true => u64::MAX,
            false if self.prefix[0] & TRAILERS != 0 => 0,
            false => u64::from(self.left),
        }
    }

    /// True when what was pushed is whole messages, at least one.
    pub(crate) fn is_exact(&self) -> bool {
        !self.lost && self.left == 0 && self.have == 0 && self.messages > 0
    }

    /// Messages that have begun; `None` when some may have been missed.
    pub(super) fn messages(&self) -> Option<u64> {
        (!self.lost).then_some(self.messages)
    }

    /// The trailers of gRPC-Web, empty where there were none.
    pub(super) fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        self.trailers.capacity()
    }

    /// Ready for another body.
    pub(crate) fn clear(&mut self) {
        self.trailers.clear();
        let trailers = std::mem::take(&mut self.trailers);
        *self = Self { trailers, ..Self::default() };
    }
}

/// One message of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) flags: u8,
    pub(super) bytes: &'a [u8],
    /// There is more of it.
    pub(super) cut: bool,
}

/// The messages at the front of a body.
pub(super) fn messages(body: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (prefix, after) = rest.split_first_chunk::<PREFIX>()?;
        let [flags, length @ ..] = *prefix;
        let len = u32::from_be_bytes(length) as usize;
        let (bytes, cut) = after.get(..len).map_or((after, true), |bytes| (bytes, false));
        rest = after.get(len..).unwrap_or_default();
        Some(Message { flags, bytes, cut })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"\0\0\0\0\x03abc\x01\0\0\0\x00\0\0\0\0\x02de\x80\0\0\0\x05x: 1\n";

    #[test]
    fn messages_are_counted_however_the_body_was_split() {
        for piece in 1..BODY.len() {
            let mut framer = Framer::default();
            BODY.chunks(piece).for_each(|c| framer.push(c));
            assert_eq!((framer.messages(), framer.trailers()), (Some(3), b"x: 1\n".as_slice()));
        }
        let all: Vec<_> = messages(BODY).map(|m| (m.flags, m.bytes, m.cut)).collect();
        let expected: [(u8, &[u8], bool); 4] =
            [(0, b"abc", false), (1, b"", false), (0, b"de", false), (0x80, b"x: 1\n", false)];
        assert_eq!(all, expected);
        assert_eq!(messages(&BODY[..6]).last(), Some(Message { flags: 0, bytes: b"a", cut: true }));
    }

    #[test]
    fn what_is_passed_within_a_message_does_not_matter() {
        let mut framer = Framer::default();
        framer.push(b"\0\0\0\0\x0aab");
        assert_eq!(framer.unwanted(), 8);
        framer.pass(8);
        framer.push(b"\0\0\0\0\x00");
        assert_eq!(framer.messages(), Some(2));
        framer.pass(1);
        assert_eq!((framer.messages(), framer.unwanted()), (None, u64::MAX));
    }
}
