//! Small numbers as Parquet packs them: runs of one value, and groups of eight in as few bits as
//! the largest needs ("RLE / bit-packing hybrid" of the Parquet format's `Encodings.md`).

/// Equal values in a row from which on a run is shorter than packing them.
const RUN: usize = 8;

/// Values of one packed group.
const GROUP: usize = 8;

/// Bits that numbers up to `max` need.
pub(super) fn width(max: u32) -> u8 {
    u8::try_from(u32::BITS - max.leading_zeros()).unwrap_or(32)
}

/// Appends `values`, each below two to the power of `width`.
pub(super) fn pack<T: Copy + Eq + Into<u32>>(values: &[T], width: u8, out: &mut Vec<u8>) {
    // Values that wait to be packed begin here; their number is a multiple of a group whenever a
    // run begins.
    let mut waiting = 0;
    let mut at = 0;
    while let Some(&value) = values.get(at) {
        let rest = values.get(at..).unwrap_or_default();
        let run = rest.iter().take_while(|v| **v == value).count();
        // What the groups before need to be complete is taken from the run.
        let missing = (at - waiting).next_multiple_of(GROUP) - (at - waiting);
        if run < missing + RUN {
            at += run;
            continue;
        }
        groups(values.get(waiting..at + missing).unwrap_or_default(), width, out);
        varint(((run - missing) as u64) << 1, out);
        let bytes = value.into().to_le_bytes();
        out.extend_from_slice(bytes.get(..usize::from(width).div_ceil(8)).unwrap_or_default());
        at += run;
        waiting = at;
    }
    groups(values.get(waiting..).unwrap_or_default(), width, out);
}

/// Packs values, the last group filled up with zeros.
fn groups<T: Copy + Into<u32>>(values: &[T], width: u8, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    varint((values.len().div_ceil(GROUP) as u64) << 1 | 1, out);
    for group in values.chunks(GROUP) {
        // Eight values of up to 32 bits: bytes leave from the low end as they get full.
        let (mut bits, mut held) = (0u64, 0u32);
        let mut left = usize::from(width);
        for i in 0..GROUP {
            let value: u32 = group.get(i).copied().map_or(0, Into::into);
            bits |= u64::from(value) << held;
            held += u32::from(width);
            while held >= 8 && left > 0 {
                out.push((bits & 0xff) as u8);
                bits >>= 8;
                held -= 8;
                left -= 1;
            }
        }
    }
}

/// Unsigned LEB128.
fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads what `pack` wrote.
    fn unpack(mut bytes: &[u8], width: u8, count: usize) -> Vec<u32> {
        let mut out = Vec::new();
        let mut next = || {
            let (first, rest) = bytes.split_first().map_or((0, &[][..]), |(b, r)| (*b, r));
            bytes = rest;
            first
        };
        while out.len() < count {
            let (mut header, mut shift) = (0u64, 0);
            loop {
                let b = next();
                header |= u64::from(b & 0x7f) << shift;
                shift += 7;
                if b & 0x80 == 0 {
                    break;
                }
            }
            if header & 1 == 0 {
                let value =
                    (0..usize::from(width).div_ceil(8)).fold(0, |v, i| v | u32::from(next()) << (8 * i));
                out.extend(std::iter::repeat_n(value, (header >> 1) as usize));
                continue;
            }
            for _ in 0..header >> 1 {
                let packed: Vec<u8> = (0..width).map(|_| next()).collect();
                for i in 0..GROUP {
                    let bit = |b: usize| u32::from(packed[b / 8] >> (b % 8) & 1);
                    let from = i * usize::from(width);
                    out.push((0..usize::from(width)).fold(0, |v, b| v | bit(from + b) << b));
                }
            }
        }
        out.truncate(count);
        out
    }

    #[test]
    fn what_is_packed_comes_back() {
        let mut seed = 7u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for bits in [0, 1, 2, 3, 7, 8, 9, 13, 17, 31, 32u8] {
            for round in 0..40 {
                let mut values = Vec::new();
                while values.len() < round * 13 {
                    let value = if bits == 0 { 0 } else { (random() ^ random() << 20) >> (32 - bits) };
                    let times = if round % 3 == 0 { 1 } else { random() as usize % 20 };
                    values.extend(std::iter::repeat_n(value, times.max(1)));
                }
                let mut packed = Vec::new();
                pack(&values, bits, &mut packed);
                assert_eq!(unpack(&packed, bits, values.len()), values, "{bits} bits");
            }
        }
    }

    #[test]
    fn constants_take_no_room() {
        let mut out = Vec::new();
        pack(&[1u8; 8192], 1, &mut out);
        // The length of the run, and the value.
        assert_eq!(out.len(), 3 + 1);
        assert_eq!([width(0), width(1), width(2), width(255), width(256)], [0, 1, 2, 8, 9]);
    }
}
