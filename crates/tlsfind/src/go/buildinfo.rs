//! The version of Go that a program was built with (package `debug/buildinfo` of Go).

use crate::elf::{Elf, relocations};
use crate::problem::Part;
use crate::reader::{Source, le64};

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// It lies at a multiple of this.
const ALIGNED: u64 = 16;
/// Flag: the version follows the header (since Go 1.18) instead of being pointed to.
const INLINE: u8 = 2;
/// Longest version.
const LONGEST: u64 = 128;
/// How much of each data segment is looked through where there is no section of the name.
const SEARCHED: u64 = 64 << 20;

/// The version; `None` when it is no Go program.
pub(super) fn version(elf: &Elf, source: &mut Source<'_>) -> Part<Option<String>> {
    let Some(at) = find(elf, source)? else { return Ok(None) };
    let mut head = [0; 32];
    source.exact(&mut head, at, "Go's build information")?;
    if head[15] & INLINE != 0 {
        let mut text = [0; 2 + LONGEST as usize];
        let n = source.read(&mut text, at + 32, "Go's build information")?;
        // The length is a variable-length number of at most two bytes.
        let (len, skip) = match text {
            [a, ..] if a < 0x80 => (usize::from(a), 1),
            [a, b, ..] if b < 0x80 => (usize::from(a & 0x7f) | usize::from(b) << 7, 2),
            _ => return Ok(None),
        };
        return Ok(text[..n].get(skip..skip + len).and_then(clean));
    }
    // Pointers of 8 bytes, little-endian: other programs are not read at all.
    let header = pointer(elf, source, at + 16)?.and_then(|address| elf.offset_of(address));
    let Some(header) = header else { return Ok(None) };
    let mut string = [0; 16];
    source.exact(&mut string, header, "Go's version")?;
    let len = le64(&string, 8);
    let Some(at) = pointer(elf, source, header)?.and_then(|a| elf.offset_of(a)).filter(|_| len <= LONGEST)
    else {
        return Ok(None);
    };
    Ok(clean(&source.bytes(at, len, LONGEST as usize, "Go's version")?))
}

/// The pointer at a file offset, as the loader leaves it.
pub(super) fn pointer(elf: &Elf, source: &mut Source<'_>, at: u64) -> Part<Option<u64>> {
    let mut bytes = [0; 8];
    source.exact(&mut bytes, at, "a pointer")?;
    let written = le64(&bytes, 0);
    if elf.is_fixed || written != 0 {
        return Ok(Some(written));
    }
    let Some(place) = elf.address_of(at) else { return Ok(None) };
    Ok(relocations::at_places(elf, source, &[place])?.get(&place).copied())
}

/// The version as text, when it is one.
fn clean(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let good = text.contains("go1") || text.starts_with("devel");
    (good && text.bytes().all(|b| (0x20..0x7f).contains(&b))).then(|| text.to_owned())
}

/// File offset of the header.
fn find(elf: &Elf, source: &mut Source<'_>) -> Part<Option<u64>> {
    if let Some(section) = elf.section(".go.buildinfo") {
        return search(source, section.file());
    }
    if !elf.sections.is_empty() && elf.section(".gopclntab").is_none() {
        return Ok(None);
    }
    for range in elf.data() {
        let end = range.end.min(range.start.saturating_add(SEARCHED));
        if let Some(at) = search(source, range.start..end)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

fn search(source: &mut Source<'_>, range: std::ops::Range<u64>) -> Part<Option<u64>> {
    let mut found = None;
    source.pieces(range, MAGIC.len(), "Go's build information", |at, bytes| {
        let mut hits = memchr::memmem::find_iter(bytes, MAGIC).map(|i| at + i as u64);
        found = hits.find(|at| at.is_multiple_of(ALIGNED));
        found.is_none()
    })?;
    Ok(found)
}
