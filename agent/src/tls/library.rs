//! A file with TLS code, and the probes on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use remora_tlsfind::go::Abi;
use remora_tlsfind::{self as tlsfind, Found, Kind, Point, Role, TlsCode};

use super::points::programs;
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
        let refusals = report
            .problems
            .iter()
            .filter(|p| matches!(p, tlsfind::Problem::NotFound(..) | tlsfind::Problem::UnknownTls(_)))
            .map(ToString::to_string)
            .collect();
        Some(Self {
            path: path.to_owned(),
            // NSPR carries files of all kinds; its TLS is that of NSS, which is read there.
            codes: report.codes.into_iter().filter(|code| code.kind != Kind::Nspr).collect(),
            refusals,
            linker,
            hooks: Hooks::default(),
            failures: 0,
            retry_at: None,
            error: None,
        })
    }

    /// Something in it can be probed.
    pub(super) fn is_of_use(&self) -> bool {
        self.linker.is_some() || self.codes.iter().any(is_read)
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
        for code in self.codes.iter().filter(|code| is_read(code)) {
            for (point, programs) in code.points.iter().filter_map(|p| Some((p, programs(p.function)?))) {
                let mut way = to(programs.entry, false);
                if programs.entry.is_of_secrets() {
                    let Some(cookie) = cookie(code).filter(|_| probes.has(programs.entry)) else { continue };
                    way.cookie = cookie;
                }
                places.entries.entry(way).or_default().insert(point.entry);
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

/// Whether the plaintext of a library is read: what was found by a guess is not, until the guess can
/// be checked, and of some libraries the ways of calling are not known here.
pub(super) fn is_read(code: &TlsCode) -> bool {
    not_read(code).is_none()
}

/// Why it is not, in words.
pub(super) fn not_read(code: &TlsCode) -> Option<String> {
    let kind = code.kind;
    match kind {
        Kind::Rustls | Kind::JavaJsse => Some(format!("{kind} is recognised but not read yet")),
        Kind::Nss if code.is_readable() => None,
        Kind::GoTls if code.go.as_ref().is_none_or(|go| go.abi != Abi::Register) => Some(
            "Go before 1.17 (on arm64 1.18) passes arguments on the stack, which is not read yet".to_owned(),
        ),
        // A return probe would break it.
        Kind::GoTls if !code.points.iter().filter(|p| is_stream(p)).all(Point::returns_are_complete) => {
            Some("not all returns of its functions are known".to_owned())
        }
        _ if code.found == Found::StringReference => Some(format!(
            "its functions were found by a guess ({} % sure), which is not trusted yet",
            code.confidence
        )),
        _ if !code.is_readable() => {
            Some("its functions for reading and writing were not both found".to_owned())
        }
        _ => None,
    }
}

fn is_stream(point: &Point) -> bool {
    matches!(point.function.role(), Role::Read | Role::Write)
}
