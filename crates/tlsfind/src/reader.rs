//! Reads of a file at positions, counted against the limits.

use std::fs::File;
use std::io;

use crate::limits::{Limits, Work};
use crate::problem::{Part, Problem, Stop};

/// A file that may be read at any position. It is not mapped into memory: another process may
/// truncate it at any time, which would be a fatal signal.
pub trait ReadAt {
    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// Of the operating system.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or(&[]);
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buf, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buf, offset)
    }
}

/// The file, the limits and what was used of them.
pub(crate) struct Source<'a> {
    file: &'a dyn ReadAt,
    pub(crate) limits: &'a Limits,
    pub(crate) work: Work,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a dyn ReadAt, limits: &'a Limits) -> Self {
        Self { file, limits, work: Work::default() }
    }

    /// Fills `buf` as far as the file goes; how much that was.
    pub(crate) fn read(&mut self, buf: &mut [u8], offset: u64, what: &'static str) -> Part<usize> {
        let mut done = 0;
        while done < buf.len() {
            let left = self.limits.read_bytes.saturating_sub(self.work.read_bytes);
            if left < (buf.len() - done) as u64 {
                return Err(Problem::Limit("bytes read").into());
            }
            let Some(at) = offset.checked_add(done as u64) else { break };
            match self.file.read_at(&mut buf[done..], at) {
                Ok(0) => break,
                Ok(n) => {
                    done += n;
                    self.work.read_bytes += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Stop::read(what, &e)),
            }
        }
        Ok(done)
    }

    /// Fills `buf` wholly.
    pub(crate) fn exact(&mut self, buf: &mut [u8], offset: u64, what: &'static str) -> Part<()> {
        match self.read(buf, offset, what)? {
            n if n == buf.len() => Ok(()),
            _ => Err(Problem::Read { what, error: "the file ends before it".into() }.into()),
        }
    }

    /// `len` bytes, at most `max`.
    pub(crate) fn bytes(&mut self, offset: u64, len: u64, max: usize, what: &'static str) -> Part<Vec<u8>> {
        let len = usize::try_from(len).ok().filter(|len| *len <= max).ok_or(Problem::Limit(what))?;
        let mut buf = vec![0; len];
        self.exact(&mut buf, offset, what)?;
        Ok(buf)
    }

    pub(crate) fn count_symbol(&mut self) -> Part<()> {
        self.work.symbols += 1;
        if self.work.symbols > self.limits.symbols {
            return Err(Problem::Limit("symbols").into());
        }
        Ok(())
    }

    pub(crate) fn count_function(&mut self) -> Part<()> {
        self.work.functions += 1;
        if self.work.functions > self.limits.functions {
            return Err(Problem::Limit("functions").into());
        }
        Ok(())
    }

    pub(crate) fn count_relocation(&mut self) -> Part<()> {
        self.work.relocations += 1;
        if self.work.relocations > self.limits.relocations {
            return Err(Problem::Limit("relocations").into());
        }
        Ok(())
    }

    /// Whether one more instruction may be decoded.
    pub(crate) fn count_instruction(&mut self) -> Part<()> {
        self.work.instructions += 1;
        if self.work.instructions > self.limits.instructions {
            return Err(Problem::Limit("instructions").into());
        }
        Ok(())
    }

    /// Shows the range in pieces of at most 256 KiB that overlap by `overlap` bytes; `f` is given the
    /// file offset of the piece and says whether it wants more.
    pub(crate) fn pieces(
        &mut self,
        range: std::ops::Range<u64>,
        overlap: usize,
        what: &'static str,
        mut f: impl FnMut(u64, &[u8]) -> bool,
    ) -> Part<()> {
        let mut buf = vec![0; PIECE];
        let mut at = range.start;
        let mut kept = 0;
        while at < range.end {
            let want = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(PIECE - kept);
            let n = self.read(&mut buf[kept..kept + want], at, what)?;
            let start = at - kept as u64;
            if n == 0 || !f(start, &buf[..kept + n]) {
                break;
            }
            at += n as u64;
            let have = kept + n;
            kept = overlap.min(have);
            buf.copy_within(have - kept..have, 0);
        }
        Ok(())
    }
}

