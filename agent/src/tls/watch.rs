//! Watches processes: looks into the files that they execute, attaches probes to those with TLS code
//! and detaches them when nobody uses them any more.
//!
//! One thread does that, by three causes: at the start and every now and then it looks at all
//! processes; the kernel tells of those that run another program or end; and the dynamic linker tells of
//! libraries that are loaded later.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::library::{self, Library};
use super::processes::{self, FileKey, Mapped, Started};
use super::report::{Report, SharedReport, describe};
use super::status::Seen;
use super::verdict::Verdicts;
use crate::config::TlsOptions;
use crate::kernel::{TlsControl, TlsProbes};

/// What the watcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// A process runs another program.
    Exec(u32),
    /// A process has mapped libraries.
    Linked(u32),
    /// A process has ended.
    Exit(u32),
    /// Detach everything and end.
    Stop,
}

/// A new program has mapped its libraries within the first of these times in most cases. Where its
/// dynamic linker is watched, that tells.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(3), Duration::from_millis(30), Duration::from_millis(300), Duration::from_secs(3)];
/// All processes are looked at this often: what was missed is found then.
const SWEEP: Duration = Duration::from_secs(15);
/// Longest wait for news.
const TURN: Duration = Duration::from_secs(1);
/// Files that wait to be looked into.
const MAX_WAITING: usize = 65_536;
/// Looks that are due at a time.
const MAX_LOOKS: usize = 65_536;

/// Names of files that are looked into before all others.
const LIKELY: [&str; 8] =
    ["libssl", "libgnutls", "libmbedtls", "libwolfssl", "ld-linux", "ld-musl", "s2n", "node"];

/// Where systems keep their libraries.
const DIRECTORIES: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/lib64",
    "/usr/local/lib",
];

enum State {
    /// It has not been looked into yet.
    Waiting,
    /// No TLS code in it.
    Other,
    Known(Box<Library>),
}

struct FileEntry {
    state: State,
    users: BTreeSet<u32>,
    /// Kept attached without users: programs that live too short to be noticed use it.
    kept: bool,
    unused_since: Option<Instant>,
}

struct Process {
    started: Started,
    name: String,
    files: Vec<FileKey>,
}

pub(super) struct Watcher {
    probes: TlsProbes,
    control: TlsControl,
    options: TlsOptions,
    seen: Seen,
    verdicts: Verdicts,
    report: SharedReport,
    processes: HashMap<u32, Process>,
    files: HashMap<FileKey, FileEntry>,
    /// Files to look into: likely ones, and others.
    soon: VecDeque<(u32, Mapped)>,
    later: VecDeque<(u32, Mapped)>,
    looks: VecDeque<(Instant, u32, usize)>,
    failures: u64,
    own: u32,
    /// The program of this process: whoever else runs it is Remora as well.
    own_file: Option<FileKey>,
    /// Set when it is to stop.
    halt: Arc<AtomicBool>,
}

impl Watcher {
    pub(super) fn new(
        probes: TlsProbes,
        options: TlsOptions,
        (seen, verdicts): (Seen, Verdicts),
        halt: Arc<AtomicBool>,
    ) -> Self {
        Self {
            control: probes.control(),
            probes,
            options,
            seen,
            verdicts,
            report: SharedReport::default(),
            processes: HashMap::new(),
            files: HashMap::new(),
            soon: VecDeque::new(),
            later: VecDeque::new(),
            looks: VecDeque::new(),
            failures: 0,
            own: std::process::id(),
            own_file: processes::executable(std::process::id()),
            halt,
        }
    }

    pub(super) fn report(&self) -> SharedReport {
        self.report.clone()
    }

