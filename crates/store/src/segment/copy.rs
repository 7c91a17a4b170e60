//! Joining segments without reading their rows: row groups are copied as they are.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::writer::SerializedFileWriter;

use super::pages::{Compressor, compressor};
use super::write::{Content, Output, Place, columns, create, file, late_last, present, write_row_groups};
use super::{Segment, Span};
use crate::{Error, Result};

/// A segment of which row groups are copied.
pub(crate) struct Source {
    segment: Arc<Segment>,
    file: File,
    metadata: ParquetMetaData,
    schema: SchemaRef,
}

impl Source {
    /// Reads the segment's footer. `None` when it has columns that this version writes otherwise,
    /// so that its rows must be read.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn open(segment: &Arc<Segment>, want: &SchemaRef) -> Result<Option<Self>> {
        let damaged =
            |e: &dyn std::fmt::Display| Error::Damaged(format!("{}: {e}", segment.path().display()));
        let file = File::open(segment.path()).map_err(|e| damaged(&e))?;
        let metadata = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&file)
            .map_err(|e| damaged(&e))?;
        let footer = metadata.file_metadata();
        let schema = parquet_to_arrow_schema(footer.schema_descr(), footer.key_value_metadata())
            .map_err(|e| damaged(&e))?;
        let same = |f: &Arc<Field>| {
            want.field_with_name(f.name())
                .is_ok_and(|w| w.data_type() == f.data_type() && w.is_nullable() == f.is_nullable())
        };
        let same = schema.fields().iter().all(same) && metadata.offset_index().is_some();
        Ok(same.then(|| Self { segment: Arc::clone(segment), file, metadata, schema: Arc::new(schema) }))
    }
}

/// Makes one segment of the row groups of `sources` and of the rows of `batches`, which all have
/// the columns of `want`.
///
/// # Errors
/// What reading and writing can give.
pub(crate) fn join(
    place: &Place<'_>,
    sources: &mut [Source],
    batches: &[RecordBatch],
    want: &SchemaRef,
) -> Result<Segment> {
    let row_group_rows = place.row_group_rows;
    sources.sort_by_key(|s| std::cmp::Reverse(s.segment.meta.span.max_ts));
    let metas = || sources.iter().map(|s| &s.segment.meta);
    let content = Content {
        rows: metas().map(|m| m.rows).sum::<u64>() + batches.iter().map(|b| b.num_rows() as u64).sum::<u64>(),
        raw_bytes: metas().map(|m| m.raw_bytes).sum::<u64>()
            + batches.iter().map(|b| crate::memory::memory(b) as u64).sum::<u64>(),
        span: metas().map(|m| m.span).chain(batches.iter().map(Span::of)).fold(Span::EMPTY, Span::with),
    };
    let read = present(batches, want);
    let has = |f: &Arc<Field>| {
        read.index_of(f.name()).is_ok() || sources.iter().any(|s| s.schema.index_of(f.name()).is_ok())
    };
    let schema = late_last(want.fields().iter().filter(|f| has(f)).map(Arc::clone).collect());
    create(place, content, |output| {
        let mut writer = file(output, &schema, row_group_rows, true)?;
        let mut compressor = compressor()?;
        for source in sources.iter() {
            for group in 0..source.metadata.num_row_groups() {
                copy(&mut writer, &schema, source, group, &mut compressor)?;
            }
        }
        write_row_groups(&mut writer, &schema, batches, row_group_rows, true, &mut compressor)?;
        writer.into_inner()
    })
}

/// Copies one row group. Columns that its file does not have are null.
fn copy(
    writer: &mut SerializedFileWriter<Output>,
    schema: &SchemaRef,
    source: &Source,
    group: usize,
    compressor: &mut Compressor,
) -> Result<(), ParquetError> {
    let lost = || ParquetError::General(format!("row group {group} is not where it should be"));
    let absent = |f: &Field| source.schema.index_of(f.name()).is_err();
    let columns = columns(writer, schema, absent)?;
    let metadata = source.metadata.row_groups().get(group).ok_or_else(lost)?;
    let described = source.metadata.file_metadata().schema_descr();
    let rows = usize::try_from(metadata.num_rows()).map_err(|_| lost())?;
    let mut row_group = writer.next_row_group()?;
    for column in columns {
        let Ok(root) = source.schema.index_of(column.field.name()) else {
            let nulls = new_null_array(column.field.data_type(), rows);
            column.write(&[nulls], false, compressor, &mut row_group)?;
            continue;
        };
        for leaf in (0..described.num_columns()).filter(|&i| described.get_column_root_idx(i) == root) {
            let chunk = metadata.columns().get(leaf).ok_or_else(lost)?;
            let column_index = source.metadata.column_index().and_then(|i| i.get(group)?.get(leaf));
            let offset_index = source.metadata.offset_index().and_then(|i| i.get(group)?.get(leaf));
            let close = ColumnCloseResult {
                bytes_written: u64::try_from(chunk.compressed_size()).map_err(|_| lost())?,
                rows_written: rows as u64,
                metadata: chunk.clone(),
                bloom_filter: Sbbf::read_from_column_chunk(chunk, &source.file)?,
                column_index: column_index.filter(|i| !matches!(i, ColumnIndexMetaData::NONE)).cloned(),
                offset_index: Some(offset_index.ok_or_else(lost)?.clone()),
            };
            row_group.append_column(&source.file, close)?;
        }
    }
    row_group.close()?;
    Ok(())
}
