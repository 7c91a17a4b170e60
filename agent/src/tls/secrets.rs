//! Secrets of TLS connections, as libraries hand them to a key log: checked, written as lines of one, and
//! passed on to whoever keeps them.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use remora_abi::TlsSecret;
use remora_model::Timestamp;

/// Labels that decrypt something (draft-ietf-tls-keylogfile-02, section 2), with the lengths of their
/// secrets in bytes: a master secret has 48, the others the size of a hash.
const LABELS: [(&[u8], &[usize]); 6] = [
    (b"CLIENT_RANDOM", &[48]),
    (b"CLIENT_EARLY_TRAFFIC_SECRET", &[32, 48, 64]),
    (b"CLIENT_HANDSHAKE_TRAFFIC_SECRET", &[32, 48, 64]),
    (b"SERVER_HANDSHAKE_TRAFFIC_SECRET", &[32, 48, 64]),
    (b"CLIENT_TRAFFIC_SECRET_0", &[32, 48, 64]),
    (b"SERVER_TRAFFIC_SECRET_0", &[32, 48, 64]),
];

/// Lines that are remembered so as not to be told twice: both ends of a connection may be here.
const REMEMBERED: usize = 16_384;

/// Keeps lines of a key log. It is called by the thread that reads plaintext, and must not wait.
pub trait SecretSink: Send {
    /// Takes a line, which ends with a line feed; false when there was no room for it.
    fn keep(&mut self, ts: Timestamp, line: &str) -> bool;
}

/// What became of secrets.
#[derive(Debug, Default)]
pub(super) struct SecretCounts {
    pub(super) kept: AtomicU64,
    /// What was no secret: a function that was taken for another one.
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
}

/// The way of secrets to those who keep them.
pub(super) struct Secrets {
    sinks: Vec<Box<dyn SecretSink>>,
    counts: Arc<SecretCounts>,
    hasher: RandomState,
    told: HashSet<u64>,
    order: VecDeque<u64>,
    line: String,
}

impl Secrets {
    pub(super) fn new(sinks: Vec<Box<dyn SecretSink>>, counts: Arc<SecretCounts>) -> Self {
        Self {
            sinks,
            counts,
            hasher: RandomState::new(),
            told: HashSet::new(),
            order: VecDeque::new(),
            line: String::new(),
        }
    }

    /// Takes what a probe has sent.
    pub(super) fn take(&mut self, ts: Timestamp, data: &[u8]) {
        let counts = &self.counts;
        let Some((random, label, secret)) = TlsSecret::parse(data).filter(is_secret) else {
            // Libraries log secrets that decrypt nothing as well.
            let other =
                TlsSecret::parse(data).is_some_and(|(_, label, _)| label.ends_with(b"EXPORTER_SECRET"));
            counts.refused.fetch_add(u64::from(!other), Ordering::Relaxed);
            return;
        };
        let name = self.hasher.hash_one((random, label));
        if !self.told.insert(name) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.told.remove(&oldest);
        }
        self.line.clear();
        self.line.push_str(&String::from_utf8_lossy(label));
        for part in [random.as_slice(), secret] {
            self.line.push(' ');
            for byte in part {
                // Writing to a string does not fail.
                _ = write!(self.line, "{byte:02x}");
            }
        }
        self.line.push('\n');
        let mut kept = true;
        for sink in &mut self.sinks {
            kept &= sink.keep(ts, &self.line);
        }
        let count = if kept { &counts.kept } else { &counts.lost };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_secret((random, label, secret): &(&[u8; 32], &[u8], &[u8])) -> bool {
    let known = LABELS.iter().find(|(name, _)| name == label);
    known.is_some_and(|(_, lengths)| lengths.contains(&secret.len())) && random.iter().any(|b| *b != 0)
}

/// A key log file, for `tls.keylog_file` of Wireshark. Only its owner may read it.
#[derive(Debug)]
pub struct KeyLogFile {
    file: File,
    left: u64,
}

impl KeyLogFile {
    /// Appends up to `most` bytes to the file at `path`.
    ///
    /// # Errors
    /// It cannot be opened or made.
    pub fn open(path: &Path, most: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let left = most.saturating_sub(file.metadata()?.len());
        Ok(Self { file, left })
    }
}

impl SecretSink for KeyLogFile {
    fn keep(&mut self, _: Timestamp, line: &str) -> bool {
        let room = self.left >= line.len() as u64;
        let kept = room && self.file.write_all(line.as_bytes()).is_ok();
        if kept {
            self.left -= line.len() as u64;
        }
        kept
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl SecretSink for Lines {
        fn keep(&mut self, _: Timestamp, line: &str) -> bool {
            self.0.lock().unwrap().push(line.to_owned());
            true
        }
    }

    fn record(random: u8, label: &[u8], len: u32) -> Vec<u8> {
        let mut data = vec![0; TlsSecret::LEN];
        data[..32].fill(random);
        data[32..32 + label.len()].copy_from_slice(label);
        data[72..136].fill(0xab);
        data[136..140].copy_from_slice(&len.to_ne_bytes());
        data
    }

    #[test]
    fn secrets_are_told_once_and_others_not_at_all() {
        let (lines, counts) = (Lines::default(), Arc::new(SecretCounts::default()));
        let mut secrets = Secrets::new(vec![Box::new(lines.clone())], Arc::clone(&counts));
        let good = record(1, b"CLIENT_RANDOM", 48);
        for data in [
            &good,
            &good,
            &record(1, b"CLIENT_RANDOM", 32),
            &record(0, b"CLIENT_RANDOM", 48),
            &record(1, b"EXPORTER_SECRET", 32),
            &record(1, b"anything", 32),
            &record(2, b"SERVER_TRAFFIC_SECRET_0", 32),
            &good[..20].to_vec(),
        ] {
            secrets.take(Timestamp(0), data);
        }
        let lines = lines.0.lock().unwrap().clone();
        assert_eq!(lines[0], format!("CLIENT_RANDOM {} {}\n", "01".repeat(32), "ab".repeat(48)));
        assert_eq!(lines.len(), 2);
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        assert_eq!((read(&counts.kept), read(&counts.refused), read(&counts.lost)), (2, 4, 0));
    }

    #[test]
    fn key_log_files_have_a_bound_and_one_reader() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let mut log = KeyLogFile::open(&path, 10).unwrap();
        assert!(log.keep(Timestamp(0), "123456\n") && !log.keep(Timestamp(0), "1234\n"));
        assert!(!KeyLogFile::open(&path, 10).unwrap().keep(Timestamp(0), "1234\n"));
        assert_eq!(std::fs::read(&path).unwrap(), b"123456\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
