//! A reader of 64-bit little-endian ELF files that believes nothing: every table is read through
//! positioned reads, counted, and bounded.
//!
//! Layouts are from the System V ABI (gABI chapters 4 and 5) and `elf(5)`.

pub(crate) mod frames;
pub(crate) mod relocations;
pub(crate) mod symbols;

use std::ops::Range;

use crate::found::Machine;
use crate::problem::{Part, Problem, Stop};
use crate::reader::{Source, le16, le32, le64};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const SHT_NOBITS: u32 = 8;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// A loadable segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) file_size: u64,
}

impl Segment {
    pub(crate) fn is_code(&self) -> bool {
        self.kind == PT_LOAD && self.flags & PF_X != 0
    }

    /// Where it lies in the file.
    pub(crate) fn file(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.file_size)
    }
}

/// A section whose name is known.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) kind: u32,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) link: u32,
}

impl Section {
    /// Where it lies in the file; empty for one that has no bytes there.
    pub(crate) fn file(&self) -> Range<u64> {
        if self.kind == SHT_NOBITS {
            return 0..0;
        }
        self.offset..self.offset.saturating_add(self.size)
    }
}

/// The tables of a file.
#[derive(Debug)]
pub(crate) struct Elf {
    pub(crate) machine: Machine,
    /// Whether it is loaded at the addresses that it names.
    pub(crate) is_fixed: bool,
    pub(crate) segments: Vec<Segment>,
    /// Empty where the section headers were removed.
    pub(crate) sections: Vec<Section>,
}

impl Elf {
    /// The tables, and what of them could not be read.
    pub(crate) fn parse(source: &mut Source<'_>) -> Result<(Self, Vec<Problem>), Problem> {
        let mut head = [0; 64];
        let n = source.read(&mut head, 0, "the ELF header").map_err(|stop| stop.0)?;
        if n < 20 || head[..4] != *b"\x7fELF" {
            return Err(Problem::NotElf);
        }
        let machine = machine(&head)?;
        if n < head.len() {
            return Err(Problem::Malformed("the ELF header is cut off"));
        }
        let kind = le16(&head, 16);
        if kind != ET_EXEC && kind != ET_DYN {
            return Err(Problem::Unsupported("something else than programs and libraries".into()));
        }
        let mut problems = Vec::new();
        let segments = segments(source, &head).map_err(|stop| stop.0)?;
        let sections = sections(source, &head).unwrap_or_else(|stop| {
            problems.push(stop.0);
            Vec::new()
        });
        let elf = Self { machine, is_fixed: kind == ET_EXEC, segments, sections };
        Ok((elf, problems))
    }

