//! Checking a segment when the store is opened.

use std::fs::File;
use std::io;

use parquet::file::metadata::ParquetMetaDataReader;

use super::Segment;

/// What is wrong with a segment's file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is not there.
    Missing,
    /// It is there and cannot be what was written.
    Damaged(String),
}

/// Rows that a file says it has; `None` when it cannot be read.
pub(crate) fn rows(path: &std::path::Path) -> Option<u64> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(&File::open(path).ok()?).ok()?;
    u64::try_from(footer.file_metadata().num_rows()).ok()
}

/// Looks at the file's length and footer, not at its pages: those have checksums of the
/// compression and are read when a query asks.
pub(crate) fn check(segment: &Segment) -> Result<(), Fault> {
    let damaged = |e: &dyn std::fmt::Display| Fault::Damaged(e.to_string());
    let file = match File::open(segment.path()) {
        Ok(f) => f,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Fault::Missing),
        Err(e) => return Err(damaged(&e)),
    };
    let length = file.metadata().map_err(|e| damaged(&e))?.len();
    if length != segment.meta.bytes {
        return Err(Fault::Damaged(format!("{length} bytes instead of {}", segment.meta.bytes)));
    }
    let footer = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|e| damaged(&e))?;
    let rows = footer.file_metadata().num_rows();
    if u64::try_from(rows).ok() != Some(segment.meta.rows) {
        return Err(Fault::Damaged(format!("{rows} rows instead of {}", segment.meta.rows)));
    }
    Ok(())
}
