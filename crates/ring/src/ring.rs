//! The ring as others see it.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::RingConfig;
use crate::export::{Export, ExportOptions};
use crate::feed::Feed;
use crate::keylog::{KeyLogError, MAX_LINE, Secret};
use crate::queue::{Item, Queue};
use crate::segment::{self, Recovered, Sealed};
use crate::shelf::Shelf;
use crate::stats::RingStats;
use crate::writer::Writer;

/// Why a ring cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// Its directory cannot be used.
    #[error("the packet ring cannot use {}: {source}", path.display())]
    Io {
        /// What was asked for.
        path: PathBuf,
        /// What came of it.
        source: io::Error,
    },
    /// Another process writes there.
    #[error("the packet ring in {} is used by another process", .0.display())]
    Locked(PathBuf),
}

/// An interface of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceId(pub(crate) u32);

/// Interfaces that a ring tells apart.
const MAX_INTERFACES: usize = 256;
/// Longest name and description.
const MAX_TEXT: usize = 128;

/// What the threads of a ring share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: RingConfig,
    pub(crate) queue: Queue,
    shelf: Mutex<Shelf>,
    stats: Mutex<RingStats>,
    interfaces: Mutex<Vec<(String, String)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        lock(&self.shelf)
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, RingStats> {
        lock(&self.stats)
    }

    pub(crate) fn interfaces(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        lock(&self.interfaces)
    }

    /// Lets readers see what has been written to the live segment.
    pub(crate) fn publish(&self, live: &segment::Live, change: impl FnOnce(&mut crate::index::Builder)) {
        if let Some(view) = &mut self.shelf().live {
            let builder = Arc::make_mut(&mut view.builder);
            change(builder);
            builder.head.segment_len = live.len;
        }
    }

    pub(crate) fn disk_error(&self, error: &io::Error) {
        let mut stats = self.stats();
        if stats.disk_errors == 0 {
            tracing::warn!(%error, dir = %self.config.dir.display(), "the packet ring cannot use its disk");
        }
        stats.disk_errors += 1;
        stats.last_error = Some(error.to_string());
    }
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Locked as long as the ring is open.
    lock: File,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = lock(&self.writer).take() {
            _ = writer.join();
        }
        // By itself the lock would last until a child process that is being started has closed its copy.
        _ = self.lock.unlock();
    }
}

/// A packet ring. Copies are the same ring; the last that is dropped writes what is left and ends the
/// writer.
#[derive(Clone, Debug)]
pub struct Ring(Arc<Inner>);

