//! Filters over batches at hand: following what is appended, and capture files.

use std::sync::{Arc, Weak};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use remora_kfl::Filter;
use remora_model::{Table, schema};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::scan::select;
use super::values;
use crate::metrics::add;
use crate::shared::{Shared, TailItem};
use crate::{Error, Result};

/// A filter compiled for batches at hand. It needs no store.
pub struct BatchFilter {
    table: Table,
    /// The columns that the predicate looks at, and the predicate over them; `None` lets all pass.
    predicate: Option<(SchemaRef, Arc<dyn PhysicalExpr>)>,
}

impl BatchFilter {
    /// Compiles a filter.
    ///
    /// # Errors
    /// [`Error::UnknownField`] when the filter's table does not have one of its fields.
    pub fn new(filter: &Filter) -> Result<Self> {
        let table = values::table(filter.target);
        if filter.is_empty() {
            return Ok(Self { table, predicate: None });
        }
        let lowered = crate::lower::lower(&filter.expr, table)?;
        let used = lowered.column_refs();
        let full = schema::full(table);
        let fields = full.fields().iter().filter(|f| used.iter().any(|c| c.name() == f.name()));
        let columns = Arc::new(Schema::new(fields.cloned().collect::<Vec<_>>()));
        let predicate = crate::lower::physical(&lowered, &columns)?;
        Ok(Self { table, predicate: Some((columns, predicate)) })
    }

    /// The rows of `batch` that match, with its columns. Columns that it lacks count as absent.
    ///
    /// # Errors
    /// [`Error::BadBatch`] when a column has another type than its field.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let Some((columns, predicate)) = &self.predicate else { return Ok(batch.clone()) };
        let bad =
            |e: &dyn std::fmt::Display| Error::BadBatch { table: self.table.name(), reason: e.to_string() };
        let used = select(batch, columns).map_err(|e| bad(&e))?;
        let keep =
            predicate.evaluate(&used).and_then(|v| v.into_array(batch.num_rows())).map_err(|e| bad(&e))?;
        let keep =
            keep.as_boolean_opt().ok_or_else(|| Error::Internal("a filter that is no bool".to_owned()))?;
        filter_record_batch(batch, keep).map_err(|e| bad(&e))
    }
}

/// The rows of `batch` that match, as [`BatchFilter::apply`] for one batch.
///
/// # Errors
/// Those of [`BatchFilter`].
pub fn filter_batch(filter: &Filter, batch: &RecordBatch) -> Result<RecordBatch> {
    BatchFilter::new(filter)?.apply(batch)
}

/// What a follower gets.
#[derive(Clone, Debug)]
pub enum TailBatch {
    /// Matching rows of one protocol, every field that is stored (bodies too), in order of arrival.
    Rows(RecordBatch),
    /// The follower was too slow: this many rows of the table passed unseen, matching or not.
    Missed(u64),
}

/// Rows as they are appended, those that match a filter.
pub struct Tail {
    filter: BatchFilter,
    receiver: broadcast::Receiver<TailItem>,
    /// Rows of the table that have passed.
    position: u64,
    /// A batch that waits for the word about what was missed before it.
    pending: Option<TailItem>,
    shared: Weak<Shared>,
}

impl Tail {
    pub(crate) fn new(shared: &Arc<Shared>, filter: &Filter) -> Result<Self> {
        let filter = BatchFilter::new(filter)?;
        let (receiver, position) = shared.follow(filter.table).ok_or(Error::Closed)?;
        Ok(Self { filter, receiver, position, pending: None, shared: Arc::downgrade(shared) })
    }

    /// The next batch; `None` when the store is closed. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<TailBatch> {
        loop {
            let item = match self.pending.take() {
                Some(item) => item,
                None => match self.receiver.recv().await {
                    Ok(item) => item,
                    // The next batch tells how many rows that were.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return None,
                },
            };
            if item.batch.table != self.filter.table {
                continue;
            }
            let missed = item.before.saturating_sub(self.position);
            if missed > 0 {
                self.position = item.before;
                self.pending = Some(item);
                if let Some(shared) = self.shared.upgrade() {
                    add(&shared.counters.tail_missed_rows, missed);
                }
                return Some(TailBatch::Missed(missed));
            }
            self.position = item.before + item.batch.batch.num_rows() as u64;
            match self.filter.apply(&item.batch.batch) {
                Ok(rows) if rows.num_rows() == 0 => {}
                Ok(rows) => return Some(TailBatch::Rows(rows)),
                Err(e) => tracing::error!(error = %e, "cannot filter an appended batch"),
            }
        }
    }
}
