//! Compressed batches, undone within bounds.

use std::io::{ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Content, lz4, snappy};

/// Batches that decompress to this much or less are not held to the ratio bound.
const RATIO_FLOOR: usize = 16 << 10;

/// Largest window of a zstd batch, as a power of two. Producers use 8 MiB at most.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a batch is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// From the lowest bits of a batch's attributes.
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd].get(usize::from(bits)).copied()
    }

    /// As the setting `compression.type` names it; `None` without compression.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Snappy => Some("snappy"),
            Self::Lz4 => Some("lz4"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// How decompression ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the compressed data.
    End,
    /// The compressed data is not whole.
    Early,
    /// The output is as large as it may be.
    Full,
}

/// What was compressed is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Undoes the compression of `input` into `plain`, and says whether all of it is there. `None` if
/// it is damaged, or not whole although all of it was seen.
pub(super) fn decode(
    codec: Codec,
    input: &[u8],
    whole: bool,
    plain: &mut Vec<u8>,
    out: &mut Content,
) -> Option<bool> {
    plain.clear();
    let ratio = input.len().saturating_mul(out.expansion).max(RATIO_FLOOR);
    let max = out.decoded.min(ratio);
    let stop = match codec {
        Codec::None => return None,
        Codec::Gzip => drain(&mut MultiGzDecoder::new(input), plain, max),
        Codec::Snappy => snappy::decode(input, plain, max),
        Codec::Lz4 => lz4::decode(input, plain, max),
        Codec::Zstd => {
            zstd::stream::read::Decoder::with_buffer(input).map_err(|_| Damaged).and_then(|mut d| {
                d.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| Damaged)?;
                drain(&mut d, plain, max)
            })
        }
    };
    match stop {
        Ok(Stop::End) => Some(whole),
        Ok(Stop::Early) if whole => None,
        Ok(Stop::Early) => Some(false),
        Ok(Stop::Full) => {
            if max < out.decoded {
                out.bad += input.len() as u64;
            }
            Some(false)
        }
        Err(Damaged) => None,
    }
}

/// Reads what the decoder gives, up to `max` bytes.
fn drain(decoder: &mut impl Read, out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
    let mut piece = [0; 4 << 10];
    loop {
        // One byte beyond the bound tells whether there is more.
        let room = (max - out.len() + 1).min(piece.len());
        match decoder.read(&mut piece[..room]) {
            Ok(0) => return Ok(Stop::End),
            Ok(n) => out.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Stop::Early),
            Err(_) => return Err(Damaged),
        }
        if out.len() > max {
            out.truncate(max);
            return Ok(Stop::Full);
        }
    }
}

/// Adds `bytes` to `out`. False once `max` is reached.
pub(super) fn literal(out: &mut Vec<u8>, bytes: &[u8], max: usize) -> bool {
    let n = bytes.len().min(max.saturating_sub(out.len()));
    out.extend_from_slice(&bytes[..n]);
    n == bytes.len()
}

/// Repeats `len` bytes from `distance` back, which may not reach beyond `base`. False once `max` is
/// reached.
pub(super) fn repeat(
    out: &mut Vec<u8>,
    distance: usize,
    len: usize,
    base: usize,
    max: usize,
) -> Result<bool, Damaged> {
    if distance == 0 || distance > out.len() - base {
        return Err(Damaged);
    }
    let n = len.min(max.saturating_sub(out.len()));
    let from = out.len() - distance;
    if n <= distance {
        out.extend_from_within(from..from + n);
    } else {
        for i in from..from + n {
            out.push(out[i]);
        }
    }
    Ok(n == len)
}

#[cfg(test)]
mod tests;
