//! A file with TLS code, and the probes on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use remora_tlsfind::go::Abi;
use remora_tlsfind::{self as tlsfind, Found, Function, Kind, Point, Role, TlsCode};

use super::points::{is_used, programs, trial_programs};
use super::processes::FileKey;
use super::verdict::{Accused, Verdicts};
use crate::kernel::{ProbeError, ProbeProgram, ProbeWay, Probes, TlsProbes};

/// The first wait after a probe that could not be attached; it doubles up to [`LONGEST`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// What is known of a file.
#[derive(Debug)]
pub(super) struct Library {
    /// A path by which it was found first.
    pub(super) path: String,
    pub(super) codes: Vec<TlsCode>,
    /// TLS code that cannot be read, and why.
    pub(super) refusals: Vec<String>,
    /// Where the dynamic linker tells of what it maps, when the file is one.
    linker: Option<u64>,
    /// Guesses that were wrong, and what was wrong.
    refused: Vec<(Kind, String)>,
    hooks: Hooks,
    failures: u32,
    retry_at: Option<Instant>,
    error: Option<String>,
}

/// Probes in the order in which they must go: entries before returns, so that no call is left open.
#[derive(Debug, Default)]
struct Hooks {
    entries: Vec<Probes>,
    ends: Vec<Probes>,
}

/// Offsets by what is attached there.
#[derive(Debug, Default)]
struct Places {
    entries: BTreeMap<ProbeWay, BTreeSet<u64>>,
    ends: BTreeMap<ProbeWay, BTreeSet<u64>>,
}

/// A file that cannot be read any more once nobody waits for what is in it: large programs take seconds.
struct Halting<'a> {
    file: File,
    halt: &'a AtomicBool,
}

impl tlsfind::ReadAt for Halting<'_> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        if self.halt.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("Remora is stopping"));
        }
        tlsfind::ReadAt::read_at(&self.file, buf, offset)
    }
}

impl Library {
    /// Looks into the first of `ways` that leads to the file. `None`: none does. It ends soon once `halt`
    /// is set, and then finds less.
    pub(super) fn inspect(path: &str, ways: &[PathBuf], halt: &AtomicBool) -> Option<Self> {
        let file = Halting { file: ways.iter().find_map(|way| File::open(way).ok())?, halt };
        let limits = tlsfind::Limits::default();
        let report = tlsfind::inspect(&file, &limits);
        let is_linker = Path::new(path).file_name().and_then(|name| name.to_str()).is_some_and(|name| {
            name.starts_with("ld-linux") || name.starts_with("ld-musl") || name.starts_with("ld-2.")
        });
        let linker = is_linker.then(|| tlsfind::function_at(&file, &limits, b"_dl_debug_state")).flatten();
        // NSPR carries files of all kinds; its TLS is that of NSS, which is read there.
        let mut codes: Vec<_> = report.codes.into_iter().filter(|code| code.kind != Kind::Nspr).collect();
        // No symbol of it shows that.
        if Path::new(path).file_name().is_some_and(|name| name == "libjvm.so") {
            codes.push(java());
        }
        let told = |kind: Kind| codes.iter().any(|code| code.kind == kind);
        let is_refusal = |p: &&tlsfind::Problem| match p {
            tlsfind::Problem::NotFound(kind, _) => !told(*kind),
            p => matches!(p, tlsfind::Problem::UnknownTls(_)),
        };
        let refusals = report.problems.iter().filter(is_refusal).map(ToString::to_string).collect();
        Some(Self {
            path: path.to_owned(),
            codes,
            refusals,
            refused: Vec::new(),
            linker,
            hooks: Hooks::default(),
            failures: 0,
            retry_at: None,
            error: None,
        })
    }

    /// Something in it can be probed.
    pub(super) fn is_of_use(&self) -> bool {
        self.linker.is_some() || self.codes.iter().any(|code| self.is_read(code))
    }

    /// Whether the plaintext of one of its codes is read.
    pub(super) fn is_read(&self, code: &TlsCode) -> bool {
        self.not_read(code).is_none()
    }

    /// Why it is not, in words.
    pub(super) fn not_read(&self, code: &TlsCode) -> Option<String> {
        let wrong = self.refused.iter().find(|(kind, _)| *kind == code.kind);
        wrong
            .map(|(_, why)| format!("the trial of its functions has failed: {why}"))
            .or_else(|| not_read(code))
    }

    fn trials(&self) -> impl Iterator<Item = &TlsCode> {
        self.codes.iter().filter(|code| is_on_trial(code) && self.is_read(code))
    }

    /// Something of it must be checked.
    pub(super) fn has_trials(&self) -> bool {
        self.trials().next().is_some()
    }

    /// Brings what must be checked to trial, before it is attached.
    pub(super) fn accuse(&self, key: FileKey, verdicts: &Verdicts) {
        for code in self.trials() {
            let entries = code.points.iter().map(|point| point.entry).collect();
            verdicts.open((key, code.kind), entries);
        }
    }

