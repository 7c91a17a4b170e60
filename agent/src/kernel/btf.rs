//! Where the running kernel keeps a member of a structure, read from its type description.
//!
//! The format is BTF (Documentation/bpf/btf.rst): a header, then types one after the other, each
//! with an id that is its number, then strings.

use std::path::Path;

/// The kernel's description of its own types.
pub(super) const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Types described in the running kernel.
#[derive(Debug)]
pub(super) struct Btf {
    data: Vec<u8>,
    /// Where each type begins in `data`; the first has id 1.
    types: Vec<usize>,
    strings: usize,
}

/// Header of a type: name, info, size or type.
const TYPE_LEN: usize = 12;
/// Member of a structure or union: name, type, offset.
const MEMBER_LEN: usize = 12;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
/// Nesting of anonymous structures; the kernel has less than five.
const DEPTH: usize = 16;

impl Btf {
    /// The description in a file; `None` when there is none or it is not understood.
    pub(super) fn read(path: &Path) -> Option<Self> {
        Self::parse(std::fs::read(path).ok()?)
    }

    fn parse(data: Vec<u8>) -> Option<Self> {
        // Magic, version and flags, then the lengths and offsets as the machine has them.
        if data.first_chunk::<2>().map(|m| u16::from_ne_bytes(*m)) != Some(0xeb9f) {
            return None;
        }
        let word = |at: usize| word(&data, at);
        let header = word(4)?;
        let first = header.checked_add(word(8)?)? as usize;
        let end = first.checked_add(word(12)? as usize)?;
        let strings = header.checked_add(word(16)?)? as usize;
        let mut types = Vec::new();
        let mut at = first;
        while at < end {
            types.push(at);
            let (kind, count) = kind(word(at + 4)?);
            // Lengths of what follows, by kind (include/uapi/linux/btf.h).
            let more = match kind {
                // INT, VAR, DECL_TAG
                1 | 14 | 17 => 4,
                // ARRAY
                3 => 12,
                // STRUCT, UNION, DATASEC, ENUM64
                4 | 5 | 15 | 19 => count * 12,
                // ENUM, FUNC_PROTO
                6 | 13 => count * 8,
                // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG
                2 | 7..=12 | 16 | 18 => 0,
                // Behind a kind that is not known nothing can be found.
                _ => return None,
            };
            at += TYPE_LEN + more;
        }
        Some(Self { data, types, strings })
    }

    /// Offset in bytes of a member of a structure, also inside anonymous structures of it.
    pub(super) fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        self.types
            .iter()
            .filter(|at| self.word(**at + 4).is_some_and(|info| kind(info).0 == STRUCT))
            .filter(|at| self.word(**at).is_some_and(|name| self.is_named(name, structure)))
            .find_map(|at| self.bits(*at, member, DEPTH))
            .filter(|bits| bits % 8 == 0)
            .map(|bits| bits / 8)
    }

    /// Offset in bits of a member of the structure at `at`.
    fn bits(&self, at: usize, member: &str, depth: usize) -> Option<u32> {
        let info = self.word(at + 4)?;
        let (_, count) = kind(info);
        // With the flag the upper byte is the size of a bit field.
        let mask = if info >> 31 == 1 { 0xff_ffff } else { u32::MAX };
        (0..count).find_map(|n| {
            let at = at + TYPE_LEN + n * MEMBER_LEN;
            let (name, of, bits) = (self.word(at)?, self.word(at + 4)?, self.word(at + 8)? & mask);
            if name != 0 {
                return self.is_named(name, member).then_some(bits);
            }
            let inner = *self.types.get((of as usize).checked_sub(1)?)?;
            let nested = depth > 0 && matches!(kind(self.word(inner + 4)?).0, STRUCT | UNION);
            let within = if nested { self.bits(inner, member, depth - 1) } else { None };
            within.and_then(|within| bits.checked_add(within))
        })
    }

    fn is_named(&self, name: u32, wanted: &str) -> bool {
        let text = self.data.get(self.strings..).and_then(|strings| strings.get(name as usize..));
        text.and_then(|text| text.strip_prefix(wanted.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    fn word(&self, at: usize) -> Option<u32> {
        word(&self.data, at)
    }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// The kind, and how many members, values or parameters follow.
fn kind(info: u32) -> (u32, usize) {
    (info >> 24 & 0x1f, (info & 0xffff) as usize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `struct task { int id; struct { long pad; struct task *leader; }; char comm : 8; }`, after
    /// an integer and an empty structure of another name.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0task\0id\0pad\0leader\0comm\0other\0";
        let name = |text: &[u8]| {
            let at = strings.windows(text.len()).position(|w| w == text).unwrap();
            u32::try_from(at).unwrap()
        };
        let types: Vec<u32> = [
            vec![name(b"int\0"), 1 << 24, 4, 32],
            vec![name(b"other\0"), STRUCT << 24, 0],
            vec![0, STRUCT << 24 | 2, 16, name(b"pad\0"), 1, 0, name(b"leader\0"), 4, 64],
            vec![0, 2 << 24, 5],
            vec![name(b"task\0"), 1 << 31 | STRUCT << 24 | 3, 32],
            vec![name(b"id\0"), 1, 0, 0, 3, 64, name(b"comm\0"), 1, 8 << 24 | 192],
        ]
        .concat();
        let type_len = u32::try_from(types.len() * 4).unwrap();
        let header = [24, 0, type_len, type_len, u32::try_from(strings.len()).unwrap()];
        let mut data = [0xeb9f_u16.to_ne_bytes(), [1, 0]].concat();
        data.extend(header.into_iter().chain(types).flat_map(u32::to_ne_bytes));
        data.extend_from_slice(strings);
        data
    }

    #[test]
    fn members_are_found_also_in_anonymous_structures() {
        let btf = Btf::parse(sample()).unwrap();
        let offset = |member| btf.offset("task", member);
        assert_eq!(["id", "pad", "leader", "comm"].map(offset), [Some(0), Some(8), Some(16), Some(24)]);
        assert_eq!(offset("lead"), None);
        assert_eq!(btf.offset("other", "id"), None);
        assert_eq!(btf.offset("tas", "id"), None);
    }

    #[test]
    fn what_is_cut_off_or_wrong_is_survived() {
        let whole = sample();
        for len in 0..whole.len() {
            let found = Btf::parse(whole[..len].to_vec()).and_then(|btf| btf.offset("task", "leader"));
            assert!(matches!(found, None | Some(16)));
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            _ = Btf::parse(damaged).and_then(|btf| btf.offset("task", "leader"));
        }
    }

    #[test]
    fn the_running_kernel_is_understood() {
        // Where it describes itself.
        if let Some(btf) = Btf::read(Path::new(VMLINUX)) {
            let [pid, leader, comm] = ["pid", "group_leader", "comm"].map(|m| btf.offset("task_struct", m));
            assert!(pid.is_some() && leader > pid && comm > leader, "{pid:?} {leader:?} {comm:?}");
        }
    }
}
