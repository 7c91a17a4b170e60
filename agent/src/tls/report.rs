//! What the watcher tells of processes and their libraries.

use std::sync::{Arc, Mutex, PoisonError};

use remora_tlsfind::Found;

use super::library::{Library, is_on_trial};
use super::processes::FileKey;
use super::status::{Shown, TlsStatus};
use super::verdict::{Verdict, Verdicts};

/// Counts of the watcher, and the report.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    pub(super) statuses: Vec<TlsStatus>,
    pub(super) files: usize,
    pub(super) attached: usize,
    pub(super) probes: usize,
    pub(super) attach_failures: u64,
    pub(super) waiting: usize,
}

/// A report that the watcher writes.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedReport(Arc<Mutex<Report>>);

impl SharedReport {
    pub(super) fn read(&self) -> Report {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn write(&self, report: Report) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}

/// A line for each TLS code that a process has in a file.
pub(super) fn describe(
    (pid, name): (u32, &str),
    (key, library): (FileKey, &Library),
    shown: Shown,
    verdicts: &Verdicts,
    into: &mut Vec<TlsStatus>,
) {
    let line = |reason: Option<String>| TlsStatus {
        pid,
        comm: name.to_owned(),
        path: library.path.clone(),
        library: None,
        version: None,
        found: None,
        hooked: false,
        checked: None,
        reason,
        last_plaintext: shown.last,
        plain_bytes: shown.plain,
        opaque_bytes: shown.opaque,
    };
    for code in &library.codes {
        let is_read = library.is_read(code);
        let hooked = is_read && library.is_attached();
        let reason = match (hooked, is_read) {
            (true, _) => None,
            (_, true) => Some(library.error().unwrap_or("not attached yet").to_owned()),
            _ => library.not_read(code),
        };
        let is_believed = || verdicts.of(&(key, code.kind)) == Some(Verdict::Believed);
        let checked = (hooked && is_on_trial(code)).then(is_believed);
        into.push(TlsStatus {
            library: Some(code.kind.name()),
            version: code.version.clone(),
            found: Some(match code.found {
                Found::DynamicSymbols => "dynamic symbols",
                Found::Symbols => "symbols",
                Found::Pclntab => "pclntab",
                Found::StringReference => "references to known strings",
            }),
            hooked,
            checked,
            ..line(reason)
        });
    }
    into.extend(library.refusals.iter().map(|refusal| line(Some(refusal.clone()))));
}
