//! Bounds of functions by unwind tables (`.eh_frame_hdr` and `.eh_frame`), which C and C++ programs
//! keep when they are stripped. Layout: Linux Standard Base, core specification, chapter 10.6.

use super::Elf;
use crate::problem::Part;
use crate::reader::{Source, Window, le32};

/// The sorted table of functions.
pub(crate) struct Frames {
    /// Address of `.eh_frame_hdr`, to which the entries are relative.
    base: u64,
    /// File offset of the first entry.
    table: u64,
    count: u64,
    window: Window,
}

/// `DW_EH_PE_udata4`, `DW_EH_PE_sdata4`, and the latter relative to the start of the header.
const UDATA4: u8 = 0x03;
const SDATA4: u8 = 0x0b;
const SDATA4_FROM_HEADER: u8 = 0x3b;

impl Frames {
    /// The table of a file, when it has one that can be searched.
    pub(crate) fn open(elf: &Elf, source: &mut Source<'_>) -> Part<Option<Self>> {
        let Some(segment) = elf.eh_frame_hdr() else { return Ok(None) };
        let mut window = Window::new(4 << 10);
        let head = window.get(source, segment.offset, 12, "unwind table")?;
        let sizes = [SDATA4, UDATA4].contains(&(head[1] & 0x0f));
        if head[0] != 1 || !sizes || head[2] != UDATA4 || head[3] != SDATA4_FROM_HEADER {
            return Ok(None);
        }
        let count = u64::from(le32(head, 8)).min(segment.file_size / 8);
        Ok(Some(Self { base: segment.address, table: segment.offset.saturating_add(12), count, window }))
    }

    /// Start and unwind entry of a function.
    fn entry(&mut self, source: &mut Source<'_>, i: u64) -> Part<(u64, u64)> {
        source.count_function()?;
        let entry = self.window.get(source, self.table.saturating_add(i * 8), 8, "unwind table")?;
        let (start, fde) = (le32(entry, 0), le32(entry, 4));
        let from = |n: u32| self.base.wrapping_add_signed(i64::from(n.cast_signed()));
        Ok((from(start), from(fde)))
    }

    /// The function that holds `address`: start and end.
    pub(crate) fn function_of(
        &mut self,
        elf: &Elf,
        source: &mut Source<'_>,
        address: u64,
    ) -> Part<Option<(u64, u64)>> {
        let Some(i) = self.number_of(source, address)? else { return Ok(None) };
        Ok(self.function(elf, source, i)?.filter(|(_, end)| address < *end))
    }

    /// The functions around the one that holds `address`, `most` on each side.
    pub(crate) fn around(
        &mut self,
        elf: &Elf,
        source: &mut Source<'_>,
        address: u64,
        most: u64,
    ) -> Part<Vec<(u64, u64)>> {
        let Some(i) = self.number_of(source, address)? else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for i in i.saturating_sub(most)..i.saturating_add(most).min(self.count) {
            found.extend(self.function(elf, source, i)?);
        }
        Ok(found)
    }

    /// The number of the last function that begins at or before `address`.
    fn number_of(&mut self, source: &mut Source<'_>, address: u64) -> Part<Option<u64>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(source, middle)?.0 <= address {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }

    /// Start and end of the function number `i`.
    fn function(&mut self, elf: &Elf, source: &mut Source<'_>, i: u64) -> Part<Option<(u64, u64)>> {
        let (start, fde) = self.entry(source, i)?;
        let Some(at) = elf.offset_of(fde) else { return Ok(None) };
        // length, CIE, start, range: with the usual encoding of four bytes each.
        let mut bytes = [0; 16];
        source.exact(&mut bytes, at, "unwind entry")?;
        let begins = fde.wrapping_add(8).wrapping_add_signed(i64::from(le32(&bytes, 8).cast_signed()));
        if begins != start {
            return Ok(None);
        }
        let end = start.saturating_add(u64::from(le32(&bytes, 12)));
        Ok(Some((start, end)))
    }
}
