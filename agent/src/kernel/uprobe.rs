//! Probes on instructions of files: they need nothing but a file and offsets, and go away when their
//! descriptors are closed. Where the kernel has no links for many probes at once
//! ([`super::uprobe_multi`]) each of them is a performance event.
#![expect(unsafe_code, reason = "perf_event_open and its ioctls have no wrapper in libc")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::OnceLock;

use aya::{Ebpf, programs::UProbe};

use super::uprobe_multi::{self, MapFds};
use super::{KernelError, load};

/// The programs that probes run, by what they stand for.
macro_rules! programs {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A program that a probe can run, see `agent-ebpf/src/tls_library.rs`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Program { $($(#[$doc])* $name,)* }

        impl Program {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in the object.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

programs! {
    /// Entry of a read.
    Read = "remora_tls_read";
    /// Return of a read, an `int`.
    ReadInt = "remora_tls_read_int";
    /// Return of a read, a `ssize_t`.
    ReadLong = "remora_tls_read_long";
    /// Entry of a write.
    Write = "remora_tls_write";
    /// Return of a write, an `int`.
    WriteInt = "remora_tls_write_int";
    /// Return of a write, a `ssize_t`.
    WriteLong = "remora_tls_write_long";
    /// Entry of a read whose fourth argument points to the amount.
    ReadEx = "remora_tls_read_ex";
    /// Its return.
    ReadExEnd = "remora_tls_read_ex_end";
    /// A read, right behind its entry; the cookie tells what was pushed onto the stack before.
    ReadLater = "remora_tls_read_later";
    /// A write in the same way.
    WriteLater = "remora_tls_write_later";
    /// Entry of a write whose fourth argument points to the amount.
    WriteEx = "remora_tls_write_ex";
    /// Entry of a write whose fifth argument does.
    WriteEx2 = "remora_tls_write_ex2";
    /// Return of both.
    WriteExEnd = "remora_tls_write_ex_end";
    /// Entry of a read with flags.
    Recv = "remora_tls_recv";
    /// Entry of a function that sends a file.
    File = "remora_tls_file";
    /// Its return.
    FileEnd = "remora_tls_file_end";
    /// Entry of a function that is given a descriptor.
    SetFd = "remora_tls_set_fd";
    /// Entry of a handshake.
    Handshake = "remora_tls_handshake";
    /// Entry of a function that frees a connection.
    Free = "remora_tls_free";
    /// Entry of a read in Go.
    GoRead = "remora_tls_go_read";
    /// Its return.
    GoReadEnd = "remora_tls_go_read_end";
    /// Entry of a write in Go.
    GoWrite = "remora_tls_go_write";
    /// Its return.
    GoWriteEnd = "remora_tls_go_write_end";
    /// Entry of a handshake in Go.
    GoHandshake = "remora_tls_go_handshake";
    /// Entry of the function of Go that closes a connection.
    GoClose = "remora_tls_go_close";
    /// The dynamic linker has mapped libraries.
    Linked = "remora_tls_linked";
    /// A library logs a secret; the cookie tells where the client's random is, see
    /// agent-ebpf/src/tls_secret.rs.
    Secret = "remora_tls_secret";
    /// Go does.
    GoSecret = "remora_tls_go_secret";
    /// Entry of what may be a read.
    TrialRead = "remora_tls_trial_read";
    /// Entry of what may be a write.
    TrialWrite = "remora_tls_trial_write";
    /// Return of both, an `int`.
    TrialEnd = "remora_tls_trial_end";
    /// Entry of a function of the handshake, of a library on trial.
    TrialBegin = "remora_tls_trial_begin";
    /// Entry of the function of rustls that is given what was decrypted.
    RustTake = "remora_tls_rust_take";
    /// Entry of the function of rustls that is given what is to be encrypted.
    RustBuffer = "remora_tls_rust_buffer";
    /// Its return.
    RustBufferEnd = "remora_tls_rust_buffer_end";
    /// Entry of the function of rustls that decrypts a record.
    RustOpen = "remora_tls_rust_open";
    /// Its return.
    RustOpenEnd = "remora_tls_rust_open_end";
    /// Entry of the function of rustls that encrypts a record.
    RustSeal = "remora_tls_rust_seal";
}

impl Program {
    /// Whether it reads secrets.
    pub const fn is_of_secrets(self) -> bool {
        matches!(self, Self::Secret | Self::GoSecret)
    }

    /// Whether it needs a probe with a cookie, hence links.
    const fn needs_cookie(self) -> bool {
        self.is_of_secrets() || matches!(self, Self::ReadLater | Self::WriteLater)
    }

    /// What stands for an entry's program behind the entry.
    pub const fn later(self) -> Option<Self> {
        match self {
            Self::Read => Some(Self::ReadLater),
            Self::Write => Some(Self::WriteLater),
            _ => None,
        }
    }
}

/// Where a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The program.
    pub program: Program,
    /// To the returns of the functions that begin at the offsets. It must not be done to code of Go.
    pub at_return: bool,
    /// A number that the program is given.
    pub cookie: u64,
}

/// Why probes were not attached.
#[derive(Debug, thiserror::Error)]
#[error("{path}, offset {offset:#x}: {source}")]
pub struct ProbeError {
    /// The file.
    pub path: String,
    /// Where in it; of several places the first.
    pub offset: u64,
    /// The cause.
    pub source: io::Error,
}

/// Attached probes of one program in one file; dropping them detaches, and waits until none of them runs
/// any more.
#[derive(Debug)]
pub struct Probes {
    #[expect(dead_code, reason = "closing them detaches")]
    descriptors: Vec<OwnedFd>,
    count: usize,
}

impl Probes {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// The loaded programs, and how they are attached.
#[derive(Debug)]
pub(super) struct ProbePrograms {
    loaded: Vec<(Program, OwnedFd)>,
    linked: bool,
}

impl ProbePrograms {
    /// Loads all programs of `ebpf`, whose maps are `maps`; those that read `secrets` where they are wanted
    /// and can be had.
    pub(super) fn load(ebpf: &mut Ebpf, maps: &MapFds, secrets: bool) -> Result<Self, KernelError> {
        match Self::for_links(maps, secrets) {
            Ok(Some(programs)) => return Ok(programs),
            Ok(None) => tracing::debug!("no links for many probes before Linux 6.6: attaching each alone"),
            Err(e) => tracing::warn!(error = %e, "no links for many probes: attaching each alone"),
        }
        let load = |program: &Program| {
            let loaded = load::program::<UProbe>(ebpf, program.name())?;
            let fd = loaded.fd().map_err(|e| KernelError::bpf(program.name(), e))?;
            let fd = fd.as_fd().try_clone_to_owned();
            Ok((*program, fd.map_err(|e| KernelError::io("copying a descriptor", e))?))
        };
        let programs = Program::ALL.iter().filter(|p| !p.needs_cookie());
        let loaded = programs.map(load).collect::<Result<_, KernelError>>()?;
        Ok(Self { loaded, linked: false })
    }

    /// `None`: the kernel has no such links.
    fn for_links(maps: &MapFds, secrets: bool) -> Result<Option<Self>, KernelError> {
        let programs = uprobe_multi::Programs::parse(load::OBJECT, maps)?;
        let mut loaded = Vec::new();
        for program in Program::ALL.iter().filter(|p| secrets || !p.is_of_secrets()) {
            let name = program.name();
            let fd = programs.load(name).map_err(|e| KernelError::io(format!("loading {name}"), e))?;
            if loaded.is_empty() && !uprobe_multi::is_supported(&fd) {
                return Ok(None);
            }
            loaded.push((*program, fd));
        }
        Ok(Some(Self { loaded, linked: true }))
    }

    /// Whether a program is loaded.
    pub(super) fn has(&self, program: Program) -> bool {
        self.loaded.iter().any(|(p, _)| *p == program)
    }

    /// Attaches a program to all processes that run the file at `path`, now and later, at each of
    /// `offsets` of the file.
    pub(super) fn attach(&self, way: Way, path: &Path, offsets: &[u64]) -> Result<Probes, ProbeError> {
        let failed = |offset: Option<&u64>, source: io::Error| ProbeError {
            path: path.display().to_string(),
            offset: offset.copied().unwrap_or_default(),
            source: match source.raw_os_error() {
                Some(ENOTSUPP) => io::Error::other("the kernel puts no probe on the instruction there"),
                _ => source,
            },
        };
        let Some((_, fd)) = self.loaded.iter().find(|(p, _)| *p == way.program) else {
            return Err(failed(offsets.first(), io::Error::other("no such program")));
        };
        let descriptors = if self.linked {
            let link = uprobe_multi::attach(fd, path, offsets, way.at_return, way.cookie);
            vec![link.map_err(|e| failed(offsets.first(), e))?]
        } else {
            let one = |at: &u64| attach(fd, path, *at, way.at_return).map_err(|e| failed(Some(at), e));
            offsets.iter().map(one).collect::<Result<_, _>>()?
        };
        Ok(Probes { descriptors, count: offsets.len() })
    }
}

/// `ENOTSUPP` of the kernel (include/linux/errno.h), which user space has no name for: arch/x86/kernel/uprobes.c
/// refuses some instructions, such as those with a segment's prefix.
const ENOTSUPP: i32 = 524;

/// The part of `struct perf_event_attr` up to its first published size (64 bytes), see
/// include/uapi/linux/perf_event.h.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    /// `uprobe_path`
    config1: u64,
    /// `probe_offset`; published with the size of 72 bytes
    config2: u64,
}

const _: () = assert!(size_of::<Attr>() == 72);

/// `PERF_FLAG_FD_CLOEXEC`.
const CLOEXEC: libc::c_ulong = 1 << 3;
/// `PERF_EVENT_IOC_ENABLE` and `PERF_EVENT_IOC_SET_BPF`.
const ENABLE: libc::Ioctl = 0x2400;
const SET_BPF: libc::Ioctl = 0x4004_2408;

fn attach(program: &OwnedFd, path: &Path, offset: u64, at_return: bool) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let attr = Attr {
        kind: kind()?,
        size: size_of::<Attr>() as u32,
        config: u64::from(at_return) << return_bit(),
        config1: name.as_ptr() as u64,
        config2: offset,
        ..Attr::default()
    };
    // One event for all processes; a uprobe fires wherever its process runs, whatever CPU is named.
    // SAFETY: `attr` and the path that it points to live until the call returns; the descriptor is
    // owned here.
    let event = unsafe {
        let fd = libc::syscall(libc::SYS_perf_event_open, &raw const attr, -1, 0, -1, CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?)
    };
    // SAFETY: both descriptors are open.
    let done = unsafe {
        libc::ioctl(event.as_raw_fd(), SET_BPF, program.as_raw_fd()) == 0
            && libc::ioctl(event.as_raw_fd(), ENABLE, 0) == 0
    };
    if done { Ok(event) } else { Err(io::Error::last_os_error()) }
}

/// The kernel's number for events of this kind.
fn kind() -> io::Result<u32> {
    static KIND: OnceLock<Option<u32>> = OnceLock::new();
    let read =
        || std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/type").ok()?.trim().parse().ok();
    KIND.get_or_init(read).ok_or_else(|| io::Error::other("the kernel has no uprobe events"))
}

/// Which bit of `config` asks for returns.
fn return_bit() -> u32 {
    static BIT: OnceLock<u32> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string("/sys/bus/event_source/devices/uprobe/format/retprobe").ok()?;
        text.trim().strip_prefix("config:")?.parse().ok()
    };
    *BIT.get_or_init(|| read().unwrap_or(0))
}
