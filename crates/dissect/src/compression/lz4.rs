//! LZ4 frames. By the public format descriptions of LZ4; owned, because it has to stop at a bound
//! and at the end of a batch of which only the beginning is held, and must not mind the header
//! checksum, which clients of magic 0 and 1 computed wrongly (KAFKA-3160).

use super::{Damaged, Stop, literal, repeat};

const MAGIC: u32 = 0x184d_2204;

/// Decompresses `input`, one frame or several, to the end of `out`, up to `max` bytes there.
pub(crate) fn decode(mut input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
    loop {
        let stop = frame(&mut input, out, max)?;
        if stop != Stop::End || input.is_empty() {
            return Ok(stop);
        }
    }
}

fn number(input: &mut &[u8]) -> Option<u32> {
    let (n, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_le_bytes(*n))
}

fn frame(input: &mut &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
    let base = out.len();
    match number(input) {
        None => return Ok(Stop::Early),
        Some(MAGIC) => {}
        Some(_) => return Err(Damaged),
    }
    let Some(&[flags, _]) = input.first_chunk::<2>() else { return Ok(Stop::Early) };
    // Version 01; then block and content checksums, content size and dictionary.
    if flags >> 6 != 1 || flags & 1 != 0 {
        return Err(Damaged);
    }
    let set = |bit: u8| flags & 1 << bit != 0;
    let header = 2 + if set(3) { 8 } else { 0 } + 1;
    let Some(rest) = input.get(header..) else { return Ok(Stop::Early) };
    *input = rest;
    loop {
        let Some(size) = number(input) else { return Ok(Stop::Early) };
        if size == 0 {
            break;
        }
        let plain = size >> 31 != 0;
        let size = (size & 0x7fff_ffff) as usize;
        let whole = size <= input.len();
        let (data, rest) = input.split_at(size.min(input.len()));
        let stop = if !plain {
            block(data, out, base, max)?
        } else if literal(out, data, max) {
            if whole { Stop::End } else { Stop::Early }
        } else {
            Stop::Full
        };
        match stop {
            Stop::Full => return Ok(stop),
            _ if !whole => return Ok(Stop::Early),
            Stop::Early => return Err(Damaged),
            Stop::End => {}
        }
        let checksum = if set(4) { 4 } else { 0 };
        let Some(rest) = rest.get(checksum..) else { return Ok(Stop::Early) };
        *input = rest;
    }
    if set(2) && number(input).is_none() {
        return Ok(Stop::Early);
    }
    Ok(Stop::End)
}

/// Decompresses one block to the end of `out`, up to `max` bytes there. What it repeats may not lie
/// in front of `base`.
pub(crate) fn block(input: &[u8], out: &mut Vec<u8>, base: usize, max: usize) -> Result<Stop, Damaged> {
    let mut bytes = input.iter();
    // A length of 15 goes on in the bytes that follow, until one is not 255.
    let more = |bytes: &mut std::slice::Iter<'_, u8>, mut n: usize| {
        if n == 15 {
            loop {
                let b = *bytes.next()?;
                n += usize::from(b);
                if b != 255 {
                    break;
                }
            }
        }
        Some(n)
    };
    loop {
        let Some(&token) = bytes.next() else { return Ok(Stop::Early) };
        let Some(n) = more(&mut bytes, usize::from(token >> 4)) else { return Ok(Stop::Early) };
        let rest = bytes.as_slice();
        let (literals, after) = rest.split_at(n.min(rest.len()));
        if !literal(out, literals, max) {
            return Ok(Stop::Full);
        }
        if literals.len() < n {
            return Ok(Stop::Early);
        }
        // The last sequence has no match.
        if after.is_empty() {
            return Ok(Stop::End);
        }
        let Some((&distance, after)) = after.split_first_chunk::<2>() else { return Ok(Stop::Early) };
        bytes = after.iter();
        let Some(n) = more(&mut bytes, usize::from(token & 15)) else { return Ok(Stop::Early) };
        if !repeat(out, u16::from_le_bytes(distance).into(), n + 4, base, max)? {
            return Ok(Stop::Full);
        }
    }
}
