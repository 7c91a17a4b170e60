//! Results on stdout, errors on stderr.

mod table;

use std::io::{self, IsTerminal as _, Write as _};

use remora_hub::query::render::visible;
use serde_json::{Map, Value};

use crate::cli::Format;

/// A row of results.
pub type Row = Map<String, Value>;

/// Prints an error in one line (a filter's diagnostics keep theirs).
#[expect(clippy::print_stderr, reason = "this is where errors are shown")]
pub fn error(e: &anyhow::Error) {
    let text = e.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let text = text.lines().map(visible).collect::<Vec<_>>().join("\n");
    if io::stderr().is_terminal() {
        eprintln!("\x1b[31merror\x1b[0m: {text}");
    } else {
        eprintln!("error: {text}");
    }
}

/// Prints a remark beside the results.
#[expect(clippy::print_stderr, reason = "remarks do not belong into the results")]
pub fn remark(text: &str) {
    let text = visible(text);
    if io::stderr().is_terminal() {
        eprintln!("\x1b[2m{text}\x1b[0m");
    } else {
        eprintln!("{text}");
    }
}

/// Says on stderr how far a file has been read, when somebody is there to see it and the results do
/// not go to the same terminal.
pub struct Progress {
    name: String,
    total: u64,
    shown: u64,
    on: bool,
}

impl Progress {
    /// For a file of `total` bytes; 0 where that is not known.
    pub fn new(name: String, total: u64) -> Self {
        let on = total > 0 && io::stderr().is_terminal() && !io::stdout().is_terminal();
        Self { name, total, shown: 0, on }
    }

    /// `done` bytes have been read. Shows whole percents only.
    #[expect(clippy::print_stderr, reason = "progress does not belong into the results")]
    pub fn at(&mut self, done: u64) {
        let percent = done.saturating_mul(100) / self.total.max(1);
        if self.on && percent > self.shown {
            self.shown = percent;
            eprint!("\r{}: {percent} %\x1b[K", visible(&self.name));
        }
    }
}

impl Drop for Progress {
    #[expect(clippy::print_stderr, reason = "clears what was shown")]
    fn drop(&mut self) {
        if self.on && self.shown > 0 {
            eprint!("\r\x1b[K");
        }
    }
}

/// Prints rows under `columns`.
///
/// # Errors
/// When stdout cannot be written.
pub fn rows(rows: &[Row], columns: &[String], format: Format) -> io::Result<()> {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let mut out = io::BufWriter::new(stdout.lock());
    match format {
        Format::Table => {
            let width = if terminal { table::terminal_width() } else { None };
            table::write(&mut out, rows, columns, width, terminal)?;
        }
        Format::Tsv => {
            writeln!(out, "{}", columns.join("\t"))?;
            for row in rows {
                tsv_line(&mut out, row, columns)?;
            }
        }
        Format::Ndjson => {
            for row in rows {
                ndjson_line(&mut out, row)?;
            }
        }
    }
    out.flush()
}

/// Prints rows one after the other, as they come.
pub struct Stream {
    format: Format,
    columns: Vec<String>,
    table: Option<table::Live>,
    started: bool,
}

impl Stream {
    /// Rows under `columns`.
    pub fn new(format: Format, columns: Vec<String>) -> Self {
        Self { format, columns, table: None, started: false }
    }

    /// Prints one row at once.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn row(&mut self, row: &Row) -> io::Result<()> {
        self.rows([row])
    }

    /// Prints some rows, with one write for many of them.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn rows(&mut self, rows: impl IntoIterator<Item = impl std::borrow::Borrow<Row>>) -> io::Result<()> {
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        for row in rows {
            self.line(&mut out, row.borrow())?;
        }
        out.flush()
    }

    fn line(&mut self, out: &mut impl io::Write, row: &Row) -> io::Result<()> {
        match self.format {
            Format::Ndjson => ndjson_line(out, row),
            Format::Tsv => {
                if !std::mem::replace(&mut self.started, true) {
                    writeln!(out, "{}", self.columns.join("\t"))?;
                }
                tsv_line(out, row, &self.columns)
            }
            Format::Table => {
                let columns = &self.columns;
                self.table.get_or_insert_with(|| table::Live::new(columns)).row(out, row)
            }
        }
    }
}

/// Prints text that is a result.
///
/// # Errors
/// When stdout cannot be written.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Replaces what lays out text or hides in it, in the text that begins at `from`.
pub fn make_visible(text: &mut Vec<u8>, from: usize) {
    let new = text.get(from..).unwrap_or_default();
    // Without a way out, so that many bytes are looked at in one step.
    let plain = new.iter().fold(true, |all, b| all & matches!(b, b' '..=b'~'));
    if !plain {
        let shown = visible(&String::from_utf8_lossy(new));
        text.truncate(from);
        text.extend_from_slice(shown.as_bytes());
    }
}

fn tsv_line(out: &mut impl io::Write, row: &Row, columns: &[String]) -> io::Result<()> {
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.write_all(b"\t")?;
        }
        out.write_all(visible(&cell(row, column)).as_bytes())?;
    }
    out.write_all(b"\n")
}

fn ndjson_line(out: &mut impl io::Write, row: &Row) -> io::Result<()> {
    serde_json::to_writer(&mut *out, row)?;
    out.write_all(b"\n")
}

/// A value as text, without JSON's quotation marks.
fn cell(row: &Row, column: &str) -> String {
    row.get(column).map(remora_hub::query::render::plain).unwrap_or_default()
}
