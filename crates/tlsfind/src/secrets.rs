//! Where secrets for key logs pass: the function that libraries call with a label and a secret, whether
//! anybody has asked for a key log or not.
//!
//! Libraries do not export it. It is found as the one function that code calls right after it has taken
//! the address of a label, for several labels. The client's random, which a line of a key log begins
//! with, lies in the connection's structure; where, an exported function tells that copies it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::Report;
use crate::code;
use crate::elf::Elf;
use crate::elf::frames::Frames;
use crate::found::{Function, Kind, Role, TlsCode};
use crate::problem::Part;
use crate::reader::Source;
use crate::references;
use crate::strings::Strings;

/// A call is made with a label when it is this close behind the label's address.
const NEAR: u64 = 64;
/// Labels that must agree.
const AGREE: usize = 2;

/// Adds to the code of each library where its secrets pass, and where the random lies.
pub(crate) fn add(elf: &Elf, source: &mut Source<'_>, strings: &Strings, report: &mut Report) -> Part<()> {
    for code in &mut report.codes {
        let Some(layout) = code.points.iter().find(|p| p.function.role() == Role::Layout) else { continue };
        let Some(start) = elf.address_of(layout.entry) else { continue };
        code.client_random = code::member(elf, source, &(start..start.saturating_add(layout.len)))?;
        code.points.retain(|p| p.function.role() != Role::Layout);
    }
    for code in &mut report.codes {
        let function = match code.kind {
            Kind::OpenSsl | Kind::BoringSsl | Kind::AwsLc | Kind::LibreSsl => Function::SslLogSecret,
            Kind::GnuTls => Function::GnutlsKeylog,
            _ => continue,
        };
        if code.client_random.is_some() && code.point(function).is_none() {
            by_labels(elf, source, strings, function, code)?;
        }
    }
    Ok(())
}

fn by_labels(
    elf: &Elf,
    source: &mut Source<'_>,
    strings: &Strings,
    function: Function,
    code: &mut TlsCode,
) -> Part<()> {
    let targets: HashSet<u64> = strings.labels.iter().map(|(address, _)| *address).collect();
    if targets.is_empty() {
        return Ok(());
    }
    let Some(mut frames) = Frames::open(elf, source)? else { return Ok(()) };
    let mut called: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    for (site, target) in references::find(elf, source, &targets)? {
        let Some((start, end)) = frames.function_of(elf, source, site)? else { continue };
        let Ok(body) = code::body(elf, source, &(start..end))? else { continue };
        let behind = |at: &u64| (site..site.saturating_add(NEAR)).contains(at);
        let next = body.calls.iter().filter(|(at, _)| behind(at)).min_by_key(|(at, _)| *at);
        let Some((_, callee)) = next else { continue };
        let labels = strings.labels.iter().filter(|(address, _)| *address == target);
        called.entry(*callee).or_default().extend(labels.map(|(_, number)| *number));
    }
    let most = called.values().map(BTreeSet::len).max().unwrap_or_default();
    let mut best = called.iter().filter(|(_, labels)| labels.len() == most);
    let (Some((callee, _)), None) = (best.next(), best.next()) else { return Ok(()) };
    if most < AGREE {
        return Ok(());
    }
    let Some((start, end)) = frames.function_of(elf, source, *callee)?.filter(|(start, _)| start == callee)
    else {
        return Ok(());
    };
    let (point, _) = code::point(elf, source, Some(&mut frames), function, start..end)?;
    code.points.extend(point);
    Ok(())
}
