//! Read-only SQL over views of what is kept.
//!
//! A statement is parsed, checked, planned over the [`views`] and run like every other query: with a
//! deadline, its share of memory, and bounds on rows and bytes of the answer. It reaches nothing but
//! the views: no other table, no file, no network, and nothing that writes.

mod check;
mod functions;
mod names;
mod views;
mod workloads;

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::DataFrame;
use futures::StreamExt as _;
use remora_kfl::{Filter, TimeRange};
use remora_model::{FieldDef, Table};

use super::Cost;
use super::engine::Session;
use crate::{Error, Result};

pub use check::MAX_TEXT;

/// A statement and what it may see.
#[derive(Clone, Debug)]
pub struct SqlQuery {
    /// One `SELECT`, at most [`MAX_SQL_TEXT`](crate::MAX_SQL_TEXT) bytes long.
    pub text: String,
    /// Rows outside of it are not there for the statement.
    pub window: TimeRange,
    /// Nor are rows that do not match: of calls, of flows, or one for each.
    pub filters: Vec<Filter>,
    /// Rows wanted, at most [`crate::StoreConfig::max_page_rows`].
    pub limit: usize,
    /// Mask credentials in maps of headers and cookies before the statement sees them.
    pub mask: bool,
}

/// The answer to a statement.
#[derive(Clone, Debug)]
pub struct SqlRows {
    /// The rows. Types that JSON does not have (decimals, intervals, structures, …) are numbers or
    /// text.
    pub rows: RecordBatch,
    /// Why there are not more rows, if there would be.
    pub more: Option<SqlBound>,
    /// What it took.
    pub cost: Cost,
}

/// What an answer was cut by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlBound {
    /// The rows that were asked for.
    Rows,
    /// Bytes of an answer.
    Bytes,
}

/// A view for [`Store::sql`](crate::Store::sql).
#[derive(Clone, Debug)]
pub struct SqlView {
    /// Its name.
    pub name: &'static str,
    /// The table that it shows.
    pub table: Table,
    /// Its columns: the name in SQL, and the field.
    pub columns: Vec<(String, &'static FieldDef)>,
}

/// The views that statements can name.
pub fn sql_views() -> Vec<SqlView> {
    views::all()
}

pub(crate) async fn sql(session: Session, query: SqlQuery) -> Result<SqlRows> {
    let session = session.with_own_names(functions::restrict)?;
    let limit = query.limit.clamp(1, session.shared.config.max_page_rows.max(1));
    let most = session.shared.config.max_answer_bytes;
    let wrong = |e: &DataFusionError| explain(&session, e);
    let statement = check::statement(&query.text)?;
    // Planning takes time for each of hundreds of columns, so only those are there that can be meant. Where
    // that was wrong, or the statement is, all of them are: then the planner knows what may have been meant.
    let planned = async |only| {
        workloads::register(&session, &statement.tables, only, &query).await?;
        let parsed = Box::new(statement.parsed.clone());
        let state = session.context.state();
        let plan = state.statement_to_plan(datafusion::sql::parser::Statement::Statement(parsed)).await;
        Ok((state, plan.map_err(|e| wrong(&e))?))
    };
    let mut plan: Result<_> = planned(statement.columns.as_ref()).await;
    if plan.is_err() && statement.columns.is_some() {
        plan = planned(None).await;
    }
    let (state, plan) = plan?;
    let only_reads =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reads.verify_plan(&plan).map_err(|e| wrong(&e))?;
    let frame = DataFrame::new(state, plan).limit(0, Some(limit + 1)).map_err(|e| wrong(&e))?;

    let context = Arc::new(frame.task_ctx());
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let plan = frame.create_physical_plan().await.map_err(|e| wrong(&e))?;
    let mut stream =
        datafusion::physical_plan::execute_stream(Arc::clone(&plan), context).map_err(|e| wrong(&e))?;
    let (mut batches, mut rows, mut bytes, mut more) = (Vec::new(), 0, 0, None);
    while let Some(batch) = stream.next().await {
        let batch = plain(&batch.map_err(|e| wrong(&e))?)?;
        let size = batch.get_array_memory_size();
        if bytes + size > most && rows > 0 {
            more = Some(SqlBound::Bytes);
            break;
        }
        bytes += size;
        rows += batch.num_rows();
        batches.push(batch);
        if rows > limit {
            more = Some(SqlBound::Rows);
            break;
        }
    }
    session.scanned.executed(&plan);
    let schema = match batches.first() {
        Some(batch) => batch.schema(),
        None => plain(&RecordBatch::new_empty(schema))?.schema(),
    };
    let all = concat_batches(&schema, &batches).map_err(|e| Error::Internal(e.to_string()))?;
    Ok(SqlRows { rows: all.slice(0, all.num_rows().min(limit)), more, cost: session.cost() })
}

/// The batch with columns of types that rows as JSON have.
fn plain(batch: &RecordBatch) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let to = plain_type(column.data_type());
        let column = match &to {
            None => Arc::clone(column),
            Some(to) => cast(column, to).or_else(|_| text(column))?,
        };
        fields.push(Field::new(field.name(), column.data_type().clone(), true));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|e| Error::Internal(e.to_string()))
}

/// A column as it would be printed.
fn text(column: &ArrayRef) -> Result<ArrayRef> {
    let wrong = |e: arrow::error::ArrowError| Error::Internal(e.to_string());
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(column.as_ref(), &options).map_err(wrong)?;
    let rows = (0..column.len()).map(|i| column.is_valid(i).then(|| shown.value(i).to_string()));
    Ok(Arc::new(rows.collect::<StringArray>()))
}

/// The type that stands for one which rows as JSON do not have.
fn plain_type(ty: &DataType) -> Option<DataType> {
    Some(match ty {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => {
            DataType::Int64
        }
        DataType::Float16 | DataType::Float32 => DataType::Float64,
        ty if ty.is_decimal() => DataType::Float64,
        DataType::Timestamp(unit, zone) if *unit != TimeUnit::Nanosecond || zone.is_some() => {
            DataType::Timestamp(TimeUnit::Nanosecond, None)
        }
        DataType::Null
        | DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Struct(_)
        | DataType::FixedSizeBinary(_) => DataType::Utf8,
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) => DataType::List(Arc::clone(item)),
        _ => return None,
    })
}

/// What is wrong with a statement, in the asker's terms.
fn explain(session: &Session, e: &DataFusionError) -> Error {
    let (problem, advice) = match e.find_root() {
        DataFusionError::SchemaError(e, _) => names::explain(e),
        DataFusionError::SQL(e, _) => (e.to_string(), None),
        DataFusionError::Plan(text) => names::explain_plan(text),
        DataFusionError::NotImplemented(text) => (text.clone(), None),
        DataFusionError::Execution(text) => (text.clone(), None),
        DataFusionError::ArrowError(e, _) => (e.to_string(), None),
        _ => return session.error(e),
    };
    let advice = advice.unwrap_or_else(|| "see list_fields for the fields of each view".to_owned());
    Error::Sql { problem, advice }
}
