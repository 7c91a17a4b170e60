//! The store's settings.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of a store. Every limit is one of these; [`StoreConfig::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Directory of the segments and the manifest; made when it is missing, locked while the
    /// store is open.
    pub dir: PathBuf,
    /// Bytes of unsealed rows kept in memory. An append that would exceed it waits.
    pub memory_budget: usize,
    /// How long an append waits for memory before it is refused.
    pub append_wait: Duration,
    /// Unsealed rows that start a seal.
    pub seal_rows: usize,
    /// Unsealed bytes (in memory) that start a seal, and about how many one seal takes.
    pub seal_bytes: usize,
    /// Age of the oldest unsealed row that starts a seal: what a crash can cost, and how long an
    /// agent waits for its acknowledgement.
    pub seal_after: Duration,
    /// Pause after a seal that failed, for example on a full disk.
    pub seal_retry: Duration,
    /// Bytes of segments on disk beyond which the oldest are deleted.
    pub retention_bytes: u64,
    /// Age beyond which segments are deleted, counted from their newest row.
    pub retention_age: Duration,
    /// On a full disk the oldest segments are deleted to make room, but never below this many
    /// bytes in total: the disk may be filled by somebody else.
    pub disk_full_keep: u64,
    /// How many segments of one kind and level make a merge.
    pub merge_fan_in: usize,
    /// Bytes on disk that a merge may produce; segments of half that size are left alone.
    pub merge_bytes: u64,
    /// Rows that a merge may produce.
    pub merge_rows: u64,
    /// Bytes, as they are in memory, of the rows that a merge may read. Row groups of a quarter of
    /// [`Self::row_group_rows`] and more are copied and do not count.
    pub merge_memory: u64,
    /// Time that a merged segment may span, so that retention by age stays sharp.
    pub merge_span: Duration,
    /// Share of one core that merging may use, in percent.
    pub merge_cpu_percent: u32,
    /// Rows of one Parquet row group.
    pub row_group_rows: usize,
    /// Bytes that all queries together may hold; each gets its share of
    /// `query_memory / max_queries`.
    pub query_memory: usize,
    /// How long a query may take, waiting for its turn included.
    pub query_deadline: Duration,
    /// Queries that run at once; others wait for their turn.
    pub max_queries: usize,
    /// Threads that run queries; 0 takes one for each core.
    pub query_threads: usize,
    /// Bytes of Parquet footers kept in memory.
    pub metadata_cache: usize,
    /// Rows that one page may have.
    pub max_page_rows: usize,
    /// Bytes in memory that the rows of one answer to SQL may take.
    pub max_answer_bytes: usize,
    /// Groups that one statistic may answer with.
    pub max_groups: usize,
    /// Sources whose watermark is remembered; beyond it the one that was silent longest is
    /// forgotten.
    pub max_sources: usize,
    /// Batches that a follower may lag behind before it loses some.
    pub tail_batches: usize,
}

impl StoreConfig {
    /// The defaults for a store in `dir`: 256 MiB of unsealed rows, 10 GiB or 7 days of segments,
    /// a seal after 5 seconds, 8 queries of 64 MiB at once with 30 seconds for each.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            memory_budget: 256 << 20,
            append_wait: Duration::from_secs(10),
            seal_rows: 500_000,
            seal_bytes: 64 << 20,
            seal_after: Duration::from_secs(5),
            seal_retry: Duration::from_secs(2),
            retention_bytes: 10 << 30,
            retention_age: Duration::from_secs(7 * 24 * 3600),
            disk_full_keep: 64 << 20,
            merge_fan_in: 8,
            merge_bytes: 64 << 20,
            merge_rows: 4_000_000,
            merge_memory: 256 << 20,
            merge_span: Duration::from_secs(6 * 3600),
            merge_cpu_percent: 25,
            row_group_rows: 65_536,
            query_memory: 512 << 20,
            query_deadline: Duration::from_secs(30),
            max_queries: 8,
            query_threads: 0,
            metadata_cache: 64 << 20,
            max_page_rows: 10_000,
            max_answer_bytes: 16 << 20,
            max_groups: 10_000,
            max_sources: 10_000,
            tail_batches: 1_024,
        }
    }
}
