//! Whether functions that were found by a guess are what they were taken for: judged by how their first
//! calls look. The watcher brings them to trial, the reader of the ring brings what their calls show.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use remora_abi::{TlsTrace, direction, tls_method};
use remora_tlsfind::Kind;

use super::processes::FileKey;

/// Calls that must look right before the plaintext is believed.
const ENOUGH: u32 = 3;
/// Calls that look wrong, after which a guess is given up. What is believed already stays so.
const WRONG: u32 = 3;
/// One that looks wrong is made good by so many others.
const OUTWEIGH: u32 = 8;
/// Connections of one library that are told apart during its trial.
const HANDLES: usize = 256;
/// The least that libraries return for errors.
const LEAST: i64 = -2;

/// What is on trial: the code of one library in one file.
pub(super) type Accused = (FileKey, Kind);

/// How a trial stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    Believed,
    /// With the reason.
    Refused(String),
}

/// A library on trial.
#[derive(Debug)]
struct Trial {
    /// Offsets in the file at which its functions begin.
    entries: Vec<u64>,
    /// Which directions the connections have shown.
    handles: HashMap<(u32, u64), [bool; 2]>,
    right: u32,
    wrong: u32,
    with_socket: bool,
    both_ways: bool,
    verdict: Verdict,
    /// The watcher knows the verdict.
    told: bool,
}

#[derive(Debug, Default)]
struct Counts {
    pieces: AtomicU64,
    bytes: AtomicU64,
}

/// All trials; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    trials: Arc<Mutex<HashMap<Accused, Trial>>>,
    unproven: Arc<Counts>,
}

impl Verdicts {
    fn lock(&self) -> MutexGuard<'_, HashMap<Accused, Trial>> {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a trial, unless there is one.
    pub(super) fn open(&self, accused: Accused, entries: Vec<u64>) {
        self.lock().entry(accused).or_insert_with(|| Trial {
            entries,
            handles: HashMap::new(),
            right: 0,
            wrong: 0,
            with_socket: false,
            both_ways: false,
            verdict: Verdict::Open,
            told: false,
        });
    }

    /// The file is not used any more.
    pub(super) fn forget(&self, key: FileKey) {
        self.lock().retain(|(file, _), _| *file != key);
    }

    /// Refusals that the watcher was not told yet.
    pub(super) fn refused(&self) -> Vec<(Accused, String)> {
        let mut trials = self.lock();
        let news = trials.iter_mut().filter_map(|(accused, trial)| match &trial.verdict {
            Verdict::Refused(why) if !trial.told => {
                trial.told = true;
                Some((*accused, why.clone()))
            }
            _ => None,
        });
        news.collect()
    }

    /// How a trial stands; `None` without one.
    pub(super) fn of(&self, accused: &Accused) -> Option<Verdict> {
        self.lock().get(accused).map(|trial| trial.verdict.clone())
    }

    /// The trial of a function of `key` that begins at `offset` of the file, if `is_it` says so.
    pub(super) fn find(&self, key: FileKey, is_it: impl Fn(u64) -> bool) -> Option<Accused> {
        let trials = self.lock();
        let mut of_file = trials.iter().filter(|((file, _), _)| *file == key);
        of_file.find(|(_, trial)| trial.entries.iter().any(|at| is_it(*at))).map(|(accused, _)| *accused)
    }

    /// Looks at a call, of a library whose file has the addresses `extent`; true when that has decided.
    pub(super) fn hear(&self, accused: &Accused, trace: &TlsTrace, extent: &Range<u64>) -> bool {
        let mut trials = self.lock();
        let Some(trial) = trials.get_mut(accused) else { return false };
        if trial.verdict != Verdict::Open {
            return false;
        }
        match fault(accused.1, trace, extent) {
            Some(why) => {
                trial.wrong += 1;
                if trial.wrong >= WRONG {
                    trial.verdict = Verdict::Refused(why.to_owned());
                }
            }
            None => trial.add(trace),
        }
        if trial.verdict == Verdict::Open {
            return false;
        }
        trial.handles = HashMap::new();
        true
    }

