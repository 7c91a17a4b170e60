//! arm64: every instruction is one word. Encodings are from the Arm Architecture Reference Manual
//! (DDI 0487), C4.1.

use super::{Body, Decoded, counted};
use crate::found::Member;
use crate::problem::{CodeFault, Part};
use crate::reader::{Source, le32};

/// Decodes a whole function.
pub(super) fn body(source: &mut Source<'_>, bytes: &[u8], start: u64) -> Part<Decoded> {
    if !start.is_multiple_of(4) {
        return Ok(Err(CodeFault::Misaligned));
    }
    let end = start.saturating_add(bytes.len() as u64);
    let mut body = Body::default();
    let mut before = [0_u32; 4];
    for (i, word) in bytes.chunks_exact(4).enumerate() {
        counted(source)?;
        let (word, at) = (le32(word, 0), start + 4 * i as u64);
        match kind(word, at) {
            Flow::Return => body.returns.push(at),
            Flow::Jump(to) if !(start..end).contains(&to) => body.tails.push((at, Some(to))),
            Flow::Indirect(register) if !is_table(&before, register) => body.tails.push((at, None)),
            Flow::Call(to) => body.calls.push((at, to)),
            // MOVZ W2, #imm16
            Flow::Other if word & 0xffe0_001f == 0x5280_0002 => body.reason(word >> 5 & 0xffff),
            _ => {}
        }
        before.rotate_left(1);
        before[3] = word;
    }
    Ok(Ok(body))
}

/// See [`super::member`].
pub(super) fn member(source: &mut Source<'_>, bytes: &[u8]) -> Part<Option<Member>> {
    // What each register holds: the argument, or what it has a pointer to at an offset.
    let mut holds: [Option<Option<u32>>; 32] = [None; 32];
    holds[0] = Some(None);
    for word in bytes.chunks_exact(4) {
        counted(source)?;
        let word = le32(word, 0);
        let (to, from, number) = ((word & 31) as usize, (word >> 5 & 31) as usize, word >> 10 & 0xfff);
        match word {
            // ADD Xd, Xn, #imm12
            w if w & 0xffc0_0000 == 0x9100_0000 => {
                if let Some(through) = holds[from].filter(|_| number != 0) {
                    return Ok(Some(Member { through, offset: number }));
                }
                holds[to] = holds[from];
            }
            // LDR Xt, [Xn, #imm12 * 8]
            w if w & 0xffc0_0000 == 0xf940_0000 => {
                holds[to] = (holds[from] == Some(None)).then_some(Some(number * 8));
            }
            // MOV Xd, Xm
            w if w & 0xffe0_ffe0 == 0xaa00_03e0 => holds[to] = holds[(word >> 16 & 31) as usize],
            w if w & 0xffff_fc1f == 0xd65f_0000 => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

enum Flow {
    Return,
    Jump(u64),
    Indirect(u32),
    Call(u64),
    Other,
}

fn kind(word: u32, at: u64) -> Flow {
    let relative = |bits: u32, shift: u32| {
        let value = (word >> shift) << (32 - bits);
        let words = i64::from(value.cast_signed() >> (32 - bits));
        at.wrapping_add_signed(words * 4)
    };
    match word {
        // RETAA, RETAB
        0xd65f_0bff | 0xd65f_0fff => Flow::Return,
        // RET Xn
        w if w & 0xffff_fc1f == 0xd65f_0000 => Flow::Return,
        // BR Xn, BRAA(Z), BRAB(Z)
        w if w & 0xffff_fc1f == 0xd61f_0000 => Flow::Indirect(w >> 5 & 31),
        w if w & 0xfeff_f800 == 0xd61f_0800 => Flow::Indirect(w >> 5 & 31),
        // B, BL
        w if w & 0xfc00_0000 == 0x1400_0000 => Flow::Jump(relative(26, 0)),
        w if w & 0xfc00_0000 == 0x9400_0000 => Flow::Call(relative(26, 0)),
        // B.cond, BC.cond
        w if w & 0xff00_0000 == 0x5400_0000 => Flow::Jump(relative(19, 5)),
        // CBZ, CBNZ
        w if w & 0x7e00_0000 == 0x3400_0000 => Flow::Jump(relative(19, 5)),
        // TBZ, TBNZ
        w if w & 0x7e00_0000 == 0x3600_0000 => Flow::Jump(relative(14, 5)),
        _ => Flow::Other,
    }
}

/// Whether one of the words before computed the register as `table + offset`: ADD (extended or
/// shifted register).
fn is_table(before: &[u32; 4], register: u32) -> bool {
    before.iter().any(|word| {
        let adds = word & 0xffe0_0000 == 0x8b20_0000 || word & 0xff20_0000 == 0x8b00_0000;
        adds && word & 31 == register
    })
}

#[cfg(test)]
mod tests {
    use super::body;
    use crate::limits::Limits;
    use crate::reader::Source;

    fn of(words: &[u32]) -> super::Body {
        let limits = Limits::default();
        let file: Vec<u8> = Vec::new();
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        body(&mut Source::new(&file, &limits), &bytes, 0x1000).unwrap().unwrap()
    }

    #[test]
    fn every_return_and_tail_is_found() {
        // cbz x0, +8; ret; b +0x1000; autiasp-ret forms
        let body = of(&[0xb400_0040, 0xd65f_03c0, 0x1400_0400, 0xd65f_0bff, 0xd65f_0fff]);
        assert_eq!(body.returns, [0x1004, 0x100c, 0x1010]);
        assert_eq!(body.tails, [(0x1008, Some(0x2008))]);
    }

    #[test]
    fn tables_are_told_from_calls_through_pointers() {
        // add x1, x2, w1, sxtw #2; br x1
        assert!(of(&[0x8b21_c841, 0xd61f_0020]).tails.is_empty());
        // ldr x1, [x0]; br x1
        assert_eq!(of(&[0xf940_0001, 0xd61f_0020]).tails, [(0x1004, None)]);
        // bl -4
        assert_eq!(of(&[0x97ff_ffff]).calls, [(0x1000, 0xffc)]);
    }
}
