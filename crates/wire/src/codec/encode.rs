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

/// How rows are kept until they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are, for a hub in the same process; what goes to disk is encoded there.
    Handed,
    /// As Arrow IPC, for a hub on the same machine, where bytes are cheaper than the time to shrink
    /// them.
    Plain,
    /// As compressed Arrow IPC.
    Compressed,
}

/// Tables ready to be sent, without their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Encoded {
    pub(crate) tables: Vec<proto::Table>,
    pub(crate) rows: Rows,
    /// The rows of the tables that are not encoded, in their order.
    pub(crate) handed: Vec<TableBatch>,
}

impl Encoded {
    /// Size of the `Batch` message; the number adds a few bytes, of which the most is counted.
    pub(crate) fn len(&self) -> usize {
        11 + self.tables.iter().map(table_len).sum::<usize>()
    }

    /// The tables with all rows encoded, for a disk or another process.
    ///
    /// # Errors
    /// What Arrow says.
    pub(crate) fn encoded_tables(&self) -> Result<Vec<proto::Table>, ArrowError> {
        let mut handed = self.handed.iter();
        let encode = |table: &proto::Table| {
            let mut table = table.clone();
            if table.encoding() == proto::Encoding::Handed {
                let rows = handed.next().ok_or_else(|| ArrowError::IpcError("rows are missing".into()))?;
                let ipc = ipc_stream(&rows.batch)?;
                table.ipc_len = ipc.len() as u64;
                table.ipc = Bytes::from(ipc);
                table.set_encoding(proto::Encoding::Plain);
            }
            Ok(table)
        };
        self.tables.iter().map(encode).collect()
    }
}

/// Size of a batch message, as both ends count credit.
pub(crate) fn batch_len(batch: &proto::Batch) -> u64 {
    batch.encoded_len() as u64 + batch.tables.iter().map(|t| handed_len(t) as u64).sum::<u64>()
}

/// The same for a batch that is not a message yet.
pub(crate) fn message_len(seq: u64, batch: &Encoded) -> u64 {
    let number = if seq == 0 { 0 } else { 1 + prost::encoding::encoded_len_varint(seq) };
    (number + batch.tables.iter().map(table_len).sum::<usize>()) as u64
}

fn table_len(table: &proto::Table) -> usize {
    let len = table.encoded_len();
    len + 1 + prost::length_delimiter_len(len) + handed_len(table)
}

/// What rows beside the message take.
fn handed_len(table: &proto::Table) -> usize {
    match table.encoding() {
        proto::Encoding::Handed => usize::try_from(table.ipc_len).unwrap_or(usize::MAX >> 8),
        proto::Encoding::Plain | proto::Encoding::Zstd => 0,
    }
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
    handed: bool,
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
    /// An encoder that makes batches of that form.
    pub fn new(limits: EncodeLimits, form: Form) -> Self {
        // Without a compressor (out of memory) batches go as they are: larger, never lost.
        let compress = form == Form::Compressed;
        let zstd = compress.then(|| zstd::bulk::Compressor::new(ZSTD_LEVEL).ok()).flatten();
        Self { limits, handed: form == Form::Handed, zstd, stripped_rows: 0, dropped: Rows::default() }
    }

    /// Encodes tables, as one batch if they fit.
    pub(crate) fn encode(&mut self, tables: &[TableBatch]) -> Vec<Encoded> {
        let mut out = Vec::new();
        let mut current = Encoded::default();
        for t in tables {
            let mut parts = Vec::new();
            self.table(t, &present(&t.batch), HALVINGS, false, &mut parts);
            for part in parts {
                let full = current.tables.len() >= self.limits.tables
                    || current.len() + table_len(&part.message) > self.limits.message;
                if full && !current.tables.is_empty() {
                    out.push(std::mem::take(&mut current));
                }
                current.rows.add(t.table, u64::from(part.message.rows));
                current.tables.push(part.message);
                current.handed.extend(part.handed);
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
        out: &mut Vec<Part>,
    ) {
        let rows = batch.num_rows();
        if rows == 0 {
            return;
        }
        if rows <= self.limits.rows
            && let Some(part) = if self.handed { self.hand(of, batch) } else { self.ipc(of, batch) }
            && table_len(&part.message) + 11 <= self.limits.message
        {
            out.push(part);
            return;
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

    /// The rows as they are, if they are not too large.
    fn hand(&self, of: &TableBatch, batch: &RecordBatch) -> Option<Part> {
        let bytes = approximate_bytes(batch);
        let message = message(of, batch.num_rows(), proto::Encoding::Handed, Bytes::new(), bytes as u64);
        let handed = Some(TableBatch { batch: batch.clone(), ..of.clone() });
        (bytes <= self.limits.table_bytes).then_some(Part { message, handed })
    }

    /// The rows as Arrow IPC, if they are not too large.
    fn ipc(&mut self, of: &TableBatch, batch: &RecordBatch) -> Option<Part> {
        let rows = batch.num_rows();
        // A batch that is plainly too large is not worth the attempt.
        let attempt = rows == 1 || approximate_bytes(batch) <= 2 * self.limits.table_bytes;
        let ipc = if attempt { ipc_stream(batch).ok() } else { None };
        let ipc = ipc.filter(|ipc| ipc.len() <= self.limits.table_bytes)?;
        Some(Part { message: self.compress(of, rows, ipc), handed: None })
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
        message(of, rows, encoding, Bytes::from(bytes), ipc_len)
    }
}

/// A table of a batch, or a part of one.
struct Part {
    message: proto::Table,
    handed: Option<TableBatch>,
}

fn message(
    of: &TableBatch,
    rows: usize,
    encoding: proto::Encoding,
    ipc: Bytes,
    ipc_len: u64,
) -> proto::Table {
    proto::Table {
        table: of.table.name().to_owned(),
        protocol: of.protocol.map(|p| p.name().to_owned()).unwrap_or_default(),
        encoding: encoding.into(),
        ipc,
        ipc_len,
        rows: u32::try_from(rows).unwrap_or(u32::MAX),
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

/// The batch without the columns that have no value in it: more than half of a protocol's, as a
/// rule. Whoever reads it takes them for null.
fn present(batch: &RecordBatch) -> RecordBatch {
    let schema = batch.schema_ref();
    let has_value =
        |i: &usize| !schema.field(*i).is_nullable() || batch.column(*i).null_count() < batch.num_rows();
    let kept: Vec<usize> = (0..batch.num_columns()).filter(has_value).collect();
    // Cannot fail with indices of its own columns.
    batch.project(&kept).unwrap_or_else(|_| batch.clone())
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
