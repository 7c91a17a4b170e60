//! Where code names an address: by these references functions are found whose names are gone.

use std::collections::HashSet;

use crate::elf::Elf;
use crate::found::Machine;
use crate::problem::Part;
use crate::reader::{Source, le32};

/// References kept.
const MOST: usize = 16 << 10;

/// Addresses of instructions that name one of the targets, with the target.
pub(crate) fn find(elf: &Elf, source: &mut Source<'_>, targets: &HashSet<u64>) -> Part<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for segment in elf.segments.iter().filter(|s| s.is_code()) {
        let (offset, address) = (segment.offset, segment.address);
        let mut arm = Arm::default();
        source.pieces(segment.file(), 16, "code", |at, bytes| {
            let start = address.wrapping_add(at - offset);
            match elf.machine {
                Machine::X86_64 => x86(bytes, start, targets, elf.is_fixed, &mut found),
                Machine::Aarch64 => arm.piece(bytes, start, targets, &mut found),
            }
            found.len() < MOST
        })?;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// LEA with an address relative to the instruction, and in programs that are not moved MOV of the
/// address itself. Looked for at every byte: a false match would need the exact address.
fn x86(bytes: &[u8], start: u64, targets: &HashSet<u64>, fixed: bool, found: &mut Vec<(u64, u64)>) {
    for i in memchr::memchr_iter(0x8d, bytes) {
        let (Some(before), Some(operands)) = (i.checked_sub(1), bytes.get(i + 1..i + 6)) else { continue };
        // REX.W with any register, and a mode that means the next instruction's address.
        if bytes[before] & 0xfb != 0x48 || operands[0] & 0xc7 != 0x05 {
            continue;
        }
        let next = start.wrapping_add(i as u64 + 6);
        let to = next.wrapping_add_signed(i64::from(le32(operands, 1).cast_signed()));
        if targets.contains(&to) {
            found.push((start.wrapping_add(before as u64), to));
        }
    }
    if !fixed {
        return;
    }
    for target in targets {
        let Ok(short) = u32::try_from(*target) else { continue };
        for i in memchr::memmem::find_iter(bytes, &short.to_le_bytes()) {
            // MOV r32, imm32
            if let Some(before) = i.checked_sub(1).filter(|at| bytes[*at] & 0xf8 == 0xb8) {
                found.push((start.wrapping_add(before as u64), *target));
            }
        }
    }
}

/// ADRP gives the page, an ADD soon after it the place within the page.
#[derive(Default)]
struct Arm {
    /// The last page of each register, and the address of its instruction.
    pages: [(u64, u64); 32],
}

/// An ADD belongs to an ADRP that is at most this far before it.
const NEAR: u64 = 1024;

impl Arm {
    fn piece(&mut self, bytes: &[u8], start: u64, targets: &HashSet<u64>, found: &mut Vec<(u64, u64)>) {
        for (i, word) in bytes.chunks_exact(4).enumerate() {
            let (word, at) = (le32(word, 0), start.wrapping_add(4 * i as u64));
            let destination = (word & 31) as usize;
            if word & 0x9f00_0000 == 0x9000_0000 {
                let pages = (word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3;
                let pages = i64::from((pages << 11).cast_signed() >> 11);
                self.pages[destination] = ((at & !0xfff).wrapping_add_signed(pages << 12), at);
            } else if word & 0x9f00_0000 == 0x1000_0000 {
                let offset = (word >> 5 & 0x7_ffff) << 2 | word >> 29 & 3;
                let to = at.wrapping_add_signed(i64::from((offset << 11).cast_signed() >> 11));
                if targets.contains(&to) {
                    found.push((at, to));
                }
            } else if word & 0xffc0_0000 == 0x9100_0000 {
                let (page, set) = self.pages[(word >> 5 & 31) as usize];
                let to = page.wrapping_add(u64::from(word >> 10 & 0xfff));
                if at.wrapping_sub(set) <= NEAR {
                    // A second ADD may follow: GCC counts from an anchor that several strings share.
                    self.pages[destination] = (to, set);
                    if targets.contains(&to) {
                        found.push((at, to));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Arm, x86};

    #[test]
    fn references_of_x86_are_found() {
        let mut found = Vec::new();
        // lea rcx, [rip + 0x1ff021] at 0x2d5ad4
        let code = [0x90, 0x48, 0x8d, 0x0d, 0x21, 0xf0, 0x1f, 0x00];
        x86(&code, 0x2d_5ad3, &HashSet::from([0x4d_4afc]), false, &mut found);
        assert_eq!(found, [(0x2d_5ad4, 0x4d_4afc)]);
        found.clear();
        // mov edi, 0x401000
        x86(&[0xbf, 0x00, 0x10, 0x40, 0x00], 0x1000, &HashSet::from([0x40_1000]), true, &mut found);
        assert_eq!(found, [(0x1000, 0x40_1000)]);
    }

    #[test]
    fn references_of_arm64_are_found() {
        let mut found = Vec::new();
        // adrp x3, +2 pages; add x3, x3, #0xafc
        let words = [0xd000_0003_u32, 0x912b_f063];
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        Arm::default().piece(&code, 0x1000, &HashSet::from([0x3afc]), &mut found);
        assert_eq!(found, [(0x1004, 0x3afc)]);
        found.clear();
        // The same by an anchor: add x3, x3, #0xaf0; add x2, x3, #0xc
        let words = [0xd000_0003_u32, 0x912b_c063, 0x9100_3062];
        let code: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        Arm::default().piece(&code, 0x1000, &HashSet::from([0x3afc]), &mut found);
        assert_eq!(found, [(0x1008, 0x3afc)]);
    }
}
