//! Headers and notations (Apache Cassandra, `native_protocol_v5.spec` and those of versions 3 and 4).

use crate::Role;

/// Bytes of a header.
pub(super) const HEADER: usize = 9;

/// Bytes of the largest body (section 2.5).
pub(super) const MAX_BODY: u32 = 256 << 20;

/// Operations.
pub(super) mod op {
    pub(crate) const ERROR: u8 = 0x00;
    pub(crate) const STARTUP: u8 = 0x01;
    pub(crate) const READY: u8 = 0x02;
    pub(crate) const AUTHENTICATE: u8 = 0x03;
    pub(crate) const OPTIONS: u8 = 0x05;
    pub(crate) const SUPPORTED: u8 = 0x06;
    pub(crate) const QUERY: u8 = 0x07;
    pub(crate) const RESULT: u8 = 0x08;
    pub(crate) const PREPARE: u8 = 0x09;
    pub(crate) const EXECUTE: u8 = 0x0a;
    pub(crate) const REGISTER: u8 = 0x0b;
    pub(crate) const EVENT: u8 = 0x0c;
    pub(crate) const BATCH: u8 = 0x0d;
    pub(crate) const AUTH_CHALLENGE: u8 = 0x0e;
    pub(crate) const AUTH_RESPONSE: u8 = 0x0f;
    pub(crate) const AUTH_SUCCESS: u8 = 0x10;
}

/// Flags of a header.
pub(super) mod flag {
    pub(crate) const COMPRESSED: u8 = 0x01;
    pub(crate) const TRACING: u8 = 0x02;
    pub(crate) const PAYLOAD: u8 = 0x04;
    pub(crate) const WARNING: u8 = 0x08;
    pub(crate) const ALL: u8 = 0x1f;
}

/// The name of an operation, and who sends it.
pub(super) fn operation(code: u8) -> Option<(&'static str, Role)> {
    use Role::{Client, Server};
    Some(match code {
        op::ERROR => ("ERROR", Server),
        op::STARTUP => ("STARTUP", Client),
        op::READY => ("READY", Server),
        op::AUTHENTICATE => ("AUTHENTICATE", Server),
        op::OPTIONS => ("OPTIONS", Client),
        op::SUPPORTED => ("SUPPORTED", Server),
        op::QUERY => ("QUERY", Client),
        op::RESULT => ("RESULT", Server),
        op::PREPARE => ("PREPARE", Client),
        op::EXECUTE => ("EXECUTE", Client),
        op::REGISTER => ("REGISTER", Client),
        op::EVENT => ("EVENT", Server),
        op::BATCH => ("BATCH", Client),
        op::AUTH_CHALLENGE => ("AUTH_CHALLENGE", Server),
        op::AUTH_RESPONSE => ("AUTH_RESPONSE", Client),
        op::AUTH_SUCCESS => ("AUTH_SUCCESS", Server),
        _ => return None,
    })
}

/// The name of a consistency level (section 3).
pub(super) fn consistency(level: u16) -> Option<&'static str> {
    Some(match level {
        0x00 => "ANY",
        0x01 => "ONE",
        0x02 => "TWO",
        0x03 => "THREE",
        0x04 => "QUORUM",
        0x05 => "ALL",
        0x06 => "LOCAL_QUORUM",
        0x07 => "EACH_QUORUM",
        0x08 => "SERIAL",
        0x09 => "LOCAL_SERIAL",
        0x0a => "LOCAL_ONE",
        _ => return None,
    })
}

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u8,
    pub(super) flags: u8,
    pub(super) stream: i16,
    pub(super) opcode: u8,
    /// Bytes of the body.
    pub(super) len: u32,
}

/// Reads a header that `role` sends. `None`: there are too few bytes. `Some(None)`: it is none.
pub(super) fn header(bytes: &[u8], role: Role) -> Option<Option<Header>> {
    let &version = bytes.first()?;
    let response = version & 0x80 != 0;
    if response != (role == Role::Server) || !(3..=5).contains(&(version & 0x7f)) {
        return Some(None);
    }
    let &[_, flags, s0, s1, opcode, l0, l1, l2, l3] = bytes.first_chunk::<HEADER>()?;
    let len = u32::from_be_bytes([l0, l1, l2, l3]);
    let fits = flags & !flag::ALL == 0
        && len <= MAX_BODY
        && operation(opcode).is_some_and(|(_, sender)| sender == role);
    let stream = i16::from_be_bytes([s0, s1]);
    Some(fits.then_some(Header { version: version & 0x7f, flags, stream, opcode, len }))
}

/// Reads the notations of section 3, as far as the bytes go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body<'a> {
    bytes: &'a [u8],
}

impl<'a> Body<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(n)?;
        self.bytes = rest;
        Some(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.fixed::<1>().map(|b| b[0])
    }

    pub(super) fn short(&mut self) -> Option<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(super) fn int(&mut self) -> Option<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Option<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let n = self.short()?;
        self.take(n.into())
    }

    /// A long string, or as much of it as there is, and whether that is all.
    pub(super) fn long_string(&mut self) -> Option<(&'a [u8], bool)> {
        let n = usize::try_from(self.int()?).ok()?;
        match self.take(n) {
            Some(text) => Some((text, true)),
            None => Some((self.take(self.bytes.len())?, false)),
        }
    }

    /// Bytes, or `None` inside for null (or not set).
    pub(super) fn value(&mut self) -> Option<Option<&'a [u8]>> {
        match usize::try_from(self.int()?) {
            Ok(n) => self.take(n).map(Some),
            Err(_) => Some(None),
        }
    }
}