    /// A guess was wrong: its functions are left alone for as long as the file is known.
    pub(super) fn refuse(&mut self, (_, kind): Accused, why: String) {
        self.refused.push((kind, why));
        detach(std::iter::once(self));
    }

    /// It is worth a line in a report.
    pub(super) fn has_tls(&self) -> bool {
        !self.codes.is_empty() || !self.refusals.is_empty()
    }

    pub(super) fn is_attached(&self) -> bool {
        !self.hooks.entries.is_empty()
    }

    /// Probes that are attached.
    pub(super) fn probes(&self) -> usize {
        self.hooks.entries.iter().chain(&self.hooks.ends).map(Probes::count).sum()
    }

    /// Why it is not attached, when that was tried.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// When to try again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Attaches all probes, or none. `ways` lead to the file; true when it is attached.
    pub(super) fn attach(&mut self, probes: &TlsProbes, ways: &[PathBuf], now: Instant) -> bool {
        if self.is_attached() || !self.is_of_use() {
            return self.is_attached();
        }
        let mut error = None;
        for way in ways.iter().filter(|way| way.exists()) {
            match self.attach_at(probes, way) {
                Ok(hooks) => {
                    self.hooks = hooks;
                    (self.failures, self.retry_at, self.error) = (0, None, None);
                    return true;
                }
                Err(e) => error = Some(e.to_string()),
            }
        }
        self.failures = self.failures.saturating_add(1);
        let wait = FIRST_RETRY.saturating_mul(1 << (self.failures - 1).min(10)).min(LONGEST);
        self.retry_at = Some(now + wait);
        self.error = Some(error.unwrap_or_else(|| "the file is gone".to_owned()));
        false
    }

    fn attach_at(&self, probes: &TlsProbes, way: &Path) -> Result<Hooks, ProbeError> {
        let Places { entries, ends } = self.places(probes);
        let attach = |(to, offsets): (ProbeWay, BTreeSet<u64>)| {
            let offsets: Vec<u64> = offsets.into_iter().collect();
            probes.attach(to, way, &offsets)
        };
        // Returns first: an entry whose return is not seen would wait for nothing.
        let ends = ends.into_iter().map(attach).collect::<Result<_, _>>()?;
        let entries = entries.into_iter().map(attach).collect::<Result<_, _>>()?;
        Ok(Hooks { entries, ends })
    }

    /// Where which program goes.
    fn places(&self, probes: &TlsProbes) -> Places {
        let mut places = Places::default();
        let to = |program, at_return| ProbeWay { program, at_return, cookie: 0 };
        for code in self.codes.iter().filter(|code| self.is_read(code)) {
            let programs = if is_guess(code) { trial_programs } else { programs };
            let takes = code.points.iter().any(|p| p.function == Function::RustlsTakeReceivedPlaintext);
            let used = code.points.iter().filter(|p| is_used(p.function, takes));
            for (point, programs) in used.filter_map(|p| Some((p, programs(p.function)?))) {
                let mut way = to(programs.entry, false);
                if programs.entry.is_of_secrets() {
                    let Some(cookie) = cookie(code).filter(|_| probes.has(programs.entry)) else { continue };
                    way.cookie = cookie;
                }
                let mut entry = point.probe;
                if entry != point.entry && programs.end.is_some() {
                    match programs.entry.later().filter(|later| probes.has(*later)) {
                        Some(later) => (way.program, way.cookie) = (later, u64::from(point.pushed)),
                        // The kernel says why not.
                        None => entry = point.entry,
                    }
                }
                places.entries.entry(way).or_default().insert(entry);
                let Some(end) = programs.end else { continue };
                if point.returns_are_complete() {
                    places.ends.entry(to(end, false)).or_default().extend(&point.returns);
                } else {
                    places.ends.entry(to(end, true)).or_default().insert(point.entry);
                }
            }
        }
        if let Some(at) = self.linker {
            places.entries.entry(to(ProbeProgram::Linked, false)).or_default().insert(at);
        }
        places
    }
}

/// Where the client's random is, as the program that reads secrets wants it; Go hands it over.
fn cookie(code: &TlsCode) -> Option<u64> {
    if code.kind == Kind::GoTls {
        return Some(0);
    }
    let at = code.client_random?;
    Some(u64::from(at.through.unwrap_or(u32::MAX)) << 32 | u64::from(at.offset))
}

/// Detaches the probes of all of `libraries`. The kernel makes each wait until nobody runs a probe of it
/// any more; they wait side by side.
pub(super) fn detach<'a>(libraries: impl Iterator<Item = &'a mut Library>) {
    let (mut entries, mut ends) = (Vec::new(), Vec::new());
    for library in libraries {
        entries.append(&mut library.hooks.entries);
        ends.append(&mut library.hooks.ends);
    }
    close(entries);
    close(ends);
}

