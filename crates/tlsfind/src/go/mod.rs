//! Go programs: `crypto/tls` by the function table that every Go program carries, stripped or not.

mod buildinfo;
mod layout;
mod pclntab;
mod text;

pub use layout::{Abi, GoInfo, Offsets};

use crate::code;
use crate::elf::Elf;
use crate::found::{Found, Function, Kind, TlsCode};
use crate::problem::{Part, Problem};
use crate::reader::Source;

/// The TLS code of a Go program; `None` when it is none, or one without TLS.
pub(crate) fn code(elf: &Elf, source: &mut Source<'_>, problems: &mut Vec<Problem>) -> Part<Option<TlsCode>> {
    let Some(version) = buildinfo::version(elf, source)? else { return Ok(None) };
    let Some(table) = pclntab::find(elf, source)? else {
        problems.push(Problem::NotFound(Kind::GoTls, "the function table (.gopclntab) was not found"));
        return Ok(None);
    };
    let named = Function::ALL.iter().enumerate().filter(|(_, f)| f.kind() == Kind::GoTls);
    let functions: Vec<(&[u8], u32)> = named.map(|(i, f)| (f.symbol().as_bytes(), i as u32)).collect();
    let found = table.functions(source, &functions)?;
    if found.is_empty() {
        return Ok(None);
    }
    let Some(text) = text::start(elf, source, &table)? else {
        problems.push(Problem::NotFound(Kind::GoTls, "where the code begins is not known"));
        return Ok(None);
    };
    let mut points = Vec::new();
    for (number, range) in found {
        let Some(function) = Function::ALL.get(number as usize) else { continue };
        let range = text.saturating_add(range.start)..text.saturating_add(range.end);
        let (point, problem) = code::point(elf, source, None, *function, range)?;
        problems.extend(problem);
        points.extend(point);
    }
    points.sort_by_key(|p| p.function);
    points.dedup_by_key(|p| p.function);
    let go = layout::info(&version, elf.machine);
    let code = TlsCode {
        kind: Kind::GoTls,
        version: Some(version),
        found: Found::Pclntab,
        confidence: 100,
        points,
        go: Some(go),
        client_random: None,
    };
    Ok(Some(code))
}
