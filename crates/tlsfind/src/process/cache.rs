//! What is known of files, so that each is inspected once.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use crate::Report;

/// One content of one file: a file that is written to, or replaced, has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number, as `stat` gives it.
    pub dev: u64,
    /// Inode number.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// When the file was last changed (`st_ctim`), in nanoseconds since 1970.
    pub changed: i128,
}

impl FileId {
    /// Of what `stat` gives.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            changed: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        }
    }
}

/// Reports of files; the one that was not asked for the longest makes room.
#[derive(Debug)]
pub struct Cache {
    most: usize,
    reports: HashMap<FileId, (Arc<Report>, u64)>,
    now: u64,
    stats: CacheStats,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Files that were known.
    pub hits: u64,
    /// Files that were inspected.
    pub misses: u64,
    /// Reports that had to make room.
    pub evicted: u64,
}

impl Cache {
    /// A cache of at most `most` files, at least one.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), reports: HashMap::new(), now: 0, stats: CacheStats::default() }
    }

    /// The report of a file.
    pub fn get(&mut self, id: &FileId) -> Option<Arc<Report>> {
        self.now += 1;
        let (report, used) = self.reports.get_mut(id)?;
        *used = self.now;
        self.stats.hits += 1;
        Some(Arc::clone(report))
    }

    /// Keeps a report.
    pub fn insert(&mut self, id: FileId, report: Arc<Report>) {
        self.now += 1;
        self.stats.misses += 1;
        if !self.reports.contains_key(&id)
            && self.reports.len() >= self.most
            && let Some(oldest) = self.reports.iter().min_by_key(|(_, (_, used))| *used).map(|(id, _)| *id)
        {
            self.reports.remove(&oldest);
            self.stats.evicted += 1;
        }
        self.reports.insert(id, (report, self.now));
    }

    /// Forgets a file, so that it is inspected again.
    pub fn forget(&mut self, id: &FileId) {
        self.reports.remove(id);
    }

    /// Files that are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.reports.len()
    }

    /// Whether no file is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Counts since the start.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, CacheStats, FileId};

    #[test]
    fn the_longest_unused_makes_room() {
        let id = |inode| FileId { dev: 1, inode, size: 1, changed: 1 };
        let mut cache = Cache::new(2);
        cache.insert(id(1), Default::default());
        cache.insert(id(2), Default::default());
        assert!(cache.get(&id(1)).is_some());
        cache.insert(id(3), Default::default());
        assert!(cache.get(&id(2)).is_none());
        assert!(cache.get(&id(1)).is_some() && cache.get(&id(3)).is_some());
        assert_eq!(cache.stats(), CacheStats { hits: 3, misses: 3, evicted: 1 });
    }
}
