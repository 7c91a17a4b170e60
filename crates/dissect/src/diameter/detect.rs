//! Is this Diameter? The header has few free bits, and the first AVP tells who speaks.

use remora_model::Transport;

use super::header::{self, HEADER};
use crate::{Role, Verdict};

/// Bytes of the largest message that is believed without its end.
const LIKELY: u32 = 1 << 20;

/// Bytes of a message by itself that may be a part of it.
const SHOWN: usize = 1 << 10;

/// Judges the first bytes of a stream, or one message.
pub(super) fn probe(bytes: &[u8], transport: Transport) -> Verdict {
    let (header, rest) = match header::read(bytes) {
        Ok(found) => found,
        Err(true) if transport == Transport::Tcp => return Verdict::NeedMore,
        Err(_) => return Verdict::No,
    };
    // What detection is shown of a long message is its beginning.
    let length = header.length as usize;
    let alone = length == bytes.len() || length > bytes.len() && bytes.len() >= SHOWN;
    if header.length > LIKELY || transport != Transport::Tcp && !alone {
        return Verdict::No;
    }
    let role = if header.is_request() { Role::Client } else { Role::Server };
    let end = (header.length as usize).saturating_sub(HEADER);
    let whole = rest.get(..end);
    let Some([a, b, c, d, flags, e, f, g, ..]) = rest.get(..8.min(end)) else {
        return if transport == Transport::Tcp && end >= 8 { Verdict::NeedMore } else { Verdict::No };
    };
    // Session-Id stands first where there is one; else Origin-Host does, or Result-Code in the answer
    // to Capabilities-Exchange (RFC 6733, sections 5 and 8.8). They are of the IETF and mandatory.
    let code = u32::from_be_bytes([*a, *b, *c, *d]);
    let length = u32::from_be_bytes([0, *e, *f, *g]) as usize;
    let known = match code {
        263 | 264 => (9..=264).contains(&length),
        268 => length == 12,
        _ => false,
    };
    if !known || flags & 0x9f != 0 || length > end {
        return Verdict::No;
    }
    let Some(value) = rest.get(8..length) else { return Verdict::NeedMore };
    if code != 268 && !value.iter().all(u8::is_ascii_graphic) {
        return Verdict::No;
    }
    let mut left = whole.unwrap_or(rest);
    loop {
        match header::avp(&mut left, whole.is_none()) {
            Ok(Some(_)) => {}
            Ok(None) => return Verdict::Match(role),
            Err(()) => return Verdict::No,
        }
    }
}

/// Finds the first message that is certain. Both sides ask, so that its role does not matter.
pub(super) fn resync(bytes: &[u8], _: Role) -> Option<usize> {
    memchr::memchr_iter(1, bytes).find(|&at| {
        bytes.get(at..).is_some_and(|rest| matches!(probe(rest, Transport::Tcp), Verdict::Match(_)))
    })
}
