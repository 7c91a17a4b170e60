//! Questions to the store and their answers.

pub(crate) mod coverage;
mod cursor;
pub(crate) mod engine;
pub(crate) mod flows;
pub(crate) mod page;
mod scan;
pub(crate) mod sql;
pub(crate) mod stats;
mod tail;
pub(crate) mod values;

use std::time::Duration;

use arrow::array::RecordBatch;
use remora_kfl::{Filter, TimeRange};
use remora_model::{FieldId, Timestamp};
use serde::Serialize;
use serde_json::Value;

pub use cursor::Cursor;
pub(crate) use scan::parts;
pub use sql::{MAX_TEXT as MAX_SQL_TEXT, SqlBound, SqlQuery, SqlRows, SqlView, sql_views};
pub use tail::{BatchFilter, Tail, TailBatch, filter_batch};

/// Which rows come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
}

/// A page of calls.
#[derive(Clone, Debug)]
pub struct CallsQuery {
    /// Which calls; compiled for calls.
    pub filter: Filter,
    /// When; both ends may be open. A cursor brings the window of its first page along, which then
    /// counts instead of this one.
    pub window: TimeRange,
    /// The instant that `now()` stood for in the filter. Later pages must compile the filter with
    /// [`Cursor::as_of`] of their cursor, else the filter would be another one.
    pub as_of: Timestamp,
    /// Rows wanted, at most [`crate::StoreConfig::max_page_rows`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// Columns of the answer, in this order, derived fields included. `None` stands for every
    /// column that is stored except bodies ([`remora_model::Storage::Late`]).
    pub fields: Option<Vec<FieldId>>,
    /// Which rows come first.
    pub order: Order,
}

/// A page of flows: the newest row of each flow inside the window. The filter is asked about that
/// newest row.
#[derive(Clone, Debug)]
pub struct FlowsQuery {
    /// Which flows; compiled for flows.
    pub filter: Filter,
    /// When, as with [`CallsQuery::window`].
    pub window: TimeRange,
    /// As with [`CallsQuery::as_of`].
    pub as_of: Timestamp,
    /// Rows wanted.
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// Columns of the answer; `None` stands for all that are stored.
    pub fields: Option<Vec<FieldId>>,
}

/// What a query took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Rows of the segments and batches that were looked at.
    pub rows_scanned: u64,
    /// Bytes read from segments.
    pub bytes_scanned: u64,
    /// Segments and batches that were looked at.
    pub parts_scanned: u64,
    /// Time from the question to the answer, waiting included.
    #[serde(serialize_with = "micros", rename = "elapsed_us")]
    pub elapsed: Duration,
}

fn micros<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// One page of rows.
#[derive(Clone, Debug)]
pub struct Page {
    /// The rows, in the order asked for. Fields that a row lacks are null.
    pub rows: RecordBatch,
    /// Where the next page begins; `None` when this was the last one. Rows that arrive later and
    /// are newer than the first page do not move the pages.
    pub next: Option<Cursor>,
    /// What it took.
    pub cost: Cost,
}

/// By what groups are ranked, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rank {
    /// Calls.
    #[default]
    Count,
    /// Failed calls.
    Failed,
    /// Share of failed calls.
    ErrorRate,
    /// Bytes of requests and responses.
    Bytes,
    /// Median of `elapsed_time`.
    P50,
    /// 90th percentile of `elapsed_time`.
    P90,
    /// 95th percentile of `elapsed_time`.
    P95,
    /// 99th percentile of `elapsed_time`.
    P99,
    /// Maximum of `elapsed_time`.
    Max,
    /// The groups' own order (ascending), for example by time.
    Key,
}

/// Statistics of calls by group.
#[derive(Clone, Debug)]
pub struct StatsQuery {
    /// Which calls; compiled for calls.
    pub filter: Filter,
    /// When.
    pub window: TimeRange,
    /// Fields to group by; none gives one row over everything. Lists count as one text with their
    /// elements joined by `, `; maps cannot be grouped by.
    pub group_by: Vec<FieldId>,
    /// Groups wanted, at most [`crate::StoreConfig::max_groups`].
    pub limit: usize,
    /// By what they are ranked.
    pub rank: Rank,
    /// Also group by time, in buckets of this length that are aligned to the epoch.
    pub bucket: Option<Duration>,
}

/// Statistics.
///
/// Columns of `rows`: the fields of `group_by` under their names, then `bucket` (timestamp, the
/// bucket's start) if asked for, then `count`, `failed` (int), `error_rate` (0 to 1), `rate` (calls
/// per second of the window or bucket), `request_bytes`, `response_bytes` (int), and of
/// `elapsed_time` in microseconds, null where no call of the group has it: `elapsed_p50`,
/// `elapsed_p90`, `elapsed_p95`, `elapsed_p99` (at most [`Stats::PERCENTILE_ERROR`] from the true
/// value, relatively, and never outside of the two that follow), `elapsed_min`, `elapsed_max`
/// (exact). Where a group field has the name of one
/// of these, the statistic is called `…_total`.
#[derive(Clone, Debug)]
pub struct Stats {
    /// One row for each group.
    pub rows: RecordBatch,
    /// True when there were more groups than asked for.
    pub more_groups: bool,
    /// Seconds that `rate` divides by: the length of the bucket, or of the part of the window in
    /// which there can be rows. `None` when nothing can match.
    pub rate_seconds: Option<f64>,
    /// Where that part begins, when the window reaches back further than the oldest row that is
    /// kept.
    pub rate_from: Option<Timestamp>,
    /// What it took.
    pub cost: Cost,
}

impl Stats {
    /// Largest relative error of the percentiles.
    pub const PERCENTILE_ERROR: f64 = 1.0 / 128.0;
}

/// A counter summed over a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CoverageTotal {
    /// The node.
    pub node: String,
    /// Where in the pipeline.
    pub stage: String,
    /// What happened.
    pub reason: String,
    /// How often.
    pub count: i64,
    /// Bytes concerned.
    pub bytes: i64,
}

/// A time in which a node was capturing without a break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaptureInterval {
    /// The node.
    pub node: String,
    /// Its start, in nanoseconds since the epoch.
    #[serde(serialize_with = "instant")]
    pub from: Timestamp,
    /// Its end.
    #[serde(serialize_with = "instant")]
    pub until: Timestamp,
}

fn instant<S: serde::Serializer>(t: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&t.to_rfc3339())
}

/// What was and was not captured in a window.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Coverage {
    /// Sums over the intervals that touch the window, by node, stage and reason.
    pub totals: Vec<CoverageTotal>,
    /// When each node was capturing, clipped to the window, oldest first within a node.
    pub intervals: Vec<CaptureInterval>,
    /// What it took.
    pub cost: Cost,
}

/// A value of a field and how often it occurs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldValue {
    /// The value, as in a row.
    pub value: Value,
    /// Rows that have it.
    pub count: u64,
}

/// What a query would look at, from the manifest alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Upper bound of the rows that can match.
    pub max_rows: u64,
    /// Bytes on disk of the segments that would be looked at.
    pub bytes: u64,
    /// Segments and batches that would be looked at.
    pub parts: u64,
}
