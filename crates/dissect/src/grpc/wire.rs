//! Protobuf's wire format (the protobuf encoding guide): fields, of which only number and wire type
//! are known.

/// Messages in messages that are followed; deeper ones are shown as bytes.
pub(super) const MAX_DEPTH: usize = 32;
/// Field numbers are below this (the protobuf encoding guide).
const MAX_FIELD: u64 = 1 << 29;

/// What follows a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// More bytes were announced than there are.
    CutBytes(&'a [u8]),
    StartGroup,
    EndGroup,
    Fixed32(u32),
}

/// The next field; `None` at the end or where there is none.
pub(super) fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let mut at = *rest;
    let tag = varint(&mut at)?;
    let number = tag >> 3;
    if !(1..MAX_FIELD).contains(&number) {
        return None;
    }
    let value = match tag & 7 {
        0 => Value::Varint(varint(&mut at)?),
        1 => {
            let (bytes, after) = at.split_first_chunk::<8>()?;
            at = after;
            Value::Fixed64(u64::from_le_bytes(*bytes))
        }
        2 => {
            let len = usize::try_from(varint(&mut at)?).ok()?;
            match at.split_at_checked(len) {
                Some((bytes, after)) => {
                    at = after;
                    Value::Bytes(bytes)
                }
                None => Value::CutBytes(std::mem::take(&mut at)),
            }
        }
        3 => Value::StartGroup,
        4 => Value::EndGroup,
        5 => {
            let (bytes, after) = at.split_first_chunk::<4>()?;
            at = after;
            Value::Fixed32(u32::from_le_bytes(*bytes))
        }
        _ => return None,
    };
    *rest = at;
    Some((number, value))
}

pub(super) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (i, &byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            *rest = rest.get(i + 1..).unwrap_or_default();
            return Some(value);
        }
    }
    None
}

/// True when all of `bytes` are fields, whatever is in them.
pub(super) fn is_message(bytes: &[u8]) -> bool {
    let (mut rest, mut open) = (bytes, 0_usize);
    while !rest.is_empty() {
        match field(&mut rest) {
            Some((_, Value::StartGroup)) if open < MAX_DEPTH => open += 1,
            Some((_, Value::EndGroup)) if open > 0 => open -= 1,
            Some((_, Value::StartGroup | Value::EndGroup | Value::CutBytes(_))) | None => return false,
            Some(_) => {}
        }
    }
    open == 0
}

/// Passes over the fields of a group up to its end, which has the number `of`. `None` where it has
/// no such end, or groups nest too deep.
pub(super) fn skip_group(rest: &mut &[u8], of: u64) -> Option<()> {
    let mut open = [0_u64; MAX_DEPTH];
    let mut depth = 1;
    *open.first_mut()? = of;
    while depth > 0 {
        match field(rest)? {
            (number, Value::StartGroup) => {
                *open.get_mut(depth)? = number;
                depth += 1;
            }
            (number, Value::EndGroup) => {
                depth -= 1;
                if open.get(depth) != Some(&number) {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(())
}

/// The fields of a message, for a reader that knows which it wants: those before the first byte
/// that is none, and no groups.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        loop {
            match field(&mut rest)? {
                (number, Value::StartGroup) => skip_group(&mut rest, number)?,
                (_, Value::EndGroup) => return None,
                found => return Some(found),
            }
        }
    })
}
