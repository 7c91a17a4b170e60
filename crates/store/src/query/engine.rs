//! Where queries run: threads of their own, a bounded number at once, each with a deadline and its
//! share of memory.

use std::sync::Arc;
use std::time::Instant;

use datafusion::catalog::{
    CatalogProvider as _, CatalogProviderList as _, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider,
};
use datafusion::common::DataFusionError;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::cache::cache_manager::CacheManagerConfig;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::object_store::local::LocalFileSystem;
use datafusion::prelude::{SessionConfig, SessionContext};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::Cost;
use super::scan::Scanned;
use crate::metrics::add;
use crate::shared::Shared;
use crate::{Error, Result};

/// Name under which DataFusion finds the segments.
const URL: &str = "remora://segments/";

/// Stack of a thread on which queries are planned, in bytes. Planning recurses over expressions, whose
/// length and depth are bounded for filters and for SQL; memory is taken only as far as it is used.
const STACK: usize = 32 << 20;

pub(crate) struct Engine {
    runtime: Option<Runtime>,
    slots: Arc<Semaphore>,
    closed: watch::Sender<bool>,
    template: SessionState,
    /// Bytes that one query may hold.
    budget: usize,
    shared: Arc<Shared>,
}

/// What a running query works with.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) context: SessionContext,
    pub(crate) url: ObjectStoreUrl,
    pub(crate) scanned: Arc<Scanned>,
    pub(crate) shared: Arc<Shared>,
    started: Instant,
    budget: usize,
}

impl Session {
    /// What the query took so far.
    pub(crate) fn cost(&self) -> Cost {
        Cost { elapsed: self.started.elapsed(), ..self.scanned.cost() }
    }

    /// The same with tables that no other query sees, and with its functions changed.
    pub(crate) fn with_own_names(
        mut self,
        functions: impl FnOnce(&mut SessionState) -> std::result::Result<(), DataFusionError>,
    ) -> Result<Self> {
        let state = self.context.state();
        let names = &state.config_options().catalog;
        let schemas = MemoryCatalogProvider::new();
        // What is new and empty takes any name.
        _ = schemas.register_schema(&names.default_schema, Arc::new(MemorySchemaProvider::new()));
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(names.default_catalog.clone(), Arc::new(schemas));
        // These two name a view's columns twice when they move a map's lookup below it (DataFusion 55).
        let moves = ["extract_leaf_expressions", "push_down_leaf_projections"];
        let rules = state.optimizers().iter().filter(|rule| !moves.contains(&rule.name())).cloned().collect();
        let mut state = SessionStateBuilder::new_from_existing(state)
            .with_catalog_list(Arc::new(catalogs))
            .with_optimizer_rules(rules)
            .build();
        functions(&mut state).map_err(|e| self.error(&e))?;
        self.context = SessionContext::new_with_state(state);
        Ok(self)
    }

    /// An error of DataFusion in our terms.
    pub(crate) fn error(&self, e: &DataFusionError) -> Error {
        match e.find_root() {
            DataFusionError::ResourcesExhausted(_) => Error::TooExpensive { budget: self.budget },
            DataFusionError::ParquetError(e) => Error::Damaged(e.to_string()),
            DataFusionError::ObjectStore(e) => Error::Damaged(e.to_string()),
            DataFusionError::IoError(e) => Error::Damaged(e.to_string()),
            e => Error::Internal(e.to_string()),
        }
    }
}

impl Engine {
    pub(crate) fn new(shared: Arc<Shared>) -> Result<Self> {
        let internal = |e: DataFusionError| Error::Internal(e.to_string());
        let config = &shared.config;
        let threads = match config.query_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("remora-query")
            .thread_stack_size(STACK)
            .enable_time()
            .build()
            .map_err(|source| Error::Io { action: "start threads for", path: config.dir.clone(), source })?;
        let cache = CacheManagerConfig::default().with_metadata_cache_limit(config.metadata_cache);
        let environment = RuntimeEnvBuilder::new()
            .with_cache_manager(cache)
            // A query that does not fit into its memory is refused, not written to disk.
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(internal)?;
        let files = LocalFileSystem::new_with_prefix(&config.dir)
            .map_err(|e| Error::Internal(format!("{}: {e}", config.dir.display())))?;
        let url = ObjectStoreUrl::parse(URL).map_err(internal)?;
        environment.register_object_store(url.as_ref(), Arc::new(files));
        let template = SessionStateBuilder::new()
            .with_config(session_config(threads))
            .with_runtime_env(environment)
            .with_default_features()
            .build();
        // The scan hands its filters to the Parquet reader itself. The rule that does so for plans
        // drops the filter above the scan, and the reader leaves out predicates that it cannot
        // apply once it sees a file's columns, so that rows would pass unfiltered.
        let rules = template.physical_optimizers().iter().filter(|r| r.name() != "FilterPushdown");
        let rules = rules.cloned().collect();
        let template =
            SessionStateBuilder::new_from_existing(template).with_physical_optimizer_rules(rules).build();
        Ok(Self {
            runtime: Some(runtime),
            slots: Arc::new(Semaphore::new(config.max_queries.max(1))),
            closed: watch::Sender::new(false),
            template,
            budget: config.query_memory / config.max_queries.max(1),
            shared,
        })
    }

