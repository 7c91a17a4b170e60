//! Bytes that are read by position: a file, or memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

pub(crate) trait ReadAt {
    /// Reads up to `buf.len()` bytes from `at` on; 0 at the end.
    fn read_some(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;

    /// Fills `buf` as far as there are bytes, and says how many.
    fn fill(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let mut n = 0;
        while let Some(rest) = buf.get_mut(n..).filter(|rest| !rest.is_empty()) {
            match self.read_some(rest, at + n as u64) {
                Ok(0) => break,
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(n)
    }
}

impl ReadAt for File {
    fn read_some(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        self.read_at(buf, at)
    }
}

impl ReadAt for &[u8] {
    fn read_some(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }
}
