//! `remora dissect`: capture files in, calls out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};
use arrow::array::RecordBatch;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::file::CaptureFile;
use remora_dissect::{Limits, Problem, Sink};
use remora_kfl::{Filter, Target};
use remora_model::{
    BatchSet, Call, CallId, CaptureSource, FieldId, FlowRow, Sides, Storage, Table, Timestamp, field, row,
};

use super::Usage;
use crate::cli::{DissectArgs, Format};
use crate::output::{self, Progress, Row, Stream};

/// Calls gathered before they are printed, to bound memory on large files.
const CHUNK: usize = 4_096;

pub async fn run(args: DissectArgs) -> Result<()> {
    let target = if args.flows { Target::Flows } else { Target::Calls };
    let filter = match &args.kfl {
        None => None,
        Some(text) => Some(remora_kfl::compile(text, target, Timestamp(0)).map_err(|errors| {
            Usage(format!("the filter is not valid\n{}", remora_kfl::render_all(&errors, text)))
        })?),
    };
    for name in &args.fields {
        if field::by_name(name).is_none() {
            return Err(Usage(format!("there is no field {name}; remora kfl fields lists them")).into());
        }
    }
    // Reading and dissecting never wait for anything but the disk.
    tokio::task::spawn_blocking(move || dissect(&args, filter.as_ref())).await?
}

struct Printer<'a> {
    args: &'a DissectArgs,
    filter: Option<&'a Filter>,
    table: Table,
    stream: Stream,
    /// Rows of a table are kept to the end, because its widths depend on all of them.
    kept: Vec<Row>,
    columns: Vec<String>,
    printed: u64,
}

struct Collector {
    batches: BatchSet,
    next_id: i64,
    flows: bool,
    problems: BTreeMap<Problem, (u64, u64)>,
}

impl Sink for Collector {
    fn call(&mut self, call: &Call<'_>) {
        self.next_id += 1;
        if !self.flows {
            self.batches.call(CallId(self.next_id), call, &Sides::default());
        }
    }

    fn flow(&mut self, flow: &FlowRow<'_>) {
        // Of a file only the outcome counts: what each flow was when it ended.
        if self.flows && flow.close_reason.is_some() {
            self.batches.flow(flow, &Sides::default());
        }
    }

    fn problem(&mut self, problem: Problem, bytes: u64) {
        let (count, total) = self.problems.entry(problem).or_default();
        *count += 1;
        *total += bytes;
    }
}

fn dissect(args: &DissectArgs, filter: Option<&Filter>) -> Result<()> {
    let columns = columns(args);
    let mut printer = Printer {
        args,
        filter,
        table: if args.flows { Table::Flows } else { Table::Calls },
        stream: Stream::new(args.output, columns.clone()),
        kept: Vec::new(),
        columns,
        printed: 0,
    };
    let limits =
        Limits { payload: usize::try_from(args.payload_limit).unwrap_or(usize::MAX), ..Limits::default() };
    let mut collector = Collector {
        batches: BatchSet::new("file"),
        next_id: 0,
        flows: args.flows,
        problems: BTreeMap::new(),
    };
    let mut faults = 0;
    for (n, path) in args.files.iter().enumerate() {
        let first = i64::try_from(n).unwrap_or(0).saturating_mul(1 << 32) + 1;
        let mut engine = Engine::new(limits.clone(), CaptureSource::File, FlowIds::new(first, 1));
        let fault = read(path, &mut engine, &mut collector, &mut printer)?;
        engine.finish(&mut collector);
        printer.take(&mut collector)?;
        if let Some(fault) = fault {
            output::remark(&format!("warning: {}: {fault}; everything before it was read", path.display()));
            faults += 1;
        }
    }
    printer.finish()?;
    for (problem, (count, bytes)) in &collector.problems {
        if problem.is_loss() {
            let (stage, reason) = problem.name();
            output::remark(&format!("{count} x {stage}/{reason} ({bytes} bytes)"));
        }
    }
    if faults == args.files.len() && printer.printed == 0 {
        anyhow::bail!("none of the files could be read");
    }
    Ok(())
}

