//! What stands around every operation (RFC 4511, section 4.1.1).

use remora_model::Span;

use super::ber::{self, Bad, INTEGER, OCTETS, Reader, SEQUENCE};
use super::names::{self, Operation};
use crate::framed::Front;
use crate::kept::Kept;

/// Bytes of the largest message that is believed. slapd takes 4 MiB of those who have bound.
const MAX_MESSAGE: u32 = 256 << 20;

/// Controls listed of one message.
const MAX_CONTROLS: usize = 32;

/// What the first bytes of a message tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Message id.
    pub(super) id: i32,
    /// What it is.
    pub(super) operation: &'static Operation,
}

/// Judges the bytes at a message boundary.
pub(super) fn front(bytes: &[u8]) -> Front<Head> {
    if !bytes.is_empty() && bytes.first() != Some(&SEQUENCE) {
        return Front::Bad;
    }
    let (len, rest) = match ber::front(bytes) {
        // An id and an operation have five bytes at least.
        Ok((_, len, rest)) if (5..=MAX_MESSAGE).contains(&len) => (len, rest),
        Err(true) => return Front::More,
        _ => return Front::Bad,
    };
    let total = (bytes.len() - rest.len()) as u64 + u64::from(len);
    match head(rest) {
        Ok((head, _)) => Front::Message(total, Some(head)),
        Err(true) => Front::Message(total, None),
        Err(false) => Front::Bad,
    }
}

/// Id and operation, and what begins with the operation. `Err(true)`: too short.
pub(super) fn head(inside: &[u8]) -> Result<(Head, &[u8]), bool> {
    let (tag, len, rest) = match ber::front(inside) {
        Ok(front) => front,
        Err(short) => return Err(short && inside.first().is_none_or(|t| *t == INTEGER)),
    };
    if tag != INTEGER || !(1..=4).contains(&len) {
        return Err(false);
    }
    let (id, rest) = rest.split_at_checked(len as usize).ok_or(true)?;
    let id = ber::int(id).ok().and_then(|id| i32::try_from(id).ok()).filter(|id| *id >= 0).ok_or(false)?;
    let tag = rest.first().ok_or(true)?;
    let operation = names::operation(*tag).ok_or(false)?;
    // Only the server speaks unasked.
    if id == 0 && !operation.is_answer { Err(false) } else { Ok((Head { id, operation }, rest)) }
}

/// What is behind the length of a message: id, operation, and a reader in front of the operation.
pub(super) fn open(bytes: &[u8], cut: bool) -> Option<(Head, Reader<'_>)> {
    let (_, len, rest) = ber::front(bytes).ok()?;
    let inside = rest.get(..len as usize).unwrap_or(rest);
    let (head, rest) = head(inside).ok()?;
    Some((head, Reader::new(rest, cut)))
}

/// Reads the controls behind an operation, which end the message. Their values are not shown.
pub(super) fn controls(
    r: &mut Reader<'_>,
    texts: &mut Kept,
    list: &mut Vec<Span>,
    limit: usize,
) -> Result<(), Bad> {
    if let Some(controls) = r.optional(0xa0)? {
        let mut controls = controls.inside();
        while let Some(control) = controls.next()? {
            if control.tag != SEQUENCE {
                return Err(Bad);
            }
            let oid = control.inside().expect(OCTETS)?.value;
            let name = names::object(oid);
            if list.len() < MAX_CONTROLS && !list.iter().any(|c| texts.get(*c) == name) {
                list.push(texts.keep(name, limit));
            }
        }
    }
    if r.is_done() { Ok(()) } else { Err(Bad) }
}
