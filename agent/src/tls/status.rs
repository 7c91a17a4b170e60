//! What is read of TLS and what is not, by process and library.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use remora_model::Timestamp;
use serde_json::{Value, json};

/// One process and one library in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsStatus {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// The file with the TLS code, as the process sees it.
    pub path: String,
    /// Whose code it is; `None`: code was found that is not known.
    pub library: Option<&'static str>,
    /// Its version, as the file says it.
    pub version: Option<String>,
    /// How its functions were found.
    pub found: Option<&'static str>,
    /// Its plaintext is read.
    pub hooked: bool,
    /// Where its functions are on trial: whether their calls have shown that they are what they were
    /// taken for. Before, their plaintext is kept back.
    pub checked: Option<bool>,
    /// Why it is not.
    pub reason: Option<String>,
    /// When the process had plaintext last, whichever library it came from.
    pub last_plaintext: Option<Timestamp>,
    /// Bytes of plaintext of the process that were seen.
    pub plain_bytes: u64,
    /// Bytes of its plaintext that passed without being copied.
    pub opaque_bytes: u64,
}

impl TlsStatus {
    pub(super) fn json(&self) -> Value {
        json!({
            "pid": self.pid,
            "process": self.comm,
            "path": self.path,
            "library": self.library,
            "version": self.version,
            "found": self.found,
            "hooked": self.hooked,
            "checked": self.checked,
            "reason": self.reason,
            "last_plaintext": self.last_plaintext.map(|t| t.to_rfc3339()),
            "plain_bytes": self.plain_bytes,
            "opaque_bytes": self.opaque_bytes,
        })
    }
}

/// What a process has shown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    pub(super) last: Option<Timestamp>,
    pub(super) plain: u64,
    pub(super) opaque: u64,
}

/// Processes by id; written by the reader, read for reports.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<HashMap<u32, Shown>>>);

impl Seen {
    /// Most processes that are remembered; those that ended are forgotten by [`forget`](Self::forget).
    const MOST: usize = 65_536;

    /// Adds what was counted since the last time, and empties it.
    pub(super) fn add(&self, counted: &mut HashMap<u32, Shown>) {
        if counted.is_empty() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (pid, more) in counted.drain() {
            if all.len() >= Self::MOST && !all.contains_key(&pid) {
                continue;
            }
            let shown = all.entry(pid).or_default();
            shown.last = shown.last.max(more.last);
            shown.plain += more.plain;
            shown.opaque += more.opaque;
        }
    }

    pub(super) fn of(&self, pid: u32) -> Shown {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&pid).copied().unwrap_or_default()
    }

    pub(super) fn forget(&self, pid: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
    }
}