/// Feeds a file to the engine; what was wrong with the file, if anything.
fn read(
    path: &Path,
    engine: &mut Engine,
    collector: &mut Collector,
    printer: &mut Printer<'_>,
) -> Result<Option<String>> {
    let (reader, size): (Box<dyn Read>, u64) = if path.as_os_str() == "-" {
        (Box::new(std::io::stdin().lock()), 0)
    } else {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let size = file.metadata().map_or(0, |m| m.len());
        (Box::new(file), size)
    };
    let mut progress = Progress::new(path.display().to_string(), size);
    let mut file = match CaptureFile::new(reader) {
        Ok(file) => file,
        Err(e) => return Ok(Some(e.to_string())),
    };
    loop {
        match file.next_frame() {
            Ok(Some(frame)) => engine.frame(frame.ts, frame.link, frame.bytes, frame.wire_len, collector),
            Ok(None) => return Ok(None),
            Err(e) => return Ok(Some(e.to_string())),
        }
        if collector.batches.rows() >= CHUNK {
            printer.take(collector)?;
            progress.at(file.offset());
        }
    }
}

impl Printer<'_> {
    fn take(&mut self, collector: &mut Collector) -> Result<()> {
        let mut rows: Vec<(i64, Row)> = Vec::new();
        for b in collector.batches.take()? {
            if b.table != self.table {
                continue;
            }
            let batch = match self.filter {
                None => b.batch,
                Some(filter) => remora_store::filter_batch(filter, &b.batch)?,
            };
            let shown = batch.project(&self.shown(&batch))?;
            for i in 0..batch.num_rows() {
                rows.push((order(&batch, i), row::to_json(&shown, i)));
            }
        }
        // The batches are by protocol; what is printed is in the order in which it ended.
        rows.sort_by_key(|(order, _)| *order);
        self.printed += rows.len() as u64;
        let rows = rows.into_iter().map(|(_, row)| row);
        if self.args.output == Format::Table {
            self.kept.extend(rows);
        } else {
            self.stream.rows(rows)?;
        }
        Ok(())
    }

    /// The columns that are printed. The others need not be made into text: of a large file that
    /// would take longer than to dissect it.
    fn shown(&self, batch: &RecordBatch) -> Vec<usize> {
        let is_shown = |name: &str| {
            if self.args.output != Format::Ndjson || !self.args.fields.is_empty() {
                return self.columns.iter().any(|column| column == name);
            }
            self.args.full || field::by_name(name).is_none_or(|d| d.storage != Storage::Late)
        };
        let schema = batch.schema_ref();
        (0..schema.fields().len()).filter(|i| is_shown(schema.field(*i).name())).collect()
    }

    fn finish(&mut self) -> Result<()> {
        if self.args.output == Format::Table {
            output::rows(&self.kept, &self.columns, Format::Table)?;
        }
        Ok(())
    }
}

/// What rows are sorted by: the order of the calls' ids; for flows their own.
fn order(batch: &RecordBatch, i: usize) -> i64 {
    let column = batch.column_by_name("id").or_else(|| batch.column_by_name("flow_id"));
    column.and_then(|c| row::value(c.as_ref(), i)).and_then(|v| v.as_i64()).unwrap_or(0)
}

/// The columns of tables and TSV.
fn columns(args: &DissectArgs) -> Vec<String> {
    if !args.fields.is_empty() {
        return args.fields.clone();
    }
    if args.full {
        let has = |d: &remora_model::FieldDef| if args.flows { d.in_flows() } else { d.in_calls() };
        let stored = field::CATALOGUE.iter().filter(|d| has(d) && d.storage != Storage::Derived);
        return stored.map(|d| d.name.to_owned()).collect();
    }
    const CALLS: &[FieldId] = &[
        field::TS,
        field::PROTOCOL,
        field::SRC_IP,
        field::SRC_PORT,
        field::DST_IP,
        field::DST_PORT,
        field::METHOD,
        field::HOST,
        field::URL,
        field::DNS_QUESTIONS,
        field::DNS_QUESTION_TYPES,
        field::DNS_RCODE,
        field::REDIS_COMMAND,
        field::REDIS_ERROR,
        field::STATUS_CODE,
        field::ELAPSED_TIME,
        field::INCOMPLETE,
    ];
    const FLOWS: &[FieldId] = &[
        field::FIRST_SEEN,
        field::TRANSPORT,
        field::SRC_IP,
        field::SRC_PORT,
        field::DST_IP,
        field::DST_PORT,
        field::CLOSE_REASON,
        field::CONN_L7_DETECTED,
        field::SRC_PACKETS,
        field::SRC_BYTES,
        field::DST_PACKETS,
        field::DST_BYTES,
        field::TCP_RTT_US,
        field::TCP_RETRANSMITS,
        field::MISSING_BYTES,
    ];
    let fields = if args.flows { FLOWS } else { CALLS };
    fields.iter().map(|f| f.def().name.to_owned()).collect()
}
