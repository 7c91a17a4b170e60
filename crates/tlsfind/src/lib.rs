//! Finds TLS code in ELF files and in processes: where plaintext can be read by probes, and in words
//! what cannot be read and why.
//!
//! [`inspect`] looks into one file, through positioned reads that are counted and bounded: files
//! belong to the programs that are watched, may be of any size, lie, and change while they are read.
//! What was understood is kept, and what was not is told ([`Problem`]). [`process`] does that for
//! what a process has mapped.
//!
//! What is recognised is described in `docs/tls.md`.

mod code;
mod elf;
mod found;
pub mod go;
mod library;
mod limits;
mod problem;
mod reader;
mod strings;

pub use found::{Found, Function, Kind, Machine, Point, Role, Tail, TlsCode};
pub use limits::{Limits, Work};
pub use problem::{CodeFault, Problem};
pub use reader::ReadAt;

use elf::Elf;
use elf::symbols::Table;
use problem::Part;
use reader::Source;

/// What is known of a file.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The processor that it is for; `None` when it is no ELF file that is read here.
    pub machine: Option<Machine>,
    /// The id that the linker gave, else Go's.
    pub build_id: Option<Vec<u8>>,
    /// TLS code, at most one of a [`Kind`].
    pub codes: Vec<TlsCode>,
    /// What was not understood.
    pub problems: Vec<Problem>,
    /// What the inspection used.
    pub work: Work,
}

impl Report {
    /// The code of a library.
    #[must_use]
    pub fn code(&self, kind: Kind) -> Option<&TlsCode> {
        self.codes.iter().find(|c| c.kind == kind)
    }
}

/// Looks for TLS code in a file.
#[must_use]
pub fn inspect(file: &dyn ReadAt, limits: &Limits) -> Report {
    inspect_with(file, limits, Names::All)
}

/// Which names an inspection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// All that the file has.
    All,
    /// None: the file is treated as if it had been stripped of every name. For tests, and for a
    /// comparison of both ways.
    None,
}

/// [`inspect`] with a choice of names.
#[must_use]
pub fn inspect_with(file: &dyn ReadAt, limits: &Limits, names: Names) -> Report {
    let mut source = Source::new(file, limits);
    let mut report = Report::default();
    match Elf::parse(&mut source) {
        Ok((elf, problems)) => {
            report.machine = Some(elf.machine);
            report.problems = problems;
            if let Err(stop) = look(&elf, &mut source, names, &mut report) {
                report.problems.push(stop.0);
            }
        }
        Err(problem) => report.problems.push(problem),
    }
    report.work = source.work;
    report
}

fn look(elf: &Elf, source: &mut Source<'_>, names: Names, report: &mut Report) -> Part<()> {
    report.build_id = elf.build_id(source).unwrap_or_else(|stop| {
        report.problems.push(stop.0);
        None
    });
    let strings = strings::scan(elf, source)?;
    if names == Names::All {
        for table in [Table::Dynamic, Table::Full] {
            // A table that cannot be read does not hide the other one.
            match library::symbols(elf, source, table) {
                Ok(symbols) if !symbols.is_empty() => {
                    let codes = library::codes(elf, source, &symbols, &strings, &mut report.problems)?;
                    merge(&mut report.codes, codes);
                }
                Ok(_) => {}
                Err(stop) => report.problems.push(stop.0),
            }
        }
    }
    match go::code(elf, source, &mut report.problems) {
        Ok(code) => report.codes.extend(code),
        Err(stop) => report.problems.push(stop.0),
    }
    Ok(())
}

/// Adds what the second table shows beyond the first one.
fn merge(codes: &mut Vec<TlsCode>, more: Vec<TlsCode>) {
    for code in more {
        match codes.iter_mut().find(|c| c.kind == code.kind) {
            None => codes.push(code),
            Some(known) => {
                let new = code.points.into_iter().filter(|p| known.point(p.function).is_none());
                let new: Vec<_> = new.collect();
                known.points.extend(new);
                known.points.sort_by_key(|p| p.function);
            }
        }
    }
}
