//! The binary protocol (memcached, `BinaryProtocolRevamped`).

/// Bytes of a header.
pub(super) const HEADER: usize = 24;

/// First byte of a request and of a response.
pub(super) const REQUEST: u8 = 0x80;
pub(super) const RESPONSE: u8 = 0x81;

/// Operations whose messages are special.
pub(super) mod op {
    pub(crate) const STAT: u8 = 0x10;
    pub(crate) const SASL_AUTH: u8 = 0x21;
    pub(crate) const SASL_STEP: u8 = 0x22;
}

/// What extras a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extras {
    None,
    /// Flags and expiration.
    Store,
    /// Delta, initial value and expiration.
    Arithmetic,
    /// Expiration.
    Expiration,
    /// Expiration, or none.
    Flush,
    Verbosity,
}

/// An operation: its name, whether it is quiet, what extras its request has, whether it has a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) quiet: bool,
    pub(super) extras: Extras,
    pub(super) key: bool,
    /// It asks for values.
    pub(super) retrieves: bool,
}

/// An operation by its code.
pub(super) fn operation(code: u8) -> Option<Operation> {
    use Extras::{Arithmetic, Expiration, Flush, None as Without, Store, Verbosity};
    let (name, quiet, extras, key) = match code {
        0x00 => ("get", false, Without, true),
        0x01 => ("set", false, Store, true),
        0x02 => ("add", false, Store, true),
        0x03 => ("replace", false, Store, true),
        0x04 => ("delete", false, Without, true),
        0x05 => ("increment", false, Arithmetic, true),
        0x06 => ("decrement", false, Arithmetic, true),
        0x07 => ("quit", false, Without, false),
        0x08 => ("flush", false, Flush, false),
        0x09 => ("getq", true, Without, true),
        0x0a => ("noop", false, Without, false),
        0x0b => ("version", false, Without, false),
        0x0c => ("getk", false, Without, true),
        0x0d => ("getkq", true, Without, true),
        0x0e => ("append", false, Without, true),
        0x0f => ("prepend", false, Without, true),
        0x10 => ("stat", false, Without, false),
        0x11 => ("setq", true, Store, true),
        0x12 => ("addq", true, Store, true),
        0x13 => ("replaceq", true, Store, true),
        0x14 => ("deleteq", true, Without, true),
        0x15 => ("incrementq", true, Arithmetic, true),
        0x16 => ("decrementq", true, Arithmetic, true),
        0x17 => ("quitq", true, Without, false),
        0x18 => ("flushq", true, Flush, false),
        0x19 => ("appendq", true, Without, true),
        0x1a => ("prependq", true, Without, true),
        0x1b => ("verbosity", false, Verbosity, false),
        0x1c => ("touch", false, Expiration, true),
        0x1d => ("gat", false, Expiration, true),
        0x1e => ("gatq", true, Expiration, true),
        0x20 => ("sasl_list_mechs", false, Without, false),
        0x21 => ("sasl_auth", false, Without, true),
        0x22 => ("sasl_step", false, Without, true),
        0x23 => ("gatk", false, Expiration, true),
        0x24 => ("gatkq", true, Expiration, true),
        _ => return None,
    };
    let retrieves = matches!(code, 0x00 | 0x09 | 0x0c | 0x0d | 0x1d | 0x1e | 0x23 | 0x24);
    Some(Operation { name, quiet, extras, key, retrieves })
}

/// A status's name, and whether it means that the request failed, and that the client is to blame.
pub(super) fn status(code: u16) -> Option<(&'static str, bool, bool)> {
    Some(match code {
        0x00 => ("SUCCESS", false, false),
        0x01 => ("KEY_ENOENT", false, false),
        0x02 => ("KEY_EEXISTS", false, false),
        0x03 => ("E2BIG", true, true),
        0x04 => ("EINVAL", true, true),
        0x05 => ("NOT_STORED", false, false),
        0x06 => ("DELTA_BADVAL", true, true),
        0x07 => ("NOT_MY_VBUCKET", true, false),
        0x08 | 0x20 => ("AUTH_ERROR", true, true),
        0x09 | 0x21 => ("AUTH_CONTINUE", false, false),
        0x81 => ("UNKNOWN_COMMAND", true, true),
        0x82 => ("ENOMEM", true, false),
        0x83 => ("NOT_SUPPORTED", true, false),
        0x84 => ("EINTERNAL", true, false),
        0x85 => ("EBUSY", true, false),
        0x86 => ("ETMPFAIL", true, false),
        _ => return None,
    })
}

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: u8,
    pub(super) key: usize,
    pub(super) extras: usize,
    /// Of a response.
    pub(super) status: u16,
    /// Bytes of the value.
    pub(super) value: u64,
    pub(super) opaque: u32,
    pub(super) cas: u64,
}

/// Reads the header of a request (`magic` 0x80) or response (0x81). `None`: there are too few bytes.
/// `Some(None)`: it is none.
pub(super) fn header(bytes: &[u8], magic: u8) -> Option<Option<Header>> {
    let first = bytes.first()?;
    if *first != magic {
        return Some(None);
    }
    let head = bytes.first_chunk::<HEADER>()?;
    Some(parse(head, magic == REQUEST))
}

fn parse(b: &[u8; HEADER], request: bool) -> Option<Header> {
    let operation = operation(b[1])?;
    let key = u16::from_be_bytes([b[2], b[3]]);
    let extras = b[4];
    let total = u32::from_be_bytes([b[8], b[9], b[10], b[11]]);
    let value = total.checked_sub(u32::from(key) + u32::from(extras))?;
    let fits = match (request, operation.extras) {
        _ if b[5] != 0 => false,
        (false, _) => matches!(extras, 0 | 4),
        (true, Extras::None) => extras == 0,
        (true, Extras::Store) => extras == 8,
        (true, Extras::Arithmetic) => extras == 20,
        (true, Extras::Expiration | Extras::Verbosity) => extras == 4,
        (true, Extras::Flush) => matches!(extras, 0 | 4),
    };
    let keyed = !request || (operation.key == (key > 0) || b[1] == op::STAT);
    let status = if request { 0 } else { u16::from_be_bytes([b[6], b[7]]) };
    let plausible = fits
        && keyed
        && usize::from(key) <= super::line::MAX_KEY
        && u64::from(value) <= super::line::MAX_VALUE
        && (request || self::status(status).is_some());
    plausible.then_some(Header {
        opcode: b[1],
        key: key.into(),
        extras: extras.into(),
        status,
        value: value.into(),
        opaque: u32::from_be_bytes([b[12], b[13], b[14], b[15]]),
        cas: u64::from_be_bytes([b[16], b[17], b[18], b[19], b[20], b[21], b[22], b[23]]),
    })
}