    /// Queries that run now.
    pub(crate) fn running(&self) -> u64 {
        self.shared.config.max_queries.max(1).saturating_sub(self.slots.available_permits()) as u64
    }

    /// Runs a query. Dropping the future ends it.
    pub(crate) async fn run<T, F, Fut>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Session) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T>> + Send,
    {
        let started = Instant::now();
        let session = self.session(started)?;
        let scanned = Arc::clone(&session.scanned);
        let (slots, deadline) = (Arc::clone(&self.slots), self.shared.config.query_deadline);
        let runtime = self.runtime.as_ref().ok_or(Error::Closed)?;
        let work = async move {
            let _slot = slots.acquire_owned().await.map_err(|_| Error::Closed)?;
            query(session).await
        };
        let task = runtime.spawn(work);
        let mut guard =
            Guard { task: task.abort_handle(), shared: Arc::clone(&self.shared), finished: false };
        let mut closed = self.closed.subscribe();
        // The deadline is kept here and not among the queries' threads: those look at their timers only now and then
        // when all of them are busy.
        let ended = tokio::select! {
            ended = task => Ok(ended),
            _ = closed.wait_for(|c| *c) => Err(Error::Closed),
            () = tokio::time::sleep(deadline) => Err(Error::Deadline(deadline)),
        };
        let result = match ended {
            Ok(Ok(result)) => result,
            Ok(Err(e)) if e.is_panic() => Err(Error::Internal("a query panicked".to_owned())),
            Ok(Err(_)) => Err(Error::Closed),
            Err(e) => {
                guard.task.abort();
                Err(e)
            }
        };
        guard.finished = true;
        let counters = &self.shared.counters;
        add(&counters.query_micros, started.elapsed().as_micros());
        add(&counters.query_bytes, scanned.cost().bytes_scanned);
        match &result {
            Ok(_) => add(&counters.queries, 1u64),
            Err(e) => {
                add(&counters.query_failures, 1u64);
                match e {
                    Error::Deadline(_) => add(&counters.query_deadlines, 1u64),
                    Error::TooExpensive { .. } => add(&counters.query_memory_refusals, 1u64),
                    _ => {}
                }
            }
        }
        result
    }

    fn session(&self, started: Instant) -> Result<Session> {
        let internal = |e: DataFusionError| Error::Internal(e.to_string());
        // Files, footers and functions are shared; memory is the query's own, so that one greedy
        // query cannot starve the others.
        let environment = RuntimeEnvBuilder::from_runtime_env(self.template.runtime_env())
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(self.budget)))
            .build_arc()
            .map_err(internal)?;
        let state = SessionStateBuilder::new_from_existing(self.template.clone())
            .with_runtime_env(environment)
            .build();
        Ok(Session {
            context: SessionContext::new_with_state(state),
            url: ObjectStoreUrl::parse(URL).map_err(internal)?,
            scanned: Arc::new(Scanned::default()),
            shared: Arc::clone(&self.shared),
            started,
            budget: self.budget,
        })
    }

    /// Ends all queries that run and refuses new ones.
    pub(crate) fn stop(&self) {
        self.slots.close();
        self.closed.send_replace(true);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // May be dropped inside another runtime, where waiting is not allowed.
            runtime.shutdown_background();
        }
    }
}

/// Ends the query when the asker goes away.
struct Guard {
    task: AbortHandle,
    shared: Arc<Shared>,
    finished: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.finished {
            self.task.abort();
            add(&self.shared.counters.query_cancellations, 1u64);
        }
    }
}

fn session_config(threads: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_information_schema(false)
        .with_collect_statistics(false);
    let parquet = &mut config.options_mut().execution.parquet;
    // Filters are decided on their own columns, and the others are read for the rows that pass.
    parquet.pushdown_filters = true;
    parquet.reorder_filters = true;
    config
}
