//! What a process can be read of: the files with code that it has mapped, each inspected once, and
//! in words what cannot be read.
//!
//! Files are opened as the process sees them, in whatever container it is: by `/proc/PID/map_files`,
//! which leads to the very file that is mapped even when it was deleted or replaced, else by its path
//! below `/proc/PID/root`.

mod cache;
mod maps;

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use cache::{Cache, CacheStats, FileId};
pub use maps::{Mapping, executable};

use crate::found::Kind;
use crate::limits::Limits;
use crate::problem::Problem;
use crate::{Report, inspect};

/// Bounds of a [`Scanner`].
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// Bounds for each file.
    pub file: Limits,
    /// Bytes of `/proc/PID/maps` that are read.
    pub maps_bytes: u64,
    /// Files of one process.
    pub files: usize,
    /// Files that are remembered.
    pub cached: usize,
}

impl Default for ScanLimits {
    fn default() -> Self {
        Self { file: Limits::default(), maps_bytes: 16 << 20, files: 1024, cached: 8192 }
    }
}

/// A process that was looked at.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its number in the PID namespace of the proc file system.
    pub pid: u32,
    /// When it started, in clock ticks since boot: with the number, it is one process for ever.
    pub started: Option<u64>,
    /// The files with TLS code.
    pub files: Vec<TlsFile>,
    /// What cannot be read. A process without TLS code has none.
    pub not_readable: Vec<NotReadable>,
    /// Files with code that were looked at.
    pub inspected: usize,
}

/// A file with TLS code in a process.
#[derive(Clone, Debug)]
pub struct TlsFile {
    /// Where it is mapped.
    pub mapping: Mapping,
    /// Which file it is. One probe at a point serves every process that has it mapped.
    pub id: FileId,
    /// A path at which it can be opened from here, as long as the process lives.
    pub open_at: PathBuf,
    /// What is known of it.
    pub report: Arc<Report>,
}

/// Why something in a process cannot be read, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReadable {
    /// A file that is mapped could not be opened.
    #[error("{}: cannot be opened: {error}", path.display())]
    File {
        /// The path as the process sees it.
        path: PathBuf,
        /// The operating system's words.
        error: String,
    },
    /// Another file lies at the path of the one that is mapped.
    #[error("{}: was replaced while the process runs; it is read after a restart of the process", path.display())]
    Replaced {
        /// The path as the process sees it.
        path: PathBuf,
    },
    /// Java encrypts in its own code.
    #[error(
        "{}: Java encrypts in its own compiled code (JSSE), where no probe can be set; an agent that \
         writes a key log (-javaagent) makes its traffic readable",
        path.display()
    )]
    Java {
        /// The path of libjvm.
        path: PathBuf,
    },
    /// TLS code in a file was not understood.
    #[error("{}: {problem}", path.display())]
    InFile {
        /// The path as the process sees it.
        path: PathBuf,
        /// What was not understood.
        problem: Problem,
    },
    /// The process has more files than the limit.
    #[error("has more than {0} files with code; the others were not looked at")]
    TooManyFiles(usize),
    /// Its list of mappings is longer than the limit.
    #[error("has more mappings than are read; the files behind were not looked at")]
    TooManyMappings,
}

impl NotReadable {
    /// The library whose traffic stays closed, where it is known.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Java { .. } => Some(Kind::JavaJsse),
            Self::InFile { problem: Problem::NotFound(kind, _), .. } => Some(*kind),
            _ => None,
        }
    }
}

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It is gone.
    #[error("process {0} has ended")]
    Ended(u32),
    /// Its mappings could not be read.
    #[error("cannot read the mappings of process {pid}: {error}")]
    Maps {
        /// The process.
        pid: u32,
        /// Why.
        error: io::Error,
    },
}

/// Looks at processes, and remembers files.
#[derive(Debug)]
pub struct Scanner {
    proc: PathBuf,
    limits: ScanLimits,
    cache: Cache,
}

impl Scanner {
    /// A scanner of the proc file system at `proc`, usually `/proc`.
    #[must_use]
    pub fn new(proc: impl Into<PathBuf>, limits: ScanLimits) -> Self {
        Self { proc: proc.into(), limits, cache: Cache::new(limits.cached) }
    }

