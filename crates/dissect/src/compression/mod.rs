//! Decompression within bounds, for the protocols that compress what they carry.

pub(crate) mod lz4;
pub(crate) mod snappy;

use std::io::{ErrorKind, Read};

/// What decompresses to this much or less is not held to the ratio bound.
pub(crate) const RATIO_FLOOR: usize = 16 << 10;

/// Largest window of zstd, as a power of two. Kafka's producers use 8 MiB at most, and MongoDB's
/// drivers less.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How decompression ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// At the end of the compressed data.
    End,
    /// The compressed data is not whole.
    Early,
    /// The output is as large as it may be.
    Full,
}

/// What was compressed is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damaged;

/// Reads what the decoder gives, up to `max` bytes.
pub(crate) fn drain(decoder: &mut impl Read, out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
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

/// Decompresses zstd to the end of `out`, up to `max` bytes there.
pub(crate) fn zstd(input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<Stop, Damaged> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(|_| Damaged)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(|_| Damaged)?;
    drain(&mut decoder, out, max)
}

/// Adds `bytes` to `out`. False once `max` is reached.
pub(crate) fn literal(out: &mut Vec<u8>, bytes: &[u8], max: usize) -> bool {
    let n = bytes.len().min(max.saturating_sub(out.len()));
    out.extend_from_slice(&bytes[..n]);
    n == bytes.len()
}

/// Repeats `len` bytes from `distance` back, which may not reach beyond `base`. False once `max` is
/// reached.
pub(crate) fn repeat(
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
        // What is repeated may itself be repeated: each turn doubles what there is to copy.
        let end = out.len() + n;
        while out.len() < end {
            let have = out.len() - from;
            out.extend_from_within(from..from + have.min(end - out.len()));
        }
    }
    Ok(n == len)
}
