//! Frames (RFC 9113 sections 4.1 and 6).

/// What a client that speaks HTTP/2 sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes before a frame's payload.
pub(super) const HEADER_LEN: usize = 9;

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const PRIORITY: u8 = 0x2;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const PUSH_PROMISE: u8 = 0x5;
pub(super) const PING: u8 = 0x6;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY_FIELDS: u8 = 0x20;

/// Bytes that a priority takes, in its own frame and in HEADERS (RFC 9113 section 6.3).
const PRIORITY_LEN: usize = 5;

/// The front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of payload, below 2^24.
    pub(super) len: usize,
    pub(super) kind: u8,
    pub(super) flags: u8,
    /// Below 2^31; 0 is the connection.
    pub(super) stream: u32,
}

impl Header {
    /// Reads one; `None` when the bytes are too few.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, s0, s1, s2, s3] = bytes.first_chunk::<HEADER_LEN>()?;
        Some(Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        })
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// False when the RFC calls it an error of the connection, whatever its payload.
    pub(super) fn is_valid(self) -> bool {
        match self.kind {
            DATA | HEADERS | CONTINUATION => {
                self.stream != 0 && self.len >= usize::from(self.kind != CONTINUATION && self.has(PADDED))
            }
            PRIORITY => self.stream != 0 && self.len == PRIORITY_LEN,
            RST_STREAM => self.stream != 0 && self.len == 4,
            SETTINGS => self.stream == 0 && self.len.is_multiple_of(6) && (!self.has(ACK) || self.len == 0),
            PUSH_PROMISE => self.stream != 0 && self.len >= 4,
            PING => self.stream == 0 && self.len == 8,
            GOAWAY => self.stream == 0 && self.len >= 8,
            WINDOW_UPDATE => self.len == 4,
            _ => true,
        }
    }

    /// The flags that frames of this type have; `None` for a type that RFC 9113 does not know.
    pub(super) const fn known_flags(self) -> Option<u8> {
        Some(match self.kind {
            DATA => END_STREAM | PADDED,
            HEADERS => END_STREAM | END_HEADERS | PADDED | PRIORITY_FIELDS,
            PUSH_PROMISE => END_HEADERS | PADDED,
            CONTINUATION => END_HEADERS,
            SETTINGS | PING => ACK,
            PRIORITY | RST_STREAM | GOAWAY | WINDOW_UPDATE => 0,
            _ => return None,
        })
    }
}

/// The part of a HEADERS or PUSH_PROMISE payload that belongs to the header block: without
/// padding, priority, and the promised stream, which comes back beside it.
pub(super) fn block(header: Header, payload: &[u8]) -> Option<(&[u8], u32)> {
    let mut rest = payload;
    let mut pad = 0;
    if header.has(PADDED) {
        let (&len, after) = rest.split_first()?;
        (pad, rest) = (usize::from(len), after);
    }
    let mut promised = 0;
    if header.kind == HEADERS && header.has(PRIORITY_FIELDS) {
        rest = rest.get(PRIORITY_LEN..)?;
    }
    if header.kind == PUSH_PROMISE {
        promised = word(rest)? & 0x7fff_ffff;
        rest = rest.get(4..)?;
    }
    Some((rest.get(..rest.len().checked_sub(pad)?)?, promised))
}

/// The first four bytes as a number.
pub(super) fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk::<4>().map(|b| u32::from_be_bytes(*b))
}

/// Error codes (RFC 9113 section 7).
pub(super) const NO_ERROR: u32 = 0x0;
pub(super) const CANCEL: u32 = 0x8;

/// An error code by its name in the registry.
pub(super) const fn error_name(code: u32) -> &'static str {
    match code {
        NO_ERROR => "NO_ERROR",
        0x1 => "PROTOCOL_ERROR",
        0x2 => "INTERNAL_ERROR",
        0x3 => "FLOW_CONTROL_ERROR",
        0x4 => "SETTINGS_TIMEOUT",
        0x5 => "STREAM_CLOSED",
        0x6 => "FRAME_SIZE_ERROR",
        0x7 => "REFUSED_STREAM",
        CANCEL => "CANCEL",
        0x9 => "COMPRESSION_ERROR",
        0xa => "CONNECT_ERROR",
        0xb => "ENHANCE_YOUR_CALM",
        0xc => "INADEQUATE_SECURITY",
        0xd => "HTTP_1_1_REQUIRED",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let header = Header::read(b"\x00\x01\x02\x01\x25\x80\x00\x00\x03rest").unwrap();
        assert_eq!(header, Header { len: 258, kind: HEADERS, flags: 0x25, stream: 3 });
        assert_eq!(Header::read(&[0; 8]), None);
    }

    #[test]
    fn blocks_lie_between_padding_and_priority() {
        let header = |kind, flags| Header { len: 0, kind, flags, stream: 1 };
        let all = PADDED | PRIORITY_FIELDS;
        assert_eq!(block(header(HEADERS, 0), b"abc"), Some((b"abc".as_slice(), 0)));
        assert_eq!(block(header(HEADERS, all), b"\x02\0\0\0\0\0abcPP"), Some((b"abc".as_slice(), 0)));
        assert_eq!(block(header(PUSH_PROMISE, PADDED), b"\x01\x80\0\0\x02abP"), Some((b"ab".as_slice(), 2)));
        assert_eq!(block(header(HEADERS, PADDED), b"\x04abc"), None);
        assert_eq!(block(header(HEADERS, all), b"\0\0\0\0"), None);
        assert_eq!(block(header(HEADERS, PADDED), b""), None);
        assert_eq!(block(header(PUSH_PROMISE, 0), b"\0\0\0"), None);
    }
}
