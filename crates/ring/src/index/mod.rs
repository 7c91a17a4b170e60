//! Where in a segment the packets of a flow and of a time are.
//!
//! ```text
//! "RMRIDX\0\x01"                           magic and version, 8 bytes
//! head length, CRC-32 of the head          u32, u32
//! list length, CRC-32 of the list          u32, u32
//! head: length of the segment u64; first and last time i64, i64; packets u64; captured bytes u64;
//!       interfaces: count u32, each (name, description) with a length u16;
//!       flows: count u32, each a hash u32; their number is their place
//!       hellos: count u32, each flow u32, offset u32: packets with a ClientHello
//!       secrets: count u32, each an offset u32
//! list: for each packet, in the order of the segment, four variable-length numbers:
//!       flow; time less that of the packet before, zigzag; words between the end of the block before
//!       and this block; words of this block
//! ```
//!
//! Little-endian; a word has four bytes; variable-length numbers have seven bits a byte, the lowest first. A head is
//! read without its list, to see whether the segment is of any interest.

mod decode;

pub(crate) use decode::{Entries, read_head, read_list};

use crc32fast::hash as crc32;

const MAGIC: [u8; 8] = *b"RMRIDX\0\x01";
/// Before the head.
const PREFIX: usize = 24;

/// What is said of a segment as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) segment_len: u64,
    pub(crate) first_ts: i64,
    pub(crate) last_ts: i64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Names and descriptions.
    pub(crate) interfaces: Vec<(String, String)>,
    /// The hashes of the flows.
    pub(crate) flows: Vec<u32>,
    /// Flow and offset of packets with a ClientHello.
    pub(crate) hellos: Vec<(u32, u32)>,
    /// Offsets of blocks with secrets.
    pub(crate) secrets: Vec<u32>,
}

/// Where a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) ts: i64,
    pub(crate) flow: u32,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

/// An index that grows with its segment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    pub(crate) head: Head,
    pub(crate) list: Vec<u8>,
    before: Before,
}

/// The packet before, as the list counts from it.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    ts: i64,
    end: u32,
}

impl Builder {
    /// What was read from a file; nothing is added to it.
    pub(crate) fn read(head: Head, list: Vec<u8>) -> Self {
        Self { head, list, before: Before::default() }
    }

    pub(crate) fn packet(&mut self, entry: &Entry, captured: u64) {
        let head = &mut self.head;
        (head.first_ts, head.last_ts) = if head.packets == 0 {
            (entry.ts, entry.ts)
        } else {
            (head.first_ts.min(entry.ts), head.last_ts.max(entry.ts))
        };
        head.packets += 1;
        head.bytes += captured;
        varint(&mut self.list, u64::from(entry.flow));
        let delta = entry.ts.wrapping_sub(self.before.ts);
        varint(&mut self.list, (delta << 1 ^ delta >> 63).cast_unsigned());
        varint(&mut self.list, u64::from(entry.offset.saturating_sub(self.before.end) / 4));
        varint(&mut self.list, u64::from(entry.len / 4));
        self.before = Before { ts: entry.ts, end: entry.offset.saturating_add(entry.len) };
    }

    /// Bytes of the file that [`encode`](Self::encode) makes.
    pub(crate) fn encoded_len(&self) -> u64 {
        let h = &self.head;
        let interfaces: usize = h.interfaces.iter().map(|(n, d)| 4 + n.len() + d.len()).sum();
        let head = 40 + 16 + interfaces + 4 * h.flows.len() + 8 * h.hellos.len() + 4 * h.secrets.len();
        (PREFIX + head + self.list.len()) as u64
    }

    /// The file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let h = &self.head;
        let mut head = Vec::new();
        for n in [h.segment_len, h.first_ts.cast_unsigned(), h.last_ts.cast_unsigned(), h.packets, h.bytes] {
            head.extend_from_slice(&n.to_le_bytes());
        }
        let number = |head: &mut Vec<u8>, n: usize| {
            head.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
        };
        number(&mut head, h.interfaces.len());
        for text in h.interfaces.iter().flat_map(|(name, description)| [name, description]) {
            head.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
            head.extend_from_slice(text.as_bytes());
        }
        number(&mut head, h.flows.len());
        h.flows.iter().for_each(|hash| head.extend_from_slice(&hash.to_le_bytes()));
        number(&mut head, h.hellos.len());
        for (flow, offset) in &h.hellos {
            head.extend_from_slice(&flow.to_le_bytes());
            head.extend_from_slice(&offset.to_le_bytes());
        }
        number(&mut head, h.secrets.len());
        h.secrets.iter().for_each(|offset| head.extend_from_slice(&offset.to_le_bytes()));

        let mut out = Vec::with_capacity(PREFIX + head.len() + self.list.len());
        out.extend_from_slice(&MAGIC);
        for part in [&head, &self.list] {
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&crc32(part).to_le_bytes());
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(&self.list);
        out
    }
}

fn varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[cfg(test)]
mod tests;
