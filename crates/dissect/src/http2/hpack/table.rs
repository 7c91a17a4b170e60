//! The dynamic table, of which the older part may be unknown.

use std::collections::VecDeque;

use super::fixed;

/// What an entry counts beside its bytes (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;
/// Size of a table of which nothing was agreed (RFC 9113 section 6.5.2).
const DEFAULT_SIZE: usize = 4_096;
/// Marks a part of an entry that is not known.
const UNKNOWN: u32 = u32::MAX;

/// A name or a value; `None` where the capture does not show it.
pub(super) type Part<'a> = Option<&'a [u8]>;

/// Name and value lie one behind the other in [`Table::bytes`].
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Position since the table began.
    start: u64,
    name: u32,
    value: u32,
}

impl Entry {
    fn len(self) -> usize {
        let len = |n: u32| if n == UNKNOWN { 0 } else { n as usize };
        len(self.name) + len(self.value)
    }
}

/// The table of one direction.
///
/// Indices count from the newest entry, so those of the entries that were seen to be added are
/// certain, whatever lies behind them. An index beyond them is unknown as long as there may be
/// entries that were not seen, and otherwise a fault.
#[derive(Debug)]
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    /// Names and values, oldest first.
    bytes: Vec<u8>,
    /// Position of the first of `bytes`.
    base: u64,
    /// Size of the entries; of unknown parts the least that it can be.
    size: usize,
    /// How large the sender lets it grow; `None` when that was not seen.
    max: Option<usize>,
    /// There may be entries behind those in `entries`.
    tail: bool,
}

/// An index that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadIndex;

