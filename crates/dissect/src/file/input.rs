//! A buffer that shows one record at a time.

use std::io::{ErrorKind, Read};

use super::{FileError, MAX_RECORD};

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// Buffered input. The current record lies at its front until [`release`](Self::release).
pub(super) struct Input<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    /// End of what has been read into `buffer`; the rest of it is scratch.
    end: usize,
    /// Length of the current record.
    record: usize,
    /// Bytes of the file before `start`.
    offset: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), start: 0, end: 0, record: 0, offset: 0 }
    }
}

impl<R> Input<R> {
    /// Where in the file the current record begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The current record.
    pub(super) fn record(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.record]
    }

    /// Moves behind the current record.
    pub(super) fn release(&mut self) {
        self.start += self.record;
        self.offset += self.record as u64;
        self.record = 0;
    }

    /// What is wrong with the current record.
    pub(super) fn corrupt(&self, reason: &'static str) -> FileError {
        FileError::Corrupt { offset: self.offset, reason }
    }
}

impl<R: Read> Input<R> {
    /// The next `len` bytes, or fewer where the file ends before.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8], FileError> {
        while self.end - self.start < len {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            // Grows by what has been read, never by what the file promises.
            if self.buffer.len() < self.end + CHUNK {
                self.buffer.resize(self.end + CHUNK, 0);
            }
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => break,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(&self.buffer[self.start..self.end.min(self.start.saturating_add(len))])
    }

    /// Makes the next `len` bytes the current record.
    pub(super) fn take(&mut self, len: usize) -> Result<&[u8], FileError> {
        if len > MAX_RECORD {
            return Err(self.corrupt("a record is longer than 16 MiB"));
        }
        if self.peek(len)?.len() < len {
            return Err(FileError::Truncated { offset: self.offset });
        }
        self.record = len;
        Ok(self.record())
    }
}
