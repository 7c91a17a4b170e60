//! From record batches to messages.

use arrow::array::{Array, RecordBatch, new_null_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::Bytes;
use prost::Message as _;
use remora_model::{Table, TableBatch};

use crate::proto;

/// Padding of buffers inside an IPC stream. Eight bytes are what the widest column type needs;
/// 64, the default, would more than double a batch of few rows.
const IPC_ALIGNMENT: usize = 8;

/// Compression pays above this size: below, the frame eats what it saves.
const COMPRESS_FROM: usize = 512;

/// Fastest level that still finds the repetitions of JSON and headers.
const ZSTD_LEVEL: i32 = 1;

/// How often halving may be tried on a batch that is too large: enough to get from the most rows
/// that a batch has to one.
const HALVINGS: u32 = 24;

/// Rows of each table, in the order of [`Table::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows(pub [u64; Table::ALL.len()]);

impl Rows {
    /// Adds rows of one table.
    pub fn add(&mut self, table: Table, rows: u64) {
        if let Some(n) = self.0.get_mut(table as usize) {
            *n += rows;
        }
    }

    /// Adds what `other` counts.
    pub fn add_all(&mut self, other: &Self) {
        for (n, more) in self.0.iter_mut().zip(other.0) {
            *n += more;
        }
    }

    /// Rows of one table.
    pub fn of(&self, table: Table) -> u64 {
        self.0.get(table as usize).copied().unwrap_or(0)
    }

    /// Rows of all tables.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Tables ready to be sent, without their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) tables: Vec<proto::Table>,
    pub(crate) rows: Rows,
}

impl Encoded {
    /// Size of the `Batch` message; the number adds a few bytes, of which the most is counted.
    pub(crate) fn len(&self) -> usize {
        11 + self.tables.iter().map(table_len).sum::<usize>()
    }
}

/// Size of a batch message, as both ends count credit.
pub(crate) fn batch_len(batch: &proto::Batch) -> u64 {
    batch.encoded_len() as u64
}

/// The same for a batch that is not a message yet.
pub(crate) fn message_len(seq: u64, batch: &Encoded) -> u64 {
    let number = if seq == 0 { 0 } else { 1 + prost::encoding::encoded_len_varint(seq) };
    (number + batch.tables.iter().map(table_len).sum::<usize>()) as u64
}

fn table_len(table: &proto::Table) -> usize {
    let len = table.encoded_len();
    len + 1 + prost::length_delimiter_len(len)
}

/// Bounds for what an encoder makes.
#[derive(Clone, Copy, Debug)]
pub struct EncodeLimits {
    /// Bytes of a batch message; larger batches are split.
    pub message: usize,
    /// Bytes of a table before compression; larger tables are split.
    pub table_bytes: usize,
    /// Rows of a table.
    pub rows: usize,
    /// Tables of a batch.
    pub tables: usize,
}

impl Default for EncodeLimits {
    fn default() -> Self {
        // Half of what a hub reads by default, so that framing never decides.
        Self { message: 4 << 20, table_bytes: 4 << 20, rows: 1 << 15, tables: 32 }
    }
}

/// Turns rows into messages.
pub struct Encoder {
    limits: EncodeLimits,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    /// Rows that were too large to be sent with their bodies and went without.
    pub stripped_rows: u64,
    /// Rows that were too large even then, or that Arrow refused.
    pub dropped: Rows,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder. `compress`: false for a hub on the same machine, where bytes are cheaper than
    /// the time to shrink them.
    pub fn new(limits: EncodeLimits, compress: bool) -> Self {
        // Without a compressor (out of memory) batches go as they are: larger, never lost.
        let zstd = compress.then(|| zstd::bulk::Compressor::new(ZSTD_LEVEL).ok()).flatten();
        Self { limits, zstd, stripped_rows: 0, dropped: Rows::default() }
    }

    /// Encodes tables, as one batch if they fit.
    pub(crate) fn encode(&mut self, tables: &[TableBatch]) -> Vec<Encoded> {
        let mut out = Vec::new();
        let mut current = Encoded::default();
        for t in tables {
            let mut parts = Vec::new();
            self.table(t, &t.batch, HALVINGS, false, &mut parts);
            for part in parts {
                let full = current.tables.len() >= self.limits.tables
                    || current.len() + table_len(&part) > self.limits.message;
                if full && !current.tables.is_empty() {
                    out.push(std::mem::take(&mut current));
                }
                current.rows.add(t.table, u64::from(part.rows));
                current.tables.push(part);
            }
        }
        if !current.tables.is_empty() {
            out.push(current);
        }
        out
    }

    /// Encodes one table, in pieces if it is too large.
    fn table(
        &mut self,
        of: &TableBatch,
        batch: &RecordBatch,
        halvings: u32,
        stripped: bool,
        out: &mut Vec<proto::Table>,
    ) {
        let rows = batch.num_rows();
        if rows == 0 {
            return;
        }
        let fits_rows = rows <= self.limits.rows;
        // A batch that is plainly too large is not worth the attempt.
        let attempt = fits_rows && (rows == 1 || approximate_bytes(batch) <= 2 * self.limits.table_bytes);
        let ipc = if attempt { ipc_stream(batch).ok() } else { None };
        if let Some(ipc) = ipc
            && ipc.len() <= self.limits.table_bytes
        {
            let table = self.compress(of, rows, ipc);
            if table_len(&table) + 11 <= self.limits.message {
                out.push(table);
                return;
            }
        }
        if rows > 1 && halvings > 0 {
            let half = rows / 2;
            self.table(of, &batch.slice(0, half), halvings - 1, stripped, out);
            self.table(of, &batch.slice(half, rows - half), halvings - 1, stripped, out);
        } else if !stripped && let Some(lean) = without_bodies(batch) {
            self.stripped_rows += rows as u64;
            self.table(of, &lean, halvings, true, out);
        } else {
            self.dropped.add(of.table, rows as u64);
        }
    }

    fn compress(&mut self, of: &TableBatch, rows: usize, ipc: Vec<u8>) -> proto::Table {
        let ipc_len = ipc.len() as u64;
        let mut encoding = proto::Encoding::Plain;
        let mut bytes = ipc;
        if bytes.len() >= COMPRESS_FROM
            && let Some(zstd) = &mut self.zstd
            && let Ok(small) = zstd.compress(&bytes)
            && small.len() < bytes.len()
        {
            encoding = proto::Encoding::Zstd;
            bytes = small;
        }
        proto::Table {
            table: of.table.name().to_owned(),
            protocol: of.protocol.map(|p| p.name().to_owned()).unwrap_or_default(),
            encoding: encoding.into(),
            ipc: Bytes::from(bytes),
            ipc_len,
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
        }
    }
}

fn ipc_stream(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let options = IpcWriteOptions::try_new(IPC_ALIGNMENT, false, MetadataVersion::V5)?;
    let mut out = Vec::with_capacity(approximate_bytes(batch) + (16 << 10));
    let mut writer = StreamWriter::try_new_with_options(&mut out, &batch.schema(), options)?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(out)
}

/// What the columns add up to; slices count their share of the fixed parts.
fn approximate_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(usize::MAX >> 8)).sum()
}

/// The batch with nulls for its bodies (every nullable binary column); `None` when it has none.
fn without_bodies(batch: &RecordBatch) -> Option<RecordBatch> {
    let schema = batch.schema();
    let mut changed = false;
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if *field.data_type() == DataType::Binary
                && field.is_nullable()
                && column.null_count() < column.len()
            {
                changed = true;
                new_null_array(&DataType::Binary, column.len())
            } else {
                column.clone()
            }
        })
        .collect();
    if changed { RecordBatch::try_new(schema, columns).ok() } else { None }
}