impl Table {
    /// The table at the beginning of a connection.
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            base: 0,
            size: 0,
            max: Some(DEFAULT_SIZE),
            tail: false,
        }
    }

    /// Forgets everything, the size too: header blocks were not seen.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.bytes.clear();
        self.size = 0;
        self.max = None;
        self.tail = true;
    }

    /// Name and value at an index of the combined address space (RFC 7541 section 2.3.3).
    pub(super) fn get(&self, index: usize) -> Result<(Part<'_>, Part<'_>), BadIndex> {
        let Some(dynamic) = index.checked_sub(fixed::TABLE.len() + 1) else {
            let entry = index.checked_sub(1).and_then(|i| fixed::TABLE.get(i));
            return entry.map(|&(name, value)| (Some(name), Some(value))).ok_or(BadIndex);
        };
        match self.entries.get(dynamic) {
            Some(entry) => {
                let at = usize::try_from(entry.start - self.base).unwrap_or(usize::MAX);
                let name_len = if entry.name == UNKNOWN { 0 } else { entry.name as usize };
                let part = |from: usize, len: u32| match len {
                    UNKNOWN => None,
                    len => self.bytes.get(from..from + len as usize),
                };
                Ok((part(at, entry.name), part(at + name_len, entry.value)))
            }
            None if self.tail => Ok((None, None)),
            None => Err(BadIndex),
        }
    }

    /// Adds an entry, and drops old ones for it. At most `limit` bytes are kept, counted as the
    /// RFC does.
    pub(super) fn insert(&mut self, name: Part<'_>, value: Part<'_>, limit: usize) {
        let len = |part: Part<'_>| part.map_or(0, <[u8]>::len);
        let size = OVERHEAD + len(name) + len(value);
        // An entry larger than the table empties it (RFC 7541 section 4.4). The size of one of
        // which a part is unknown is not certain to be small enough.
        if self.max.is_some_and(|max| size > max) {
            self.evict(0);
            self.tail = false;
            return;
        }
        if size > limit && (name.is_some() || value.is_some()) {
            // The indices of later entries count it all the same.
            return self.insert(None, None, limit);
        }
        if let Some(max) = self.max
            && self.size > max - size
        {
            self.evict(max - size);
            // All that the sender has room for was seen.
            self.tail = false;
        }
        if self.size > limit.saturating_sub(size) {
            self.evict(limit.saturating_sub(size));
            self.tail = true;
        }
        let stored = |part: Part<'_>| part.map_or(UNKNOWN, |p| p.len() as u32);
        let start = self.base + self.bytes.len() as u64;
        self.entries.push_front(Entry { start, name: stored(name), value: stored(value) });
        for part in [name, value].into_iter().flatten() {
            self.bytes.extend_from_slice(part);
        }
        self.size += size;
    }

    /// The sender changes the size (RFC 7541 section 6.3).
    pub(super) fn resize(&mut self, max: usize) {
        self.max = Some(max);
        if self.size > max || max < OVERHEAD {
            self.evict(max);
            self.tail = false;
        }
    }

    /// Drops the oldest entries until those left have at most `size`.
    fn evict(&mut self, size: usize) {
        while self.size > size {
            let Some(entry) = self.entries.pop_back() else { break };
            self.size -= OVERHEAD + entry.len();
        }
        let Some(oldest) = self.entries.back() else {
            self.base += self.bytes.len() as u64;
            self.bytes.clear();
            return;
        };
        // Moved seldom, so that an entry costs its own bytes about once more.
        let dead = usize::try_from(oldest.start - self.base).unwrap_or(usize::MAX).min(self.bytes.len());
        if dead > self.bytes.len() / 2 {
            self.bytes.drain(..dead);
            self.base += dead as u64;
        }
    }

    /// Bytes of memory behind it.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LIMIT: usize = 64 << 10;

    fn known(table: &Table, index: usize) -> (String, String) {
        let (name, value) = table.get(index).unwrap();
        let text = |part: Part<'_>| part.map_or("?".into(), |p| String::from_utf8_lossy(p).into_owned());
        (text(name), text(value))
    }

    fn add(table: &mut Table, name: &str, value: &str) {
        table.insert(Some(name.as_bytes()), Some(value.as_bytes()), LIMIT);
    }

    #[test]
    fn the_newest_comes_first_and_the_oldest_go() {
        let mut table = Table::new();
        table.resize(100);
        for i in 0..9 {
            add(&mut table, "name", &i.to_string());
        }
        assert_eq!(known(&table, 62), ("name".into(), "8".into()));
        assert_eq!(known(&table, 63), ("name".into(), "7".into()));
        assert_eq!(table.get(64), Err(BadIndex));
        assert_eq!(table.get(0), Err(BadIndex));
        assert_eq!(known(&table, 2), (":method".into(), "GET".into()));
        add(&mut table, "large", &"x".repeat(70));
        assert_eq!(table.get(62), Err(BadIndex), "an entry that does not fit empties the table");
    }

    #[test]
    fn what_was_not_seen_is_unknown_until_the_table_was_refilled() {
        let mut table = Table::new();
        table.forget();
        assert_eq!(known(&table, 62), ("?".into(), "?".into()));
        add(&mut table, "a", "1");
        table.insert(None, Some(b"2"), LIMIT);
        assert_eq!(known(&table, 62), ("?".into(), "2".into()));
        assert_eq!(known(&table, 63), ("a".into(), "1".into()));
        assert_eq!(known(&table, 64), ("?".into(), "?".into()));
        table.resize(100);
        assert_eq!(known(&table, 64), ("?".into(), "?".into()), "there may be room for it");
        add(&mut table, "b", "3");
        assert_eq!(known(&table, 63), ("?".into(), "2".into()));
        assert_eq!(table.get(64), Err(BadIndex), "there is none");
        table.forget();
        table.resize(0);
        assert_eq!(table.get(62), Err(BadIndex));
    }

    #[test]
    fn the_limit_bounds_memory_and_makes_old_entries_unknown() {
        let mut table = Table::new();
        table.resize(1 << 30);
        for i in 0..10_000 {
            table.insert(Some(b"name"), Some(format!("{i}").as_bytes()), 1_000);
        }
        assert!(table.size <= 1_000 && table.memory() < 4_000, "{}", table.memory());
        assert_eq!(known(&table, 62).1, "9999");
        assert_eq!(known(&table, 100), ("?".into(), "?".into()));
        table.insert(Some(b"name"), Some(&[b'x'; 2_000]), 1_000);
        assert_eq!(known(&table, 62), ("?".into(), "?".into()));
        assert_eq!(known(&table, 63).1, "9999");
        table.insert(Some(b"n"), Some(b"v"), 0);
        assert!(table.size <= 64);
    }
}
