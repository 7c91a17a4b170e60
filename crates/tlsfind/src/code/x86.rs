//! x86-64.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::{Body, Decoded, counted};
use crate::found::Member;
use crate::problem::{CodeFault, Part};
use crate::reader::Source;

/// Decodes a whole function, one instruction after the other.
pub(super) fn body(source: &mut Source<'_>, bytes: &[u8], start: u64) -> Part<Decoded> {
    let end = start.saturating_add(bytes.len() as u64);
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut body = Body::default();
    let mut starts = vec![false; bytes.len()];
    let mut targets = Vec::new();
    let mut before = Before::default();
    while decoder.can_decode() {
        counted(source)?;
        decoder.decode_out(&mut instruction);
        let at = instruction.ip();
        if instruction.is_invalid() {
            // Linkers fill the space behind a function with zeros or int3; anything else is a fault.
            let rest = usize::try_from(at - start).ok().and_then(|at| bytes.get(at..));
            if rest.is_some_and(|rest| rest.iter().all(|b| *b == 0)) {
                break;
            }
            return Ok(Err(CodeFault::Undecodable));
        }
        if let Some(slot) = usize::try_from(at - start).ok().and_then(|at| starts.get_mut(at)) {
            *slot = true;
        }
        match flow(&instruction) {
            Flow::Return => body.returns.push(at),
            Flow::Jump(to) if (start..end).contains(&to) => targets.push(to),
            Flow::Jump(to) => body.tails.push((at, Some(to))),
            Flow::Indirect if !before.is_table(&instruction) => body.tails.push((at, None)),
            Flow::Call(to) => body.calls.push((at, to)),
            Flow::Indirect | Flow::Other => {
                if instruction.code() == Code::Mov_r32_imm32 && instruction.op0_register() == Register::EDX {
                    body.reason(instruction.immediate32());
                }
            }
        }
        before.note(&instruction);
    }
    let is_start = |to: &u64| {
        let at = usize::try_from(to - start).ok();
        at.and_then(|at| starts.get(at)).copied().unwrap_or(false)
    };
    if !targets.iter().all(is_start) {
        return Ok(Err(CodeFault::Misaligned));
    }
    Ok(Ok(body))
}

/// See [`super::member`]. Registers hold the argument, or what it has a pointer to.
pub(super) fn member(source: &mut Source<'_>, bytes: &[u8]) -> Part<Option<Member>> {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let mut holds: Vec<(Register, Option<u32>)> = vec![(Register::RDI, None)];
    while decoder.can_decode() {
        counted(source)?;
        let i = decoder.decode();
        let of = |register| holds.iter().find(|(r, _)| *r == register).map(|(_, through)| *through);
        let plain = i.memory_index() == Register::None;
        let displacement = u32::try_from(i.memory_displacement64()).ok();
        let target = i.op0_register();
        let held = match i.code() {
            Code::Retnq => return Ok(None),
            Code::Lea_r64_m if plain => {
                if let (Some(through), Some(offset)) = (of(i.memory_base()), displacement) {
                    return Ok(Some(Member { through, offset }));
                }
                None
            }
            Code::Mov_r64_rm64 if i.op1_kind() == OpKind::Register => of(i.op1_register()),
            Code::Mov_r64_rm64 if plain && of(i.memory_base()) == Some(None) => displacement.map(Some),
            _ if matches!(i.mnemonic(), Mnemonic::Test | Mnemonic::Cmp) => continue,
            _ => None,
        };
        holds.retain(|(register, _)| *register != target);
        holds.extend(held.map(|through| (target, through)));
    }
    Ok(None)
}

enum Flow {
    Return,
    /// Conditional or not.
    Jump(u64),
    Indirect,
    Call(u64),
    Other,
}

fn flow(i: &Instruction) -> Flow {
    let direct = i.op0_kind() == OpKind::NearBranch64;
    match (i.code(), i.mnemonic()) {
        (Code::Retnq | Code::Retnq_imm16, _) => Flow::Return,
        (_, Mnemonic::Call) if direct => Flow::Call(i.near_branch64()),
        (_, Mnemonic::Jmp) if !direct => Flow::Indirect,
        _ if direct => Flow::Jump(i.near_branch64()),
        _ => Flow::Other,
    }
}

/// What was computed just before an indirect jump: tables are read with an index, and the compiler
/// adds the table's address to what it read.
#[derive(Default)]
struct Before {
    /// The register that the last addition, or the last load with an index, wrote.
    computed: [Register; 4],
    next: usize,
}

impl Before {
    fn note(&mut self, i: &Instruction) {
        let indexed_load = i.op1_kind() == OpKind::Memory && i.memory_index() != Register::None;
        let writes = match i.mnemonic() {
            Mnemonic::Add | Mnemonic::Lea => i.op0_kind() == OpKind::Register,
            Mnemonic::Mov | Mnemonic::Movsxd | Mnemonic::Movzx => {
                i.op0_kind() == OpKind::Register && indexed_load
            }
            _ => false,
        };
        if writes {
            self.computed[self.next % 4] = i.op0_register();
            self.next += 1;
        }
    }

    /// Whether the jump goes through a table of this function's own. (With `notrack`, which compilers
    /// write for tables only, it does.)
    fn is_table(&self, jump: &Instruction) -> bool {
        match jump.op0_kind() {
            OpKind::Memory => jump.memory_index() != Register::None,
            OpKind::Register => {
                jump.segment_prefix() == Register::DS || self.computed.contains(&jump.op0_register())
            }
            _ => false,
        }
    }
}

