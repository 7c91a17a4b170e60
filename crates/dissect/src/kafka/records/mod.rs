//! Batches of records: finding them in a stream of bytes, and showing what is in them.
//!
//! Their headers are read to the last one, so that the number of records is exact. Of the records
//! themselves only so much is held as may be shown; the rest is passed over.

mod batch;
mod codec;
mod legacy;

use super::names::Names;
use crate::Limits;
use crate::json::Json;

/// Bytes in front of a batch up to its `magic`: base offset, length, leader epoch; in a message of
/// the old formats offset, size, checksum.
const PREFIX: usize = 17;

/// Bytes of the header of a batch of magic 2.
const HEADER: usize = 61;

/// What messages show of records, and everything else that they show.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The message as text.
    pub(super) json: Json,
    /// Keys of the records shown.
    pub(super) keys: Names,
    /// Records in all batches, shown or not. `None` without batches.
    pub(super) records: Option<i64>,
    /// How they were compressed.
    pub(super) codec: Option<&'static str>,
    /// Bytes of batches that were not to be understood.
    pub(super) bad: u64,
    /// Bytes that decompression may make of one batch.
    pub(super) decoded: usize,
    /// How far decompressed bytes may exceed the compressed ones.
    pub(super) expansion: usize,
}

impl Content {
    /// Begins a message that shows at most `budget` bytes.
    pub(super) fn begin(&mut self, budget: usize, limits: &Limits) {
        self.json.begin(budget);
        self.keys.clear();
        (self.records, self.codec, self.bad) = (None, None, 0);
        (self.decoded, self.expansion) = (budget, limits.expansion);
    }

    fn count(&mut self, records: i64) {
        let sum = self.records.unwrap_or(0).saturating_add(records.max(0));
        self.records = Some(sum);
    }
}

/// Reads the batches of one partition.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// Bytes that are still to come.
    left: u64,
    /// Beginning of the batch being read.
    raw: Vec<u8>,
    /// Bytes of it that are wanted, once that is known.
    target: usize,
    /// Bytes of it behind those.
    skip: u64,
    /// Bytes of records that may still be held for this message.
    budget: usize,
    /// The decompressed records of a batch.
    plain: Vec<u8>,
    /// What is left cannot be read.
    discard: bool,
    /// Bytes of records that were passed over.
    cut: u64,
}

impl Batches {
    /// A new message, of whose records `budget` bytes are held.
    pub(super) fn allow(&mut self, budget: usize) {
        (self.budget, self.cut) = (budget, 0);
    }

    /// Bytes of records of this message that were not looked at.
    pub(super) fn cut(&self) -> u64 {
        self.cut
    }

    /// The records of a partition, `len` bytes.
    pub(super) fn begin(&mut self, len: u32) {
        self.raw.clear();
        (self.left, self.target, self.skip, self.discard) = (len.into(), PREFIX, 0, false);
    }

    /// The next bytes.
    pub(super) fn piece(&mut self, mut bytes: &[u8], out: &mut Content) {
        while !bytes.is_empty() {
            let unwanted = self.unwanted();
            if unwanted > 0 {
                let n = bytes.len().min(usize::try_from(unwanted).unwrap_or(usize::MAX));
                self.pass(n as u64);
                bytes = bytes.get(n..).unwrap_or_default();
                continue;
            }
            let n = bytes.len().min(self.target.saturating_sub(self.raw.len()));
            let (now, later) = bytes.split_at(n);
            self.raw.extend_from_slice(now);
            self.left = self.left.saturating_sub(n as u64);
            bytes = later;
            if self.raw.len() >= self.target {
                self.reached(out);
            }
        }
    }

    /// How many of the next bytes are of no interest.
    pub(super) fn unwanted(&self) -> u64 {
        if self.discard { self.left } else { self.skip }
    }

    /// That many have gone by unseen: some that are of no interest, or some that are missing.
    pub(super) fn pass(&mut self, n: u64) {
        self.discard |= n > self.skip;
        if !self.discard {
            self.cut += n;
        }
        self.left = self.left.saturating_sub(n);
        self.skip = self.skip.saturating_sub(n);
    }

    pub(super) fn memory(&self) -> usize {
        self.raw.capacity() + self.plain.capacity()
    }

    /// As much of the batch is here as was wanted.
    fn reached(&mut self, out: &mut Content) {
        let field = |at: usize| self.raw.get(at..at + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        let length = i64::from(field(8).map_or(0, i32::from_be_bytes));
        let magic = self.raw.get(16).copied().unwrap_or(u8::MAX);
        let header = if magic == 2 { HEADER } else { PREFIX + 5 };
        if self.target == PREFIX {
            // The length counts from behind itself.
            let rest = u64::try_from(length + 12 - PREFIX as i64).unwrap_or(0);
            if magic > 2 || rest < (header - PREFIX) as u64 {
                out.bad += self.left;
                self.discard = true;
            } else if rest > self.left {
                // A fetch ends wherever its limit is; consumers ignore what is not whole.
                self.discard = true;
            } else {
                let kept =
                    (self.budget.max(header) - PREFIX).min(usize::try_from(rest).unwrap_or(usize::MAX));
                self.target = PREFIX + kept;
                self.skip = 0;
                self.budget -= kept.min(self.budget);
            }
            return;
        }
        let all = u64::try_from(length + 12).unwrap_or(0);
        self.skip = all.saturating_sub(self.raw.len() as u64);
        let whole = self.skip == 0;
        if magic == 2 {
            batch::show(&self.raw, whole, &mut self.plain, out);
        } else {
            legacy::show(&self.raw, whole, &mut self.plain, out);
        }
        self.raw.clear();
        self.target = PREFIX;
    }
}

#[cfg(test)]
mod tests;
