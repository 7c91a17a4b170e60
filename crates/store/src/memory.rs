//! Rows that are not sealed yet.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use remora_model::{Protocol, Table, TableBatch};

use crate::metrics::{Counters, add};
use crate::segment::{self, Span};
use crate::{Error, Result, SourceId};

/// One appended batch.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) table: Table,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) batch: RecordBatch,
    pub(crate) span: Span,
}

/// One appended message: what one sequence number stands for.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) source: SourceId,
    pub(crate) seq: u64,
    pub(crate) batches: Vec<Arc<OpenBatch>>,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

/// What a message takes in memory besides its rows.
const MESSAGE_BYTES: usize = 256;

impl Message {
    /// Checks the batches and leaves them the columns of this version's schema.
    pub(crate) fn new(
        source: &SourceId,
        seq: u64,
        batches: Vec<TableBatch>,
        counters: &Counters,
    ) -> Result<Self> {
        let mut out = Vec::with_capacity(batches.len());
        let (mut rows, mut bytes) = (0, MESSAGE_BYTES);
        for TableBatch { table, protocol, batch } in batches {
            if batch.num_rows() == 0 {
                continue;
            }
            if (table == Table::Calls) != protocol.is_some() {
                let reason = "calls need a protocol, and other tables have none".to_owned();
                return Err(Error::BadBatch { table: table.name(), reason });
            }
            let want = segment::schema_of((table, protocol));
            let (batch, unknown) = conform(table, &want, batch)?;
            add(&counters.unknown_columns, unknown);
            rows += batch.num_rows();
            bytes += memory(&batch);
            let span = Span::of(&batch);
            out.push(Arc::new(OpenBatch { table, protocol, batch, span }));
        }
        Ok(Self { source: source.clone(), seq, batches: out, rows, bytes })
    }
}

/// Gives the columns of a batch the order and types of this version's schema. What the batch lacks
/// stays away and counts as null; what this version does not know is left out and counted.
pub(crate) fn conform(table: Table, want: &SchemaRef, batch: RecordBatch) -> Result<(RecordBatch, usize)> {
    if batch.schema_ref() == want {
        return Ok((batch, 0));
    }
    let bad = |reason: String| Error::BadBatch { table: table.name(), reason };
    let (mut fields, mut columns) = (Vec::with_capacity(batch.num_columns()), Vec::new());
    for f in want.fields() {
        let column = match batch.column_by_name(f.name()) {
            Some(c) if c.data_type() == f.data_type() => Arc::clone(c),
            Some(c) => cast(c, f.data_type()).map_err(|e| bad(format!("column {}: {e}", f.name())))?,
            None if f.is_nullable() => continue,
            None => return Err(bad(format!("column {} is missing", f.name()))),
        };
        if !f.is_nullable() && column.null_count() > 0 {
            return Err(bad(format!("column {} has nulls", f.name())));
        }
        fields.push(Arc::clone(f));
        columns.push(column);
    }
    let unknown = batch.num_columns().saturating_sub(columns.len());
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema, columns).map_err(|e| bad(e.to_string()))?;
    Ok((batch, unknown))
}

/// Bytes of the rows themselves. Batches from the wire share one buffer among all columns, which
/// the arrays' own sizes would count once for each.
pub(crate) fn memory(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|c| c.to_data().get_slice_memory_size().unwrap_or_else(|_| c.get_array_memory_size()))
        .sum()
}
