//! Chunks of a packet. Borrows, allocates nothing.

/// Chunk types (RFC 9260, section 3.2; RFC 8260; RFC 3758).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0;
    pub(crate) const INIT: u8 = 1;
    pub(crate) const INIT_ACK: u8 = 2;
    pub(crate) const ABORT: u8 = 6;
    pub(crate) const SHUTDOWN: u8 = 7;
    pub(crate) const SHUTDOWN_ACK: u8 = 8;
    pub(crate) const ERROR: u8 = 9;
    pub(crate) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(crate) const I_DATA: u8 = 64;
}

/// Bytes of a chunk's header: type, flags, length.
const HEADER: usize = 4;

/// A chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    /// Its length as it says, header included, padding excluded.
    pub(crate) len: u16,
    /// What was captured behind its header.
    pub(crate) value: &'a [u8],
}

/// The chunks of a packet in order. Stops at one whose length cannot be.
pub(crate) struct Chunks<'a> {
    rest: &'a [u8],
    /// Bytes at which it stopped.
    pub(crate) refused: usize,
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, refused: 0 }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let Some((&[kind, flags, high, low], _)) = self.rest.split_first_chunk::<HEADER>() else {
            // Less than a header is what a snaplen leaves.
            self.rest = &[];
            return None;
        };
        let len = u16::from_be_bytes([high, low]);
        if usize::from(len) < HEADER {
            self.refused = self.rest.len();
            self.rest = &[];
            return None;
        }
        let end = usize::from(len).min(self.rest.len());
        let value = self.rest.get(HEADER..end).unwrap_or_default();
        self.rest = self.rest.get(usize::from(len).next_multiple_of(4)..).unwrap_or_default();
        Some(Chunk { kind, flags, len, value })
    }
}

impl<'a> Chunk<'a> {
    /// True when a snaplen cut it.
    pub(crate) fn is_cut(&self) -> bool {
        self.value.len() + HEADER < usize::from(self.len)
    }

    /// A part of a user message, if it is one.
    pub(crate) fn data(&self) -> Option<Data<'a>> {
        let word = |at: usize| {
            self.value.get(at..).and_then(|b| b.first_chunk()).map(|b: &[u8; 4]| u32::from_be_bytes(*b))
        };
        let half = |at: usize| {
            self.value.get(at..).and_then(|b| b.first_chunk()).map(|b: &[u8; 2]| u16::from_be_bytes(*b))
        };
        let (begins, ends, unordered) = (self.flags & 2 != 0, self.flags & 1 != 0, self.flags & 4 != 0);
        let tsn = word(0)?;
        let stream = half(4)?;
        Some(match self.kind {
            kind::DATA => Data {
                tsn,
                group: Group { stream, message: u32::from(half(6)?), unordered, interleaved: false },
                place: tsn,
                ppid: word(8)?,
                begins,
                ends,
                payload: self.value.get(12..)?,
            },
            // What is the protocol identifier in the first fragment is the place of the others.
            kind::I_DATA => Data {
                tsn,
                group: Group { stream, message: word(8)?, unordered, interleaved: true },
                place: if begins { 0 } else { word(12)? },
                ppid: if begins { word(12)? } else { 0 },
                begins,
                ends,
                payload: self.value.get(16..)?,
            },
            _ => return None,
        })
    }
}

/// What the fragments of a message share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) stream: u16,
    pub(crate) message: u32,
    pub(crate) unordered: bool,
    pub(crate) interleaved: bool,
}

/// A user message or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    /// Transmission sequence number.
    pub(crate) tsn: u32,
    pub(crate) group: Group,
    /// Fragments of a message have places that follow each other.
    pub(crate) place: u32,
    /// Payload protocol identifier (IANA); 46 and 47 are Diameter.
    pub(crate) ppid: u32,
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) payload: &'a [u8],
}

/// The name of a chunk type; `None` where it has none.
pub(crate) fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0 => "DATA",
        1 => "INIT",
        2 => "INIT_ACK",
        3 => "SACK",
        4 => "HEARTBEAT",
        5 => "HEARTBEAT_ACK",
        6 => "ABORT",
        7 => "SHUTDOWN",
        8 => "SHUTDOWN_ACK",
        9 => "ERROR",
        10 => "COOKIE_ECHO",
        11 => "COOKIE_ACK",
        12 => "ECNE",
        13 => "CWR",
        14 => "SHUTDOWN_COMPLETE",
        15 => "AUTH",
        64 => "I_DATA",
        128 => "ASCONF_ACK",
        130 => "RE_CONFIG",
        132 => "PAD",
        192 => "FORWARD_TSN",
        193 => "ASCONF",
        194 => "I_FORWARD_TSN",
        _ => return None,
    })
}

/// The first cause of an ABORT or ERROR, by name (RFC 9260, section 3.3.10; RFC 5061). An ABORT need not
/// have one.
pub(crate) fn cause(value: &[u8]) -> Option<&'static str> {
    let code: &[u8; 2] = value.first_chunk()?;
    Some(match u16::from_be_bytes(*code) {
        1 => "invalid_stream",
        2 => "missing_parameter",
        3 => "stale_cookie",
        4 => "out_of_resource",
        5 => "unresolvable_address",
        6 => "unrecognized_chunk",
        7 => "invalid_parameter",
        8 => "unrecognized_parameters",
        9 => "no_user_data",
        10 => "cookie_while_shutting_down",
        11 => "restart_with_new_addresses",
        12 => "user_initiated_abort",
        13 => "protocol_violation",
        160 => "delete_last_address",
        161 => "resource_shortage",
        162 => "delete_source_address",
        163 => "illegal_asconf_ack",
        164 => "no_authorization",
        261 => "unsupported_hmac",
        _ => return None,
    })
}
