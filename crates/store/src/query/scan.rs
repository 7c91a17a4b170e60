//! A table of DataFusion over open batches and segments.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt64Array, new_null_array};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanVisitor, visit_execution_plan};
use remora_model::{Protocol, Table, field, schema};

use super::Cost;
use crate::memory::OpenBatch;
use crate::segment::{Segment, Span};
use crate::shared::Shared;

/// What a query has looked at.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    rows: AtomicU64,
    bytes: AtomicU64,
    parts: AtomicU64,
    /// Kept until the query ends: plans know their segments by name only, and the file of a
    /// segment that was merged or deleted meanwhile goes away with its last holder.
    held: Mutex<Vec<Part>>,
}

impl Scanned {
    pub(crate) fn cost(&self) -> Cost {
        Cost {
            rows_scanned: self.rows.load(Ordering::Relaxed),
            bytes_scanned: self.bytes.load(Ordering::Relaxed),
            parts_scanned: self.parts.load(Ordering::Relaxed),
            ..Cost::default()
        }
    }

    fn part(&self, part: &Part) {
        self.rows.fetch_add(part.rows(), Ordering::Relaxed);
        self.parts.fetch_add(1, Ordering::Relaxed);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(part.clone());
    }

    /// Adds the bytes that an executed plan read.
    pub(crate) fn executed(&self, plan: &Arc<dyn ExecutionPlan>) {
        struct Bytes(u64);
        impl ExecutionPlanVisitor for Bytes {
            type Error = ();
            fn pre_visit(&mut self, plan: &dyn ExecutionPlan) -> Result<bool, ()> {
                if let Some(m) = plan.metrics()
                    && let Some(v) = m.sum_by_name("bytes_scanned")
                {
                    self.0 += v.as_usize() as u64;
                }
                Ok(true)
            }
        }
        let mut bytes = Bytes(0);
        _ = visit_execution_plan(plan.as_ref(), &mut bytes);
        self.bytes.fetch_add(bytes.0, Ordering::Relaxed);
    }
}

/// A part of a table: an unsealed batch or a segment.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Open(Arc<OpenBatch>),
    Sealed(Arc<Segment>),
}

impl Part {
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Open(b) => b.span,
            Self::Sealed(s) => s.meta.span,
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Open(b) => b.batch.num_rows() as u64,
            Self::Sealed(s) => s.meta.rows,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Open(_) => 0,
            Self::Sealed(s) => s.meta.bytes,
        }
    }

    fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Open(b) => b.protocol,
            Self::Sealed(s) => s.protocol,
        }
    }
}

/// Everything that a table holds at one instant.
pub(crate) fn parts(shared: &Shared, table: Table) -> Vec<Part> {
    let state = shared.state();
    let open = state.open.iter().flat_map(|m| &m.batches).filter(|b| b.table == table);
    let mut parts: Vec<Part> = open.cloned().map(Part::Open).collect();
    parts.extend(state.segments.iter().filter(|s| s.table == table).cloned().map(Part::Sealed));
    parts
}

/// The parts that may hold rows for which the predicate is true.
pub(crate) fn prune(parts: Vec<Part>, table: Table, predicate: &Expr) -> crate::Result<Vec<Part>> {
    let schema = schema::full(table);
    let physical = crate::lower::physical(predicate, &schema)?;
    keep(&parts, table, physical, &schema)
        .map(|keep| parts.into_iter().zip(keep).filter_map(|(p, k)| k.then_some(p)).collect())
        .map_err(|e| crate::Error::Internal(e.to_string()))
}

fn keep(
    parts: &[Part],
    table: Table,
    predicate: Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
) -> Result<Vec<bool>> {
    let Some(predicate) =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).build(predicate)
    else {
        return Ok(vec![true; parts.len()]);
    };
    predicate.prune(&Statistics { parts, table })
}

/// What is known of the parts without looking into them.
struct Statistics<'a> {
    parts: &'a [Part],
    table: Table,
}

impl Statistics<'_> {
    fn values(&self, column: &Column, ts: fn(Span) -> i64, id: fn(Span) -> i64) -> Option<ArrayRef> {
        let spans = self.parts.iter().map(Part::span);
        let name = column.name();
        let scalars: Vec<ScalarValue> = if name == field::TS.def().name {
            spans.map(|s| ScalarValue::TimestampNanosecond(Some(ts(s)), None)).collect()
        } else if name == field::ID.def().name && self.table == Table::Calls {
            spans.map(|s| ScalarValue::Int64(Some(id(s)))).collect()
        } else if name == field::PROTOCOL.def().name && self.table == Table::Calls {
            let ty = schema::data_type(field::PROTOCOL.def())?;
            let names = self.parts.iter().map(|p| ScalarValue::from(p.protocol().map(Protocol::name)));
            return arrow::compute::cast(&ScalarValue::iter_to_array(names).ok()?, &ty).ok();
        } else {
            return None;
        };
        ScalarValue::iter_to_array(scalars).ok()
    }
}

