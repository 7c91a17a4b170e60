//! Writing a segment.
//!
//! Rows stay in the order in which they came, which is almost that of their times, the newest
//! batches first: sorting every row would copy all of them twice, and pages are skipped by the
//! times that they span either way. Columns without a single value are left out; readers take
//! them for null.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnDescPtr, ColumnPath};
use remora_model::{Protocol, Table, field, schema};

use super::pages::{Compressor, compressor};
use super::text::{self, TextChunk};
use super::{Segment, SegmentMeta, Span, file_name};
use crate::{Error, Result};

/// Rows of one data page, the unit that the page index can skip.
const PAGE_ROWS: usize = 8_192;

/// Columns with Bloom filters: those that are looked up by one exact value among many. Ids rise
/// with time, so that the bounds of pages find them.
const BLOOM: [remora_model::FieldId; 5] =
    [field::FLOW_ID, field::HOST, field::PATH, field::TRACE_ID, field::REDIS_KEY];

/// Numbers that differ from row to row: a dictionary would cost hashing and room, differences cost
/// neither.
const SEQUENCES: [remora_model::FieldId; 6] =
    [field::ID, field::TS, field::REQUEST_POS, field::RESPONSE_POS, field::ELAPSED_TIME, field::TTLB];

/// Below this a row group is read as fast as its Bloom filters.
const BLOOM_MIN_ROWS: usize = 1_024;

/// Writes the rows under a temporary name, syncs and renames. The directory is not synced: the
/// caller does that once for several segments.
pub(crate) fn write(place: &Place<'_>, batches: &[RecordBatch]) -> Result<Segment> {
    let spans = batches.iter().map(Span::of);
    let mut sorted: Vec<(Span, &RecordBatch)> =
        spans.zip(batches).filter(|(_, b)| b.num_rows() > 0).collect();
    // Stable: of equal times the later batch may have the later rows.
    sorted.reverse();
    sorted.sort_by_key(|(span, _)| std::cmp::Reverse(span.max_ts));
    let content = Content {
        rows: sorted.iter().map(|(_, b)| b.num_rows() as u64).sum(),
        raw_bytes: batches.iter().map(|b| crate::memory::memory(b) as u64).sum(),
        span: sorted.iter().map(|(s, _)| *s).fold(Span::EMPTY, Span::with),
    };
    let batches: Vec<RecordBatch> = sorted.into_iter().map(|(_, b)| b.clone()).collect();
    create(place, content, |output| {
        let schema = present(&batches, &schema_of(place.kind));
        write_rows(output, &schema, &batches, place.row_group_rows)
    })
}

/// The columns that segments of a kind can have.
pub(crate) fn schema_of((table, protocol): (Table, Option<Protocol>)) -> SchemaRef {
    match (table, protocol) {
        (Table::Calls, Some(p)) => schema::calls(p),
        (table, _) => schema::full(table),
    }
}

/// Where a new segment goes and what it is called.
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) number: u64,
    pub(crate) kind: (Table, Option<Protocol>),
    pub(crate) level: u32,
    /// Rows of its row groups, at most.
    pub(crate) row_group_rows: usize,
}

/// What a segment holds.
pub(super) struct Content {
    pub(super) rows: u64,
    pub(super) raw_bytes: u64,
    pub(super) span: Span,
}

