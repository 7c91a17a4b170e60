//! The system calls that the standard library does not have.
#![expect(unsafe_code, reason = "these calls have no safe wrapper in libc")]

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid timespec to write to; these clocks exist on every kernel with BPF.
    let result = unsafe { libc::clock_gettime(clock, &raw mut t) };
    debug_assert_eq!(result, 0);
    t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec)
}

/// CLOCK_REALTIME less CLOCK_BOOTTIME, in nanoseconds.
pub(super) fn realtime_minus_boottime() -> i64 {
    let before = clock_ns(libc::CLOCK_BOOTTIME);
    let real = clock_ns(libc::CLOCK_REALTIME);
    let after = clock_ns(libc::CLOCK_BOOTTIME);
    real - (before + (after - before) / 2)
}

/// What a wait was ended by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Data,
    Stop,
    Timeout,
    Woken,
}

/// An edge-triggered epoll set of one data source and one stop event: data that arrives without a
/// notification does not end a wait, which is what batches.
#[derive(Debug)]
pub(super) struct Waiter {
    epoll: OwnedFd,
    data: libc::c_int,
    stop: OwnedFd,
    wake: OwnedFd,
}

const STOP: u64 = 1;
const WAKE: u64 = 2;

impl Waiter {
    /// Waits for `data`, which must outlive the waiter's use.
    pub(super) fn new(data: BorrowedFd<'_>) -> io::Result<Self> {
        // SAFETY: plain system calls; the descriptors they return are owned here.
        let (epoll, stop, wake) = unsafe {
            let epoll = OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?);
            let stop = OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?);
            let wake = OwnedFd::from_raw_fd(check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?);
            (epoll, stop, wake)
        };
        for (fd, flags, tag) in [
            (data.as_raw_fd(), libc::EPOLLIN | libc::EPOLLET, 0),
            (stop.as_raw_fd(), libc::EPOLLIN, STOP),
            (wake.as_raw_fd(), libc::EPOLLIN, WAKE),
        ] {
            let mut event = libc::epoll_event { events: flags.cast_unsigned(), u64: tag };
            // SAFETY: `event` is valid for the call, both descriptors are open.
            check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) })?;
        }
        Ok(Self { epoll, data: data.as_raw_fd(), stop, wake })
    }

    /// A second descriptor of the stop event.
    pub(super) fn stopper(&self) -> io::Result<OwnedFd> {
        self.stop.try_clone()
    }

    /// A second descriptor of the event that ends one wait.
    pub(super) fn waker(&self) -> io::Result<OwnedFd> {
        self.wake.try_clone()
    }

    /// Takes a wake-up back, so that the next wait is not ended by it.
    fn woken(&self) -> Ready {
        let mut count = [0_u8; 8];
        // SAFETY: `count` has room for the eight bytes.
        let _ = unsafe { libc::read(self.wake.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
        Ready::Woken
    }

    /// Waits for a notification.
    pub(super) fn notified(&self, timeout: Duration) -> io::Result<Ready> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 3];
        // SAFETY: `events` has room for three events.
        let n = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events.as_mut_ptr(), 3, millis(timeout)) };
        let n = match check(n) {
            Ok(n) => n.unsigned_abs() as usize,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            Err(e) => return Err(e),
        };
        Ok(match events.get(..n) {
            None | Some([]) => Ready::Timeout,
            Some(seen) if seen.iter().any(|e| e.u64 == STOP) => Ready::Stop,
            Some(seen) if seen.iter().any(|e| e.u64 == WAKE) => self.woken(),
            Some(_) => Ready::Data,
        })
    }

    /// Waits until there is data, notified or not.
    pub(super) fn readable(&self, timeout: Duration) -> io::Result<Ready> {
        let mut fds = [
            libc::pollfd { fd: self.stop.as_raw_fd(), events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: self.wake.as_raw_fd(), events: libc::POLLIN, revents: 0 },
            libc::pollfd { fd: self.data, events: libc::POLLIN, revents: 0 },
        ];
        // SAFETY: `fds` is an array of three.
        let n = unsafe { libc::poll(fds.as_mut_ptr(), 3, millis(timeout)) };
        match check(n) {
            Ok(0) => Ok(Ready::Timeout),
            Ok(_) if fds[0].revents != 0 => Ok(Ready::Stop),
            Ok(_) if fds[1].revents != 0 => Ok(self.woken()),
            Ok(_) => Ok(Ready::Data),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Ready::Timeout),
            Err(e) => Err(e),
        }
    }
}

/// Milliseconds for poll; anything above zero waits at least one.
fn millis(t: Duration) -> libc::c_int {
    let ms = t.as_micros().div_ceil(1_000);
    libc::c_int::try_from(ms).unwrap_or(libc::c_int::MAX)
}

/// Raises an eventfd.
pub(super) fn raise(fd: &OwnedFd) -> io::Result<()> {
    let one = 1u64.to_ne_bytes();
    // SAFETY: eight bytes are read from `one`.
    let n = unsafe { libc::write(fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    if n == 8 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Release of the running kernel.
pub(super) fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// A network interface of the calling thread's network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    /// ARPHRD number (include/uapi/linux/if_arp.h).
    pub(super) kind: u16,
    pub(super) up: bool,
}

/// All interfaces, through netlink rather than /sys, which may show another namespace.
pub(super) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut first = std::ptr::null_mut();
    // SAFETY: `first` is a valid place for the list, which is freed below.
    check(unsafe { libc::getifaddrs(&raw mut first) })?;
    let mut out = Vec::new();
    let mut next = first;
    // SAFETY: the list is null terminated, and each entry is valid until it is freed.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: an address is null or valid for the length of its family.
        let family = unsafe { entry.ifa_addr.as_ref() }.map(|a| libc::c_int::from(a.sa_family));
        if family != Some(libc::AF_PACKET) {
            continue;
        }
        // SAFETY: of this family it is a sockaddr_ll; the name is a C string.
        let (ll, name) = unsafe {
            (
                entry.ifa_addr.cast::<libc::sockaddr_ll>().read_unaligned(),
                std::ffi::CStr::from_ptr(entry.ifa_name),
            )
        };
        out.push(Interface {
            name: name.to_string_lossy().into_owned(),
            index: ll.sll_ifindex.cast_unsigned(),
            kind: ll.sll_hatype,
            up: entry.ifa_flags & libc::IFF_UP.cast_unsigned() != 0,
        });
    }
    // SAFETY: what getifaddrs returned, once.
    unsafe { libc::freeifaddrs(first) };
    Ok(out)
}
