//! BoringSSL and OpenSSL that were linked into a program whose symbols are gone: found by what their
//! code tells the error queue.
//!
//! - OpenSSL 3 and 4 name their file and the function (`ERR_set_debug(file, line, "SSL_read")`).
//! - BoringSSL names its file and a number that says what is wrong
//!   (`ERR_put_error(library, 0, reason, file, line)`). In `ssl_lib.cc` only `SSL_write` knows all of
//!   "uninitialized", "bad length" and "handshake failure", only the function behind `SSL_read` and
//!   `SSL_peek` the first and the last of them, and only its two callers refuse QUIC connections.
//!
//! Bounds of functions are those of the unwind tables.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::code::{self, Body};
use crate::elf::Elf;
use crate::elf::frames::Frames;
use crate::found::{Found, Function, Kind, TlsCode};
use crate::problem::{Part, Problem};
use crate::reader::Source;
use crate::references;
use crate::strings::Strings;

/// `ssl.h` and `err.h` of BoringSSL: SSL_R_UNINITIALIZED, SSL_R_BAD_LENGTH,
/// SSL_R_SSL_HANDSHAKE_FAILURE, ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED.
const UNINITIALIZED: u32 = 226;
const BAD_LENGTH: u32 = 111;
const HANDSHAKE_FAILURE: u32 = 215;
const NOT_FOR_QUIC: u32 = 66;

/// Functions that refer to the strings and are looked at.
const MOST: usize = 4096;
/// SSL_peek reports an error, calls the inside of SSL_read, and copies.
const PEEK_CALLS: usize = 3;
/// How many functions around another one are searched for its callers: they come from one file.
const AROUND: u64 = 64;

/// A function without a name.
struct Unnamed {
    range: Range<u64>,
    body: Body,
}

impl Unnamed {
    fn says(&self, reason: u32) -> bool {
        self.body.reasons.contains(&reason)
    }

    fn calls(&self, address: u64) -> bool {
        let tails = self.body.tails.iter().filter_map(|(_, to)| *to);
        self.body.calls.iter().map(|(_, to)| *to).chain(tails).any(|to| to == address)
    }
}

/// Looks for the functions; `None` when there is no sign of either library.
pub(crate) fn code(
    elf: &Elf,
    source: &mut Source<'_>,
    strings: &Strings,
    problems: &mut Vec<Problem>,
) -> Part<Option<TlsCode>> {
    let kind = match (strings.ssl_lib.is_empty(), strings.openssl.is_empty()) {
        (false, _) if strings.version(Kind::AwsLc).is_some() => Kind::AwsLc,
        (false, _) => Kind::BoringSsl,
        (true, false) => Kind::OpenSsl,
        (true, true) => return Ok(None),
    };
    let Some(mut frames) = Frames::open(elf, source)? else {
        problems.push(Problem::NotFound(kind, "there are no symbols and no unwind tables"));
        return Ok(None);
    };
    let named = if kind == Kind::OpenSsl {
        openssl(elf, source, strings, &mut frames)?
    } else {
        boring(elf, source, strings, &mut frames)?
    };
    let (functions, confidence) = match named {
        Ok(found) => found,
        Err(why) => {
            problems.push(Problem::NotFound(kind, why));
            return Ok(None);
        }
    };
    let mut points = Vec::new();
    for (function, range) in functions {
        let (point, problem) = code::point(elf, source, Some(&mut frames), function, range)?;
        problems.extend(problem);
        points.extend(point);
    }
    let version = strings.version(kind);
    let found = Found::StringReference;
    Ok(Some(TlsCode { kind, version, found, confidence, points, go: None, client_random: None }))
}

/// Functions with their ranges and how sure they are, or why there are none.
type Named = Result<(BTreeMap<Function, Range<u64>>, u8), &'static str>;

fn openssl(elf: &Elf, source: &mut Source<'_>, strings: &Strings, frames: &mut Frames) -> Part<Named> {
    let names = strings.functions.iter().map(|(address, _)| *address);
    let targets: HashSet<u64> = names.chain(strings.openssl.iter().copied()).collect();
    let mut ranges: BTreeMap<Function, Vec<Range<u64>>> = BTreeMap::new();
    let mut of_file: HashSet<u64> = HashSet::new();
    for (site, target) in references::find(elf, source, &targets)? {
        let Some((start, end)) = frames.function_of(elf, source, site)? else { continue };
        if strings.openssl.contains(&target) {
            of_file.insert(start);
        }
        for (_, function) in strings.functions.iter().filter(|(address, _)| *address == target) {
            let known = ranges.entry(*function).or_default();
            if !known.contains(&(start..end)) && known.len() < 8 {
                known.push(start..end);
            }
        }
    }
    // Bindings name the functions as well; the library names its file beside them.
    for ranges in ranges.values_mut() {
        ranges.retain(|range| of_file.contains(&range.start));
    }
    let mut functions = BTreeMap::new();
    for (function, ranges) in ranges {
        // An unlikely part may be apart from its function: it is only jumped to, and jumps back.
        let mut whole = Vec::new();
        for range in ranges {
            let range = whole_function(elf, source, frames, range)?;
            if !whole.contains(&range) {
                whole.push(range);
            }
        }
        if let [range] = &whole[..] {
            functions.insert(function, range.clone());
        }
    }
    let complete = functions.contains_key(&Function::SslRead) && functions.contains_key(&Function::SslWrite);
    Ok(if complete { Ok((functions, 95)) } else { Err("SSL_read and SSL_write were not told apart") })
}

