//! Where functions return.
//!
//! A probe replaces an instruction, so a position that is none would damage the program: the whole
//! function is decoded, and if anything in it contradicts itself none of its positions is given.

mod arm64;
mod x86;

use std::ops::Range;

use crate::elf::Elf;
use crate::elf::frames::Frames;
use crate::found::{Function, Machine, Member, Point, Tail};
use crate::problem::{CodeFault, Part, Problem, Stop};
use crate::reader::Source;

/// What a function's code says, with addresses as positions.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) returns: Vec<u64>,
    /// Jumps out of the function, with their targets where they are in the instruction.
    pub(crate) tails: Vec<(u64, Option<u64>)>,
    /// Direct calls and what they call.
    pub(crate) calls: Vec<(u64, u64)>,
    /// Numbers that are put into the register of the third argument, each once.
    pub(crate) reasons: Vec<u32>,
}

impl Body {
    /// Notes a number for a third argument.
    fn reason(&mut self, number: u32) {
        if self.reasons.len() < REASONS && !self.reasons.contains(&number) {
            self.reasons.push(number);
        }
    }
}

/// Numbers kept of one function.
const REASONS: usize = 64;

/// The outcome of decoding.
pub(crate) type Decoded = Result<Body, CodeFault>;

/// Decodes the function at the range of addresses.
pub(crate) fn body(elf: &Elf, source: &mut Source<'_>, range: &Range<u64>) -> Part<Decoded> {
    let bytes = match bytes(elf, source, range)? {
        Ok(bytes) => bytes,
        Err(fault) => return Ok(Err(fault)),
    };
    let body = match elf.machine {
        Machine::X86_64 => x86::body(source, &bytes, range.start)?,
        Machine::Aarch64 => arm64::body(source, &bytes, range.start)?,
    };
    let most = source.limits.returns;
    Ok(body.and_then(|body| {
        if body.returns.len() > most || body.tails.len() > most {
            return Err(CodeFault::TooManyReturns);
        }
        Ok(body)
    }))
}

/// The member whose address the function takes first, of the structure that its first argument points
/// to: functions that copy a member begin so.
pub(crate) fn member(elf: &Elf, source: &mut Source<'_>, range: &Range<u64>) -> Part<Option<Member>> {
    let Ok(bytes) = bytes(elf, source, range)? else { return Ok(None) };
    Ok(match elf.machine {
        Machine::X86_64 => x86::member(source, &bytes)?,
        Machine::Aarch64 => arm64::member(source, &bytes)?,
    })
}

/// The bytes of a function.
fn bytes(elf: &Elf, source: &mut Source<'_>, range: &Range<u64>) -> Part<Result<Vec<u8>, CodeFault>> {
    let len = range.end.saturating_sub(range.start);
    if len == 0 {
        return Ok(Err(CodeFault::NoEnd));
    }
    if len > source.limits.function_bytes {
        return Ok(Err(CodeFault::TooLong));
    }
    let Some(segment) = elf.segment_of(range.start).filter(|s| s.is_code()) else {
        return Ok(Err(CodeFault::NotCode));
    };
    let at = segment.offset.saturating_add(range.start - segment.address);
    if at.saturating_add(len) > segment.file().end {
        return Ok(Err(CodeFault::NotCode));
    }
    let most = usize::try_from(source.limits.function_bytes).unwrap_or(usize::MAX);
    Ok(Ok(source.bytes(at, len, most, "code")?))
}

/// The point of a function, in file offsets, and what is not known of it.
///
/// `None` when the entry is no code at all.
pub(crate) fn point(
    elf: &Elf,
    source: &mut Source<'_>,
    frames: Option<&mut Frames>,
    function: Function,
    range: Range<u64>,
) -> Part<(Option<Point>, Option<Problem>)> {
    let address = range.start;
    let fault = |entry, reason| Some(Problem::Code { function, entry, reason });
    let Some(entry) = elf.segment_of(address).filter(|s| s.is_code()).and_then(|_| elf.offset_of(address))
    else {
        return Ok((None, fault(0, CodeFault::NotCode)));
    };
    let len = range.end.saturating_sub(address);
    let (into, pushed) = begin(elf, source, &range)?;
    let mut point =
        Point { function, entry, probe: entry + into, pushed, len, returns: Vec::new(), tails: Vec::new() };
    match body(elf, source, &range)? {
        Err(reason) => Ok((Some(point), fault(entry, reason))),
        Ok(mut body) => {
            if let Some(frames) = frames {
                drop_dead_ends(elf, source, frames, &range, &mut body)?;
            }
            let offset = |address: u64| entry + (address - range.start);
            point.returns = body.returns.iter().map(|at| offset(*at)).collect();
            let tails = body.tails.iter();
            let tail = |(at, to): &(u64, Option<u64>)| Tail {
                at: offset(*at),
                to: to.and_then(|to| elf.segment_of(to)?.is_code().then(|| elf.offset_of(to))?),
            };
            point.tails = tails.map(tail).collect();
            let none = point.returns.is_empty() && point.tails.is_empty();
            let problem = if none { fault(entry, CodeFault::NoReturn) } else { None };
            Ok((Some(point), problem))
        }
    }
}

/// How far into a function an entry's probe goes, and what was pushed before.
fn begin(elf: &Elf, source: &mut Source<'_>, range: &Range<u64>) -> Part<(u64, u32)> {
    let bytes = match bytes(elf, source, range)? {
        Ok(bytes) if elf.machine == Machine::X86_64 => bytes,
        _ => return Ok((0, 0)),
    };
    Ok(x86::begin(&bytes))
}

/// Tails that are followed.
const FOLLOWED: usize = 8;

/// Forgets the jumps to where no end is: compilers put what is unlikely apart from its function, and
/// it jumps back or ends the program.
fn drop_dead_ends(
    elf: &Elf,
    source: &mut Source<'_>,
    frames: &mut Frames,
    range: &Range<u64>,
    body: &mut Body,
) -> Part<()> {
    if body.tails.len() > FOLLOWED {
        return Ok(());
    }
    let mut kept = Vec::new();
    for (at, to) in std::mem::take(&mut body.tails) {
        let target = match to {
            Some(to) => frames.function_of(elf, source, to)?,
            None => None,
        };
        let dead = match target {
            Some((start, end)) => match self::body(elf, source, &(start..end))? {
                Ok(part) => {
                    let back =
                        |to: &Option<u64>| to.is_some_and(|to| to != range.start && range.contains(&to));
                    part.returns.is_empty() && part.tails.iter().all(|(_, to)| back(to))
                }
                Err(_) => false,
            },
            None => false,
        };
        if !dead {
            kept.push((at, to));
        }
    }
    body.tails = kept;
    Ok(())
}

/// Ends decoding when the limit of instructions is met.
fn counted(source: &mut Source<'_>) -> Result<(), Stop> {
    source.count_instruction()
}
