//! Go's function table (`runtime.pclntab`), in the formats of Go 1.2, 1.16, 1.18 and 1.20.
//!
//! The formats are those that `debug/gosym` and `runtime.pcHeader` of Go read.

use std::ops::Range;

use crate::elf::Elf;
use crate::elf::symbols::{self, Wanted};
use crate::found::Machine;
use crate::problem::{Part, Stop};
use crate::reader::{Source, Window, le32, le64};

/// The first word of a table.
const GO_1_2: u32 = 0xffff_fffb;
const GO_1_16: u32 = 0xffff_fffa;
const GO_1_18: u32 = 0xffff_fff0;
const GO_1_20: u32 = 0xffff_fff1;

/// A table in the file.
#[derive(Debug)]
pub(super) struct Table {
    /// File offset of the header.
    pub(super) at: u64,
    magic: u32,
    /// How many functions there are.
    pub(super) count: u64,
    /// What the header says of where the code begins; 0 where it says nothing. Entries before Go 1.18
    /// are addresses, and the base is 0.
    pub(super) text: u64,
    /// File ranges.
    names: Range<u64>,
    functions: u64,
}

/// Bytes of names of one table that are looked through.
const NAMES: u64 = 256 << 20;

impl Table {
    /// Whether the entries are relative to the beginning of the code.
    pub(super) fn is_relative(&self) -> bool {
        self.magic == GO_1_18 || self.magic == GO_1_20
    }

    /// File offset of the word of the header that may name where the code begins.
    pub(super) fn text_field(&self) -> u64 {
        self.at + 24
    }

    fn field(&self) -> u64 {
        if self.is_relative() { 4 } else { 8 }
    }

    /// The header at a file offset, when there is one that makes sense.
    fn parse(elf: &Elf, source: &mut Source<'_>, at: u64) -> Part<Option<Self>> {
        let mut head = [0; 72];
        if source.read(&mut head, at, "Go's function table")? < head.len() {
            return Ok(None);
        }
        let magic = le32(&head, 0);
        let quantum = match elf.machine {
            Machine::X86_64 => 1,
            Machine::Aarch64 => 4,
        };
        if head[4] != 0 || head[5] != 0 || head[6] != quantum || head[7] != 8 {
            return Ok(None);
        }
        let word = |i: usize| le64(&head, 8 + 8 * i);
        let count = word(0);
        let (text, names, names_end, functions) = match magic {
            GO_1_2 => (0, 0, NAMES, 16),
            GO_1_16 => (0, word(2), word(3), word(6)),
            GO_1_18 | GO_1_20 => (word(2), word(3), word(4), word(7)),
            _ => return Ok(None),
        };
        let sane = count > 0 && count < 1 << 24 && names < names_end && functions < 1 << 32;
        let (Some(from), Some(to)) = (at.checked_add(names), at.checked_add(names_end.min(NAMES))) else {
            return Ok(None);
        };
        let Some(functions) = at.checked_add(functions) else { return Ok(None) };
        Ok(sane.then_some(Self { at, magic, count, text, names: from..to, functions }))
    }

    /// Entry of the function `i` and where its description lies in the file.
    fn entry(&self, source: &mut Source<'_>, window: &mut Window, i: u64) -> Part<(u64, u64)> {
        let size = self.field();
        let at = self.functions.saturating_add(i.saturating_mul(2 * size));
        let bytes = window.get(source, at, 2 * size as usize, "Go's function table")?;
        let (pc, description) = if size == 4 {
            (u64::from(le32(bytes, 0)), u64::from(le32(bytes, 4)))
        } else {
            (le64(bytes, 0), le64(bytes, 8))
        };
        let base = if self.magic == GO_1_2 { self.at } else { self.functions };
        Ok((pc, base.saturating_add(description)))
    }

    /// Entries of functions, spread over the table, and the end of the last one: to check where the
    /// code begins.
    pub(super) fn samples(&self, source: &mut Source<'_>, most: u64) -> Part<Vec<u64>> {
        let mut window = Window::new(64);
        let step = (self.count / most).max(1);
        let chosen = (1..self.count).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        let mut samples = Vec::new();
        for i in chosen {
            source.count_function()?;
            samples.push(self.entry(source, &mut window, i)?.0);
        }
        Ok(samples)
    }

    /// The end of the last function.
    pub(super) fn end(&self, source: &mut Source<'_>) -> Part<u64> {
        // The table ends with an entry of which only the address is there.
        let size = self.field();
        let at = self.functions.saturating_add(self.count.saturating_mul(2 * size));
        let mut window = Window::new(8);
        if size == 4 {
            Ok(u64::from(window.u32(source, at, "Go's function table")?))
        } else {
            window.u64(source, at, "Go's function table")
        }
    }

    /// The functions with the wanted names and numbers: entry and end, relative to the beginning of
    /// the code where the table is ([`Table::is_relative`]).
    pub(super) fn functions(
        &self,
        source: &mut Source<'_>,
        wanted: &[(&[u8], u32)],
    ) -> Part<Vec<(u32, Range<u64>)>> {
        let names = symbols::names(source, self.names.clone(), &Wanted::new(wanted.iter().copied()))?;
        let mut found = Vec::new();
        if names.is_empty() {
            return Ok(found);
        }
        let (mut entries, mut descriptions) = (Window::new(64 << 10), Window::new(64 << 10));
        let pc_size = self.field();
        for i in 0..self.count {
            source.count_function()?;
            let (pc, description) = self.entry(source, &mut entries, i)?;
            let name = descriptions.u32(source, description.saturating_add(pc_size), "a Go function")?;
            let Some(number) = names.get(&u64::from(name)) else { continue };
            let end = if i + 1 < self.count {
                self.entry(source, &mut entries, i + 1)?.0
            } else {
                self.end(source)?
            };
            if pc < end && found.len() < wanted.len() {
                found.push((*number, pc..end));
            }
        }
        Ok(found)
    }
}

/// The table of a file: in the section of its name, by its symbol's section, or anywhere in data.
pub(super) fn find(elf: &Elf, source: &mut Source<'_>) -> Part<Option<Table>> {
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        let Some(section) = elf.section(name) else { continue };
        return match Table::parse(elf, source, section.offset)? {
            Some(table) => Ok(Some(table)),
            None => Err(Stop::malformed("Go's function table has no header")),
        };
    }
    // Linked by a C linker it is part of another section.
    for range in elf.data() {
        let candidates = headers(source, range)?;
        for at in candidates {
            if let Some(table) = Table::parse(elf, source, at)? {
                return Ok(Some(table));
            }
        }
    }
    Ok(None)
}

/// Where a header may begin: the magic number, two zeros, at a multiple of 8.
fn headers(source: &mut Source<'_>, range: Range<u64>) -> Part<Vec<u64>> {
    let mut found = Vec::new();
    source.pieces(range, 8, "Go's function table", |at, bytes| {
        for magic in [GO_1_20, GO_1_18, GO_1_16, GO_1_2] {
            let mut pattern = [0; 6];
            pattern[..4].copy_from_slice(&magic.to_le_bytes());
            let hits = memchr::memmem::find_iter(bytes, &pattern).map(|i| at + i as u64);
            found.extend(hits.filter(|at| at.is_multiple_of(8)).take(CANDIDATES));
        }
        found.len() < CANDIDATES
    })?;
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Places with the magic number that are looked at.
const CANDIDATES: usize = 64;
