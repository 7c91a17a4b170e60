//! Writing a segment.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use remora_model::{Protocol, Table, field};

use super::{Segment, SegmentMeta, Span, file_name};
use crate::{Error, Result};

/// Rows of one data page, the unit that the page index can skip.
const PAGE_ROWS: usize = 8_192;

/// Columns with Bloom filters: those that are looked up by one exact value among many.
const BLOOM: [remora_model::FieldId; 6] =
    [field::ID, field::FLOW_ID, field::HOST, field::PATH, field::TRACE_ID, field::REDIS_KEY];

/// Columns whose values are all different and lie close together: a dictionary would cost hashing
/// and room, differences cost neither.
const SEQUENCES: [remora_model::FieldId; 4] = [field::ID, field::TS, field::REQUEST_POS, field::RESPONSE_POS];

/// Below this a row group is read as fast as its Bloom filters.
const BLOOM_MIN_ROWS: usize = 1_024;

/// Sorts the rows (newest first), writes them under a temporary name, syncs and renames. The
/// directory is not synced: the caller does that once for several segments.
pub(crate) fn write(
    dir: &Path,
    number: u64,
    (table, protocol): (Table, Option<Protocol>),
    level: u32,
    batches: &[RecordBatch],
    row_group_rows: usize,
) -> Result<Segment> {
    let internal = |e: &dyn std::fmt::Display| Error::Internal(format!("sealing {}: {e}", table.name()));
    let schema = batches.first().ok_or_else(|| internal(&"no rows"))?.schema();
    let rows = concat_batches(&schema, batches).map_err(|e| internal(&e))?;
    let order = late_last(&schema);
    let rows = rows.project(&order).map_err(|e| internal(&e))?;
    let sorted = newest_first(&rows).map_err(|e| internal(&e))?;
    let protocol_name = protocol.map(Protocol::name);
    let name = file_name(table.name(), protocol_name, number);
    let temporary = dir.join(format!("{name}.tmp"));
    let path = dir.join(&name);
    let cleanup = |e: Error| {
        _ = std::fs::remove_file(&temporary);
        e
    };
    write_file(&temporary, &rows, &sorted, row_group_rows).map_err(cleanup)?;
    std::fs::rename(&temporary, &path)
        .map_err(|source| cleanup(Error::Io { action: "rename", path: temporary.clone(), source }))?;
    let bytes = std::fs::metadata(&path)
        .map_err(|source| Error::Io { action: "read", path: path.clone(), source })?
        .len();
    let meta = SegmentMeta {
        number,
        table: table.name().to_owned(),
        protocol: protocol_name.map(str::to_owned),
        level,
        rows: rows.num_rows() as u64,
        bytes,
        raw_bytes: crate::memory::memory(&rows) as u64,
        span: Span::of(&rows),
    };
    Segment::new(dir, meta).ok_or_else(|| internal(&"calls without a protocol"))
}

/// Columns in file order: bodies last, so that everything else lies together.
fn late_last(schema: &SchemaRef) -> Vec<usize> {
    let late = |i: &usize| schema.field(*i).data_type() == &DataType::Binary;
    let all = 0..schema.fields().len();
    all.clone().filter(|i| !late(i)).chain(all.filter(late)).collect()
}

fn newest_first(rows: &RecordBatch) -> Result<UInt32Array, arrow::error::ArrowError> {
    let descending = Some(SortOptions { descending: true, nulls_first: false });
    let keys: Vec<SortColumn> = [field::TS, field::ID, field::FLOW_ID]
        .iter()
        .filter_map(|id| rows.column_by_name(id.def().name))
        .map(|values| SortColumn { values: Arc::clone(values), options: descending })
        .collect();
    lexsort_to_indices(&keys, None)
}

fn write_file(path: &Path, rows: &RecordBatch, order: &UInt32Array, row_group_rows: usize) -> Result<()> {
    let fault = Fault::default();
    let failed = |action: &'static str, e: &dyn std::fmt::Display| match fault.take() {
        Some(source) => Error::Io { action, path: path.to_owned(), source },
        None => Error::Internal(format!("cannot {action} {}: {e}", path.display())),
    };
    let file =
        File::create(path).map_err(|source| Error::Io { action: "create", path: path.to_owned(), source })?;
    let output = Output { inner: BufWriter::with_capacity(1 << 20, file), fault: fault.clone() };
    let properties = properties(rows, row_group_rows);
    let mut writer =
        ArrowWriter::try_new(output, rows.schema(), Some(properties)).map_err(|e| failed("write", &e))?;
    // In slices, so that sorting does not hold all rows twice.
    for start in (0..order.len()).step_by(PAGE_ROWS) {
        let part = order.slice(start, PAGE_ROWS.min(order.len() - start));
        let sorted = take_record_batch(rows, &part).map_err(|e| failed("sort", &e))?;
        writer.write(&sorted).map_err(|e| failed("write", &e))?;
    }
    writer.finish().map_err(|e| failed("write", &e))?;
    let output = writer.inner_mut();
    output.flush().map_err(|e| failed("write", &e))?;
    output.inner.get_ref().sync_all().map_err(|source| Error::Io {
        action: "sync",
        path: path.to_owned(),
        source,
    })
}

fn properties(rows: &RecordBatch, row_group_rows: usize) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut p = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(row_group_rows.max(1)))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS / 8)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64));
    for f in rows.schema_ref().fields() {
        let path = ColumnPath::from(vec![f.name().clone()]);
        if SEQUENCES.iter().any(|id| id.def().name == f.name()) {
            p = p
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if f.data_type() == &DataType::Binary {
            // Bodies hardly ever repeat, and their first bytes prune nothing.
            p = p
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path, EnabledStatistics::Chunk);
        } else if rows.num_rows() >= BLOOM_MIN_ROWS && BLOOM.iter().any(|id| id.def().name == f.name()) {
            // Sized for the worst case and folded to what the values need.
            p = p
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), 0.02)
                .set_column_bloom_filter_max_ndv(path, row_group_rows as u64);
        }
    }
    p.build()
}

/// Makes renames and removals in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|source| Error::Io {
        action: "sync",
        path: dir.to_owned(),
        source,
    })
}

/// True when the error says that there is no room for more bytes.
pub(crate) fn disk_is_full(e: &Error) -> bool {
    matches!(e, Error::Io { source, .. } if matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    ))
}

/// The operating system's error, which Parquet's errors keep as text only.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<io::Error>>>);

impl Fault {
    fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|e| {
            let copy = io::Error::from(e.kind());
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
            copy
        })
    }
}

struct Output {
    inner: BufWriter<File>,
    fault: Fault,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fault.note(self.inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.fault.note(self.inner.flush())
    }
}
