//! Symbol tables, read in one pass over the names and one over the entries, so that a table of
//! hundreds of megabytes costs time but no memory.

use std::collections::HashMap;

use super::{Elf, Section};
use crate::problem::{Part, Problem};
use crate::reader::{Source, Window, le16, le32, le64};

const SHT_SYMTAB: u32 = 2;
const SHT_DYNSYM: u32 = 11;
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;

/// A function symbol that is defined in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// The address.
    pub(crate) address: u64,
    /// Its length; 0 when the table does not say.
    pub(crate) size: u64,
}

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Dynamic,
    Full,
}

/// Gives a number to a name that is wanted.
type Judge = dyn Fn(&[u8]) -> Option<u32>;

/// Names to look for: exact ones, and a judge for longer ones that contain a word.
pub(crate) struct Wanted<'a> {
    exact: HashMap<&'a [u8], u32>,
    longest: usize,
    /// Whether a name may end with these two bytes.
    endings: Box<[bool; 1 << 16]>,
    lengths: Vec<usize>,
    words: &'a [&'a [u8]],
    judge: Option<&'a Judge>,
}

impl<'a> Wanted<'a> {
    /// Names with the numbers by which they are reported.
    pub(crate) fn new(names: impl Iterator<Item = (&'a [u8], u32)>) -> Self {
        let exact: HashMap<_, _> = names.filter(|(name, _)| name.len() >= 2).collect();
        let mut endings = Box::new([false; 1 << 16]);
        let mut lengths: Vec<usize> = exact.keys().map(|n| n.len()).collect();
        lengths.sort_unstable();
        lengths.dedup();
        for name in exact.keys() {
            endings[usize::from(le16(name, name.len() - 2))] = true;
        }
        let longest = lengths.last().copied().unwrap_or(0);
        Self { exact, longest, endings, lengths, words: &[], judge: None }
    }

    /// Also names that contain one of the words, when `judge` gives them a number.
    pub(crate) fn or_with(mut self, words: &'a [&'a [u8]], judge: &'a Judge) -> Self {
        (self.words, self.judge) = (words, Some(judge));
        self
    }

    /// The number that the judge gives a name.
    fn judged(&self, name: &[u8]) -> Option<u32> {
        let judge = self.judge.filter(|_| name.len() <= LONGEST)?;
        self.words.iter().any(|word| memchr::memmem::find(name, word).is_some()).then(|| judge(name))?
    }

    /// Shows the wanted names that the string ends with: linkers store a name that is the end of
    /// another one only once.
    fn endings_of(&self, string: &[u8], mut f: impl FnMut(usize, u32)) {
        let Some(end) = string.len().checked_sub(2) else { return };
        if !self.endings[usize::from(le16(string, end))] {
            return;
        }
        for len in &self.lengths {
            let Some(at) = string.len().checked_sub(*len) else { break };
            if let Some(number) = self.exact.get(&string[at..]) {
                f(at, *number);
            }
        }
    }
}

/// Longest name that a judge is asked about.
const LONGEST: usize = 1024;

/// Looks through a range of NUL-terminated strings: the offsets (from the start of the range) at
/// which a wanted name begins, with its number.
pub(crate) fn names(
    source: &mut Source<'_>,
    range: std::ops::Range<u64>,
    wanted: &Wanted<'_>,
) -> Part<HashMap<u64, u32>> {
    let mut found = HashMap::new();
    let start = range.start;
    let overlap = LONGEST.max(wanted.longest) + 1;
    let mut done = start;
    source.pieces(range, overlap, "names", |at, bytes| {
        let mut from = 0;
        for end in memchr::memchr_iter(0, bytes) {
            let string_at = at + from as u64;
            // Strings that ended in the piece before were seen there.
            if at + end as u64 >= done {
                let string = &bytes[from..end];
                wanted.endings_of(string, |i, number| {
                    found.insert(string_at + i as u64 - start, number);
                });
                if let Some(number) = wanted.judged(string) {
                    found.insert(string_at - start, number);
                }
            }
            from = end + 1;
        }
        done = at + bytes.len() as u64;
        found.len() < MOST
    })?;
    Ok(found)
}

/// Names kept of one table.
const MOST: usize = 4096;

/// The wanted functions of a table that are defined in the file, by number. Of several with one
/// number all are given.
pub(crate) fn find(
    elf: &Elf,
    source: &mut Source<'_>,
    table: Table,
    wanted: &Wanted<'_>,
) -> Part<Vec<(u32, Symbol)>> {
    let Some((symbols, strings)) = sections(elf, table) else { return Ok(Vec::new()) };
    let names = names(source, strings.file(), wanted)?;
    let mut found = Vec::new();
    if names.is_empty() {
        return Ok(found);
    }
    let mut window = Window::new(48 << 10);
    let range = symbols.file();
    for i in 0..(range.end - range.start) / 24 {
        source.count_symbol()?;
        let entry = window.get(source, range.start + i * 24, 24, "symbols")?;
        let Some(number) = names.get(&u64::from(le32(entry, 0))) else { continue };
        let is_function = [STT_FUNC, STT_NOTYPE, STT_GNU_IFUNC].contains(&(entry[4] & 0xf));
        let (section, address, size) = (le16(entry, 6), le64(entry, 8), le64(entry, 16));
        if section == 0 || address == 0 || !is_function {
            continue;
        }
        let symbol = Symbol { address, size };
        if !found.contains(&(*number, symbol)) {
            found.push((*number, symbol));
        }
        if found.len() >= MOST {
            return Err(Problem::Limit("symbols with a known name").into());
        }
    }
    Ok(found)
}

/// The table and its strings. Without section headers the dynamic table has no length that could be
/// trusted, and is not read.
fn sections(elf: &Elf, table: Table) -> Option<(&Section, &Section)> {
    let kind = if table == Table::Dynamic { SHT_DYNSYM } else { SHT_SYMTAB };
    let symbols = elf.sections.iter().find(|s| s.kind == kind)?;
    let strings = elf.sections.get(symbols.link as usize)?;
    Some((symbols, strings))
}

#[cfg(test)]
mod tests {
    use super::{Wanted, names};
    use crate::limits::Limits;
    use crate::reader::Source;

    #[test]
    fn names_are_found_whole_at_the_end_of_others_and_across_pieces() {
        let exact: [(&[u8], u32); 2] = [(b"SSL_read", 1), (b"SSL_write", 2)];
        let judge = |name: &[u8]| name.ends_with(b"Reader").then_some(7);
        let wanted = Wanted::new(exact.into_iter()).or_with(&[b"rustls"], &judge);
        let mut bytes = b"\0SSL_read\0my_SSL_write\0SSL_readx\0rustls_Reader\0rustls_else\0".to_vec();
        let far = (256 << 10) - 4;
        bytes.resize(far, b'x');
        bytes.extend(b"\0SSL_read\0");
        let limits = Limits::default();
        let found = names(&mut Source::new(&bytes, &limits), 0..bytes.len() as u64, &wanted).unwrap();
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_unstable();
        assert_eq!(found, [(1, 1), (13, 2), (33, 7), (far as u64 + 1, 1)]);
    }
}
