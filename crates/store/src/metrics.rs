//! The store's counters.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// How the store fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Condition {
    /// Everything works.
    Healthy,
    /// The disk is full: rows are kept in memory and served, and sealing is tried again.
    DiskFull {
        /// The operating system's message.
        reason: String,
    },
    /// Sealing fails for another reason; rows are kept in memory and served, and it is tried again.
    SealFailing {
        /// Why.
        reason: String,
    },
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64,)* }

        /// A snapshot of the store's counters and gauges. Counters start at zero when the store is
        /// opened.
        #[derive(Clone, Debug, Serialize)]
        pub struct StoreMetrics {
            $($(#[$doc])* pub $name: u64,)*
            /// Bytes of unsealed rows in memory.
            pub open_bytes: u64,
            /// Unsealed rows in memory.
            pub open_rows: u64,
            /// Segments on disk.
            pub segments: u64,
            /// Their bytes.
            pub segment_bytes: u64,
            /// Their rows.
            pub segment_rows: u64,
            /// Sources whose watermark is remembered.
            pub sources: u64,
            /// Queries that run now.
            pub queries_running: u64,
            /// How the store fares.
            pub condition: Condition,
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> StoreMetrics {
                StoreMetrics {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    open_bytes: 0,
                    open_rows: 0,
                    segments: 0,
                    segment_bytes: 0,
                    segment_rows: 0,
                    sources: 0,
                    queries_running: 0,
                    condition: Condition::Healthy,
                }
            }
        }
    };
}

counters! {
    /// Appends that brought something new.
    appends,
    /// Rows appended.
    appended_rows,
    /// Bytes appended, as they take in memory.
    appended_bytes,
    /// Appends refused as duplicates.
    duplicates,
    /// Sequence numbers that a source skipped.
    sequence_gaps,
    /// Appends that had to wait for memory.
    append_waits,
    /// Appends refused for lack of memory.
    append_refusals,
    /// Appends refused because a batch did not fit its table.
    bad_batches,
    /// Columns of appended batches that this version does not know and left out.
    unknown_columns,
    /// Seals committed.
    seals,
    /// Seals that failed and were tried again.
    seal_failures,
    /// Rows sealed.
    sealed_rows,
    /// Bytes of Parquet that seals wrote.
    sealed_bytes,
    /// Microseconds spent in sealing.
    seal_micros,
    /// Merges committed.
    merges,
    /// Merges that failed.
    merge_failures,
    /// Rows written by merges.
    merged_rows,
    /// Bytes of Parquet that merges wrote.
    merged_bytes,
    /// Microseconds spent in merging.
    merge_micros,
    /// Segments deleted by retention.
    retired_segments,
    /// Their rows.
    retired_rows,
    /// Their bytes.
    retired_bytes,
    /// Segments deleted early because the disk was full.
    disk_full_segments,
    /// Files of the directory that no manifest named, removed at opening.
    orphans_removed,
    /// Segments in the manifest whose file was missing at opening.
    missing_segments,
    /// Segments whose file was damaged at opening, or that a damaged manifest left without an
    /// owner; set aside as `*.damaged`.
    damaged_segments,
    /// Rows of missing and damaged segments.
    lost_rows,
    /// Manifests that could not be read, so that their copy was used.
    manifest_fallbacks,
    /// Sources forgotten because there were too many.
    sources_forgotten,
    /// Queries that ended well.
    queries,
    /// Queries refused or failed, all reasons.
    query_failures,
    /// Queries that ran out of time.
    query_deadlines,
    /// Queries that ran out of memory.
    query_memory_refusals,
    /// Queries whose asker went away.
    query_cancellations,
    /// Microseconds that queries took, waiting included.
    query_micros,
    /// Bytes that queries read from segments.
    query_bytes,
    /// Rows that followers missed because they lagged.
    tail_missed_rows,
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: impl TryInto<u64>) {
    counter.fetch_add(n.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
}
