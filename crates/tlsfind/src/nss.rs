//! The inside of NSS: its `libssl3` exports no function that reads or writes. It is a layer of NSPR,
//! and NSPR's own `PR_Read` and `PR_Write` carry every file of the program.
//!
//! What it does with a connection stands in a table of pointers, `sslSocketOps` (lib/ssl/sslimpl.h of
//! NSS): connect, accept, bind, listen, shutdown, close, recv, send, read, write, getpeername and
//! getsockname, of which accept is missing. There is one for TLS and one for connections without; only
//! TLS's `read` and `write` do nothing but call `recv` and `send`.

use crate::code::{self, Body};
use crate::elf::Elf;
use crate::elf::frames::Frames;
use crate::elf::relocations;
use crate::found::{Found, Function, Kind, TlsCode};
use crate::problem::{Part, Problem};
use crate::reader::Source;

const POINTERS: usize = 12;
/// Which of the pointers: the missing one, and those that are used.
const ACCEPT: usize = 1;
const CLOSE: usize = 5;
const RECV: usize = 6;
const SEND: usize = 7;
const READ: usize = 8;
const WRITE: usize = 9;

/// Adds the functions of the layer to the code of NSS.
pub(crate) fn add(
    elf: &Elf,
    source: &mut Source<'_>,
    code: &mut TlsCode,
    problems: &mut Vec<Problem>,
) -> Part<()> {
    let Some(mut frames) = Frames::open(elf, source)? else {
        problems.push(Problem::NotFound(Kind::Nss, "there are no unwind tables"));
        return Ok(());
    };
    let mut of_tls = Vec::new();
    for table in tables(elf, source)? {
        let calls = |body: &Body, to: u64| {
            let tails = body.tails.iter().filter_map(|(_, to)| *to);
            body.calls.iter().map(|(_, to)| *to).chain(tails).any(|called| called == to)
        };
        let mut good = true;
        for (caller, called) in [(READ, RECV), (WRITE, SEND)] {
            let body = body(elf, source, &mut frames, table[caller])?;
            good &= body.is_some_and(|body| calls(&body, table[called]));
        }
        if good {
            of_tls.push(table);
        }
    }
    let [table] = &of_tls[..] else {
        problems.push(Problem::NotFound(Kind::Nss, "the table of its functions was not found"));
        return Ok(());
    };
    for (number, function) in
        [(RECV, Function::NssSecureRecv), (SEND, Function::NssSecureSend), (CLOSE, Function::NssSecureClose)]
    {
        let Some((start, end)) = frames.function_of(elf, source, table[number])? else { continue };
        let (point, problem) = code::point(elf, source, Some(&mut frames), function, start..end)?;
        problems.extend(problem);
        code.points.extend(point);
    }
    code.points.sort_by_key(|p| p.function);
    (code.found, code.confidence) = (Found::StringReference, 95);
    Ok(())
}

/// The code of the function that begins at the address.
fn body(elf: &Elf, source: &mut Source<'_>, frames: &mut Frames, address: u64) -> Part<Option<Body>> {
    match frames.function_of(elf, source, address)? {
        Some((start, end)) if start == address => Ok(code::body(elf, source, &(start..end))?.ok()),
        _ => Ok(None),
    }
}

/// Every table with pointers to code where they have to be.
fn tables(elf: &Elf, source: &mut Source<'_>) -> Part<Vec<[u64; POINTERS]>> {
    let is_code = |address| elf.segment_of(address).is_some_and(crate::elf::Segment::is_code);
    let mut pointers = relocations::pointers_to(elf, source, is_code, MOST)?;
    pointers.sort_unstable();
    let to = |place: u64| {
        let at = pointers.binary_search_by_key(&place, |(place, _)| *place).ok();
        at.map(|at| pointers[at].1)
    };
    let mut found = Vec::new();
    for (place, _) in &pointers {
        let mut table = [0; POINTERS];
        let whole = (0..POINTERS).all(|i| match to(place.wrapping_add(8 * i as u64)) {
            Some(address) => {
                table[i] = address;
                i != ACCEPT
            }
            None => i == ACCEPT,
        });
        if whole && found.len() < TABLES {
            found.push(table);
        }
    }
    Ok(found)
}

/// Pointers to code that are looked at, and tables.
const MOST: usize = 1 << 16;
const TABLES: usize = 16;
