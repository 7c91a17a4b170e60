//! The files of a segment.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, UNIX_EPOCH};

use hashbrown::{HashMap, HashSet};

use crate::index::{self, Builder, Head};
use crate::recover;

/// What a file of that length takes on the disk.
pub(crate) fn on_disk(len: u64) -> u64 {
    /// Blocks of the usual file systems.
    const BLOCK: u64 = 4_096;
    len.next_multiple_of(BLOCK)
}

/// A segment that is not written to any more.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    /// Bytes of it that are valid.
    pub(crate) len: u64,
    pub(crate) first_ts: i64,
    pub(crate) last_ts: i64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Bytes of its index; 0 when that could not be written.
    index_len: AtomicU64,
}

/// The name of a segment.
pub(crate) fn segment_path(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("{seq:016x}.pcapng"))
}

fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("idx")
}

/// A file for its owner only.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// What came of looking into a segment that an earlier run left.
#[derive(Debug)]
pub(crate) enum Recovered {
    /// Its index fits it.
    Indexed(Sealed),
    /// Its index was made anew; so many bytes were cut off its end.
    Reindexed(Sealed, u64),
    /// Nothing in it was whole.
    Unreadable,
}

impl Sealed {
    fn new(path: PathBuf, head: &Head, index_len: u64) -> Self {
        Self {
            path,
            len: head.segment_len,
            first_ts: head.first_ts,
            last_ts: head.last_ts,
            packets: head.packets,
            bytes: head.bytes,
            index_len: AtomicU64::new(index_len),
        }
    }

    /// Bytes on disk with the index.
    pub(crate) fn disk_bytes(&self) -> u64 {
        on_disk(self.len) + on_disk(self.index_len())
    }

    /// Bytes of its index file; 0 when it has none.
    pub(crate) fn index_len(&self) -> u64 {
        self.index_len.load(Ordering::Relaxed)
    }

    pub(crate) fn is_indexed(&self) -> bool {
        self.index_len() > 0
    }

    /// Looks into a segment that an earlier run left, and cuts off what is not whole. An index that is
    /// made anew may have `room` bytes; without it the segment is read without.
    pub(crate) fn recover(path: &Path, room: u64) -> io::Result<Recovered> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        if let Some((head, index_len)) = read_head(path)?
            && head.segment_len == len
        {
            return Ok(Recovered::Indexed(Self::new(path.to_owned(), &head, index_len)));
        }
        let mut builder = recover::scan(&file, len)?;
        let head = &mut builder.head;
        if head.packets == 0 && head.secrets.is_empty() {
            return Ok(Recovered::Unreadable);
        }
        if head.packets == 0 {
            // Secrets alone are as old as the file.
            let age = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            head.first_ts = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
            head.last_ts = head.first_ts;
        }
        let torn = len - head.segment_len;
        if torn > 0 {
            file.set_len(head.segment_len)?;
        }
        let sealed = Self::new(path.to_owned(), head, 0);
        if on_disk(builder.encoded_len()) <= room {
            if let Err(error) = sealed.write_index(&builder) {
                tracing::debug!(%error, path = %path.display(), "an index cannot be written");
            }
        } else {
            remove(&index_path(path))?;
        }
        Ok(Recovered::Reindexed(sealed, torn))
    }

    pub(crate) fn write_index(&self, builder: &Builder) -> io::Result<()> {
        let bytes = builder.encode();
        let path = index_path(&self.path);
        let unfinished = path.with_extension("idx.new");
        let written = create(&unfinished)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| std::fs::rename(&unfinished, &path));
        if let Err(error) = written {
            _ = std::fs::remove_file(&unfinished);
            return Err(error);
        }
        self.index_len.store(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Its index: from its file, or made anew.
    pub(crate) fn load(&self, segment: &File) -> io::Result<Builder> {
        let path = index_path(&self.path);
        if let Some((file, len)) = open_index(&path)?
            && let Some(head) = index::read_head(&file, len)?.filter(|h| h.segment_len == self.len)
            && let Some(list) = index::read_list(&file, len)?
        {
            return Ok(Builder::read(head, list));
        }
        recover::scan(segment, self.len)
    }

    /// The head of its index.
    pub(crate) fn load_head(&self) -> io::Result<Head> {
        match read_head(&self.path)?.filter(|(head, _)| head.segment_len == self.len) {
            Some((head, _)) => Ok(head),
            None => Ok(recover::scan(&File::open(&self.path)?, self.len)?.head),
        }
    }

    pub(crate) fn delete(&self) -> io::Result<()> {
        remove(&self.path)?;
        remove(&index_path(&self.path))
    }
}

/// Removes a file that may be gone.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn open_index(path: &Path) -> io::Result<Option<(File, u64)>> {
    match File::open(path) {
        Ok(file) => {
            let len = file.metadata()?.len();
            Ok(Some((file, len)))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_head(segment: &Path) -> io::Result<Option<(Head, u64)>> {
    let Some((file, len)) = open_index(&index_path(segment))? else { return Ok(None) };
    Ok(index::read_head(&file, len)?.map(|head| (head, len)))
}

/// What a flow has in the live segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
}

/// The segment that is written to; only the writer has it.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) len: u64,
    pub(crate) opened: Instant,
    /// Interfaces that stand in it.
    pub(crate) interfaces: usize,
    pub(crate) flows: HashMap<u32, Share>,
    pub(crate) secrets: HashSet<u64>,
    pub(crate) secret_bytes: u64,
}

impl Live {
    pub(crate) fn create(dir: &Path, seq: u64) -> io::Result<Self> {
        let path = segment_path(dir, seq);
        let file = create(&path)?;
        Ok(Self {
            path,
            file,
            len: 0,
            opened: Instant::now(),
            interfaces: 0,
            flows: HashMap::new(),
            secrets: HashSet::new(),
            secret_bytes: 0,
        })
    }

    /// Appends bytes and says where; when that fails the segment is as long as before.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<u32> {
        let at = self.len;
        if let Err(error) = self.file.write_all_at(bytes, at) {
            // Should this fail too, what is behind `len` is overwritten next or cut off at the next start.
            _ = self.file.set_len(at);
            return Err(error);
        }
        self.len += bytes.len() as u64;
        u32::try_from(at).map_err(io::Error::other)
    }

    /// Its index has gone to the shelf; it is no longer written to.
    pub(crate) fn seal(self, builder: &Builder) -> (Sealed, io::Result<()>) {
        let sealed = Sealed::new(self.path, &builder.head, 0);
        let written = sealed.write_index(builder);
        (sealed, written)
    }
}
