//! The handshake as it comes in CRYPTO frames, in pieces and in any order (RFC 9000 section 19.6).

use super::packet::variable;
use crate::tls::cursor::Cursor;

/// Bytes of the handshake that are kept: a ClientHello with keys of many groups has about 2 KiB.
const MAX_BYTES: usize = 64 << 10;

/// Pieces between which something is missing. Some clients cut their hello on purpose.
const MAX_PIECES: usize = 64;

/// The beginning of one side's handshake.
#[derive(Debug, Default)]
pub(super) struct Crypto {
    bytes: Vec<u8>,
    /// Which of the bytes have come: ascending, not touching each other.
    pieces: Vec<(usize, usize)>,
}

/// What else the frames of a packet say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Frames {
    /// The connection is closed, with this error.
    pub(super) closed: Option<u64>,
    /// Some of the handshake was in it.
    pub(super) crypto: bool,
    /// Something in it was not understood, or not kept.
    pub(super) bad: bool,
}

impl Crypto {
    /// Takes the frames of an Initial packet.
    pub(super) fn frames(&mut self, bytes: &[u8]) -> Frames {
        let mut found = Frames::default();
        let mut c = Cursor(bytes);
        while let Some(kind) = c.u8() {
            let read = match kind {
                // PADDING, PING.
                0 | 1 => Some(()),
                2 | 3 => acknowledgement(&mut c, kind == 3),
                6 => self.crypto(&mut c),
                // CONNECTION_CLOSE.
                0x1c => variable(&mut c).map(|error| found.closed = Some(error)),
                _ => None,
            };
            if kind == 0x1c {
                break;
            }
            found.crypto |= kind == 6;
            if read.is_none() {
                found.bad = true;
                break;
            }
        }
        found
    }

    fn crypto(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        let start = usize::try_from(variable(c)?).ok()?;
        let len = usize::try_from(variable(c)?).ok()?;
        let data = c.take(len)?;
        let end = start.checked_add(len).filter(|end| *end <= MAX_BYTES)?;
        if data.is_empty() {
            return Some(());
        }
        // The pieces that touch the new one become one with it.
        let from = self.pieces.partition_point(|&(_, e)| e < start);
        let to = self.pieces.partition_point(|&(s, _)| s <= end);
        let touched = self.pieces.get(from..to)?;
        if touched.is_empty() && self.pieces.len() >= MAX_PIECES {
            return None;
        }
        let (mut low, mut high) = (start, end);
        if let (Some(first), Some(last)) = (touched.first(), touched.last()) {
            (low, high) = (low.min(first.0), high.max(last.1));
        }
        self.pieces.splice(from..to, [(low, high)]);
        // Grows by at most what one packet may skip.
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(start..end)?.copy_from_slice(data);
        Some(())
    }

    /// The bytes from the beginning up to the first that is missing.
    pub(super) fn ready(&self) -> &[u8] {
        match self.pieces.first() {
            Some(&(0, end)) => self.bytes.get(..end).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.pieces.capacity() * size_of::<(usize, usize)>()
    }
}

/// Reads over an ACK frame (RFC 9000 section 19.3).
fn acknowledgement(c: &mut Cursor<'_>, with_ecn: bool) -> Option<()> {
    variable(c)?;
    variable(c)?;
    let ranges = variable(c)?;
    variable(c)?;
    // Each range has at least two bytes.
    if ranges > c.0.len() as u64 {
        return None;
    }
    for _ in 0..ranges {
        variable(c)?;
        variable(c)?;
    }
    if with_ecn {
        for _ in 0..3 {
            variable(c)?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: u8, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![6, offset, data.len() as u8];
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn pieces_come_in_any_order() {
        let mut crypto = Crypto::default();
        assert_eq!(crypto.frames(&frame(6, b"ghi")), Frames { crypto: true, ..Frames::default() });
        assert!(!crypto.frames(&[0, 1]).crypto);
        assert_eq!(crypto.ready(), b"");
        crypto.frames(&[frame(0, b"ab"), vec![0, 0, 1], frame(3, b"d")].concat());
        assert_eq!(crypto.ready(), b"ab");
        crypto.frames(&frame(1, b"bcdefg"));
        assert_eq!(crypto.ready(), b"abcdefghi");
        assert_eq!(crypto.pieces, [(0, 9)]);
    }

    #[test]
    fn bounds_hold() {
        let mut crypto = Crypto::default();
        // An offset of 2^30 - 1.
        assert!(crypto.frames(&[6, 0xbf, 0xff, 0xff, 0xff, 1, 7]).bad);
        assert_eq!(crypto.memory(), 0);
        for i in 0..100_u8 {
            let found = crypto.frames(&[6, 0x40, 2 * i, 1, 7]);
            assert_eq!(found.bad, usize::from(i) >= MAX_PIECES);
        }
        assert!(crypto.frames(&[2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]).bad);
        assert_eq!(crypto.frames(&[0x1c, 0x41, 0x28, 0, 0]).closed, Some(0x128));
    }
}