    /// The section of that name.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// The file offset of what is loaded at `address`.
    pub(crate) fn offset_of(&self, address: u64) -> Option<u64> {
        let segment = self.segment_of(address)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// The segment with file content that holds `address`.
    pub(crate) fn segment_of(&self, address: u64) -> Option<&Segment> {
        let mut loaded = self.segments.iter().filter(|s| s.kind == PT_LOAD);
        loaded.find(|s| address.checked_sub(s.address).is_some_and(|at| at < s.file_size))
    }

    /// The address at which the byte at `offset` is loaded.
    pub(crate) fn address_of(&self, offset: u64) -> Option<u64> {
        let mut loaded = self.segments.iter().filter(|s| s.kind == PT_LOAD);
        let segment = loaded.find(|s| s.file().contains(&offset))?;
        segment.address.checked_add(offset - segment.offset)
    }

    /// The file ranges that hold constants: `.rodata`, or every segment that is no code, or (where
    /// constants lie with the code) all of them.
    pub(crate) fn constants(&self) -> Vec<Range<u64>> {
        let named = self.sections.iter().filter(|s| s.name == ".rodata" || s.name.starts_with(".rodata."));
        let ranges: Vec<_> = named.map(Section::file).filter(|r| !r.is_empty()).collect();
        if !ranges.is_empty() {
            return ranges;
        }
        let of = |wanted: &dyn Fn(&Segment) -> bool| {
            let loaded = self.segments.iter().filter(|s| s.kind == PT_LOAD && wanted(s));
            loaded.map(Segment::file).filter(|r| !r.is_empty()).collect::<Vec<_>>()
        };
        let ranges = of(&|s| s.flags & (PF_X | PF_W) == 0);
        if ranges.is_empty() { of(&|_| true) } else { ranges }
    }

    /// The file ranges of data that may hold pointers.
    pub(crate) fn data(&self) -> Vec<Range<u64>> {
        let loaded = self.segments.iter().filter(|s| s.kind == PT_LOAD && s.flags & PF_X == 0);
        loaded.map(Segment::file).filter(|r| !r.is_empty()).collect()
    }

    pub(crate) fn dynamic(&self) -> Option<Segment> {
        self.segments.iter().copied().find(|s| s.kind == PT_DYNAMIC)
    }

    pub(crate) fn eh_frame_hdr(&self) -> Option<Segment> {
        self.segments.iter().copied().find(|s| s.kind == PT_GNU_EH_FRAME)
    }

    /// The id that the linker gave (`NT_GNU_BUILD_ID`), else Go's.
    pub(crate) fn build_id(&self, source: &mut Source<'_>) -> Part<Option<Vec<u8>>> {
        let mut go = None;
        for segment in self.segments.iter().filter(|s| s.kind == PT_NOTE) {
            let notes =
                source.bytes(segment.offset, segment.file_size.min(NOTES), NOTES as usize, "notes")?;
            let mut at = 0;
            while at + 12 <= notes.len() {
                let (name_len, len) = (le32(&notes, at) as usize, le32(&notes, at + 4) as usize);
                let kind = le32(&notes, at + 8);
                let name_at = at + 12;
                let desc_at = name_at.saturating_add(name_len.saturating_add(3) & !3);
                let name = notes.get(name_at..name_at.saturating_add(name_len)).unwrap_or(&[]);
                let desc = notes.get(desc_at..desc_at.saturating_add(len));
                match (name, kind, desc) {
                    (b"GNU\0", 3, Some(id)) if !id.is_empty() && id.len() <= 64 => {
                        return Ok(Some(id.to_vec()));
                    }
                    (b"Go\0\0", 4, Some(id)) if !id.is_empty() && id.len() <= 128 => go = Some(id.to_vec()),
                    _ => {}
                }
                at = desc_at.saturating_add(len.saturating_add(3) & !3);
            }
        }
        Ok(go)
    }
}

/// Bytes of notes that are read.
const NOTES: u64 = 4096;

fn machine(head: &[u8; 64]) -> Result<Machine, Problem> {
    let number = if head[5] == 2 { le16(head, 18).swap_bytes() } else { le16(head, 18) };
    let name = match number {
        3 => "x86",
        40 => "arm",
        21 => "ppc64",
        22 => "s390x",
        62 => "x86-64",
        183 => "arm64",
        243 => "RISC-V",
        258 => "LoongArch",
        _ => "another machine",
    };
    match (head[4], head[5], number) {
        (2, 1, 62) => Ok(Machine::X86_64),
        (2, 1, 183) => Ok(Machine::Aarch64),
        (class, order, _) => {
            let class = if class == 1 { ", 32-bit" } else { "" };
            let order = if order == 2 { ", big-endian" } else { "" };
            Err(Problem::Unsupported(format!("{name}{class}{order}")))
        }
    }
}

fn segments(source: &mut Source<'_>, head: &[u8; 64]) -> Part<Vec<Segment>> {
    let (at, size, count) = (le64(head, 32), le16(head, 54), le16(head, 56));
    if size != 56 {
        return Err(Stop::malformed("program headers of an unknown size"));
    }
    let count = u64::from(count);
    if count > u64::from(source.limits.headers) {
        return Err(Problem::Limit("program headers").into());
    }
    let bytes = source.bytes(at, count * 56, usize::from(u16::MAX) * 56, "program headers")?;
    let segments = bytes.chunks_exact(56).map(|b| Segment {
        kind: le32(b, 0),
        flags: le32(b, 4),
        offset: le64(b, 8),
        address: le64(b, 16),
        file_size: le64(b, 32),
    });
    Ok(segments.collect())
}

/// Bytes of section names that are read.
const NAMES: usize = 1 << 20;

fn sections(source: &mut Source<'_>, head: &[u8; 64]) -> Part<Vec<Section>> {
    let (at, size, count, names) = (le64(head, 40), le16(head, 58), le16(head, 60), le16(head, 62));
    if at == 0 || count == 0 {
        return Ok(Vec::new());
    }
    if size != 64 {
        return Err(Stop::malformed("section headers of an unknown size"));
    }
    let count = u64::from(count);
    if count > u64::from(source.limits.headers) {
        return Err(Problem::Limit("section headers").into());
    }
    let bytes = source.bytes(at, count * 64, usize::from(u16::MAX) * 64, "section headers")?;
    let header = |i: usize| bytes.get(i * 64..i * 64 + 64);
    let strings = match header(usize::from(names)) {
        Some(b) => source.bytes(le64(b, 24), le64(b, 32), NAMES, "section names")?,
        None => return Err(Stop::malformed("no section holds the section names")),
    };
    let sections = bytes.chunks_exact(64).map(|b| {
        let name = strings.get(le32(b, 0) as usize..).unwrap_or(&[]);
        let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
        let name = &name[..name.len().min(64)];
        Section {
            name: String::from_utf8_lossy(name).into_owned(),
            kind: le32(b, 4),
            address: le64(b, 16),
            offset: le64(b, 24),
            size: le64(b, 32),
            link: le32(b, 40),
        }
    });
    Ok(sections.collect())
}
