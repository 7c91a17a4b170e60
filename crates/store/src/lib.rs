//! The store: what was captured, kept and asked for.
//!
//! New rows stay in memory as the Arrow batches in which they came ([`Store::append`]) and can be
//! queried at once. Every few seconds they are sealed into Parquet segments, and only then are
//! they durable and acknowledged ([`Store::durable`]). Small segments are merged in the
//! background, old ones are deleted as a whole by bytes and by age. Queries run in DataFusion over
//! both, and DataFusion is named nowhere outside this crate.

mod config;
mod error;
mod function;
mod lower;
mod manifest;
mod memory;
mod merge;
mod metrics;
mod query;
mod retention;
mod seal;
mod segment;
mod shared;
mod sketch;
mod source;
mod store;

pub use config::StoreConfig;
pub use error::Error;
pub use metrics::{Condition, StoreMetrics};
pub use query::{
    BatchFilter, CallsQuery, CaptureInterval, Cost, Coverage, CoverageTotal, Cursor, Estimate, FieldValue,
    FlowsQuery, MAX_SQL_TEXT, Order, Page, Rank, SqlBound, SqlQuery, SqlRows, SqlView, Stats, StatsQuery,
    Tail, TailBatch, filter_batch, sql_views,
};
pub use source::{Appended, SourceId, Watermarks};
pub use store::{Boundary, Store};

/// Result of the store's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;
