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
mod nss;
mod problem;
pub mod process;
mod reader;
mod references;
mod secrets;
mod strings;
mod stripped;

pub use found::{Found, Function, Kind, Machine, Member, Point, Role, Tail, TlsCode};
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
    /// Versions of libraries that the file's constants name, whether their TLS code is in it or not:
    /// `libcrypto` has OpenSSL's, `libssl` often does not.
    pub versions: Vec<(Kind, String)>,
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
    report.versions.clone_from(&strings.versions);
    if names == Names::All {
        let mut symbols = library::Symbols::default();
        for table in [Table::Dynamic, Table::Full] {
            // A table that cannot be read does not hide the other one.
            if let Err(stop) = symbols.read(elf, source, table) {
                report.problems.push(stop.0);
            }
        }
        report.codes = library::codes(elf, source, &symbols, &strings, &mut report.problems)?;
        let nss = report.codes.iter_mut().find(|c| c.kind == Kind::Nss);
        if let Some(nss) = nss
            && let Err(stop) = nss::add(elf, source, nss, &mut report.problems)
        {
            report.problems.push(stop.0);
        }
    }
    match go::code(elf, source, &mut report.problems) {
        Ok(code) => report.codes.extend(code),
        Err(stop) => report.problems.push(stop.0),
    }
    let has = |kinds: &[Kind]| report.codes.iter().any(|c| kinds.contains(&c.kind));
    if !has(&[Kind::OpenSsl, Kind::BoringSsl, Kind::AwsLc, Kind::LibreSsl]) {
        match stripped::code(elf, source, &strings, &mut report.problems) {
            Ok(code) => report.codes.extend(code),
            Err(stop) => report.problems.push(stop.0),
        }
    }
    unreadable(report, &strings);
    // Plaintext is read without them.
    if let Err(stop) = secrets::add(elf, source, &strings, report) {
        report.problems.push(stop.0);
    }
    Ok(())
}

/// Says what TLS code is there besides what can be read.
fn unreadable(report: &mut Report, strings: &strings::Strings) {
    let told = |report: &Report| report.problems.iter().any(|p| matches!(p, Problem::NotFound(..)));
    if let Some(version) = strings.version(Kind::Rustls)
        && report.code(Kind::Rustls).is_none()
    {
        report.codes.push(TlsCode {
            kind: Kind::Rustls,
            version: Some(version),
            found: Found::StringReference,
            confidence: 100,
            points: Vec::new(),
            go: None,
            client_random: None,
        });
        report.problems.push(Problem::NotFound(Kind::Rustls, "the program was stripped of its symbols"));
    } else if let Some(sign) = strings.tls
        && report.codes.is_empty()
        && !told(report)
    {
        report.problems.push(Problem::UnknownTls(sign));
    }
}

/// The file offset of an exported function. `None`: the file has none of that name, or is not
/// understood.
#[must_use]
pub fn function_at(file: &dyn ReadAt, limits: &Limits, name: &[u8]) -> Option<u64> {
    let mut source = Source::new(file, limits);
    let (elf, _) = Elf::parse(&mut source).ok()?;
    let wanted = elf::symbols::Wanted::new(std::iter::once((name, 0)));
    let found = elf::symbols::find(&elf, &mut source, Table::Dynamic, &wanted).ok()?;
    found.into_iter().find_map(|(_, symbol)| elf.offset_of(symbol.address))
}
