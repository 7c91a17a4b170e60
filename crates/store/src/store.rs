//! The store's front door.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use remora_kfl::{Filter, TimeRange};
use remora_model::{FieldId, Table, TableBatch, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::memory::Message;
use crate::metrics::add;
use crate::query::{self, engine::Engine};
use crate::segment::Span;
use crate::shared::Shared;
use crate::{
    Appended, CallsQuery, Condition, Coverage, Error, Estimate, FieldValue, FlowsQuery, Page, Result,
    SourceId, SqlQuery, SqlRows, Stats, StatsQuery, StoreConfig, StoreMetrics, Tail, Watermarks,
};
use crate::{merge, seal};

/// An open store. Clones are handles to the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
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

struct Inner {
    shared: Arc<Shared>,
    engine: Engine,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Inner {
    /// Waits for the threads to end.
    fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.stop();
        self.shared.stop(true);
        self.join();
        self.shared.unlock();
    }
}

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
        let shared = Arc::new(Shared::open(config)?);
        let engine = Engine::new(Arc::clone(&shared))?;
        let inner = Arc::new(Inner { shared, engine, threads: Mutex::new(Vec::new()) });
        for (name, run) in [("remora-seal", seal::run as fn(&Shared)), ("remora-merge", merge::run)] {
            let shared = Arc::clone(&inner.shared);
            let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
            let thread = spawned.map_err(|source| Error::Io {
                action: "start a thread for",
                path: inner.shared.config.dir.clone(),
                source,
            })?;
            inner.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(Self { inner })
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
        let shared = &self.inner.shared;
        let message = match Message::new(source, seq, batches, &shared.counters) {
            Ok(m) => Arc::new(m),
            Err(e) => {
                add(&shared.counters.bad_batches, 1u64);
                return Err(e);
            }
        };
        let deadline = Instant::now() + shared.config.append_wait;
        let mut waited = false;
        loop {
            // Registered before the attempt, so that room made in between is noticed.
            let mut space = pin!(shared.space.notified());
            space.as_mut().enable();
            if let Some(done) = shared.try_append(&message)? {
                return Ok(done);
            }
            if !waited {
                waited = true;
                add(&shared.counters.append_waits, 1u64);
            }
            if tokio::time::timeout_at(deadline, space).await.is_err() {
                add(&shared.counters.append_refusals, 1u64);
                let (used, budget) = (shared.open_bytes(), shared.config.memory_budget);
                return Err(Error::Overloaded { used, budget });
            }
        }
    }

    /// The durable watermark of each source, and its changes.
    pub fn durable(&self) -> watch::Receiver<Watermarks> {
        self.inner.shared.durable.subscribe()
    }

    /// Highest sequence number taken from `source`, durable or not; `None` for an unknown source.
    pub fn received(&self, source: &SourceId) -> Option<u64> {
        self.inner.shared.received(source)
    }

    /// Seals what is in memory now and waits until it is durable.
    ///
    /// # Errors
    /// [`Error::Closed`], or what kept the seal from succeeding (it is tried again later).
    pub async fn flush(&self) -> Result<()> {
        let shared = &self.inner.shared;
        let mut progress = shared.progress.subscribe();
        let failures = progress.borrow_and_update().failures;
        let wanted = shared.want_flush();
        loop {
            {
                let now = progress.borrow_and_update();
                if now.sealed >= wanted {
                    return Ok(());
                }
                if now.failures > failures {
                    return Err(Error::SealFailed(now.reason.clone()));
                }
                if now.ended {
                    return Err(Error::Closed);
                }
            }
            progress.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Seals what is in memory and stops. Queries that run are ended with [`Error::Closed`].
    /// A store that is dropped without this loses what was not sealed, as in a crash.
    ///
    /// # Errors
    /// What kept the last seal from succeeding.
    pub async fn close(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        inner.engine.stop();
        inner.shared.stop(false);
        let joined = tokio::task::spawn_blocking(move || {
            inner.join();
            inner.shared.unlock();
            let state = inner.shared.state();
            match &state.condition {
                Condition::DiskFull { reason } | Condition::SealFailing { reason }
                    if !state.open.is_empty() =>
                {
                    Err(Error::SealFailed(reason.clone()))
                }
                _ => Ok(()),
            }
        });
        joined.await.unwrap_or(Err(Error::Closed))
    }

    /// Counters, sizes and condition.
    pub fn metrics(&self) -> StoreMetrics {
        StoreMetrics { queries_running: self.inner.engine.running(), ..self.inner.shared.metrics() }
    }

    /// Oldest and newest row of each table that has rows.
    pub fn boundaries(&self) -> Vec<Boundary> {
        let mut out = Vec::new();
        for &table in Table::ALL {
            let parts = query::parts(&self.inner.shared, table);
            let Some(span) = parts.iter().map(|p| p.span()).reduce(Span::with) else { continue };
            out.push(Boundary {
                table,
                oldest: Timestamp(span.min_ts),
                newest: Timestamp(span.max_ts),
                rows: parts.iter().map(|p| p.rows()).sum(),
                bytes: parts.iter().map(|p| p.bytes()).sum(),
            });
        }
        out
    }

    /// A page of calls.
    ///
    /// # Errors
    /// Those of every query: [`Error::Deadline`], [`Error::TooExpensive`], [`Error::UnknownField`],
    /// [`Error::UnsupportedField`], [`Error::Damaged`], [`Error::Closed`]; and
    /// [`Error::BadCursor`].
    pub async fn calls(&self, query: &CallsQuery) -> Result<Page> {
        let query = query.clone();
        self.inner.engine.run(move |session| query::page::calls(session, query)).await
    }

    /// One call with every field, bodies included: one row, with the columns of its table.
    ///
    /// # Errors
    /// [`Error::NoSuchCall`], [`Error::Deleted`], and those of every query.
    pub async fn call(&self, id: i64) -> Result<RecordBatch> {
        self.inner.engine.run(move |session| query::page::call(session, id)).await
    }

    /// A page of flows, newest first.
    ///
    /// # Errors
    /// As [`Store::calls`].
    pub async fn flows(&self, query: &FlowsQuery) -> Result<Page> {
        let query = query.clone();
        self.inner.engine.run(move |session| query::flows::flows(session, query)).await
    }

    /// Statistics of calls.
    ///
    /// # Errors
    /// Those of every query.
    pub async fn stats(&self, query: &StatsQuery) -> Result<Stats> {
        let query = query.clone();
        self.inner.engine.run(move |session| query::stats::stats(session, query)).await
    }

    /// Rows by a read-only statement of SQL over the views that [`sql_views`](crate::sql_views) tells.
    ///
    /// # Errors
    /// [`Error::Sql`] and those of every query.
    pub async fn sql(&self, query: &SqlQuery) -> Result<SqlRows> {
        let query = query.clone();
        self.inner.engine.run(move |session| query::sql::sql(session, query)).await
    }

    /// What was and was not captured in the window.
    ///
    /// # Errors
    /// Those of every query.
    pub async fn coverage(&self, window: TimeRange) -> Result<Coverage> {
        self.inner.engine.run(move |session| query::coverage::coverage(session, window)).await
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
        let run = move |session| query::values::field_values(session, field, window, limit);
        self.inner.engine.run(run).await
    }

    /// How much a filter would look at in the window, without looking.
    ///
    /// # Errors
    /// [`Error::UnknownField`] and [`Error::UnsupportedField`].
    pub fn count_estimate(&self, filter: &Filter, window: TimeRange) -> Result<Estimate> {
        query::values::estimate(&self.inner.shared, filter, window)
    }

    /// Follows what is appended from now on; the filter's target names the table.
    ///
    /// # Errors
    /// [`Error::UnknownField`] and [`Error::UnsupportedField`].
    pub fn tail(&self, filter: &Filter) -> Result<Tail> {
        Tail::new(&self.inner.shared, filter)
    }
}