impl Ring {
    /// Opens the ring in its directory with what earlier runs left there, and starts the writer.
    ///
    /// # Errors
    /// When the directory cannot be used, or another ring uses it.
    pub fn open(config: &RingConfig) -> Result<Self, RingError> {
        let config = config.checked();
        let dir = config.dir.clone();
        let error = |source| RingError::Io { path: dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&dir).map_err(error)?;
        let lock = segment::create(&dir.join("lock")).map_err(error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RingError::Locked(dir)),
            Err(TryLockError::Error(source)) => return Err(error(source)),
        }
        let queue = Queue::new(config.queue_bytes, config.batch_bytes);
        let shared = Arc::new(Shared {
            config,
            queue,
            shelf: Mutex::default(),
            stats: Mutex::default(),
            interfaces: Mutex::default(),
        });
        let next = shared.recover().map_err(error)?;
        let writer = Writer::new(Arc::clone(&shared), next);
        let writer = std::thread::Builder::new()
            .name("remora-packets".to_owned())
            .spawn(move || writer.run())
            .map_err(error)?;
        Ok(Self(Arc::new(Inner { shared, writer: Mutex::new(Some(writer)), lock })))
    }

    /// The interface of that name, made known when it is new. Beyond 256 of them the first stands for
    /// all others; names are cut at 128 bytes.
    pub fn interface(&self, name: &str, description: &str) -> InterfaceId {
        let cut = |text: &str| text[..text.floor_char_boundary(MAX_TEXT)].to_owned();
        let wanted = (cut(name), cut(description));
        let mut known = self.0.shared.interfaces();
        let place = known.iter().position(|i| *i == wanted).unwrap_or_else(|| {
            if known.len() >= MAX_INTERFACES {
                return 0;
            }
            known.push(wanted);
            known.len() - 1
        });
        InterfaceId(u32::try_from(place).unwrap_or(0))
    }

    /// A way in, for one thread.
    pub fn feed(&self) -> Feed {
        Feed::new(Arc::clone(&self.0.shared))
    }

    /// Takes a line of a TLS key log.
    ///
    /// # Errors
    /// When it is no such line. A secret for which there is no room is counted, and no error.
    pub fn secret(&self, line: &str) -> Result<(), KeyLogError> {
        let read = if line.len() > 2 * MAX_LINE { Err(KeyLogError::Malformed) } else { Secret::parse(line) };
        match read {
            Ok(secret) => {
                if !self.0.shared.queue.secret(secret) {
                    self.0.shared.stats().secrets_shed += 1;
                }
                Ok(())
            }
            Err(error) => {
                self.0.shared.stats().secrets_malformed += u64::from(error == KeyLogError::Malformed);
                Err(error)
            }
        }
    }

    /// Waits until everything that was handed over before has been written; false when that takes
    /// longer than `patience`.
    pub fn sync(&self, patience: Duration) -> bool {
        let (done, answer) = mpsc::sync_channel(1);
        self.0.shared.queue.request(Item::Sync(done)) && answer.recv_timeout(patience).is_ok()
    }

    /// Begins a new segment.
    pub fn seal(&self) {
        self.0.shared.queue.request(Item::Seal);
    }

    /// Packets out of what the ring holds now, as one pcapng section; the work is done as the export is read.
    pub fn export(&self, options: ExportOptions) -> Export {
        let shelf = self.0.shared.shelf();
        Export::new(shelf.sealed.iter().cloned().collect(), shelf.live.clone(), options)
    }

    /// What the ring holds and has left out.
    pub fn stats(&self) -> RingStats {
        let shared = &self.0.shared;
        let shelf = shared.shelf();
        RingStats {
            segments: shelf.segments() as u64,
            held: shelf.held(),
            disk_bytes: shelf.disk_bytes(),
            budget: shared.config.budget,
            span: shelf.span(),
            ..shared.stats().clone()
        }
    }
}

impl Shared {
    /// Takes stock of the directory; gives the number of the next segment.
    fn recover(&self) -> io::Result<u64> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.config.dir)? {
            let path = entry?.path();
            let number = || u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok();
            match path.extension().and_then(|e| e.to_str()) {
                Some("pcapng") => numbers.extend(number()),
                Some("idx") if !path.with_extension("pcapng").exists() => segment::remove(&path)?,
                Some("new") => segment::remove(&path)?,
                _ => {}
            }
        }
        numbers.sort_unstable();
        let mut used = 0;
        for entry in std::fs::read_dir(&self.config.dir)? {
            used += segment::on_disk(entry?.metadata()?.len());
        }
        for seq in &numbers {
            let path = segment::segment_path(&self.config.dir, *seq);
            if let Err(error) = self.recover_segment(&path, &mut used) {
                self.disk_error(&error);
            }
        }
        self.make_room(0, false)?;
        Ok(numbers.last().map_or(0, |last| last + 1))
    }

    fn recover_segment(&self, path: &Path, used: &mut u64) -> io::Result<()> {
        let room = self.config.budget.saturating_sub(*used);
        let sealed = match Sealed::recover(path, room)? {
            Recovered::Indexed(sealed) => sealed,
            Recovered::Reindexed(sealed, torn) => {
                let mut stats = self.stats();
                stats.reindexed += 1;
                stats.torn += u64::from(torn > 0);
                stats.torn_bytes += torn;
                *used += segment::on_disk(sealed.index_len());
                sealed
            }
            Recovered::Unreadable => {
                self.stats().unreadable += 1;
                segment::remove(path)?;
                return segment::remove(&path.with_extension("idx"));
            }
        };
        self.shelf().sealed.push_back(Arc::new(sealed));
        Ok(())
    }
}