/// Closes all of `probes`, by several threads.
fn close(mut probes: Vec<Probes>) {
    const THREADS: usize = 16;
    let each = probes.len().div_ceil(THREADS).max(1);
    std::thread::scope(|scope| {
        while !probes.is_empty() {
            let some = probes.split_off(probes.len().saturating_sub(each));
            // Without a thread they are closed right here.
            _ = std::thread::Builder::new().spawn_scoped(scope, move || drop(some));
        }
    });
}

/// Whether its calls must be looked at before what they tell is believed: its functions were found by a
/// guess, or how they are called is nowhere written down.
pub(super) fn is_on_trial(code: &TlsCode) -> bool {
    is_guess(code) || code.kind == Kind::Rustls
}

/// Whether its functions were found by what their code does. Those of NSS stand in a table that names
/// nothing else.
fn is_guess(code: &TlsCode) -> bool {
    code.found == Found::StringReference && code.kind != Kind::Nss
}

/// Java, as something that was recognised.
fn java() -> TlsCode {
    TlsCode {
        kind: Kind::JavaJsse,
        version: None,
        found: Found::StringReference,
        confidence: 100,
        points: Vec::new(),
        go: None,
        client_random: None,
    }
}

/// Why the plaintext of a library is not read, in words; `None`: it is.
fn not_read(code: &TlsCode) -> Option<String> {
    let has = |function| code.points.iter().any(|point| point.function == function);
    match code.kind {
        Kind::JavaJsse => Some(
            "Java compiles its TLS while it runs, so that no probe fits; with a key log that an agent in the \
             virtual machine writes (-javaagent), `remora dissect --keylog` decrypts what was captured"
                .to_owned(),
        ),
        Kind::Rustls
            if !has(Function::RustlsBufferPlaintext)
                || !(has(Function::RustlsTakeReceivedPlaintext)
                    || has(Function::RustlsDecryptIncoming) && has(Function::RustlsEncryptOutgoing)) =>
        {
            let stripped = code.points.is_empty();
            let why = if stripped { "the program was stripped of its symbols" } else { "they were inlined" };
            Some(format!("its functions were not found: {why}"))
        }
        Kind::Nss if code.is_readable() => None,
        Kind::GoTls if code.go.as_ref().is_none_or(|go| go.abi != Abi::Register) => Some(
            "Go before 1.17 (on arm64 1.18) passes arguments on the stack, which is not read yet".to_owned(),
        ),
        // A return probe would break it.
        Kind::GoTls if !code.points.iter().filter(|p| is_stream(p)).all(Point::returns_are_complete) => {
            Some("not all returns of its functions are known".to_owned())
        }
        _ if !code.is_readable() => {
            Some("its functions for reading and writing were not both found".to_owned())
        }
        _ => None,
    }
}

fn is_stream(point: &Point) -> bool {
    matches!(point.function.role(), Role::Read | Role::Write)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn java_is_named_with_a_way_out() {
        let own = [std::env::current_exe().unwrap()];
        let halt = AtomicBool::new(true);
        let library = Library::inspect("/usr/lib/jvm/server/libjvm.so", &own, &halt).unwrap();
        let code = library.codes.iter().find(|code| code.kind == Kind::JavaJsse).unwrap();
        assert!(library.not_read(code).unwrap().contains("-javaagent"));
        assert!(library.has_tls() && !library.is_of_use());
    }

    #[test]
    fn rustls_is_read_where_both_ways_were_found() {
        let point = |function| {
            let (returns, tails) = (vec![1], Vec::new());
            Point { function, entry: 1, probe: 1, pushed: 0, len: 1, returns, tails }
        };
        let code = |functions: &[Function]| TlsCode {
            kind: Kind::Rustls,
            points: functions.iter().map(|f| point(*f)).collect(),
            ..java()
        };
        let (take, buffer) = (Function::RustlsTakeReceivedPlaintext, Function::RustlsBufferPlaintext);
        assert_eq!(not_read(&code(&[take, buffer])), None);
        assert!(not_read(&code(&[])).unwrap().contains("stripped"));
        let (open, seal) = (Function::RustlsDecryptIncoming, Function::RustlsEncryptOutgoing);
        assert_eq!(not_read(&code(&[open, seal, buffer])), None, "take_received_plaintext was inlined");
        assert!(
            !is_used(take, false) && is_used(open, false) && !is_used(seal, true) && is_used(buffer, true)
        );
        for inlined in [&[buffer, Function::RustlsReaderRead][..], &[take], &[open, buffer], &[open, seal]] {
            assert!(not_read(&code(inlined)).unwrap().contains("inlined"));
        }
        assert!(is_on_trial(&code(&[take, buffer])) && is_on_trial(&java()));
        let nss = [Function::NssSecureRecv, Function::NssSecureSend];
        assert!(!is_on_trial(&TlsCode { kind: Kind::Nss, ..code(&nss) }), "a table, not a guess");
    }
}