/// Makes the file of a segment from what `fill` writes.
pub(super) fn create(
    place: &Place<'_>,
    content: Content,
    fill: impl FnOnce(Output) -> Result<Output, ParquetError>,
) -> Result<Segment> {
    let &Place { dir, number, kind: (table, protocol), level, .. } = place;
    let protocol = protocol.map(Protocol::name);
    let name = file_name(table.name(), protocol, number);
    let temporary = dir.join(format!("{name}.tmp"));
    let path = dir.join(&name);
    let make = || {
        let file = File::create(&temporary).map_err(io("create", &temporary))?;
        let fault = Fault::default();
        let output = Output { inner: BufWriter::with_capacity(1 << 20, file), fault: fault.clone() };
        let mut output = fill(output).map_err(|e| match fault.take() {
            Some(source) => Error::Io { action: "write", path: temporary.clone(), source },
            None => Error::Internal(format!("cannot write {}: {e}", temporary.display())),
        })?;
        output.inner.flush().map_err(io("write", &temporary))?;
        let file = output.inner.get_ref();
        file.sync_all().map_err(io("sync", &temporary))?;
        let bytes = file.metadata().map_err(io("read", &temporary))?.len();
        std::fs::rename(&temporary, &path).map_err(io("rename", &temporary))?;
        Ok(bytes)
    };
    let bytes = make().inspect_err(|_: &Error| {
        _ = std::fs::remove_file(&temporary);
    })?;
    let meta = SegmentMeta {
        number,
        table: table.name().to_owned(),
        protocol: protocol.map(str::to_owned),
        level,
        rows: content.rows,
        bytes,
        raw_bytes: content.raw_bytes,
        span: content.span,
    };
    Segment::new(dir, meta).ok_or_else(|| Error::Internal("calls without a protocol".to_owned()))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

/// The columns that have a value in any of the batches, bodies last, so that everything else lies
/// together.
pub(super) fn present(batches: &[RecordBatch], schema: &SchemaRef) -> SchemaRef {
    let has_value = |f: &Field| {
        let column = |b: &RecordBatch| b.column_by_name(f.name()).is_some_and(|c| c.null_count() < c.len());
        batches.iter().any(column)
    };
    let fields = schema.fields().iter();
    late_last(fields.filter(|f| !f.is_nullable() || has_value(f)).map(Arc::clone).collect())
}

/// A file's columns in their order.
pub(super) fn late_last(fields: Vec<Arc<Field>>) -> SchemaRef {
    let (late, early): (Vec<_>, Vec<_>) =
        fields.into_iter().partition(|f| f.data_type() == &DataType::Binary);
    Arc::new(Schema::new(early.into_iter().chain(late).collect::<Vec<_>>()))
}

/// A file of these columns, without rows so far.
pub(super) fn file(
    output: Output,
    schema: &SchemaRef,
    row_group_rows: usize,
    bloom: bool,
) -> Result<SerializedFileWriter<Output>, ParquetError> {
    let mut properties = properties(schema, row_group_rows, bloom);
    add_encoded_arrow_schema_to_metadata(schema, &mut properties);
    let root = ArrowSchemaConverter::new().convert(schema)?.root_schema_ptr();
    SerializedFileWriter::new(output, root, Arc::new(properties))
}

fn write_rows(
    output: Output,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    row_group_rows: usize,
) -> Result<Output, ParquetError> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let bloom = rows >= BLOOM_MIN_ROWS;
    let mut file = file(output, schema, row_group_rows, bloom)?;
    let mut compressor = compressor()?;
    write_row_groups(&mut file, schema, batches, row_group_rows, bloom, &mut compressor)?;
    file.into_inner()
}

/// Adds rows, of which the columns of `schema` are written.
pub(super) fn write_row_groups(
    file: &mut SerializedFileWriter<Output>,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    row_group_rows: usize,
    bloom: bool,
    compressor: &mut Compressor,
) -> Result<(), ParquetError> {
    for group in row_groups(batches, row_group_rows.max(1)) {
        let columns = columns(file, schema, |_| true)?;
        let mut writer = file.next_row_group()?;
        for column in columns {
            let name = column.field.name();
            let values = |b: &RecordBatch| match b.column_by_name(name) {
                Some(values) => Arc::clone(values),
                None => new_null_array(column.field.data_type(), b.num_rows()),
            };
            let parts: Vec<ArrayRef> = group.iter().map(values).collect();
            column.write(&parts, bloom, compressor, &mut writer)?;
        }
        writer.close()?;
    }
    Ok(())
}

/// The batches, cut so that a group has at most that many rows.
fn row_groups(batches: &[RecordBatch], most: usize) -> Vec<Vec<RecordBatch>> {
    let mut groups: Vec<Vec<RecordBatch>> = Vec::new();
    let mut room = 0;
    for batch in batches {
        let mut from = 0;
        while from < batch.num_rows() {
            if room == 0 {
                groups.push(Vec::new());
                room = most;
            }
            let rows = room.min(batch.num_rows() - from);
            if let Some(group) = groups.last_mut() {
                group.push(batch.slice(from, rows));
            }
            from += rows;
            room -= rows;
        }
    }
    groups
}

