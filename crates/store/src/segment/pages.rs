//! Pages of text and what a row group must know of them.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, PageType, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::bounds::{BOUND, lower_bound, upper_bound};
use super::levels;

/// Compresses pages.
pub(super) type Compressor = zstd::bulk::Compressor<'static>;

/// A compressor for pages.
pub(super) fn compressor() -> Result<Compressor> {
    Compressor::new(1).map_err(|e| ParquetError::External(Box::new(e)))
}

/// What compressed chunks say of themselves.
fn codec() -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default())
}

/// Which values of a page are there, and which begin a row.
pub(super) struct Levels<'a> {
    pub(super) repetitions: &'a [u8],
    pub(super) definitions: &'a [u8],
}

/// The pages of one column chunk.
pub(super) struct Pages<'a> {
    descr: ColumnDescPtr,
    /// Bounds are kept.
    bounds: bool,
    compressor: &'a mut Compressor,
    out: TrackedWrite<Vec<u8>>,
    total_rows: u64,
    total_values: u64,
    total_nulls: u64,
    uncompressed: usize,
    lowest: Option<Vec<u8>>,
    highest: Option<Vec<u8>>,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
}

impl<'a> Pages<'a> {
    pub(super) fn new(descr: ColumnDescPtr, bounds: bool, compressor: &'a mut Compressor) -> Self {
        Self {
            bounds,
            compressor,
            out: TrackedWrite::new(Vec::new()),
            total_rows: 0,
            total_values: 0,
            total_nulls: 0,
            uncompressed: 0,
            lowest: None,
            highest: None,
            column_index: ColumnIndexBuilder::new(descr.physical_type()),
            offset_index: OffsetIndexBuilder::new(),
            descr,
        }
    }