impl PruningStatistics for Statistics<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |s| s.min_ts, |s| s.min_id)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |s| s.max_ts, |s| s.max_id)
    }

    fn num_containers(&self) -> usize {
        self.parts.len()
    }

    /// A column that a protocol does not have is null in all its rows.
    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        if self.table != Table::Calls {
            return None;
        }
        let def = field::by_name(column.name())?;
        let counts = self.parts.iter().map(|p| match p.protocol() {
            Some(protocol) if !def.applies_to(protocol) => Some(p.rows()),
            _ if def.id == field::TS || def.id == field::ID || def.id == field::PROTOCOL => Some(0),
            _ => None,
        });
        Some(Arc::new(counts.collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.parts.iter().map(|p| Some(p.rows())).collect::<UInt64Array>()))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// A table over some parts.
#[derive(Debug)]
pub(crate) struct Scan {
    table: Table,
    schema: SchemaRef,
    parts: Vec<Part>,
    url: ObjectStoreUrl,
    scanned: Arc<Scanned>,
}

impl Scan {
    pub(crate) fn new(table: Table, parts: Vec<Part>, session: &super::engine::Session) -> Self {
        let (url, scanned) = (session.url.clone(), Arc::clone(&session.scanned));
        Self { table, schema: schema::full(table), parts, url, scanned }
    }

    fn memory(
        &self,
        open: &[&OpenBatch],
        schema: &SchemaRef,
        partitions: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = open.iter().map(|b| select(&b.batch, schema)).collect::<Result<Vec<_>>>()?;
        let size = batches.len().div_ceil(partitions.max(1)).max(1);
        let partitions: Vec<Vec<RecordBatch>> = batches.chunks(size).map(<[_]>::to_vec).collect();
        Ok(MemorySourceConfig::try_new_exec(&partitions, Arc::clone(schema), None)?)
    }

    fn files(
        &self,
        sealed: &[&Segment],
        projection: Option<&Vec<usize>>,
        predicate: Option<Arc<dyn PhysicalExpr>>,
        state: &dyn CatalogSession,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let environment = state.runtime_env();
        let store = environment.object_store(&self.url)?;
        let cache = environment.cache_manager.get_file_metadata_cache();
        let mut source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, cache)))
            .with_pushdown_filters(true)
            .with_enable_page_index(true);
        if let Some(p) = predicate {
            source = source.with_predicate(p);
        }
        let mut groups = vec![Vec::new(); state.config().target_partitions().clamp(1, sealed.len().max(1))];
        let count = groups.len();
        for (i, s) in sealed.iter().enumerate() {
            if let Some(g) = groups.get_mut(i % count) {
                g.push(PartitionedFile::new(s.meta.file_name(), s.meta.bytes));
            }
        }
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups.into_iter().map(FileGroup::new).collect())
            .with_projection_indices(projection.cloned())?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// The batch with the columns of `schema`; what it lacks is null.
pub(crate) fn select(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |f: &Arc<arrow::datatypes::Field>| match batch.column_by_name(f.name()) {
        Some(c) => Arc::clone(c),
        None => new_null_array(f.data_type(), rows),
    };
    let columns = schema.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[async_trait::async_trait]
impl TableProvider for Scan {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Parts are pruned here and the Parquet reader skips what it can. The plan filters again,
        // because the reader leaves out predicates that it cannot apply to a file.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(p) => Arc::new(self.schema.project(p)?),
            None => Arc::clone(&self.schema),
        };
        let predicate = match conjunction(filters.to_vec()) {
            Some(filter) => {
                let of = DFSchema::try_from(self.schema.as_ref().clone())?;
                Some(state.create_physical_expr(filter, &of)?)
            }
            None => None,
        };
        let keep = match &predicate {
            Some(p) => keep(&self.parts, self.table, Arc::clone(p), &self.schema)?,
            None => vec![true; self.parts.len()],
        };
        let (mut open, mut sealed) = (Vec::new(), Vec::new());
        for (part, _) in self.parts.iter().zip(keep).filter(|(_, keep)| *keep) {
            self.scanned.part(part);
            match part {
                Part::Open(b) => open.push(b.as_ref()),
                Part::Sealed(s) => sealed.push(s.as_ref()),
            }
        }
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !open.is_empty() {
            plans.push(self.memory(&open, &schema, state.config().target_partitions())?);
        }
        if !sealed.is_empty() {
            plans.push(self.files(&sealed, projection, predicate, state)?);
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(schema))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}
