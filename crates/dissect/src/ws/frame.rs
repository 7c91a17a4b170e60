//! Frames (RFC 6455 section 5.2).

/// Bytes of the longest frame header.
pub(super) const HEADER_MAX: usize = 14;
/// Bytes of payload that a control frame has at most (section 5.5).
pub(super) const CONTROL_MAX: usize = 125;

pub(super) const CONTINUATION: u8 = 0x0;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const CLOSE: u8 = 0x8;
pub(super) const PING: u8 = 0x9;
pub(super) const PONG: u8 = 0xa;

/// The front of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// The last frame of its message.
    pub(super) fin: bool,
    /// The first reserved bit: of a message's first frame it says that the message is compressed
    /// (RFC 7692 section 6).
    pub(super) rsv1: bool,
    pub(super) opcode: u8,
    pub(super) mask: Option<[u8; 4]>,
    /// Bytes of payload, below 2^63.
    pub(super) len: u64,
    /// Its own bytes.
    pub(super) size: usize,
}

/// What bytes are, taken as the front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    Is(Header),
    /// So many bytes are needed to say.
    Needs(usize),
    /// No frame begins like that.
    Bad,
}

impl Header {
    /// Reads the header at the front of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Front {
        let &[a, b, ref rest @ ..] = bytes else { return Front::Needs(2) };
        let opcode = a & 0x0f;
        let (fin, rsv1) = (a & 0x80 != 0, a & 0x40 != 0);
        let is_control = opcode & 0x8 != 0;
        let known = matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
        let short = u64::from(b & 0x7f);
        if !known || a & 0x30 != 0 || (is_control && (!fin || rsv1 || short > CONTROL_MAX as u64)) {
            return Front::Bad;
        }
        let masked = b & 0x80 != 0;
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let size = 2 + wide + if masked { 4 } else { 0 };
        if bytes.len() < size {
            return Front::Needs(size);
        }
        let (wide_bytes, rest) = rest.split_at(wide.min(rest.len()));
        let len = if wide == 0 { short } else { wide_bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b)) };
        if len >> 63 != 0 {
            return Front::Bad;
        }
        let mask = if masked { rest.first_chunk::<4>().copied() } else { None };
        Front::Is(Self { fin, rsv1, opcode, mask, len, size })
    }

    pub(super) const fn is_control(self) -> bool {
        self.opcode & 0x8 != 0
    }

    /// False where the length could have been written shorter, which section 5.2 forbids.
    pub(super) const fn is_minimal(self) -> bool {
        match self.size - if self.mask.is_some() { 4 } else { 0 } {
            2 => true,
            4 => self.len > 125,
            _ => self.len > 0xffff,
        }
    }
}

/// Takes the mask off `bytes`, which lie `offset` bytes behind the front of their payload
/// (section 5.3).
pub(super) fn unmask(bytes: &mut [u8], mask: Option<[u8; 4]>, offset: u64) {
    let Some(mut mask) = mask else { return };
    mask.rotate_left((offset % 4) as usize);
    let mut words = bytes.chunks_exact_mut(4);
    for word in &mut words {
        word.iter_mut().zip(mask).for_each(|(b, m)| *b ^= m);
    }
    words.into_remainder().iter_mut().zip(mask).for_each(|(b, m)| *b ^= m);
}

/// An opcode by its name in messages.
pub(super) const fn name(opcode: u8) -> &'static str {
    match opcode {
        TEXT => "text",
        BINARY => "binary",
        CLOSE => "close",
        PING => "ping",
        PONG => "pong",
        _ => "continuation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_or_refused() {
        let is =
            |fin, rsv1, opcode, mask, len, size| Front::Is(Header { fin, rsv1, opcode, mask, len, size });
        for (bytes, expected) in [
            (b"\x81\x05hello".as_slice(), is(true, false, TEXT, None, 5, 2)),
            (b"\x01\x85\x01\x02\x03\x04h", is(false, false, TEXT, Some([1, 2, 3, 4]), 5, 6)),
            (b"\xc2\x7e\x01\x00", is(true, true, BINARY, None, 256, 4)),
            (b"\x82\x7f\0\0\0\0\0\x01\0\0", is(true, false, BINARY, None, 65_536, 10)),
            (
                b"\x82\xff\0\0\0\0\0\x01\0\0\x09\x08\x07\x06",
                is(true, false, BINARY, Some([9, 8, 7, 6]), 65_536, 14),
            ),
            (b"\x88\x00", is(true, false, CLOSE, None, 0, 2)),
            (b"", Front::Needs(2)),
            (b"\x81", Front::Needs(2)),
            (b"\x81\x7e\x01", Front::Needs(4)),
            (b"\x81\xfe\x01", Front::Needs(8)),
            (b"\x83\x00", Front::Bad),
            (b"\xa1\x00", Front::Bad),
            (b"\x91\x00", Front::Bad),
            (b"\x08\x00", Front::Bad),
            (b"\xc9\x00", Front::Bad),
            (b"\x89\x7e", Front::Bad),
            (b"\x82\x7f\x80\0\0\0\0\0\0\0", Front::Bad),
        ] {
            assert_eq!(Header::read(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn masks_are_taken_off_in_any_pieces() {
        let mask = Some([1, 2, 4, 8]);
        let mut whole = *b"a message that is masked";
        unmask(&mut whole, mask, 0);
        for split in 0..whole.len() {
            let mut pieces = whole;
            let (a, b) = pieces.split_at_mut(split);
            unmask(a, mask, 0);
            unmask(b, mask, split as u64);
            assert_eq!(&pieces, b"a message that is masked");
        }
    }
}
