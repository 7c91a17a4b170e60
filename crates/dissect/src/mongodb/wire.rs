//! Headers, operation codes and flags (MongoDB manual, "MongoDB Wire Protocol").

/// Bytes of a message's header.
pub(super) const HEADER: usize = 16;

/// Bytes of the largest message (`maxMessageSizeBytes`).
pub(super) const MAX_MESSAGE: u32 = 48_000_000;

/// Bytes of the longest namespace that is read; servers allow 255.
pub(super) const MAX_NAMESPACE: usize = 512;

/// Operation codes.
pub(super) mod op {
    pub(crate) const REPLY: i32 = 1;
    pub(crate) const UPDATE: i32 = 2001;
    pub(crate) const INSERT: i32 = 2002;
    pub(crate) const QUERY: i32 = 2004;
    pub(crate) const GET_MORE: i32 = 2005;
    pub(crate) const DELETE: i32 = 2006;
    pub(crate) const KILL_CURSORS: i32 = 2007;
    pub(crate) const COMPRESSED: i32 = 2012;
    pub(crate) const MSG: i32 = 2013;
}

/// Flags of OP_MSG and OP_QUERY.
pub(super) mod flag {
    pub(crate) const CHECKSUM_PRESENT: u32 = 1;
    pub(crate) const MORE_TO_COME: u32 = 1 << 1;
    pub(crate) const EXHAUST_ALLOWED: u32 = 1 << 16;
    /// Of the lower half of OP_MSG's flags, which a receiver must understand.
    pub(crate) const REQUIRED: u32 = 0xffff;
    pub(crate) const QUERY_EXHAUST: u32 = 1 << 6;
    pub(crate) const REPLY_CURSOR_NOT_FOUND: u32 = 1;
    pub(crate) const REPLY_QUERY_FAILURE: u32 = 1 << 1;
}

/// The name of an operation code that is read.
pub(super) fn opcode_name(code: i32) -> Option<&'static str> {
    Some(match code {
        op::REPLY => "OP_REPLY",
        op::UPDATE => "OP_UPDATE",
        op::INSERT => "OP_INSERT",
        op::QUERY => "OP_QUERY",
        op::GET_MORE => "OP_GET_MORE",
        op::DELETE => "OP_DELETE",
        op::KILL_CURSORS => "OP_KILL_CURSORS",
        op::COMPRESSED => "OP_COMPRESSED",
        op::MSG => "OP_MSG",
        _ => return None,
    })
}

/// The name of a compressor by its id in OP_COMPRESSED.
pub(super) fn compressor_name(id: u8) -> Option<&'static str> {
    ["noop", "snappy", "zlib", "zstd"].get(usize::from(id)).copied()
}

/// A message's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the whole message.
    pub(super) len: u32,
    pub(super) id: i32,
    pub(super) response_to: i32,
    pub(super) opcode: i32,
}

/// Reads a header. `None`: there are too few bytes. `Some(None)`: it is none.
pub(super) fn header(bytes: &[u8]) -> Option<Option<Header>> {
    let at = |i| int(bytes, i);
    let len = at(0)?;
    let plausible = u32::try_from(len).ok().filter(|n| (HEADER as u32 + 4..=MAX_MESSAGE).contains(n));
    let Some(len) = plausible else { return Some(None) };
    let header = Header { len, id: at(4)?, response_to: at(8)?, opcode: at(12)? };
    Some(opcode_name(header.opcode).map(|_| header))
}

/// A 32-bit number at `i`.
pub(super) fn int(bytes: &[u8], i: usize) -> Option<i32> {
    bytes.get(i..)?.first_chunk::<4>().map(|b| i32::from_le_bytes(*b))
}

/// A 64-bit number at `i`.
pub(super) fn long(bytes: &[u8], i: usize) -> Option<i64> {
    bytes.get(i..)?.first_chunk::<8>().map(|b| i64::from_le_bytes(*b))
}

/// A string that ends with a zero and has at most `max` bytes. `Err(true)`: more bytes will tell.
pub(super) fn cstring(bytes: &[u8], max: usize) -> Result<&[u8], bool> {
    let shown = bytes.get(..=max).unwrap_or(bytes);
    let end = memchr::memchr(0, shown).ok_or(bytes.len() <= max)?;
    shown.get(..end).ok_or(false)
}

/// A namespace in its parts: database and collection.
pub(super) fn namespace(ns: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'.', ns) {
        Some(dot) => (ns.get(..dot).unwrap_or_default(), ns.get(dot + 1..).unwrap_or_default()),
        None => (ns, b""),
    }
}