    /// Works until it is told to stop, or until nobody can tell it anything any more.
    pub(super) fn run(mut self, news: &Receiver<News>) {
        if self.options.keep_system_libraries {
            self.keep_system_libraries();
        }
        let mut swept: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if swept.is_none_or(|at| now.duration_since(at) >= SWEEP) {
                swept = Some(now);
                self.sweep(now);
            }
            self.due(now);
            let worked = self.look_into_one(now);
            self.retry(now);
            self.refuse(now);
            self.release(now);
            self.publish();
            let wait = if worked { Duration::ZERO } else { self.next(now) };
            match news.recv_timeout(wait) {
                Ok(first) => {
                    let mut next = Some(first);
                    while let Some(one) = next {
                        if one == News::Stop {
                            return self.stop();
                        }
                        self.take(one);
                        next = news.try_recv().ok();
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            }
        }
    }

    fn stop(mut self) {
        let known = self.files.values_mut().filter_map(|file| match &mut file.state {
            State::Known(library) => Some(library.as_mut()),
            _ => None,
        });
        library::detach(known);
        self.publish();
    }

    /// How long nothing is due.
    fn next(&self, now: Instant) -> Duration {
        let look = self.looks.iter().map(|(at, ..)| at.saturating_duration_since(now)).min();
        look.unwrap_or(TURN).clamp(Duration::from_millis(1), TURN)
    }

    fn take(&mut self, news: News) {
        let now = Instant::now();
        match news {
            News::Exec(pid) => {
                self.forget(pid);
                self.schedule(now, pid, 0);
            }
            News::Linked(pid) => {
                self.look(pid, now);
            }
            News::Exit(pid) => self.forget(pid),
            News::Stop => {}
        }
    }

    fn schedule(&mut self, now: Instant, pid: u32, turn: usize) {
        if let Some(wait) = LOOKS.get(turn)
            && self.looks.len() < MAX_LOOKS
        {
            self.looks.push_back((now + *wait, pid, turn));
        }
    }

    fn due(&mut self, now: Instant) {
        for _ in 0..self.looks.len() {
            let Some((at, pid, turn)) = self.looks.pop_front() else { break };
            if at > now {
                self.looks.push_back((at, pid, turn));
            } else if self.look(pid, now) {
                self.schedule(now, pid, turn + 1);
            }
        }
    }

    /// Looks at all processes, and forgets those that are gone.
    fn sweep(&mut self, now: Instant) {
        let all = processes::all();
        let there: BTreeSet<u32> = all.iter().copied().collect();
        let gone: Vec<u32> = self.processes.keys().filter(|pid| !there.contains(pid)).copied().collect();
        for pid in gone {
            self.forget(pid);
        }
        for pid in all {
            self.look(pid, now);
        }
        // Looking at all of them takes a while, in which others have begun.
        self.control.forget(|pid| !there.contains(&pid) && processes::started(pid).is_none());
    }

    /// Looks at a process; false when there is none.
    fn look(&mut self, pid: u32, now: Instant) -> bool {
        if pid == self.own {
            return false;
        }
        let Some(started) = processes::started(pid) else {
            self.forget(pid);
            return false;
        };
        if self.processes.get(&pid).is_some_and(|p| p.started != started) {
            self.forget(pid);
        }
        // Not allowed, or gone meanwhile.
        let Ok(mapped) = processes::mapped(pid) else { return false };
        if self.processes.len() >= self.options.max_processes && !self.processes.contains_key(&pid) {
            return false;
        }
        let files: Vec<FileKey> = mapped.iter().map(|file| file.key).collect();
        let name = processes::name(pid);
        let before = self.processes.insert(pid, Process { started, name, files: files.clone() });
        for key in before.into_iter().flat_map(|p| p.files).filter(|key| !files.contains(key)) {
            self.leave(key, pid);
        }
        let own = self.own_file;
        for file in mapped.into_iter().filter(|file| Some(file.key) != own) {
            self.enter(pid, file, now);
        }
        true
    }

    /// A process uses a file.
    fn enter(&mut self, pid: u32, file: Mapped, now: Instant) {
        if let Some(entry) = self.files.get_mut(&file.key) {
            entry.users.insert(pid);
            entry.unused_since = None;
            if let State::Known(library) = &entry.state
                && library.has_trials()
            {
                self.control.watch(pid);
            }
            if let State::Known(library) = &mut entry.state
                && !library.is_attached()
                && library.retry_at().is_none_or(|at| at <= now)
            {
                let failed = library.is_of_use() && !library.attach(&self.probes, &file.ways, now);
                self.failures += u64::from(failed);
            }
            return;
        }
        let likely = LIKELY.iter().any(|name| file.path.contains(name));
        let queue = if likely { &mut self.soon } else { &mut self.later };
        if queue.len() >= MAX_WAITING {
            return;
        }
        let users = BTreeSet::from([pid]);
        let entry = FileEntry { state: State::Waiting, users, kept: false, unused_since: None };
        self.files.insert(file.key, entry);
        queue.push_back((pid, file));
    }

    /// A process does not use a file any more.
    fn leave(&mut self, key: FileKey, pid: u32) {
        if let Some(entry) = self.files.get_mut(&key) {
            entry.users.remove(&pid);
            if entry.users.is_empty() {
                entry.unused_since.get_or_insert_with(Instant::now);
            }
        }
    }

    fn forget(&mut self, pid: u32) {
        if let Some(process) = self.processes.remove(&pid) {
            for key in process.files {
                self.leave(key, pid);
            }
            self.seen.forget(pid);
        }
    }

    /// Looks into one file, a likely one first, then the latest: what has just begun is about to talk, and
    /// may be over soon. False when none waits.
    fn look_into_one(&mut self, now: Instant) -> bool {
        let next = self.soon.pop_front().or_else(|| self.later.pop_back());
        if let Some((_, file)) = &next {
            self.look_into(file, now);
        }
        next.is_some()
    }

    fn look_into(&mut self, file: &Mapped, now: Instant) {
        let Some(entry) = self.files.get_mut(&file.key) else { return };
        // Another process that has it may still be there where the first is gone.
        let others = entry.users.iter().filter_map(|pid| processes::mapped(*pid).ok()).take(8);
        let found = Library::inspect(&file.path, &file.ways, &self.halt)
            .map(|library| (library, file.ways.to_vec()))
            .or_else(|| {
                let again = others.flatten().find(|m| m.key == file.key)?;
                Some((Library::inspect(&again.path, &again.ways, &self.halt)?, again.ways.to_vec()))
            });
        let Some((mut library, ways)) = found else {
            // Whoever maps it next has it looked into again.
            self.files.remove(&file.key);
            return;
        };
        if !library.is_of_use() && !library.has_tls() {
            entry.state = State::Other;
            return;
        }
        library.accuse(file.key, &self.verdicts);
        if library.has_trials() {
            entry.users.iter().for_each(|pid| self.control.watch(*pid));
        }
        if library.is_of_use() && !library.attach(&self.probes, &ways, now) {
            self.failures += 1;
            tracing::warn!(path = library.path, error = library.error(), "TLS library not probed");
        }
        entry.state = State::Known(Box::new(library));
    }

    /// Detaches what was refused at its trial.
    fn refuse(&mut self, now: Instant) {
        for (accused, why) in self.verdicts.refused() {
            let Some(entry) = self.files.get_mut(&accused.0) else { continue };
            let State::Known(library) = &mut entry.state else { continue };
            tracing::warn!(path = library.path, library = accused.1.name(), why, "TLS functions refused");
            library.refuse(accused, why);
            // What else is in the file is attached again.
            let of_it = |pid: &u32| processes::mapped(*pid).ok()?.into_iter().find(|m| m.key == accused.0);
            if library.is_of_use()
                && let Some(mapped) = entry.users.iter().find_map(of_it)
            {
                self.failures += u64::from(!library.attach(&self.probes, &mapped.ways, now));
            }
        }
    }

    /// Attaches again where it failed and somebody still uses the file.
    fn retry(&mut self, now: Instant) {
        let due = |entry: &FileEntry| match &entry.state {
            State::Known(library) => !library.is_attached() && library.retry_at().is_some_and(|at| at <= now),
            _ => false,
        };
        let keys: Vec<FileKey> = self.files.iter().filter(|(_, e)| due(e)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(entry) = self.files.get_mut(&key) else { continue };
            let ways: Vec<PathBuf> = entry
                .users
                .iter()
                .filter_map(|pid| processes::mapped(*pid).ok())
                .flatten()
                .filter(|m| m.key == key)
                .flat_map(|m| m.ways)
                .take(4)
                .collect();
            if let State::Known(library) = &mut entry.state
                && !library.attach(&self.probes, &ways, now)
            {
                self.failures += 1;
            }
        }
    }

    /// Detaches what nobody has used for a while.
    fn release(&mut self, now: Instant) {
        let linger = self.options.linger;
        let verdicts = &self.verdicts;
        self.files.retain(|key, entry| {
            let over = entry.unused_since.is_some_and(|at| now.duration_since(at) >= linger);
            // Its probes go with it.
            let stays = !over || entry.kept || !entry.users.is_empty();
            if !stays {
                verdicts.forget(*key);
            }
            stays
        });
    }

    /// Programs like curl are over before anybody can look: the libraries that they use are attached
    /// before they run.
    fn keep_system_libraries(&mut self) {
        use std::os::unix::fs::MetadataExt as _;
        for directory in DIRECTORIES {
            let Ok(entries) = std::fs::read_dir(directory) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !LIKELY.iter().any(|likely| name.starts_with(likely)) || !name.contains(".so") {
                    continue;
                }
                let path = entry.path();
                let Ok(meta) = std::fs::metadata(&path) else { continue };
                if !meta.is_file() {
                    continue;
                }
                let (device, inode) = (meta.dev(), meta.ino());
                let (major, minor) = (libc::major(device), libc::minor(device));
                let key = FileKey { device: u64::from(major) << 32 | u64::from(minor), inode };
                if self.files.contains_key(&key) {
                    continue;
                }
                let entry = FileEntry {
                    state: State::Waiting,
                    users: BTreeSet::new(),
                    kept: true,
                    unused_since: None,
                };
                self.files.insert(key, entry);
                let text = path.display().to_string();
                let mapped = Mapped { key, path: text, ways: [path.clone(), path] };
                self.look_into(&mapped, Instant::now());
            }
        }
    }

    fn publish(&mut self) {
        let mut report = Report {
            files: self.files.len(),
            attach_failures: self.failures,
            waiting: self.soon.len() + self.later.len(),
            ..Report::default()
        };
        for (key, entry) in &self.files {
            let State::Known(library) = &entry.state else { continue };
            report.attached += usize::from(library.is_attached());
            report.probes += library.probes();
            for pid in &entry.users {
                let Some(process) = self.processes.get(pid) else { continue };
                let (shown, statuses) = (self.seen.of(*pid), &mut report.statuses);
                describe((*pid, &process.name), (*key, library), shown, &self.verdicts, statuses);
            }
        }
        report.statuses.sort_by(|a, b| (a.pid, &a.path).cmp(&(b.pid, &b.path)));
        self.report.write(report);
    }
}
