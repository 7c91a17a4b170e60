//! The table in `docs/tls.md`.

use std::path::PathBuf;

use super::cell::{Cell, Outcome};

const BEGIN: &str = "<!-- generated: matrix -->\n";
const END: &str = "<!-- generated: end -->\n";
const HEAD: &str = "| library (program) | watched end | protocol | outcome |\n|---|---|---|---|\n";
const PASS: &str = "pass";

/// Rows by the cell's columns, and what came of it.
pub(super) struct Table {
    before: String,
    rows: Vec<(String, String)>,
    after: String,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/tls.md")
}

fn key(cell: &Cell) -> String {
    format!("{} | {} | {}", cell.stack, cell.role, cell.protocol)
}

impl Table {
    pub(super) fn read() -> Self {
        let text = std::fs::read_to_string(file()).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (table, after) = rest.split_once(END).unwrap();
        let row = |line: &str| {
            let (key, outcome) = line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | ")?;
            Some((key.to_owned(), outcome.to_owned()))
        };
        let rows = table.lines().skip(2).filter_map(row).collect();
        Self { before: before.to_owned(), rows, after: after.to_owned() }
    }

    /// Whether a cell passes by what the table says; one that is not in it is expected to.
    pub(super) fn is_to_pass(&self, cell: &Cell) -> bool {
        let key = key(cell);
        self.rows.iter().find(|row| row.0 == key).is_none_or(|row| row.1 == PASS)
    }

    /// Takes what came of a cell; says so where that is worse than what the table has said.
    pub(super) fn put(&mut self, cell: &Cell, outcome: Outcome) -> Option<String> {
        let key = key(cell);
        let old = self.rows.iter_mut().find(|row| row.0 == key);
        let Some((_, old)) = old else {
            let differs = format!("{}: is not in the table; {outcome}", cell.name());
            self.rows.push((key, outcome.to_string()));
            return Some(differs);
        };
        let (passed, passes) = (old == PASS, outcome == Outcome::Pass);
        if passes && !passed {
            eprintln!("{}: passes, and the table says: {old}", cell.name());
        }
        let differs = (passed && !passes).then(|| format!("{}: passed; now: {outcome}", cell.name()));
        *old = outcome.to_string();
        differs
    }

    /// Drops what is no cell any more, and puts the others in order.
    pub(super) fn keep_only(&mut self, cells: &[Cell]) {
        let place = |key: &str| cells.iter().position(|cell| self::key(cell) == key);
        self.rows.retain(|row| place(&row.0).is_some());
        self.rows.sort_by_key(|row| place(&row.0));
    }

    pub(super) fn write(&self) {
        let rows: String =
            self.rows.iter().map(|(key, outcome)| format!("| {key} | {outcome} |\n")).collect();
        let text = [&self.before, BEGIN, HEAD, &rows, END, &self.after].concat();
        std::fs::write(file(), text).unwrap();
    }
}