/// One column of a row group.
pub(super) struct Column<'a> {
    pub(super) field: &'a Arc<Field>,
    leaves: Vec<ColumnDescPtr>,
    /// Arrow's writers of the leaves, where the column is written by them.
    writers: Vec<ArrowColumnWriter>,
}

/// The columns of the next row group, of which those that are `wanted` can be written.
pub(super) fn columns<'a, W: Write + Send>(
    file: &SerializedFileWriter<W>,
    schema: &'a SchemaRef,
    wanted: impl Fn(&Field) -> bool,
) -> Result<Vec<Column<'a>>, ParquetError> {
    let empty = |field| Column { field, leaves: Vec::new(), writers: Vec::new() };
    let mut columns: Vec<Column<'a>> = schema.fields().iter().map(empty).collect();
    let described = file.schema_descr();
    for (i, leaf) in described.columns().iter().enumerate() {
        if let Some(column) = columns.get_mut(described.get_column_root_idx(i)) {
            column.leaves.push(Arc::clone(leaf));
        }
    }
    // Each of Arrow's writers comes with a compressor, so none is made that is not used.
    let by_arrow = |c: &&mut Column<'_>| wanted(c.field) && !TextChunk::takes(c.field.data_type());
    let mut columns_by_arrow: Vec<&mut Column<'_>> = columns.iter_mut().filter(by_arrow).collect();
    let fields: Vec<Arc<Field>> = columns_by_arrow.iter().map(|c| Arc::clone(c.field)).collect();
    let part = Arc::new(Schema::new(fields));
    let root = ArrowSchemaConverter::new().convert(&part)?.root_schema_ptr();
    let nowhere = SerializedFileWriter::new(io::sink(), root, Arc::clone(file.properties()))?;
    let writers = ArrowRowGroupWriterFactory::new(&nowhere, part).create_column_writers(0)?;
    for (i, writer) in writers.into_iter().enumerate() {
        let root = nowhere.schema_descr().get_column_root_idx(i);
        if let Some(column) = columns_by_arrow.get_mut(root) {
            column.writers.push(writer);
        }
    }
    Ok(columns)
}

impl Column<'_> {
    /// Writes the values, which stand in `parts` one after the other.
    pub(super) fn write<W: Write + Send>(
        self,
        parts: &[ArrayRef],
        bloom: bool,
        compressor: &mut Compressor,
        row_group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        let ty = self.field.data_type();
        if !TextChunk::takes(ty) {
            let mut writers = self.writers;
            for part in parts {
                for (leaf, writer) in compute_leaves(self.field, part)?.iter().zip(&mut writers) {
                    writer.write(leaf)?;
                }
            }
            return writers.into_iter().try_for_each(|w| w.close()?.append_to_row_group(row_group));
        }
        let is_map = matches!(ty, DataType::Map(..));
        let options = text::Options {
            // Bodies prune nothing by their first bytes, nor do the values of maps, which are of
            // all kinds.
            bounds: !is_map && ty != &DataType::Binary,
            bloom: bloom && has_bloom(self.field),
            page_rows: PAGE_ROWS,
        };
        for (i, description) in self.leaves.into_iter().enumerate() {
            let mut chunk = TextChunk::new(description, options, compressor);
            for part in parts {
                match part.as_map_opt() {
                    Some(map) => chunk.map(map, i == 0)?,
                    None => chunk.flat(part)?,
                }
            }
            let (bytes, close) = chunk.finish()?;
            row_group.append_column(&bytes, close)?;
        }
        Ok(())
    }
}

fn has_bloom(field: &Field) -> bool {
    BLOOM.iter().any(|id| id.def().name == field.name())
}

fn properties(schema: &SchemaRef, row_group_rows: usize, bloom: bool) -> WriterProperties {
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
    // Columns of text have a writer of their own, which does not look here.
    for f in schema.fields() {
        let path = ColumnPath::from(vec![f.name().clone()]);
        if SEQUENCES.iter().any(|id| id.def().name == f.name()) {
            p = p
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
        if bloom && has_bloom(f) {
            // Sized for the worst case and folded to what the values need.
            p = p
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_fpp(path.clone(), text::BLOOM_FPP)
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

pub(super) struct Output {
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
