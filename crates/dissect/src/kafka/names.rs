//! Lists of short texts in one buffer that is used again.

/// Texts, each once, in the order in which they came first. Bounded in number and bytes.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Texts that were left out.
    left_out: u64,
}

/// Texts in one list. The search for one that is there already looks at all of them.
const MAX_NAMES: usize = 256;

/// Bytes of all texts in a list.
const MAX_BYTES: usize = 16 << 10;

impl Names {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.left_out = 0;
    }

    /// Adds a text made of parts, unless it is there.
    pub(super) fn add(&mut self, parts: &[&[u8]]) {
        let start = self.text.len();
        let len: usize = parts.iter().map(|p| p.len()).sum();
        if self.ends.len() >= MAX_NAMES || start + len > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        parts.iter().for_each(|p| self.text.extend_from_slice(p));
        let (before, new) = self.text.split_at(start);
        let mut from = 0;
        let known = self.ends.iter().any(|&end| {
            let one = before.get(from..end);
            from = end;
            one == Some(new)
        });
        if known {
            self.text.truncate(start);
        } else {
            self.ends.push(self.text.len());
        }
    }

    /// Adds a text, even if it is there.
    pub(super) fn push(&mut self, name: &[u8]) {
        if self.ends.len() >= MAX_NAMES || self.text.len() + name.len() > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.text.extend_from_slice(name);
        self.ends.push(self.text.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, &to)| self.text.get(from..to).unwrap_or_default())
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Texts that were left out for lack of room.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.iter().any(|n| n == name)
    }

    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_once_in_order_and_bounded() {
        let mut names = Names::default();
        for name in ["b", "a", "b", "ab", ""] {
            names.add(&[name.as_bytes()]);
        }
        names.add(&[b"a", b"b"]);
        assert_eq!(names.iter().collect::<Vec<_>>(), [&b"b"[..], b"a", b"ab", b""]);
        assert!(names.contains(b"ab") && !names.contains(b"c"));
        for n in 0..1_000_u32 {
            names.push(&n.to_be_bytes());
        }
        assert_eq!((names.len(), names.left_out()), (MAX_NAMES, 1_004 - MAX_NAMES as u64));
        names.clear();
        names.push(&[0; MAX_BYTES + 1]);
        assert_eq!((names.len(), names.left_out()), (0, 1));
    }
}
