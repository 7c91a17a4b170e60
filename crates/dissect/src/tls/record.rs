//! The record layer (RFC 8446 section 5.1).

/// Bytes of a record's header.
pub(super) const HEADER: usize = 5;

/// Bytes of the longest fragment: 2^14 and what compression and encryption may add up to TLS 1.2
/// (RFC 5246 section 6.2.3).
pub(super) const MAX_FRAGMENT: usize = (1 << 14) + 2_048;

// Content types (IANA registry "TLS ContentType").
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
pub(super) const HEARTBEAT: u8 = 24;

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: u8,
    /// Bytes of the fragment.
    pub(super) len: usize,
    /// As it stands on the wire.
    pub(super) bytes: [u8; HEADER],
}

impl Header {
    /// Reads a header; `None` when it cannot be one.
    pub(super) fn parse(bytes: [u8; HEADER]) -> Option<Self> {
        let [kind, major, minor, high, low] = bytes;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let fits = (CHANGE_CIPHER_SPEC..=HEARTBEAT).contains(&kind)
            && major == 3
            && minor <= 4
            && len <= MAX_FRAGMENT
            // Empty ones are data, sent to hide its length (RFC 5246 section 6.2.1).
            && (len > 0 || kind == APPLICATION_DATA)
            && (kind != CHANGE_CIPHER_SPEC || len <= 64);
        fits.then_some(Self { kind, len, bytes })
    }
}