    /// What is remembered of files.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The same, to forget a file.
    pub fn cache_mut(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// The numbers of the processes that run now.
    ///
    /// # Errors
    /// The proc file system cannot be read.
    pub fn processes(&self) -> io::Result<Vec<u32>> {
        let names = fs::read_dir(&self.proc)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).collect())
    }

    /// Looks at a process.
    ///
    /// # Errors
    /// It has ended, or its mappings cannot be read.
    pub fn process(&mut self, pid: u32) -> Result<Process, ScanError> {
        let dir = self.proc.join(pid.to_string());
        let mut maps = Vec::new();
        let open = File::open(dir.join("maps"));
        let read = open.and_then(|file| file.take(self.limits.maps_bytes).read_to_end(&mut maps));
        if let Err(error) = read {
            // ESRCH: it ended between the two calls.
            let ended = error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3);
            return Err(if ended { ScanError::Ended(pid) } else { ScanError::Maps { pid, error } });
        }
        let mut process = Process {
            pid,
            started: started(&dir),
            files: Vec::new(),
            not_readable: Vec::new(),
            inspected: 0,
        };
        if maps.len() as u64 >= self.limits.maps_bytes {
            process.not_readable.push(NotReadable::TooManyMappings);
        }
        let (mappings, more) = executable(&maps, self.limits.files);
        if more {
            process.not_readable.push(NotReadable::TooManyFiles(self.limits.files));
        }
        for mapping in mappings {
            self.file(&dir, mapping, &mut process);
        }
        Ok(process)
    }

    fn file(&mut self, dir: &Path, mapping: Mapping, process: &mut Process) {
        let path = mapping.path.clone();
        if path.file_name().is_some_and(|name| name == "libjvm.so") {
            process.not_readable.push(NotReadable::Java { path: path.clone() });
        }
        let (open_at, metadata) = match locate(dir, &mapping) {
            Ok(Some(found)) => found,
            // A device or something else that must not be opened.
            Ok(None) => return,
            Err(problem) => return process.not_readable.push(problem),
        };
        let id = FileId::of(&metadata);
        let report = match self.cache.get(&id) {
            Some(report) => report,
            None => match open(&open_at) {
                Ok(file) => {
                    let report = Arc::new(inspect(&file, &self.limits.file));
                    self.cache.insert(id, Arc::clone(&report));
                    report
                }
                Err(e) => {
                    let error = e.to_string();
                    return process.not_readable.push(NotReadable::File { path, error });
                }
            },
        };
        process.inspected += 1;
        let told = report.problems.iter().filter(|p| matters(&report, p));
        let told = told.map(|problem| NotReadable::InFile { path: path.clone(), problem: problem.clone() });
        process.not_readable.extend(told);
        if !report.codes.is_empty() {
            process.files.push(TlsFile { mapping, id, open_at, report });
        }
    }
}

/// Whether a problem of a file is one of reading its plaintext: a library that was cut off by a limit
/// may have had some; one with an odd section has not.
fn matters(report: &Report, problem: &Problem) -> bool {
    match problem {
        Problem::NotFound(..) | Problem::UnknownTls(_) | Problem::Limit(_) | Problem::Read { .. } => true,
        Problem::Code { .. } | Problem::Malformed(_) => !report.codes.is_empty(),
        Problem::NotElf | Problem::Unsupported(_) => false,
    }
}

/// Where the mapped file can be opened; nothing for what is no regular file.
fn locate(dir: &Path, mapping: &Mapping) -> Result<Option<(PathBuf, Metadata)>, NotReadable> {
    let regular = |metadata: &Metadata| metadata.is_file();
    let mapped = dir.join("map_files").join(format!("{:x}-{:x}", mapping.start, mapping.end));
    if let Ok(metadata) = fs::metadata(&mapped) {
        return Ok(Some((mapped, metadata)).filter(|(_, m)| regular(m)));
    }
    let path = mapping.path.clone();
    let relative = path.strip_prefix("/").unwrap_or(&path);
    let at = dir.join("root").join(relative);
    match fs::metadata(&at) {
        Ok(_) if mapping.deleted => Err(NotReadable::Replaced { path }),
        // The device may differ by design, the inode does not.
        Ok(metadata) if metadata.ino() != mapping.inode => Err(NotReadable::Replaced { path }),
        Ok(metadata) => Ok(Some((at, metadata)).filter(|(_, m)| regular(m))),
        Err(e) => Err(NotReadable::File { path, error: e.to_string() }),
    }
}

/// `O_NONBLOCK`: should the path lead to a pipe by now, opening it must not wait.
const O_NONBLOCK: i32 = 0o4000;

fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("not a regular file")) }
}

/// The 22nd field of `/proc/PID/stat`; the name of the program, in parentheses, may hold anything.
fn started(dir: &Path) -> Option<u64> {
    let stat = fs::read(dir.join("stat")).ok()?;
    let behind = memchr::memrchr(b')', &stat)?;
    let rest = std::str::from_utf8(stat.get(behind + 2..)?).ok()?;
    rest.split(' ').nth(19)?.parse().ok()
}
