//! One append-only file of batches.
//!
//! An entry is a header and a message: length of the message (4 bytes), CRC-32 of all that follows
//! it (4), number (8), rows of each table (3 x 4), message. Little-endian throughout.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::codec::Rows;

const HEADER: usize = 28;

/// No entry is longer: what says otherwise is corrupt.
const MAX_MESSAGE: u32 = 64 << 20;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) rows: Rows,
    pub(super) message: Vec<u8>,
}

struct Header {
    len: u32,
    crc: u32,
    seq: u64,
    rows: Rows,
}

impl Header {
    fn parse(bytes: &[u8; HEADER]) -> Self {
        let u32_at = |at: usize| {
            let mut b = [0; 4];
            b.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(b)
        };
        let seq = u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32;
        let rows = Rows([16, 20, 24].map(|at| u64::from(u32_at(at))));
        Self { len: u32_at(0), crc: u32_at(4), seq, rows }
    }
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) len: u64,
    pub(super) batches: u64,
}

impl Segment {
    pub(super) fn new(dir: &Path, first: u64) -> Self {
        Self { path: dir.join(format!("{first:016x}.seg")), first, last: 0, len: 0, batches: 0 }
    }

    /// Looks through a file that an earlier run left; `None` when nothing in it is whole. The file
    /// is cut after its last whole entry.
    pub(super) fn recover(path: &Path) -> io::Result<Option<Self>> {
        let mut reader = Reader::open(path)?;
        let mut segment = Self { path: path.to_owned(), first: 0, last: 0, len: 0, batches: 0 };
        while let Some(entry) = reader.next()? {
            if segment.batches == 0 {
                segment.first = entry.seq;
            } else if entry.seq <= segment.last {
                break;
            }
            segment.last = entry.seq;
            segment.batches += 1;
            segment.len = reader.offset;
        }
        if segment.batches == 0 {
            return Ok(None);
        }
        OpenOptions::new().write(true).open(path)?.set_len(segment.len)?;
        Ok(Some(segment))
    }

    /// Batches with numbers above `seq`, and their rows.
    pub(super) fn count_after(&self, seq: u64) -> (u64, Rows) {
        let mut rows = Rows::default();
        let mut batches = 0;
        if let Ok(mut reader) = Reader::open(&self.path) {
            while let Ok(Some(header)) = reader.next_header() {
                if header.seq > seq {
                    rows.add_all(&header.rows);
                    batches += 1;
                }
            }
        }
        (batches, rows)
    }

    /// Appends an entry; on failure the file is as it was, or the error is fatal for the segment.
    pub(super) fn append(
        &mut self,
        file: &mut File,
        seq: u64,
        rows: &Rows,
        message: &[u8],
    ) -> io::Result<()> {
        let len = u32::try_from(message.len()).ok().filter(|l| *l <= MAX_MESSAGE);
        let len = len.ok_or_else(|| io::Error::other("a batch too large for the spool"))?;
        let mut entry = Vec::with_capacity(HEADER + message.len());
        entry.extend_from_slice(&len.to_le_bytes());
        entry.extend_from_slice(&[0; 4]);
        entry.extend_from_slice(&seq.to_le_bytes());
        for n in rows.0 {
            entry.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
        }
        entry.extend_from_slice(message);
        let crc = crc32fast::hash(&entry[8..]);
        entry[4..8].copy_from_slice(&crc.to_le_bytes());
        if let Err(error) = file.write_all(&entry) {
            file.set_len(self.len)?;
            file.seek(SeekFrom::Start(self.len))?;
            return Err(error);
        }
        if self.batches == 0 {
            self.first = seq;
        }
        self.last = seq;
        self.len += entry.len() as u64;
        self.batches += 1;
        Ok(())
    }
}

/// Reads entries in order.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    pub(super) offset: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, offset: 0 })
    }

    fn read_header(&mut self) -> io::Result<Option<(Header, [u8; HEADER])>> {
        let mut bytes = [0; HEADER];
        match self.file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(e) => return Err(e),
        }
        let header = Header::parse(&bytes);
        Ok((header.len <= MAX_MESSAGE).then_some((header, bytes)))
    }

    /// The next entry; `None` at the end or where the file is torn or corrupt.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let Some((header, bytes)) = self.read_header()? else { return Ok(None) };
        // Grows with what is there, not with what the header promises.
        let mut message = Vec::new();
        (&mut self.file).take(u64::from(header.len)).read_to_end(&mut message)?;
        if message.len() != header.len as usize {
            return Ok(None);
        }
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[8..]);
        crc.update(&message);
        if crc.finalize() != header.crc {
            return Ok(None);
        }
        self.offset += (HEADER + message.len()) as u64;
        Ok(Some(Entry { seq: header.seq, rows: header.rows, message }))
    }

    /// The next entry's header, its message unread and unchecked.
    fn next_header(&mut self) -> io::Result<Option<Header>> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        let Some((header, _)) = self.read_header()? else { return Ok(None) };
        self.offset += HEADER as u64 + u64::from(header.len);
        Ok(Some(header))
    }

    /// Passes over entries up to `seq` without reading their messages.
    pub(super) fn skip_to(&mut self, seq: u64) -> io::Result<()> {
        loop {
            let before = self.offset;
            match self.next_header()? {
                Some(header) if header.seq <= seq => {}
                _ => {
                    self.offset = before;
                    return Ok(());
                }
            }
        }
    }
}
