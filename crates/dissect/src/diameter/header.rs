//! Headers of messages and AVPs (RFC 6733, sections 3 and 4.1).

use crate::framed::Front;

/// Bytes of the header of a message.
pub(super) const HEADER: usize = 20;

/// What a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes, this header included.
    pub(super) length: u32,
    pub(super) flags: u8,
    pub(super) command: u32,
    pub(super) application: u32,
    pub(super) hop_by_hop: u32,
    pub(super) end_to_end: u32,
}

/// The flags of a message.
pub(super) mod flag {
    pub(crate) const REQUEST: u8 = 0x80;
    pub(crate) const PROXIABLE: u8 = 0x40;
    pub(crate) const ERROR: u8 = 0x20;
    pub(crate) const RETRANSMITTED: u8 = 0x10;
    /// Must be zero.
    pub(crate) const RESERVED: u8 = 0x0f;
}

impl Header {
    pub(super) fn is_request(&self) -> bool {
        self.flags & flag::REQUEST != 0
    }
}

/// Reads a header, and gives what follows it. `Err(true)`: too short.
pub(super) fn read(bytes: &[u8]) -> Result<(Header, &[u8]), bool> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        // What is there can be wrong already.
        let version = bytes.first().is_none_or(|v| *v == 1);
        let flags = bytes.get(4).is_none_or(|f| plausible(*f));
        return Err(version && flags);
    };
    let word =
        |at: usize| (0..4).fold(0, |n, i| n << 8 | u32::from(header.get(at + i).copied().unwrap_or(0)));
    let (first, second) = (word(0), word(4));
    let header = Header {
        length: first & 0xff_ffff,
        flags: (second >> 24) as u8,
        command: second & 0xff_ffff,
        application: word(8),
        hop_by_hop: word(12),
        end_to_end: word(16),
    };
    let fits = first >> 24 == 1
        && header.length >= HEADER as u32
        && header.length.is_multiple_of(4)
        && plausible(header.flags);
    if fits { Ok((header, rest)) } else { Err(false) }
}

/// True for flags that can go together: only answers are errors, only requests are repeated.
fn plausible(flags: u8) -> bool {
    let request = flags & flag::REQUEST != 0;
    let wrong = if request { flag::ERROR } else { flag::RETRANSMITTED };
    flags & (flag::RESERVED | wrong) == 0
}

/// Judges the bytes at a message boundary.
pub(super) fn front(bytes: &[u8]) -> Front<Header> {
    match read(bytes) {
        Ok((header, _)) => Front::Message(u64::from(header.length), Some(header)),
        Err(true) => Front::More,
        Err(false) => Front::Bad,
    }
}

/// One AVP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avp<'a> {
    pub(super) code: u32,
    /// 0 for those of the IETF.
    pub(super) vendor: u32,
    pub(super) value: &'a [u8],
    /// Its end is not there, because the message is cut.
    pub(super) cut: bool,
}

/// Takes the next AVP. `Err`: what is left is none.
pub(super) fn avp<'a>(rest: &mut &'a [u8], cut: bool) -> Result<Option<Avp<'a>>, ()> {
    if rest.is_empty() {
        return Ok(None);
    }
    let short = if cut { Ok(None) } else { Err(()) };
    let Some((header, after)) = rest.split_first_chunk::<8>() else {
        *rest = &[];
        return short;
    };
    let [a, b, c, d, flags, e, f, g] = *header;
    let length = u32::from_be_bytes([0, e, f, g]) as usize;
    let (vendor, start) = match after.split_first_chunk() {
        Some((vendor, _)) if flags & 0x80 != 0 => (u32::from_be_bytes(*vendor), 12),
        None if flags & 0x80 != 0 => {
            *rest = &[];
            return short;
        }
        _ => (0, 8),
    };
    if length < start || length > rest.len() && !cut {
        *rest = &[];
        return Err(());
    }
    let value = rest.get(start..length).or_else(|| rest.get(start..)).unwrap_or_default();
    let is_cut = length > rest.len();
    *rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    Ok(Some(Avp { code: u32::from_be_bytes([a, b, c, d]), vendor, value, cut: is_cut }))
}