/// Prefixes of segments, with which assemblers pad instructions in the way of branches
/// (`-mbranches-within-32B-boundaries`). Linux puts no probe on an instruction that has one
/// (arch/x86/kernel/uprobes.c, `is_prefix_bad`).
const SEGMENTS: [u8; 4] = [0x26, 0x2e, 0x36, 0x3e];
/// Pushes with such prefixes that are stepped over, of the six registers that functions save.
const PUSHES: u32 = 6;

/// The first instruction that a probe can be put on, where only pushes come before it; and their bytes on the
/// stack. Both are 0 where the first instruction is as good as any.
pub(super) fn begin(code: &[u8]) -> (u64, u32) {
    let mut at = 0;
    for pushed in 0..=PUSHES {
        let rest = code.get(at..).unwrap_or_default();
        let prefixes = rest.iter().take_while(|byte| SEGMENTS.contains(byte)).count();
        if prefixes == 0 {
            return (at as u64, 8 * pushed);
        }
        let rex = usize::from(rest.get(prefixes).is_some_and(|byte| byte & 0xf0 == 0x40));
        if !rest.get(prefixes + rex).is_some_and(|byte| matches!(byte, 0x50..=0x57)) {
            return (0, 0);
        }
        at += prefixes + rex + 1;
    }
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::body;
    use crate::found::Member;
    use crate::limits::Limits;
    use crate::problem::CodeFault;
    use crate::reader::Source;

    fn of(bytes: &[u8]) -> super::Decoded {
        let limits = Limits::default();
        let file: Vec<u8> = Vec::new();
        body(&mut Source::new(&file, &limits), bytes, 0x1000).unwrap()
    }

    #[test]
    fn returns_and_tails_are_found() {
        // test edi,edi; js +1; ret; jmp 0x2000
        let body = of(&[0x85, 0xff, 0x78, 1, 0xc3, 0xe9, 0xf6, 0x0f, 0, 0]).unwrap();
        assert_eq!(body.returns, [0x1004]);
        assert_eq!(body.tails, [(0x1005, Some(0x2000))]);
    }

    #[test]
    fn a_return_byte_inside_another_instruction_is_none() {
        // mov eax, 0xc3c3c3c3; ret; int3; int3
        let body = of(&[0xb8, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0xcc, 0xcc]).unwrap();
        assert_eq!(body.returns, [0x1005]);
    }

    #[test]
    fn a_jump_between_instructions_makes_the_function_unusable() {
        // jmp into the mov's immediate
        assert_eq!(of(&[0xeb, 1, 0xb8, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3]).unwrap_err(), CodeFault::Misaligned);
        assert_eq!(of(&[0x06, 0xc3]).unwrap_err(), CodeFault::Undecodable);
    }

    #[test]
    fn padded_pushes_are_stepped_over() {
        // cs cs cs cs push r12; cs cs cs cs cs push rbx; sub rsp,8
        let padded = [0x2e, 0x2e, 0x2e, 0x2e, 0x41, 0x54, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x53, 0x48, 0x83];
        assert_eq!(super::begin(&padded), (12, 16));
        assert_eq!(super::begin(&padded[6..]), (6, 8));
        assert_eq!(super::begin(&padded[12..]), (0, 0));
        // push rbx; a padded mov; a function that ends behind its pushes
        assert_eq!(super::begin(&[0x53, 0x2e, 0x53]), (0, 0));
        assert_eq!(super::begin(&[0x2e, 0x53, 0x2e, 0x48, 0x89, 0xf1]), (0, 0));
        assert_eq!(super::begin(&[0x2e]), (0, 0));
        assert_eq!(super::begin(&[[0x2e, 0x53]; 20].concat()), (0, 0), "too many");
    }

    #[test]
    fn members_are_found() {
        let of = |bytes: &[u8]| {
            let (limits, file) = (Limits::default(), Vec::new());
            super::member(&mut Source::new(&file, &limits), bytes).unwrap()
        };
        // mov rcx,rsi; test rdx,rdx; lea rsi,[rdi+0x160]; ret
        let direct = of(&[0x48, 0x89, 0xf1, 0x48, 0x85, 0xd2, 0x48, 0x8d, 0xb7, 0x60, 1, 0, 0, 0xc3]);
        assert_eq!(direct, Some(Member { through: None, offset: 0x160 }));
        // mov rax,[rdi+0xa8]; lea rsi,[rax+0xb8]; ret
        let through = of(&[0x48, 0x8b, 0x87, 0xa8, 0, 0, 0, 0x48, 0x8d, 0xb0, 0xb8, 0, 0, 0, 0xc3]);
        assert_eq!(through, Some(Member { through: Some(0xa8), offset: 0xb8 }));
        // xor edi,edi would not be seen; mov rdi,rsi is: lea rax,[rdi+8]; ret
        assert_eq!(of(&[0x48, 0x89, 0xf7, 0x48, 0x8d, 0x47, 8, 0xc3]), None);
        assert_eq!(of(&[0xc3]), None);
    }

    #[test]
    fn tables_are_told_from_calls_through_pointers() {
        // movslq (%rdx,%rax,4),%rax; add %rdx,%rax; notrack jmp *%rax
        let table = of(&[0x48, 0x63, 0x04, 0x82, 0x48, 0x01, 0xd0, 0x3e, 0xff, 0xe0]).unwrap();
        assert!(table.tails.is_empty());
        // mov (%rdi),%rax; jmp *0x10(%rax)
        let method = of(&[0x48, 0x8b, 0x07, 0xff, 0x60, 0x10]).unwrap();
        assert_eq!(method.tails, [(0x1003, None)]);
    }
}
