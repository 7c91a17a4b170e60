//! Pointers in data: what the dynamic loader will write there.

use std::collections::HashMap;

use super::Elf;
use crate::found::Machine;
use crate::problem::Part;
use crate::reader::{Source, Window, le64};

const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const R_X86_64_RELATIVE: u64 = 8;
const R_AARCH64_RELATIVE: u64 = 1027;

/// Every relocation `place := base + addend` whose addend is wanted, as (place, addend).
///
/// Compressed relocations (`DT_RELR`) keep their addends in place; they need no table.
pub(crate) fn pointers_to(
    elf: &Elf,
    source: &mut Source<'_>,
    wanted: impl Fn(u64) -> bool,
    most: usize,
) -> Part<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    each(elf, source, |place, addend| {
        if wanted(addend) {
            found.push((place, addend));
        }
        found.len() < most
    })?;
    Ok(found)
}

/// What will be written at the places, of those that have a relocation.
pub(crate) fn at_places(elf: &Elf, source: &mut Source<'_>, places: &[u64]) -> Part<HashMap<u64, u64>> {
    let mut found = HashMap::new();
    each(elf, source, |place, addend| {
        if places.contains(&place) {
            found.insert(place, addend);
        }
        found.len() < places.len()
    })?;
    Ok(found)
}

fn each(elf: &Elf, source: &mut Source<'_>, mut f: impl FnMut(u64, u64) -> bool) -> Part<()> {
    let Some((at, size)) = table(elf, source)? else { return Ok(()) };
    let relative = match elf.machine {
        Machine::X86_64 => R_X86_64_RELATIVE,
        Machine::Aarch64 => R_AARCH64_RELATIVE,
    };
    let mut window = Window::new(24 << 10);
    for i in 0..size / 24 {
        source.count_relocation()?;
        let entry = window.get(source, at.saturating_add(i * 24), 24, "relocations")?;
        if le64(entry, 8) == relative && !f(le64(entry, 0), le64(entry, 16)) {
            break;
        }
    }
    Ok(())
}

/// File offset and size of the table that `PT_DYNAMIC` names.
fn table(elf: &Elf, source: &mut Source<'_>) -> Part<Option<(u64, u64)>> {
    let Some(dynamic) = elf.dynamic() else { return Ok(None) };
    let mut window = Window::new(4 << 10);
    let (mut address, mut size) = (0, 0);
    for i in 0..(dynamic.file_size / 16).min(u64::from(source.limits.headers)) {
        let entry = window.get(source, dynamic.offset.saturating_add(i * 16), 16, "the dynamic section")?;
        match le64(entry, 0) {
            0 => break,
            DT_RELA => address = le64(entry, 8),
            DT_RELASZ => size = le64(entry, 8),
            _ => {}
        }
    }
    Ok(elf.offset_of(address).filter(|_| size > 0).map(|at| (at, size)))
}
