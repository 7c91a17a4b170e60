//! The numbered sequence of batches that an agent keeps until the hub has them.

use std::path::PathBuf;

/// Where and how much a spool keeps.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// Directory for what exceeds the memory budget; `None` keeps everything in memory.
    pub dir: Option<PathBuf>,
    /// Bytes kept in memory.
    pub memory_bytes: usize,
    /// Bytes kept on disk.
    pub disk_bytes: u64,
}

/// A sequence of batches. Clones share it.
#[derive(Clone, Debug)]
pub struct Spool {}

/// What a spool holds and counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpoolStats {}
