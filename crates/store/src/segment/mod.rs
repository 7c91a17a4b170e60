//! A segment: one Parquet file of rows of one table and protocol.

mod bounds;
mod check;
mod copy;
mod levels;
mod pages;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use remora_model::{Protocol, Table, field};
use serde::{Deserialize, Serialize};

pub(crate) use check::{Fault, check, rows};
pub(crate) use copy::{Source, join};
pub(crate) use write::{Place, disk_is_full, schema_of, sync_dir, write};

/// What the manifest says of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentMeta {
    /// Names the file and is never used again.
    pub(crate) number: u64,
    /// Name of the table.
    pub(crate) table: String,
    /// Name of the protocol of calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) protocol: Option<String>,
    /// How often its rows were merged.
    pub(crate) level: u32,
    /// Its rows.
    pub(crate) rows: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Bytes of its rows in memory, where a value that a file holds once may stand many times.
    pub(crate) raw_bytes: u64,
    /// What its rows span.
    #[serde(flatten)]
    pub(crate) span: Span,
}

impl SegmentMeta {
    pub(crate) fn table(&self) -> Option<Table> {
        Table::from_name(&self.table)
    }

    pub(crate) fn protocol(&self) -> Option<Protocol> {
        self.protocol.as_deref().and_then(Protocol::from_name)
    }

    pub(crate) fn file_name(&self) -> String {
        file_name(&self.table, self.protocol.as_deref(), self.number)
    }
}

pub(crate) fn file_name(table: &str, protocol: Option<&str>, number: u64) -> String {
    match protocol {
        Some(p) => format!("{table}-{p}-{number:010}.parquet"),
        None => format!("{table}-{number:010}.parquet"),
    }
}

/// True for names that this module gives to files, finished or not.
pub(crate) fn is_ours(name: &str) -> bool {
    Table::ALL.iter().any(|t| name.strip_prefix(t.name()).is_some_and(|rest| rest.starts_with('-')))
        && (name.ends_with(".parquet") || name.ends_with(".parquet.tmp"))
}

/// The times and ids of some rows. Rows without ids (flows, coverage) have `i64::MAX..i64::MIN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub(crate) min_ts: i64,
    pub(crate) max_ts: i64,
    pub(crate) min_id: i64,
    pub(crate) max_id: i64,
}

impl Span {
    pub(crate) const EMPTY: Self =
        Self { min_ts: i64::MAX, max_ts: i64::MIN, min_id: i64::MAX, max_id: i64::MIN };

    pub(crate) fn of(batch: &RecordBatch) -> Self {
        let mut span = Self::EMPTY;
        if let Some(ts) = batch
            .column_by_name(field::TS.def().name)
            .and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>())
        {
            span.min_ts = arrow::compute::min(ts).unwrap_or(i64::MAX);
            span.max_ts = arrow::compute::max(ts).unwrap_or(i64::MIN);
        }
        if let Some(id) =
            batch.column_by_name(field::ID.def().name).and_then(|c| c.as_primitive_opt::<Int64Type>())
        {
            span.min_id = arrow::compute::min(id).unwrap_or(i64::MAX);
            span.max_id = arrow::compute::max(id).unwrap_or(i64::MIN);
        }
        span
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            min_ts: self.min_ts.min(other.min_ts),
            max_ts: self.max_ts.max(other.max_ts),
            min_id: self.min_id.min(other.min_id),
            max_id: self.max_id.max(other.max_id),
        }
    }
}

/// A live segment. Queries hold it while they read it; once it is obsolete its file goes away
/// with the last of them.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) meta: SegmentMeta,
    pub(crate) table: Table,
    pub(crate) protocol: Option<Protocol>,
    path: PathBuf,
    obsolete: AtomicBool,
}

impl Segment {
    /// `None` when this version does not know the table or the protocol.
    pub(crate) fn new(dir: &Path, meta: SegmentMeta) -> Option<Self> {
        let table = meta.table()?;
        let protocol = meta.protocol();
        if protocol.is_none() && (table == Table::Calls || meta.protocol.is_some()) {
            return None;
        }
        let path = dir.join(meta.file_name());
        Some(Self { meta, table, protocol, path, obsolete: AtomicBool::new(false) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the file when nobody reads it any more.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire)
            && let Err(e) = std::fs::remove_file(&self.path)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            // Removed as an orphan when the store is opened next.
            tracing::warn!(file = %self.path.display(), error = %e, "cannot delete a segment");
        }
    }
}
