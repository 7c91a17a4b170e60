//! `remora dissect`: capture files in, calls out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::Int64Type;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::file::CaptureFile;
use remora_dissect::tls::Secrets;
use remora_dissect::{Problem, Sink};
use remora_kfl::{Filter, Target};
use remora_model::{
    BatchSet, Call, CallId, CaptureSource, FieldId, FlowRow, Protocol, Sides, Storage, Table, Timestamp,
    ValueRef, field, row,
};

use super::Usage;
use crate::cli::{DissectArgs, Format};
use crate::output::{self, Progress, Row};

/// Calls gathered before they are printed, and bytes of them, to bound memory on large files.
const CHUNK: usize = 4_096;
const CHUNK_BYTES: usize = 32 << 20;
/// Text gathered before it is written.
const WRITE: usize = 64 << 10;

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
    /// The line with the names of the columns has been printed.
    headed: bool,
    /// Rows of a table are kept to the end, because its widths depend on all of them.
    kept: Vec<Row>,
    columns: Vec<String>,
    printed: u64,
}

/// Most fields of a call that are gone through to leave out those which are not shown; one with
/// more keeps them all.
const FIELDS: usize = 32;

struct Collector {
    batches: BatchSet,
    /// Which fields are looked at, by their ids. The others need not go into columns.
    wanted: Vec<bool>,
    next_id: i64,
    flows: bool,
    problems: BTreeMap<Problem, (u64, u64)>,
}

impl Sink for Collector {
    fn call(&mut self, call: &Call<'_>) {
        self.next_id += 1;
        if self.flows {
            return;
        }
        let mut fields = [(field::ID, ValueRef::Bool(false)); FIELDS];
        let mut wanted = call.fields;
        if call.fields.len() <= FIELDS {
            let is_wanted = |(id, _): &&(FieldId, _)| self.wanted.get(usize::from(id.0)) == Some(&true);
            let mut n = 0;
            for (slot, value) in fields.iter_mut().zip(call.fields.iter().filter(is_wanted)) {
                *slot = *value;
                n += 1;
            }
            wanted = &fields[..n];
        }
        self.batches.call(CallId(self.next_id), &Call { fields: wanted, ..*call }, &Sides::default());
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
        headed: false,
        kept: Vec::new(),
        columns,
        printed: 0,
    };
    let limits = args.reading.limits()?;
    let mut collector = Collector {
        batches: BatchSet::new("file"),
        wanted: field::CATALOGUE.iter().map(|d| filter.is_some() || printer.shows(d.name)).collect(),
        next_id: 0,
        flows: args.flows,
        problems: BTreeMap::new(),
    };
    let mut secrets = key_logs(&args.keylog)?;
    let mut faults = 0;
    for (n, path) in args.files.iter().enumerate() {
        let first = i64::try_from(n).unwrap_or(0).saturating_mul(1 << 32) + 1;
        let mut engine = Engine::new(limits.clone(), CaptureSource::File, FlowIds::new(first, 1));
        engine.set_secrets(Arc::clone(&secrets));
        let fault = read(path, &mut engine, &mut secrets, &mut collector, &mut printer)?;
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

/// The secrets in the files that were named.
fn key_logs(files: &[PathBuf]) -> Result<Arc<Secrets>> {
    let mut secrets = Secrets::default();
    for path in files {
        let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let read = secrets.add_key_log(&text);
        if read.bad > 0 {
            let lines = read.bad;
            output::remark(&format!("warning: {}: {lines} lines are not of a key log", path.display()));
        }
        if read.secrets == 0 {
            output::remark(&format!("warning: {}: no TLS secrets in it", path.display()));
        }
    }
    Ok(Arc::new(secrets))
}

/// Feeds a file to the engine; what was wrong with the file, if anything. Secrets that it brings are
/// added to those that there are.
fn read(
    path: &Path,
    engine: &mut Engine,
    secrets: &mut Arc<Secrets>,
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
            Ok(Some(frame)) => {
                if !frame.key_log.is_empty() {
                    // Given back first, so that nothing need be copied.
                    engine.set_secrets(Arc::default());
                    Arc::make_mut(secrets).add_key_log(frame.key_log);
                    engine.set_secrets(Arc::clone(secrets));
                }
                engine.frame(frame.ts, frame.link, frame.bytes, frame.wire_len, collector);
            }
            Ok(None) => return Ok(None),
            Err(e) => return Ok(Some(e.to_string())),
        }
        if collector.batches.rows() >= CHUNK || collector.batches.bytes() >= CHUNK_BYTES {
            printer.take(collector)?;
            progress.at(file.offset());
        }
    }
}

