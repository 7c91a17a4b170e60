//! The classic format (draft-ietf-opsawg-pcap).

use std::io::Read;
use std::time::Duration;

use remora_model::Timestamp;

use super::input::Input;
use super::{FileError, Located, Order};
use crate::packet::LinkType;

const HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// What the file header says.
pub(super) struct Header {
    order: Order,
    /// Nanoseconds per unit of the fractional part of a time.
    unit: u32,
    link: LinkType,
    /// Length of a record's header; a patched libpcap of old wrote more.
    record_header: usize,
}

impl Header {
    /// Reads the header that begins with `magic`.
    pub(super) fn read<R: Read>(magic: [u8; 4], input: &mut Input<R>) -> Result<Self, FileError> {
        let (order, unit, record_header) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, 1_000, RECORD_HEADER),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, 1_000, RECORD_HEADER),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, 1, RECORD_HEADER),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, 1, RECORD_HEADER),
            // Alexey Kuznetsov's variant: eight more bytes per record.
            [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, 1_000, RECORD_HEADER + 8),
            [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, 1_000, RECORD_HEADER + 8),
            _ => return Err(FileError::UnknownFormat(magic.to_vec())),
        };
        let header = input.take(HEADER)?;
        // The upper bits tell of a frame check sequence.
        let link = order.u32(header, 20).unwrap_or_default() & 0xffff;
        Ok(Self { order, unit, link: LinkType(link), record_header })
    }

    /// The next record.
    pub(super) fn next<R: Read>(&self, input: &mut Input<R>) -> Result<Option<Located>, FileError> {
        let header = input.peek(self.record_header)?;
        if header.is_empty() {
            return Ok(None);
        }
        if header.len() < self.record_header {
            return Err(FileError::Truncated { offset: input.offset() });
        }
        let field = |at| self.order.u32(header, at).unwrap_or_default();
        let (secs, fraction, len, wire_len) = (field(0), field(4), field(8), field(12));
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        // May exceed a second in a damaged file.
        let fraction = Duration::from_nanos(u64::from(fraction) * u64::from(self.unit));
        input.take(len.saturating_add(self.record_header))?;
        Ok(Some(Located {
            ts: Some(Timestamp::from_parts(i64::from(secs), 0).plus(fraction)),
            link: self.link,
            wire_len,
            bytes: self.record_header..self.record_header + len,
        }))
    }
}