/// The function to which a part without returns jumps back; itself for any other.
fn whole_function(
    elf: &Elf,
    source: &mut Source<'_>,
    frames: &mut Frames,
    part: Range<u64>,
) -> Part<Range<u64>> {
    let Ok(body) = code::body(elf, source, &part)? else { return Ok(part) };
    if !body.returns.is_empty() {
        return Ok(part);
    }
    for to in body.tails.iter().filter_map(|(_, to)| *to) {
        if let Some((start, end)) = frames.function_of(elf, source, to)?
            && start != to
            && !part.contains(&start)
        {
            return Ok(start..end);
        }
    }
    Ok(part)
}

fn boring(elf: &Elf, source: &mut Source<'_>, strings: &Strings, frames: &mut Frames) -> Part<Named> {
    let targets: HashSet<u64> = strings.ssl_lib.iter().copied().collect();
    let mut functions: BTreeMap<u64, Unnamed> = BTreeMap::new();
    for (site, _) in references::find(elf, source, &targets)? {
        let before = functions.range(..=site).next_back();
        if before.is_some_and(|(_, f)| f.range.contains(&site)) || functions.len() >= MOST {
            continue;
        }
        let Some((start, end)) = frames.function_of(elf, source, site)? else { continue };
        if let Ok(body) = code::body(elf, source, &(start..end))? {
            functions.insert(start, Unnamed { range: start..end, body });
        }
    }
    if functions.is_empty() {
        return Ok(Err("no code names ssl_lib.cc"));
    }
    let all = |f: &&Unnamed| f.says(UNINITIALIZED) && f.says(HANDSHAKE_FAILURE);
    let writes: Vec<_> = functions.values().filter(all).filter(|f| f.says(BAD_LENGTH)).collect();
    let reads: Vec<_> = functions.values().filter(all).filter(|f| !f.says(BAD_LENGTH)).collect();
    let ([write], [implementation]) = (&writes[..], &reads[..]) else {
        return Ok(Err("no function, or several, look like SSL_write and SSL_read"));
    };
    let mut named = BTreeMap::from([(Function::SslWrite, write.range.clone())]);
    let around = neighbours(elf, source, frames, implementation.range.start)?;
    let near = |address: u64| functions.values().chain(&around).filter(move |f| f.calls(address));
    let mut callers: Vec<_> =
        near(implementation.range.start).filter(|f| f.says(NOT_FOR_QUIC) && !f.says(BAD_LENGTH)).collect();
    callers.sort_by_key(|f| f.range.start);
    callers.dedup_by_key(|f| f.range.start);
    let mut confidence = 70;
    match &callers[..] {
        // SSL_read with SSL_peek in it removes what it gave, so it does more.
        [a, b] => {
            let (peek, read) = if a.body.calls.len() < b.body.calls.len() { (a, b) } else { (b, a) };
            if peek.body.calls.len() == read.body.calls.len() {
                return Ok(Err("SSL_read and SSL_peek look the same"));
            }
            named.insert(Function::SslRead, read.range.clone());
            named.insert(Function::SslPeek, peek.range.clone());
            confidence += 10;
        }
        // Either SSL_read calls SSL_peek, or nobody uses SSL_peek and the linker left it out.
        [caller] => {
            let mut reads: Vec<_> = near(caller.range.start).collect();
            reads.sort_by_key(|f| f.range.start);
            reads.dedup_by_key(|f| f.range.start);
            match &reads[..] {
                [read] => {
                    named.insert(Function::SslRead, read.range.clone());
                    named.insert(Function::SslPeek, caller.range.clone());
                }
                [] if caller.body.calls.len() > PEEK_CALLS => {
                    named.insert(Function::SslRead, caller.range.clone());
                }
                _ => return Ok(Err("what calls the inside of SSL_read is not like SSL_read")),
            }
        }
        _ => return Ok(Err("no function calls what looks like the inside of SSL_read")),
    }
    // What both call and what names the file too is the handshake.
    let shared: Vec<_> = functions
        .values()
        .filter(|f| write.calls(f.range.start) && implementation.calls(f.range.start))
        .collect();
    if let [handshake] = &shared[..] {
        named.insert(Function::SslDoHandshake, handshake.range.clone());
        confidence += 15;
    }
    Ok(Ok((named, confidence)))
}

/// The functions around an address.
fn neighbours(elf: &Elf, source: &mut Source<'_>, frames: &mut Frames, address: u64) -> Part<Vec<Unnamed>> {
    let mut found = Vec::new();
    for (start, end) in frames.around(elf, source, address, AROUND)? {
        if let Ok(body) = code::body(elf, source, &(start..end))? {
            found.push(Unnamed { range: start..end, body });
        }
    }
    Ok(found)
}