impl Printer<'_> {
    fn take(&mut self, collector: &mut Collector) -> Result<()> {
        let (mut batches, mut protocols) = (Vec::new(), Vec::new());
        for b in collector.batches.take()?.into_iter().filter(|b| b.table == self.table) {
            protocols.push(b.protocol);
            batches.push(match self.filter {
                None => b.batch,
                Some(filter) => remora_store::filter_batch(filter, &b.batch)?,
            });
        }
        // The batches are by protocol; what is printed is in the order in which it ended.
        let mut rows: Vec<(i64, usize, usize)> = Vec::new();
        for (n, batch) in batches.iter().enumerate() {
            rows.extend(order(batch).into_iter().enumerate().map(|(row, order)| (order, n, row)));
        }
        if !rows.is_sorted() {
            rows.sort_unstable();
        }
        self.printed += rows.len() as u64;
        let project = |batch: &RecordBatch| batch.project(&self.shown(batch));
        let shown = batches.iter().map(project).collect::<Result<Vec<_>, _>>()?;
        if self.args.output == Format::Table {
            let each = self.readers(&shown, &protocols);
            self.kept.extend(rows.into_iter().map(|(_, n, row)| each[n].object(row, &self.columns)));
            return Ok(());
        }
        self.print(&shown, &protocols, &rows)
    }

    /// Prints rows, of which each names its batch and its place in it.
    fn print(
        &mut self,
        batches: &[RecordBatch],
        protocols: &[Option<Protocol>],
        rows: &[(i64, usize, usize)],
    ) -> Result<()> {
        let mut stdout = std::io::stdout().lock();
        let mut out = Vec::with_capacity(WRITE + (WRITE >> 2));
        let tsv = self.args.output == Format::Tsv;
        if tsv && !rows.is_empty() && !std::mem::replace(&mut self.headed, true) {
            out.extend_from_slice(self.columns.join("\t").as_bytes());
            out.push(b'\n');
        }
        let mut each = self.readers(batches, protocols);
        // What is computed is no column of the rows: it is printed when it is asked for.
        let computed = !self.args.fields.is_empty()
            && self.columns.iter().any(|c| field::by_name(c).is_some_and(|d| !d.storage.is_column()));
        for &(_, n, row) in rows {
            let reader = &mut each[n];
            if tsv {
                reader.line(row, &mut out);
            } else if computed {
                serde_json::to_writer(&mut out, &reader.object(row, &self.columns))?;
            } else {
                reader.rows.json(row, &mut out);
            }
            out.push(b'\n');
            if out.len() >= WRITE {
                stdout.write_all(&out)?;
                out.clear();
            }
        }
        stdout.write_all(&out)?;
        stdout.flush()?;
        Ok(())
    }

    fn readers<'b>(&self, batches: &'b [RecordBatch], protocols: &[Option<Protocol>]) -> Vec<Reader<'b>> {
        let pairs = batches.iter().zip(protocols);
        pairs.map(|(batch, protocol)| Reader::new(batch, *protocol, &self.columns)).collect()
    }

    /// The columns that are printed. The others need not be made into text: of a large file that
    /// would take longer than to dissect it.
    fn shown(&self, batch: &RecordBatch) -> Vec<usize> {
        let schema = batch.schema_ref();
        (0..schema.fields().len()).filter(|i| self.shows(schema.field(*i).name())).collect()
    }

    fn shows(&self, name: &str) -> bool {
        if self.args.output != Format::Ndjson || !self.args.fields.is_empty() {
            let lines = [field::SUMMARY, field::OUTCOME].map(|f| f.def().name);
            let is_shown = |column: &String| {
                column == name || lines.contains(&column.as_str()) && row::Line::is_part(name)
            };
            return self.columns.iter().any(is_shown);
        }
        self.args.full || field::by_name(name).is_none_or(|d| d.storage != Storage::Late)
    }

    fn finish(&mut self) -> Result<()> {
        if self.args.output == Format::Table {
            output::rows(&self.kept, &self.columns, Format::Table)?;
        }
        Ok(())
    }
}

/// A column of what is printed.
enum Cell {
    Absent,
    Column(usize),
    Line(row::Line),
}

/// Reads the rows of a batch as what is printed of them.
struct Reader<'b> {
    batch: &'b RecordBatch,
    rows: row::Rows<'b>,
    cells: Vec<Cell>,
}

impl<'b> Reader<'b> {
    fn new(batch: &'b RecordBatch, protocol: Option<Protocol>, columns: &[String]) -> Self {
        let rows = row::Rows::new(batch);
        let index = |name: &str| batch.schema_ref().index_of(name).ok();
        let line = |name: &str| row::Line::new(field::by_name(name)?.id, protocol?, &rows, index);
        let cell = |name: &String| match index(name).and_then(|i| rows.find(i)) {
            Some(column) => Cell::Column(column),
            None => line(name).map_or(Cell::Absent, Cell::Line),
        };
        let cells = columns.iter().map(cell).collect();
        Self { batch, rows, cells }
    }

    /// Appends a row with tabs between its cells.
    fn line(&mut self, row: usize, out: &mut Vec<u8>) {
        for (i, cell) in self.cells.iter().enumerate() {
            if i > 0 {
                out.push(b'\t');
            }
            let from = out.len();
            match cell {
                Cell::Absent => continue,
                Cell::Column(column) => self.rows.plain(*column, row, out),
                Cell::Line(line) => line.write(&mut self.rows, row, out),
            }
            output::make_visible(out, from);
        }
    }

    /// A row by the names of its columns.
    fn object(&self, row: usize, columns: &[String]) -> Row {
        let mut object = row::to_json(self.batch, row);
        row::describe(&mut object);
        object.retain(|name, _| columns.contains(name));
        object
    }
}

/// What the rows of a batch are sorted by: the order of the calls' ids; for flows their own.
fn order(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name("id").or_else(|| batch.column_by_name("flow_id"));
    match column.and_then(|c| c.as_primitive_opt::<Int64Type>()) {
        Some(ids) => ids.iter().map(Option::unwrap_or_default).collect(),
        None => vec![0; batch.num_rows()],
    }
}

/// The columns of tables and TSV.
fn columns(args: &DissectArgs) -> Vec<String> {
    if !args.fields.is_empty() {
        return args.fields.clone();
    }
    if args.full {
        let has = |d: &remora_model::FieldDef| if args.flows { d.in_flows() } else { d.in_calls() };
        let stored = field::CATALOGUE.iter().filter(|d| has(d) && d.storage.is_column());
        return stored.map(|d| d.name.to_owned()).collect();
    }
    const CALLS: &[FieldId] = &[
        field::TS,
        field::PROTOCOL,
        field::SRC_IP,
        field::SRC_PORT,
        field::DST_IP,
        field::DST_PORT,
        field::SUMMARY,
        field::OUTCOME,
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
