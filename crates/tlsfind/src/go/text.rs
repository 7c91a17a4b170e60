//! Where the code of a Go program begins (`runtime.text`), to which the entries of its function table
//! are relative since Go 1.18.
//!
//! The header of the table has it up to Go 1.25, as a relocation in programs that can be moved. Since
//! Go 1.26 only `runtime.firstmoduledata` has it, which is found by its pointer to the table. What was
//! found is checked against the code before it is believed.

use super::buildinfo::pointer;
use super::pclntab::Table;
use crate::elf::{Elf, relocations};
use crate::found::Machine;
use crate::problem::Part;
use crate::reader::{Source, Window, le64};

/// Offset of `text` in `runtime.moduledata`: a pointer to the table, six slices of 24 bytes, the
/// pointer `findfunctab`, `minpc` and `maxpc` (Go 1.18 to 1.27, runtime/symtab.go).
const TEXT_IN_MODULE: u64 = 8 + 6 * 24 + 8 + 16;

/// The address that has to be added to the entries of the table.
pub(super) fn start(elf: &Elf, source: &mut Source<'_>, table: &Table) -> Part<Option<u64>> {
    if !table.is_relative() {
        return Ok(Some(0));
    }
    let mut candidates = vec![table.text];
    candidates.extend(pointer(elf, source, table.text_field())?);
    for candidate in candidates {
        if candidate != 0 && is_start(elf, source, table, candidate)? {
            return Ok(Some(candidate));
        }
    }
    if let Some(candidate) = by_module(elf, source, table)?
        && is_start(elf, source, table, candidate)?
    {
        return Ok(Some(candidate));
    }
    // Without code in C, the section begins with it.
    match elf.section(".text") {
        Some(section) if is_start(elf, source, table, section.address)? => Ok(Some(section.address)),
        _ => Ok(None),
    }
}

/// By the module's structure, which begins with a pointer to the table.
fn by_module(elf: &Elf, source: &mut Source<'_>, table: &Table) -> Part<Option<u64>> {
    let Some(address) = elf.address_of(table.at) else { return Ok(None) };
    let mut places: Vec<u64> = Vec::new();
    if !elf.is_fixed {
        let pointers = relocations::pointers_to(elf, source, |to| to == address, PLACES)?;
        places.extend(pointers.iter().filter_map(|(place, _)| elf.offset_of(*place)));
    }
    if places.is_empty() {
        let word = address.to_le_bytes();
        for range in elf.data() {
            source.pieces(range, 8, "Go's module data", |at, bytes| {
                let hits = memchr::memmem::find_iter(bytes, &word).map(|i| at + i as u64);
                places.extend(hits.filter(|at| at.is_multiple_of(8)).take(PLACES));
                places.len() < PLACES
            })?;
        }
    }
    places.dedup();
    for place in places.into_iter().take(PLACES) {
        let text = match place.checked_add(TEXT_IN_MODULE) {
            Some(at) => pointer(elf, source, at),
            None => continue,
        };
        // A pointer near the end of the file is no module.
        let Ok(Some(text)) = text else { continue };
        if elf.segment_of(text).is_some_and(crate::elf::Segment::is_code) {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Pointers to the table that are followed.
const PLACES: usize = 8;
/// Entries that are checked.
const SAMPLES: u64 = 64;

/// Whether functions begin where the table says when the code begins there. Go's linker fills the
/// space between functions, on x86-64 with int3, so that most entries follow one, or a return or a
/// jump of the function before.
fn is_start(elf: &Elf, source: &mut Source<'_>, table: &Table, text: u64) -> Part<bool> {
    let Some(segment) = elf.segment_of(text).copied().filter(crate::elf::Segment::is_code) else {
        return Ok(false);
    };
    let end = text.checked_add(table.end(source)?);
    if end.is_none_or(|end| end - segment.address > segment.file_size) {
        return Ok(false);
    }
    let samples = table.samples(source, SAMPLES)?;
    let mut window = Window::new(64);
    let mut good = 0_usize;
    for entry in &samples {
        let address = text.saturating_add(*entry);
        let Some(at) = elf.offset_of(address).and_then(|at| at.checked_sub(8)) else { return Ok(false) };
        let before = le64(window.get(source, at, 8, "code")?, 0);
        good += usize::from(match elf.machine {
            // int3, ret, ud2, the end of a jump back
            Machine::X86_64 => address.is_multiple_of(16) && ends_function(before),
            Machine::Aarch64 => address.is_multiple_of(16),
        });
    }
    Ok(good * 4 >= samples.len() * 3)
}

fn ends_function(before: u64) -> bool {
    let bytes = before.to_le_bytes();
    let jumps = bytes[3] == 0xe9 || bytes[6] == 0xeb;
    matches!(bytes[7], 0xcc | 0xc3 | 0x90) || bytes[6..] == [0x0f, 0x0b] || jumps
}
