//! Where functions return.
//!
//! A probe replaces an instruction, so a position that is none would damage the program: the whole
//! function is decoded, and if anything in it contradicts itself none of its positions is given.

mod arm64;
mod x86;

use std::ops::Range;

use crate::elf::Elf;
use crate::found::{Function, Machine, Point, Tail};
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
}

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
    let mut point = Point { function, entry, len, returns: Vec::new(), tails: Vec::new() };
    match body(elf, source, &range)? {
        Err(reason) => Ok((Some(point), fault(entry, reason))),
        Ok(body) => {
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

/// Ends decoding when the limit of instructions is met.
fn counted(source: &mut Source<'_>) -> Result<(), Stop> {
    source.count_instruction()
}
