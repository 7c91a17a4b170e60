//! Reading an index, which may be damaged.

use std::io;

use super::{Before, Entry, Head, MAGIC, PREFIX, crc32};
use crate::read_at::ReadAt;

/// The parts of an index file.
struct Parts {
    head: (usize, u32),
    list: (usize, u32),
}

impl Parts {
    /// `None` when the file is no index, or not as long as it says.
    fn read(file: &dyn ReadAt, file_len: u64) -> io::Result<Option<Self>> {
        let mut prefix = [0; PREFIX];
        if file.fill(&mut prefix, 0)? < PREFIX || prefix.first_chunk() != Some(&MAGIC) {
            return Ok(None);
        }
        let mut words = prefix[8..].chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let mut next = || words.next().unwrap_or(0);
        let parts = Self { head: (next() as usize, next()), list: (next() as usize, next()) };
        let whole = (PREFIX + parts.head.0 + parts.list.0) as u64 == file_len;
        Ok(whole.then_some(parts))
    }
}

/// `len` is not more than the file has.
fn checked_part(file: &dyn ReadAt, at: usize, (len, crc): (usize, u32)) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; len];
    let whole = file.fill(&mut bytes, at as u64)? == len && crc32(&bytes) == crc;
    Ok(whole.then_some(bytes))
}

/// The head of an index file of that length; `None` when it is damaged.
pub(crate) fn read_head(file: &dyn ReadAt, file_len: u64) -> io::Result<Option<Head>> {
    let Some(parts) = Parts::read(file, file_len)? else { return Ok(None) };
    Ok(checked_part(file, PREFIX, parts.head)?.and_then(|bytes| decode_head(&bytes)))
}

/// The list of an index file of that length; `None` when it is damaged.
pub(crate) fn read_list(file: &dyn ReadAt, file_len: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(parts) = Parts::read(file, file_len)? else { return Ok(None) };
    checked_part(file, PREFIX + parts.head.0, parts.list)
}

/// Takes values from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let len = u16::from_le_bytes(self.array()?);
        String::from_utf8(self.take(usize::from(len))?.to_vec()).ok()
    }

    /// A count, and that many items of at least `size` bytes.
    fn items<T>(&mut self, size: usize, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.u32()? as usize;
        if count > self.0.len() / size {
            return None;
        }
        (0..count).map(|_| item(self)).collect()
    }
}

fn decode_head(bytes: &[u8]) -> Option<Head> {
    let mut b = Bytes(bytes);
    let head = Head {
        segment_len: b.u64()?,
        first_ts: b.u64()?.cast_signed(),
        last_ts: b.u64()?.cast_signed(),
        packets: b.u64()?,
        bytes: b.u64()?,
        interfaces: b.items(4, |b| Some((b.text()?, b.text()?)))?,
        flows: b.items(4, Bytes::u32)?,
        hellos: b.items(8, |b| Some((b.u32()?, b.u32()?)))?,
        secrets: b.items(4, Bytes::u32)?,
    };
    (b.0.is_empty() && head.first_ts <= head.last_ts).then_some(head)
}

/// The packets of a list, up to the first that cannot be.
#[derive(Debug)]
pub(crate) struct Entries<'a> {
    list: &'a [u8],
    before: Before,
    flows: u64,
    segment_len: u64,
}

impl<'a> Entries<'a> {
    pub(crate) fn new(head: &Head, list: &'a [u8]) -> Self {
        let flows = head.flows.len() as u64;
        Self { list, before: Before::default(), flows, segment_len: head.segment_len }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut n = 0_u64;
        for (i, byte) in self.list.iter().take(10).enumerate() {
            n |= u64::from(byte & 0x7F) << (7 * i);
            if byte & 0x80 == 0 {
                self.list = self.list.get(i + 1..)?;
                return Some(n);
            }
        }
        None
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let flow = self.varint().filter(|n| *n < self.flows)?;
        let delta = self.varint()?;
        let delta = (delta >> 1).cast_signed() ^ -(delta & 1).cast_signed();
        let offset = u64::from(self.before.end).checked_add(self.varint()?.checked_mul(4)?)?;
        let len = self.varint()?.checked_mul(4)?;
        let end = offset.checked_add(len).filter(|end| *end <= self.segment_len)?;
        let ts = self.before.ts.wrapping_add(delta);
        self.before = Before { ts, end: u32::try_from(end).ok()? };
        Some(Entry {
            ts,
            flow: u32::try_from(flow).ok()?,
            offset: u32::try_from(offset).ok()?,
            len: u32::try_from(len).ok()?,
        })
    }
}
