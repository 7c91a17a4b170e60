//! Frames of version 5 (section 2 of its specification): payloads with checksums, compressed or not.

use crate::compression::{Damaged, Stop, lz4};

/// Bytes of the largest payload.
pub(super) const MAX_PAYLOAD: usize = (128 << 10) - 1;

/// Bytes of the checksum behind a payload.
const TRAILER: usize = 4;

/// Bytes of which the checksum of a payload is begun (section 2.1).
const CRC32_BEGIN: [u8; 4] = [0xfa, 0x2d, 0x55, 0xca];

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Bytes of the header.
    pub(super) head: usize,
    /// Bytes of the payload as it is sent.
    pub(super) len: usize,
    /// Bytes of the payload once decompressed; 0 where it is not compressed.
    plain: usize,
    /// It holds whole envelopes, and not a part of one.
    pub(super) whole: bool,
}

impl Frame {
    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> usize {
        self.head + self.len + TRAILER
    }
}

/// Reads a header. `None`: there are too few bytes. `Some(None)`: its checksum is wrong.
pub(super) fn header(bytes: &[u8], compressed: bool) -> Option<Option<Frame>> {
    let n = if compressed { 5 } else { 3 };
    let head = bytes.get(..n + 3)?;
    let (fields, crc) = head.split_at(n);
    let number = |b: &[u8]| b.iter().rev().fold(0_u64, |v, &b| v << 8 | u64::from(b));
    let bits = number(fields);
    if u64::from(crc24(fields)) != number(crc) {
        return Some(None);
    }
    let len = (bits & 0x1_ffff) as usize;
    let plain = if compressed { (bits >> 17 & 0x1_ffff) as usize } else { 0 };
    let whole = bits >> if compressed { 34 } else { 17 } & 1 == 1;
    Some(Some(Frame { head: n + 3, len, plain, whole }))
}

/// The checksum of a header.
fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x0087_5060, |crc, &byte| {
        (crc << 8 & 0x00ff_ffff) ^ CRC24[(crc >> 16) as usize & 0xff ^ usize::from(byte)]
    })
}

/// What each byte does to the checksum: a search for a header looks at every byte of a stream.
static CRC24: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 16, 0);
        while bit < 8 {
            crc <<= 1;
            if crc & 0x0100_0000 != 0 {
                crc ^= 0x0197_4f0b;
            }
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// The payload of a frame that is whole, decompressed into `out` where it has to be.
pub(super) fn payload<'a>(frame: &Frame, bytes: &'a [u8], out: &'a mut Vec<u8>) -> Result<&'a [u8], Damaged> {
    let end = frame.head + frame.len;
    let sent = bytes.get(frame.head..end).ok_or(Damaged)?;
    let crc = bytes.get(end..end + TRAILER).and_then(|b| b.first_chunk::<4>()).ok_or(Damaged)?;
    let mut sum = flate2::Crc::new();
    sum.update(&CRC32_BEGIN);
    sum.update(sent);
    if sum.sum() != u32::from_le_bytes(*crc) {
        return Err(Damaged);
    }
    if frame.plain == 0 {
        return Ok(sent);
    }
    out.clear();
    match lz4::block(sent, out, 0, frame.plain.min(MAX_PAYLOAD))? {
        Stop::End => Ok(out),
        Stop::Early | Stop::Full => Err(Damaged),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_header_must_have_its_checksum() {
        let bits = 5_u32 | 1 << 17;
        let mut bytes = bits.to_le_bytes()[..3].to_vec();
        let crc = crc24(&bytes);
        bytes.extend(&crc.to_le_bytes()[..3]);
        let frame = header(&bytes, false).unwrap().unwrap();
        assert_eq!((frame.len, frame.whole, frame.size()), (5, true, 15));
        bytes[0] ^= 1;
        assert_eq!(header(&bytes, false), Some(None));
        assert_eq!(header(&bytes[..5], false), None);
    }
}
