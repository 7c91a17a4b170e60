//! From messages to record batches, of which nothing is taken on trust.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use bytes::Bytes;
use remora_model::{Protocol, Table, TableBatch, schema};

use super::check::check;
use crate::{Limits, proto};

/// Why a table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A table that this hub does not have.
    #[error("unknown table {0:?}")]
    UnknownTable(String),
    /// Calls of a protocol that this hub does not have.
    #[error("unknown protocol {0:?}")]
    UnknownProtocol(String),
    /// An encoding that this hub does not read.
    #[error("unknown encoding {0}")]
    UnknownEncoding(i32),
    /// Larger than the limit, once decompressed.
    #[error("a table of {0} bytes is more than is read")]
    TooLarge(u64),
    /// More rows than the limit.
    #[error("a table of {0} rows is more than is read")]
    TooManyRows(usize),
    /// Compressed bytes that do not decompress to the length they promise.
    #[error("broken compression")]
    Compression,
    /// The stream ends early or points outside of itself.
    #[error("truncated Arrow stream")]
    Truncated,
    /// Not the stream that was agreed on.
    #[error("malformed Arrow stream: {0}")]
    Malformed(&'static str),
    /// A column of another type than the catalogue gives it.
    #[error("column {0:?} has the wrong type")]
    WrongType(String),
    /// A column without which rows have no meaning.
    #[error("column {0:?} is missing")]
    Missing(&'static str),
    /// A column twice.
    #[error("column {0:?} is there twice")]
    Twice(String),
    /// Rows that should lie beside the stream and do not.
    #[error("rows that were not handed over")]
    NotHanded,
    /// What Arrow found.
    #[error("Arrow: {0}")]
    Arrow(#[from] ArrowError),
}

/// A table that was read.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The rows.
    pub table: TableBatch,
    /// Columns that were left out because the schema does not have them.
    pub unknown_columns: u64,
}

/// Reads a table, checks it, and brings its columns into the order of the schema. Columns that the
/// schema has and the table lacks stay absent, except for `ts` and the calls' `id`.
///
/// # Errors
/// Anything that does not fit.
pub fn decode(message: &proto::Table, limits: &Limits) -> Result<Decoded, DecodeError> {
    let table =
        Table::from_name(&message.table).ok_or_else(|| DecodeError::UnknownTable(shorten(&message.table)))?;
    let protocol = match table {
        Table::Calls => Some(
            Protocol::from_name(&message.protocol)
                .ok_or_else(|| DecodeError::UnknownProtocol(shorten(&message.protocol)))?,
        ),
        Table::Flows | Table::Coverage => None,
    };
    if message.ipc_len > limits.table_bytes as u64 {
        return Err(DecodeError::TooLarge(message.ipc_len));
    }
    let ipc = plain(message)?;
    check(&ipc, limits.rows)?;
    // The check leaves the reader no reason to panic that we know of; a reason that we do not know
    // of must cost this table and not the hub.
    let batch = catch_unwind(AssertUnwindSafe(|| read(ipc)))
        .unwrap_or(Err(DecodeError::Malformed("the Arrow reader gave up")))?;
    let (batch, unknown_columns) = conform(&batch, &target(table, protocol))?;
    Ok(Decoded { table: TableBatch { table, protocol, batch }, unknown_columns })
}

fn plain(message: &proto::Table) -> Result<Buffer, DecodeError> {
    let len = usize::try_from(message.ipc_len).map_err(|_| DecodeError::TooLarge(message.ipc_len))?;
    match proto::Encoding::try_from(message.encoding) {
        Ok(proto::Encoding::Plain) if message.ipc.len() == len => Ok(aligned(&message.ipc)),
        Ok(proto::Encoding::Plain) => Err(DecodeError::Truncated),
        Ok(proto::Encoding::Zstd) => {
            let bytes = zstd::bulk::decompress(&message.ipc, len).map_err(|_| DecodeError::Compression)?;
            if bytes.len() == len { Ok(Buffer::from_vec(bytes)) } else { Err(DecodeError::Compression) }
        }
        // Rows that were handed over are not in the message, and are not looked for here.
        Ok(proto::Encoding::Handed) | Err(_) => Err(DecodeError::UnknownEncoding(message.encoding)),
    }
}

/// One copy for all columns when the message happens to begin at an odd address, instead of one
/// for each column.
fn aligned(bytes: &Bytes) -> Buffer {
    if bytes.as_ptr().align_offset(8) == 0 {
        Buffer::from(bytes.clone())
    } else {
        Buffer::from_slice_ref(bytes)
    }
}

fn read(mut ipc: Buffer) -> Result<RecordBatch, DecodeError> {
    let mut decoder = StreamDecoder::new();
    let batch = decoder.decode(&mut ipc)?.ok_or(DecodeError::Malformed("no rows"))?;
    if decoder.decode(&mut ipc)?.is_some() {
        return Err(DecodeError::Malformed("more than one batch"));
    }
    decoder.finish()?;
    Ok(batch)
}

/// Keeps the columns of `target`, in its order.
fn conform(batch: &RecordBatch, target: &SchemaRef) -> Result<(RecordBatch, u64), DecodeError> {
    let given = batch.schema();
    let mut at: Vec<Option<usize>> = vec![None; target.fields().len()];
    let mut unknown = 0;
    for (i, field) in given.fields().iter().enumerate() {
        let Ok(slot) = target.index_of(field.name()) else {
            unknown += 1;
            continue;
        };
        if target.field(slot).data_type() != field.data_type() {
            return Err(DecodeError::WrongType(shorten(field.name())));
        }
        match at.get_mut(slot) {
            Some(place @ None) => *place = Some(i),
            _ => return Err(DecodeError::Twice(shorten(field.name()))),
        }
    }
    for required in ["ts", "id"] {
        if let Ok(slot) = target.index_of(required)
            && at.get(slot).copied().flatten().is_none()
        {
            return Err(DecodeError::Missing(required));
        }
    }
    let columns = at.iter().flatten().map(|&i| batch.column(i).clone()).collect();
    let schema = if at.iter().all(Option::is_some) {
        Arc::clone(target)
    } else {
        let kept = target.fields().iter().zip(&at).filter(|(_, i)| i.is_some()).map(|(f, _)| Arc::clone(f));
        Arc::new(Schema::new(kept.collect::<Vec<_>>()))
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok((RecordBatch::try_new_with_options(schema, columns, &options)?, unknown))
}

fn target(table: Table, protocol: Option<Protocol>) -> SchemaRef {
    static CALLS: LazyLock<Vec<SchemaRef>> =
        LazyLock::new(|| Protocol::ALL.iter().map(|p| schema::calls(*p)).collect());
    match protocol.and_then(|p| CALLS.get(p as usize)) {
        Some(schema) => Arc::clone(schema),
        None => schema::full(table),
    }
}

/// A name from outside, short enough for a log line.
fn shorten(name: &str) -> String {
    name.chars().take(64).collect()
}