const PIECE: usize = 256 << 10;

/// Small reads that mostly go forward, with one piece of the file kept.
pub(crate) struct Window {
    start: u64,
    buf: Vec<u8>,
    piece: usize,
}

impl Window {
    /// A window that reads `piece` bytes at a time.
    pub(crate) fn new(piece: usize) -> Self {
        Self { start: 0, buf: Vec::new(), piece }
    }

    /// `len` bytes at `offset`; `len` must be a small constant.
    pub(crate) fn get(
        &mut self,
        source: &mut Source<'_>,
        offset: u64,
        len: usize,
        what: &'static str,
    ) -> Part<&[u8]> {
        let inside =
            offset >= self.start && offset.saturating_add(len as u64) <= self.start + self.buf.len() as u64;
        if !inside {
            let want = self.piece.max(len);
            self.buf.resize(want, 0);
            self.start = offset;
            match source.read(&mut self.buf, offset, what) {
                Ok(n) => self.buf.truncate(n),
                Err(stop) => {
                    self.buf.clear();
                    return Err(stop);
                }
            }
        }
        let from = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        let slice = self.buf.get(from..from.saturating_add(len));
        slice.ok_or(Stop(Problem::Read { what, error: "the file ends before it".into() }))
    }

    /// A little-endian word at `offset`.
    pub(crate) fn u32(&mut self, source: &mut Source<'_>, offset: u64, what: &'static str) -> Part<u32> {
        Ok(le32(self.get(source, offset, 4, what)?, 0))
    }

    /// A little-endian double word at `offset`.
    pub(crate) fn u64(&mut self, source: &mut Source<'_>, offset: u64, what: &'static str) -> Part<u64> {
        Ok(le64(self.get(source, offset, 8, what)?, 0))
    }
}

/// A little-endian number; 0 beyond the end.
pub(crate) fn le16(b: &[u8], at: usize) -> u16 {
    b.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]))
}

/// A little-endian number; 0 beyond the end.
pub(crate) fn le32(b: &[u8], at: usize) -> u32 {
    b.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

/// A little-endian number; 0 beyond the end.
pub(crate) fn le64(b: &[u8], at: usize) -> u64 {
    u64::from(le32(b, at)) | u64::from(le32(b, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::{Source, Window};
    use crate::limits::Limits;

    #[test]
    fn pieces_overlap_and_cover_everything() {
        let file: Vec<u8> = (0..600_000_u32).map(|i| (i % 251) as u8).collect();
        let limits = Limits::default();
        let mut source = Source::new(&file, &limits);
        let mut covered = 10;
        source
            .pieces(10..599_999, 7, "test", |at, bytes| {
                assert!(at == 10 || at == covered - 7);
                assert_eq!(bytes, &file[at as usize..at as usize + bytes.len()]);
                covered = at + bytes.len() as u64;
                true
            })
            .unwrap();
        assert_eq!(covered, 599_999);
    }

    #[test]
    fn reads_are_counted_and_refused_beyond_the_limit() {
        let file = vec![1_u8; 4096];
        let limits = Limits { read_bytes: 100, ..Limits::default() };
        let mut source = Source::new(&file, &limits);
        let mut window = Window::new(64);
        assert_eq!(window.u32(&mut source, 0, "x").unwrap(), 0x0101_0101);
        assert_eq!(window.u32(&mut source, 8, "x").unwrap(), 0x0101_0101);
        assert_eq!(source.work.read_bytes, 64);
        assert!(window.u32(&mut source, 1000, "x").is_err());
        assert!(source.work.read_bytes <= 100);
    }
}
