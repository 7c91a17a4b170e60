//! The store's front door.

use arrow::array::RecordBatch;
use remora_kfl::{Filter, TimeRange};
use remora_model::{FieldId, Table, TableBatch, Timestamp};
use tokio::sync::watch;

use crate::{
    Appended, CallsQuery, Coverage, Error, Estimate, FieldValue, FlowsQuery, Page, Result, SourceId, Stats,
    StatsQuery, StoreConfig, StoreMetrics, Tail, Watermarks,
};

/// An open store. Clones are handles to the same one.
#[derive(Clone)]
pub struct Store {
    _private: (),
}

/// What the store holds of one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary {
    /// The table.
    pub table: Table,
    /// Time of its oldest row.
    pub oldest: Timestamp,
    /// Time of its newest row.
    pub newest: Timestamp,
    /// Its rows.
    pub rows: u64,
    /// Bytes of its segments on disk.
    pub bytes: u64,
}

const UNFINISHED: Error = Error::Closed;

#[allow(clippy::unused_async, unused_variables)]
impl Store {
    /// Opens the store in `config.dir`, makes it when it is new, and starts its two threads
    /// (sealing, merging) and those of the queries. Needs no async runtime.
    ///
    /// Files that the manifest does not name are removed; segments that are missing or damaged
    /// are counted and left out.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Io`], [`Error::Manifest`].
    pub fn open(config: StoreConfig) -> Result<Self> {
        Err(UNFINISHED)
    }

    /// Takes the batches of one message of `source`. Queries see them when this returns; they are
    /// durable when [`Store::durable`] says so, and only then may the sender forget them.
    ///
    /// Numbers of one source come in order; a number that is not above the last one is a
    /// duplicate, a number that skips some is accepted and counted. A message without batches
    /// moves the watermark all the same. Waits while the memory budget is used up.
    ///
    /// # Errors
    /// [`Error::Overloaded`] when that lasts too long (send it again), [`Error::BadBatch`],
    /// [`Error::BatchTooLarge`] and [`Error::Closed`]. After an error nothing was taken.
    pub async fn append(&self, source: &SourceId, seq: u64, batches: Vec<TableBatch>) -> Result<Appended> {
        Err(UNFINISHED)
    }

    /// The durable watermark of each source, and its changes.
    pub fn durable(&self) -> watch::Receiver<Watermarks> {
        watch::channel(Watermarks::default()).1
    }

    /// Highest sequence number taken from `source`, durable or not; `None` for an unknown source.
    pub fn received(&self, source: &SourceId) -> Option<u64> {
        None
    }

    /// Seals what is in memory now and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Closed`], or what kept the seal from succeeding (it is tried again later).
    pub async fn flush(&self) -> Result<()> {
        Err(UNFINISHED)
    }

    /// Seals what is in memory and stops. Queries that run are ended with [`Error::Closed`].
    /// A store that is dropped without this loses what was not sealed, as in a crash.
    ///
    /// # Errors
    /// What kept the last seal from succeeding.
    pub async fn close(&self) -> Result<()> {
        Err(UNFINISHED)
    }

    /// Counters, sizes and condition.
    pub fn metrics(&self) -> StoreMetrics {
        crate::metrics::Counters::default().snapshot()
    }

    /// Oldest and newest row of each table that has rows.
    pub fn boundaries(&self) -> Vec<Boundary> {
        Vec::new()
    }

    /// A page of calls.
    ///
    /// # Errors
    /// Those of every query: [`Error::Deadline`], [`Error::TooExpensive`], [`Error::UnknownField`],
    /// [`Error::UnsupportedField`], [`Error::Damaged`], [`Error::Closed`]; and
    /// [`Error::BadCursor`].
    pub async fn calls(&self, query: &CallsQuery) -> Result<Page> {
        Err(UNFINISHED)
    }

    /// One call with every field, bodies included: one row, with the columns of its table.
    ///
    /// # Errors
    /// [`Error::NoSuchCall`], [`Error::Deleted`], and those of every query.
    pub async fn call(&self, id: i64) -> Result<RecordBatch> {
        Err(UNFINISHED)
    }

    /// A page of flows, newest first.
    ///
    /// # Errors
    /// As [`Store::calls`].
    pub async fn flows(&self, query: &FlowsQuery) -> Result<Page> {
        Err(UNFINISHED)
    }

    /// Statistics of calls.
    ///
    /// # Errors
    /// Those of every query.
    pub async fn stats(&self, query: &StatsQuery) -> Result<Stats> {
        Err(UNFINISHED)
    }

    /// What was and was not captured in the window.
    ///
    /// # Errors
    /// Those of every query.
    pub async fn coverage(&self, window: TimeRange) -> Result<Coverage> {
        Err(UNFINISHED)
    }

    /// The values of a field of calls (or, for a field that only flows have, of flows) that occur
    /// most in the window.
    ///
    /// # Errors
    /// Those of every query; [`Error::UnsupportedField`] for maps and bodies.
    pub async fn field_values(
        &self,
        field: FieldId,
        window: TimeRange,
        limit: usize,
    ) -> Result<Vec<FieldValue>> {
        Err(UNFINISHED)
    }

    /// How much a filter would look at in the window, without looking.
    ///
    /// # Errors
    /// [`Error::UnknownField`] and [`Error::UnsupportedField`].
    pub fn count_estimate(&self, filter: &Filter, window: TimeRange) -> Result<Estimate> {
        Err(UNFINISHED)
    }

    /// Follows what is appended from now on; the filter's target names the table.
    ///
    /// # Errors
    /// [`Error::UnknownField`] and [`Error::UnsupportedField`].
    pub fn tail(&self, filter: &Filter) -> Result<Tail> {
        Err(UNFINISHED)
    }
}

/// The rows of `batch` that match, with its columns. Columns that it lacks count as absent. Needs
/// no store: `remora dissect --kfl` uses it.
///
/// # Errors
/// [`Error::UnknownField`] and [`Error::UnsupportedField`].
pub fn filter_batch(filter: &Filter, batch: &RecordBatch) -> Result<RecordBatch> {
    let _ = (filter, batch);
    Err(UNFINISHED)
}
