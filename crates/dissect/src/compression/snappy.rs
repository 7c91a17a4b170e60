//! Snappy, bare and in the framing of xerial's snappy-java, which Java clients use.
//! By the public format description of Snappy; owned, because it has to stop at a bound and at the
//! end of a batch of which only the beginning is held.

use super::{Damaged, Stop, literal, repeat};

/// Magic of xerial's framing. Two version numbers of four bytes follow, then blocks behind their
/// lengths.
const XERIAL: &[u8; 8] = b"\x82SNAPPY\0";

/// Decompresses `input` to the end of `out`, up to `max` bytes there.
pub(crate) fn decode(input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
    if !input.starts_with(XERIAL) {
        return block(input, out, max);
    }
    let Some(mut rest) = input.get(16..) else { return Ok(Stop::Early) };
    while !rest.is_empty() {
        let Some((length, after)) = rest.split_first_chunk::<4>() else { return Ok(Stop::Early) };
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Damaged)?;
        let whole = length <= after.len();
        let (one, after) = after.split_at(length.min(after.len()));
        match block(one, out, max)? {
            Stop::End => rest = after,
            Stop::Early if whole => return Err(Damaged),
            stop => return Ok(stop),
        }
    }
    Ok(Stop::End)
}

/// Decompresses bare Snappy to the end of `out`, up to `max` bytes there.
pub(crate) fn block(input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
    let base = out.len();
    let mut at = 0;
    let mut length = 0_u64;
    loop {
        let Some(&byte) = input.get(at) else { return Ok(Stop::Early) };
        length |= u64::from(byte & 0x7f) << (7 * at);
        at += 1;
        if byte < 0x80 {
            break;
        }
        if at == 5 {
            return Err(Damaged);
        }
    }
    let length = usize::try_from(length).map_err(|_| Damaged)?;
    while let Some(&tag) = input.get(at) {
        at += 1;
        // Little-endian numbers of 1 to 4 bytes.
        let number = |at: usize, n: usize| {
            let bytes = input.get(at..at + n)?;
            Some(bytes.iter().rev().fold(0_usize, |v, &b| v << 8 | usize::from(b)))
        };
        let high = usize::from(tag >> 2);
        let (len, distance) = match tag & 3 {
            0 => {
                let extra = high.saturating_sub(59);
                let Some(n) = (if extra == 0 { Some(high) } else { number(at, extra) }) else {
                    return Ok(Stop::Early);
                };
                at += extra;
                (n.checked_add(1).ok_or(Damaged)?, None)
            }
            1 => {
                let Some(low) = number(at, 1) else { return Ok(Stop::Early) };
                at += 1;
                ((high & 7) + 4, Some((high >> 3) << 8 | low))
            }
            kind => {
                let n = if kind == 2 { 2 } else { 4 };
                let Some(distance) = number(at, n) else { return Ok(Stop::Early) };
                at += n;
                (high + 1, Some(distance))
            }
        };
        if out.len() - base + len > length && out.len() + len <= max {
            return Err(Damaged);
        }
        let room = match distance {
            Some(distance) => repeat(out, distance, len, base, max)?,
            None => {
                let rest = input.get(at..).unwrap_or_default();
                let there = len.min(rest.len());
                at += there;
                let room = literal(out, &rest[..there], max);
                if there < len && room {
                    return Ok(Stop::Early);
                }
                room
            }
        };
        if !room {
            return Ok(Stop::Full);
        }
    }
    Ok(if out.len() - base == length { Stop::End } else { Stop::Early })
}
