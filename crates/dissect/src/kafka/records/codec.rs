//! Compressed batches, undone within bounds.

use flate2::bufread::MultiGzDecoder;

use super::Content;
use crate::compression::{self, Damaged, RATIO_FLOOR, Stop, drain, lz4, snappy};

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
        Codec::Zstd => compression::zstd(input, plain, max),
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

#[cfg(test)]
mod tests;