    /// Counts plaintext that nothing has proved.
    pub(super) fn lose(&self, bytes: u64) {
        self.unproven.pieces.fetch_add(1, Ordering::Relaxed);
        self.unproven.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Pieces of such plaintext, and their bytes.
    pub(super) fn unproven(&self) -> (u64, u64) {
        (self.unproven.pieces.load(Ordering::Relaxed), self.unproven.bytes.load(Ordering::Relaxed))
    }
}

impl Trial {
    fn add(&mut self, trace: &TlsTrace) {
        self.right += 1;
        self.with_socket |= trace.method != tls_method::UNKNOWN;
        if self.handles.len() >= HANDLES {
            self.handles.clear();
        }
        let ways = self.handles.entry((trace.tgid, trace.handle)).or_default();
        if trace.returned > 0 {
            ways[usize::from(trace.direction == direction::EGRESS)] = true;
        }
        self.both_ways |= ways[0] && ways[1];
        let enough = ENOUGH.saturating_add(self.wrong.saturating_mul(OUTWEIGH));
        if self.right >= enough && self.with_socket && self.both_ways {
            self.verdict = Verdict::Believed;
        }
    }
}

/// What is wrong with a call, if it was to read or to write plaintext.
fn fault(kind: Kind, trace: &TlsTrace, extent: &Range<u64>) -> Option<&'static str> {
    if trace.returned > i64::from(trace.asked) {
        return Some(if kind == Kind::Rustls {
            "its arguments are not laid out as in versions of Rust that are known"
        } else {
            "what was taken for its read and write functions returns more than there is room for"
        });
    }
    if trace.returned < LEAST {
        return Some("what was taken for its read and write functions returns no lengths");
    }
    // The structures of OpenSSL and its relatives begin with what leads to the library's own tables: to the
    // methods of BoringSSL and OpenSSL before 3.2 in the first two words, in the third and fourth after.
    let is_rust = kind == Kind::Rustls;
    if !is_rust && !trace.head.iter().any(|word| extent.contains(word)) {
        return Some("what its read and write functions would be given is no connection of it");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: Range<u64> = 0x7000..0x9000;
    const IT: Accused = (FileKey { device: 1, inode: 2 }, Kind::BoringSsl);

    fn call(direction: u8, returned: i64) -> TlsTrace {
        let (head, method) = ([0x8000, 5, 0, 0], tls_method::NESTED);
        TlsTrace { handle: 1, tgid: 7, head, asked: 100, returned, direction, method, ..TlsTrace::default() }
    }

    fn after(calls: &[TlsTrace]) -> Verdict {
        let verdicts = Verdicts::default();
        verdicts.open(IT, vec![0x10]);
        for call in calls {
            verdicts.hear(&IT, call, &LIBRARY);
        }
        verdicts.of(&IT).unwrap_or(Verdict::Open)
    }

    #[test]
    fn a_connection_that_is_read_and_written_is_believed() {
        let (read, write) = (call(direction::INGRESS, 40), call(direction::EGRESS, 100));
        assert_eq!(after(&[write, read]), Verdict::Open, "too few");
        assert_eq!(after(&[write, read, call(direction::INGRESS, -1)]), Verdict::Believed);
        assert_eq!(after(&[read; 20]), Verdict::Open, "never written");
        let other = TlsTrace { handle: 2, ..write };
        assert_eq!(after(&[read, other, read, other]), Verdict::Open, "no connection has both");
        let far = |t: TlsTrace| TlsTrace { method: tls_method::UNKNOWN, ..t };
        assert_eq!(after(&[far(read), far(write), far(read)]), Verdict::Open, "no socket");
        assert_eq!(after(&[far(read), far(write), read]), Verdict::Believed);
    }

    #[test]
    fn what_looks_wrong_is_given_up() {
        let (read, write) = (call(direction::INGRESS, 40), call(direction::EGRESS, 100));
        for wrong in [
            call(direction::INGRESS, 101),
            call(direction::EGRESS, -4096),
            TlsTrace { head: [0; 4], ..read },
            TlsTrace { head: [1, 2, 3, 0x6fff], ..write },
        ] {
            assert_eq!(after(&[wrong; 2]), Verdict::Open);
            assert!(matches!(after(&[wrong; 3]), Verdict::Refused(_)), "{wrong:?}");
            assert!(matches!(after(&[read, write, wrong, read, wrong, wrong]), Verdict::Refused(_)));
            let mut calls = vec![wrong, read, write];
            assert_eq!(after(&[&calls[..], &[read; 5]].concat()), Verdict::Open);
            calls.extend([read; 10]);
            assert_eq!(after(&calls), Verdict::Believed, "one of many");
        }
    }

    #[test]
    fn the_watcher_is_told_once() {
        let verdicts = Verdicts::default();
        verdicts.open(IT, vec![0x10]);
        assert_eq!(verdicts.find(IT.0, |at| at == 0x10), Some(IT));
        assert_eq!(verdicts.find(IT.0, |at| at == 0x11), None);
        let wrong = call(direction::INGRESS, 101);
        let decided: Vec<bool> = (0..4).map(|_| verdicts.hear(&IT, &wrong, &LIBRARY)).collect();
        assert_eq!(decided, [false, false, true, false]);
        assert_eq!(verdicts.refused().len(), 1);
        assert_eq!(verdicts.refused().len(), 0);
        verdicts.forget(IT.0);
        assert_eq!(verdicts.of(&IT), None);
    }
}
