//! The part of a spool that is on disk: segments, the oldest first.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::segment::{Entry, Reader, Segment};
use crate::codec::Rows;

/// A segment is closed when it is this large; small, because space comes back a segment at a time.
const SEGMENT_BYTES: u64 = 8 << 20;

/// Least number of segments that the budget is divided into.
const MIN_SEGMENTS: u64 = 8;

#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    budget: u64,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    /// Open for appending to the last segment.
    writer: Option<File>,
    cursor: Option<Cursor>,
    acknowledged: u64,
}

/// Where reading goes on.
#[derive(Debug)]
struct Cursor {
    /// First number of the segment being read.
    segment: u64,
    reader: Reader,
    /// The entry read last.
    seq: u64,
}

/// Batches that were given up to make room.
#[derive(Debug)]
pub(super) struct GivenUp {
    pub(super) batches: u64,
    pub(super) rows: Rows,
}

/// Batches that could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) error: io::Error,
    pub(super) batches: u64,
    pub(super) rows: Rows,
}

impl Disk {
    /// Opens a directory. `fresh`: its name is new, so what it holds is of no use.
    pub(super) fn open(dir: &Path, budget: u64, fresh: bool) -> io::Result<Self> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_none_or(|e| e != "seg") {
                continue;
            }
            match if fresh { Ok(None) } else { Segment::recover(&path) } {
                Ok(Some(segment)) => segments.push(segment),
                Ok(None) => fs::remove_file(&path)?,
                Err(error) => return Err(error),
            }
        }
        segments.sort_by_key(|s| s.first);
        let segment_bytes = (budget / MIN_SEGMENTS).clamp(1, SEGMENT_BYTES);
        Ok(Self {
            dir: dir.to_owned(),
            budget,
            segment_bytes,
            segments: segments.into(),
            writer: None,
            cursor: None,
            acknowledged: 0,
        })
    }

    pub(super) fn first_seq(&self) -> Option<u64> {
        self.segments.front().map(|s| s.first)
    }

    pub(super) fn batches(&self) -> u64 {
        self.segments.iter().map(|s| s.batches).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.segments.iter().all(|s| s.last <= self.acknowledged)
    }

    /// Appends a batch; what had to be given up for it.
    pub(super) fn append(&mut self, seq: u64, rows: &Rows, message: &[u8]) -> io::Result<Vec<GivenUp>> {
        let mut given_up = Vec::new();
        if message.len() as u64 > self.budget {
            return Err(io::Error::other("a batch larger than the spool's disk budget"));
        }
        while self.bytes() + message.len() as u64 > self.budget
            && let Some(oldest) = self.segments.pop_front()
        {
            let (batches, rows) = oldest.count_after(self.acknowledged);
            if self.segments.is_empty() {
                self.writer = None;
            }
            fs::remove_file(&oldest.path)?;
            given_up.push(GivenUp { batches, rows });
        }
        let full = self.segments.back().is_none_or(|s| s.len >= self.segment_bytes);
        if full || self.writer.is_none() {
            self.sync()?;
            let segment = Segment::new(&self.dir, seq);
            let file = OpenOptions::new().create(true).write(true).truncate(true).open(&segment.path)?;
            self.writer = Some(file);
            self.segments.push_back(segment);
        }
        let (Some(file), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment to write to"));
        };
        if let Err(error) = segment.append(file, seq, rows, message) {
            // Go on in a new file: this one may end in half an entry.
            self.writer = None;
            if segment.batches == 0
                && let Some(empty) = self.segments.pop_back()
            {
                // What remains, if it cannot be removed, is empty or torn and recovery removes it.
                _ = fs::remove_file(&empty.path);
            }
            return Err(error);
        }
        Ok(given_up)
    }

    pub(super) fn has_after(&self, seq: u64) -> bool {
        self.segments.back().is_some_and(|s| s.last > seq)
    }

    /// The first entry above `seq`.
    pub(super) fn read_after(&mut self, seq: u64) -> Result<Option<Entry>, Unreadable> {
        let Some(segment) = self.segments.iter().find(|s| s.last > seq) else {
            self.cursor = None;
            return Ok(None);
        };
        match read_in(segment, &mut self.cursor, seq) {
            Ok(Some(entry)) => Ok(Some(entry)),
            outcome => {
                // The segment promised more than it has: give up the rest of it.
                let error = outcome.err().unwrap_or_else(|| io::Error::other("corrupt spool segment"));
                let (first, (batches, rows)) = (segment.first, segment.count_after(seq));
                self.cursor = None;
                self.truncate(first, seq);
                Err(Unreadable { error, batches, rows })
            }
        }
    }

    /// Leaves of a segment only what is up to `seq`.
    fn truncate(&mut self, first: u64, seq: u64) {
        let Some(at) = self.segments.iter().position(|s| s.first == first) else { return };
        if at + 1 == self.segments.len() {
            self.writer = None;
        }
        if seq < first {
            if let Some(gone) = self.segments.remove(at) {
                _ = fs::remove_file(&gone.path);
            }
        } else if let Some(segment) = self.segments.get_mut(at) {
            segment.last = seq;
        }
    }

    /// Removes the segments of which everything is acknowledged.
    pub(super) fn acknowledge(&mut self, durable: u64) -> io::Result<()> {
        self.acknowledged = self.acknowledged.max(durable);
        while self.segments.front().is_some_and(|s| s.last <= durable) {
            if let Some(done) = self.segments.pop_front() {
                if self.segments.is_empty() {
                    self.writer = None;
                }
                if self.cursor.as_ref().is_some_and(|c| c.segment == done.first) {
                    self.cursor = None;
                }
                fs::remove_file(&done.path)?;
            }
        }
        Ok(())
    }

    /// Flushes the newest segment to the device.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(file) = &self.writer {
            file.sync_data()?;
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(())
    }
}

fn read_in(segment: &Segment, cursor: &mut Option<Cursor>, seq: u64) -> io::Result<Option<Entry>> {
    let mut here = match cursor.take() {
        Some(c) if c.segment == segment.first && c.seq == seq => c,
        _ => {
            let mut reader = Reader::open(&segment.path)?;
            reader.skip_to(seq)?;
            Cursor { segment: segment.first, reader, seq }
        }
    };
    let entry = here.reader.next()?;
    if let Some(entry) = &entry {
        here.seq = entry.seq;
        *cursor = Some(here);
    }
    Ok(entry)
}
