//! The spool's name and the count of its openings, kept in its directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::SpoolId;

const NAME: &str = "spool.id";
const LOCK: &str = "spool.lock";

#[derive(Debug)]
pub(super) struct Identity {
    pub(super) id: SpoolId,
    /// How often this spool was opened, from 1. It makes the upper part of the numbers, so that
    /// a run which died without a trace never has its numbers given out again.
    pub(super) epoch: u64,
    /// True when the directory held no usable name: segments found beside it belong to nobody.
    pub(super) fresh: bool,
    dir: PathBuf,
    _lock: File,
}

impl Identity {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::other("in use by another agent")),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let found = fs::read_to_string(dir.join(NAME)).ok().and_then(|text| parse(&text));
        let fresh = found.is_none();
        let (id, epoch) = found.map_or_else(|| (SpoolId::random(), 1), |(id, epoch)| (id, epoch + 1));
        let mut identity = Self { id, epoch, fresh, dir: dir.to_owned(), _lock: lock };
        identity.set_epoch(epoch)?;
        Ok(identity)
    }

    /// Records a new epoch, durably: it must be on the device before its numbers are used.
    pub(super) fn set_epoch(&mut self, epoch: u64) -> io::Result<()> {
        let temporary = self.dir.join("spool.id.new");
        let mut file = File::create(&temporary)?;
        writeln!(file, "{} {epoch}", self.id)?;
        file.sync_all()?;
        fs::rename(&temporary, self.dir.join(NAME))?;
        File::open(&self.dir)?.sync_all()?;
        self.epoch = epoch;
        Ok(())
    }
}

fn parse(text: &str) -> Option<(SpoolId, u64)> {
    let (id, epoch) = text.trim_end().split_once(' ')?;
    let epoch = epoch.parse().ok().filter(|e| (1..1 << 23).contains(e))?;
    Some((SpoolId::parse(id)?, epoch))
}