    /// Writes a page of so many rows and values: `body` holds the values in that encoding. `bounds`
    /// are the least and the greatest of them.
    pub(super) fn write(
        &mut self,
        encoding: Encoding,
        body: &[u8],
        levels: &Levels<'_>,
        [rows, values]: [usize; 2],
        bounds: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Result<()> {
        let width = |max: i16| levels::width(u32::try_from(max).unwrap_or(0));
        let (max_rep, max_def) = (self.descr.max_rep_level(), self.descr.max_def_level());
        let mut data = Vec::with_capacity(body.len() / 2 + 64);
        if max_rep > 0 {
            levels::pack(levels.repetitions, width(max_rep), &mut data);
        }
        let rep_len = data.len();
        if max_def > 0 {
            levels::pack(levels.definitions, width(max_def), &mut data);
        }
        let levels_len = data.len();
        // Pages of version 2 compress the values and leave the levels as they are.
        let small = self.compressor.compress(body).ok().filter(|small| small.len() < body.len());
        let is_compressed = small.is_some();
        data.extend_from_slice(small.as_deref().unwrap_or(body));
        let count = if max_rep > 0 { levels.repetitions.len() } else { rows };
        let nulls = count.saturating_sub(values);
        let number =
            |n: usize| u32::try_from(n).map_err(|_| ParquetError::General("a page too large".into()));
        let page = Page::DataPageV2 {
            buf: Bytes::from(data),
            num_values: number(count)?,
            encoding,
            num_nulls: number(nulls)?,
            num_rows: number(rows)?,
            def_levels_byte_len: number(levels_len - rep_len)?,
            rep_levels_byte_len: number(rep_len)?,
            is_compressed,
            statistics: None,
        };
        let page = CompressedPage::new(page, levels_len + body.len());
        let spec = SerializedPageWriter::new(&mut self.out).write_page(page)?;
        self.uncompressed += spec.uncompressed_size;
        let (at, size) = (i64::try_from(spec.offset), i32::try_from(spec.compressed_size));
        let large = |_| ParquetError::General("a page too large".into());
        self.offset_index.append_offset_and_size(at.map_err(large)?, size.map_err(large)?);
        self.offset_index.append_row_count(rows as i64);
        self.total_rows += rows as u64;
        self.total_values += count as u64;
        self.total_nulls += nulls as u64;
        self.note_bounds(bounds, nulls);
        Ok(())
    }

    fn note_bounds(&mut self, bounds: Option<(Vec<u8>, Vec<u8>)>, nulls: usize) {
        if !self.bounds {
            return;
        }
        match bounds {
            None => self.column_index.append(true, Vec::new(), Vec::new(), nulls as i64),
            Some((low, high)) => {
                match upper_bound(&high) {
                    Some(high) => {
                        self.column_index.append(false, lower_bound(&low).to_vec(), high, nulls as i64);
                    }
                    None => self.column_index.to_invalid(),
                }
                if self.lowest.as_ref().is_none_or(|l| low < *l) {
                    self.lowest = Some(low);
                }
                if self.highest.as_ref().is_none_or(|h| high > *h) {
                    self.highest = Some(high);
                }
            }
        }
    }

    /// The chunk's bytes and what the row group must know of it. `pages` counts those whose values
    /// are places in the dictionary, and those that hold their values; the dictionary is given by
    /// its bytes in plain encoding and the number of its values.
    pub(super) fn close(
        mut self,
        pages: [i32; 2],
        dictionary: Option<(&[u8], usize)>,
        bloom_filter: Option<Sbbf>,
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let mut bytes = TrackedWrite::new(Vec::new());
        let mut encodings = vec![Encoding::RLE];
        let mut stats = Vec::new();
        let dictionary_len = if let Some((body, values)) = dictionary {
            let small = self.compressor.compress(body).map_err(|e| ParquetError::External(Box::new(e)))?;
            let page = Page::DictionaryPage {
                buf: Bytes::from(small),
                num_values: u32::try_from(values).unwrap_or(u32::MAX),
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let page = CompressedPage::new(page, body.len());
            let spec = SerializedPageWriter::new(&mut bytes).write_page(page)?;
            self.uncompressed += spec.uncompressed_size;
            encodings.extend([Encoding::PLAIN, Encoding::RLE_DICTIONARY]);
            stats.push((PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1));
            stats.push((PageType::DATA_PAGE_V2, Encoding::RLE_DICTIONARY, pages[0]));
            spec.compressed_size
        } else {
            0
        };
        if pages[1] > 0 {
            encodings.push(Encoding::PLAIN);
            stats.push((PageType::DATA_PAGE_V2, Encoding::PLAIN, pages[1]));
        }
        let mut bytes = bytes.into_inner()?;
        bytes.extend_from_slice(&self.out.into_inner()?);

        let stats = stats.into_iter().map(|(page_type, encoding, count)| PageEncodingStats {
            page_type,
            encoding,
            count,
        });
        let mut metadata = ColumnChunkMetaData::builder(self.descr)
            .set_compression(codec())
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(stats.collect())
            .set_total_compressed_size(bytes.len() as i64)
            .set_total_uncompressed_size(self.uncompressed as i64)
            .set_num_values(self.total_values as i64)
            .set_data_page_offset(0);
        if self.bounds {
            let exact = |v: &Option<Vec<u8>>| v.as_ref().is_none_or(|v| v.len() <= BOUND);
            let (low_exact, high_exact) = (exact(&self.lowest), exact(&self.highest));
            let high = self.highest.map(|h| upper_bound(&h));
            // Without a bound that fits nothing is said.
            let (low, high) = match high {
                Some(None) => (None, None),
                high => (self.lowest.map(|l| ByteArray::from(lower_bound(&l).to_vec())), high.flatten()),
            };
            let statistics =
                ValueStatistics::new(low, high.map(ByteArray::from), None, Some(self.total_nulls), false)
                    .with_min_is_exact(low_exact)
                    .with_max_is_exact(high_exact);
            metadata = metadata.set_statistics(Statistics::ByteArray(statistics));
        }
        let column_index =
            (self.bounds && self.column_index.valid()).then(|| self.column_index.build()).transpose()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.total_rows,
            metadata: metadata.build()?,
            bloom_filter,
            column_index,
            offset_index: Some(self.offset_index.build()),
        };
        // The dictionary comes first and moves the pages.
        Ok((Bytes::from(bytes), close.update_dictionary_location(dictionary_len)?))
    }
}
