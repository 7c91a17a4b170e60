//! How Go passes arguments, and where the fields lie that lead from a `*tls.Conn` to its descriptor.

use crate::found::Machine;

/// How Go functions take their arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// In registers (`ABIInternal`): RAX, RBX, RCX, RDI, RSI, R8 to R11 with the goroutine in R14 on
    /// x86-64; R0 to R15 with the goroutine in R28 on arm64. Results come in the same order.
    Register,
    /// On the stack (`ABI0`): the first argument at SP+8 at the entry, results behind the arguments.
    /// The goroutine is in thread-local storage, at FS:-8 in programs on x86-64; in R28 on arm64.
    Stack,
}

/// Offsets in bytes, for 64-bit programs.
///
/// A `*tls.Conn` begins with `conn net.Conn`, an interface of two words. Where its value is a
/// `*net.TCPConn` (or another type of package net), that begins with a pointer to a `netFD`, which
/// begins with a `poll.FD`. Other types (a wrapped connection) are not like that: whoever follows the
/// pointers must check that the result is a socket of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// In `tls.Conn`: the word that tells the type of the connection below.
    pub conn_type: u32,
    /// In `tls.Conn`: the pointer to the connection below.
    pub conn_value: u32,
    /// In `net.conn`: the pointer to its `netFD`.
    pub net_fd: u32,
    /// In `netFD`: `pfd.Sysfd`, an int of 8 bytes.
    pub sysfd: u32,
    /// In `runtime.g`: `goid`.
    pub goid: u32,
}

/// What reading a Go program's structures needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoInfo {
    /// As the program has it: `go1.23.8`, perhaps with experiments behind a blank.
    pub version: String,
    /// The 23 of it; `None` for development versions, to which the newest layout is applied.
    pub minor: Option<u32>,
    /// How arguments are passed.
    pub abi: Abi,
    /// Where fields lie.
    pub offsets: Offsets,
}

/// Newest version whose source was looked at.
const NEWEST: u32 = 27;

pub(super) fn info(version: &str, machine: Machine) -> GoInfo {
    let minor = minor(version);
    let known = minor.unwrap_or(NEWEST);
    // Go 1.17 and 1.18 release notes.
    let registers = match machine {
        Machine::X86_64 => 17,
        Machine::Aarch64 => 18,
    };
    let abi = if known >= registers { Abi::Register } else { Abi::Stack };
    // `tls.Conn`, `net.conn` and `netFD` have begun like this since Go 1.9 (crypto/tls/conn.go,
    // net/net.go, net/fd_unix.go); `poll.FD` begins with a `fdMutex` of 16 bytes.
    let offsets = Offsets { conn_type: 0, conn_value: 8, net_fd: 0, sysfd: 16, goid: goid(known) };
    GoInfo { version: version.to_owned(), minor, abi, offsets }
}

/// runtime/runtime2.go, `type g struct`: `goid` follows `stack` and two guards (32), three pointers
/// (24), `sched` (56, without `ret` since 1.25: 48), `syscallsp` and `syscallpc`, since 1.23
/// `syscallbp`, `stktopsp`, `param`, and two words of 4.
const fn goid(minor: u32) -> u32 {
    let sched = if minor >= 25 { 48 } else { 56 };
    let syscall = if minor >= 23 { 24 } else { 16 };
    32 + 24 + sched + syscall + 16 + 8
}

/// `go1.23.8` is 23.
fn minor(version: &str) -> Option<u32> {
    let at = version.find("go1.")? + 4;
    let digits = version.get(at..)?;
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    digits[..len].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Abi, goid, info, minor};
    use crate::found::Machine;

    #[test]
    fn versions_decide_the_layout() {
        assert_eq!(minor("go1.23.8 X:boringcrypto"), Some(23));
        assert_eq!(minor("go1.16rc1"), Some(16));
        assert_eq!(minor("devel +abc"), None);
        assert_eq!(goid(22), 152);
        assert_eq!(goid(24), 160);
        assert_eq!(info("go1.16.3", Machine::X86_64).abi, Abi::Stack);
        assert_eq!(info("go1.17", Machine::X86_64).abi, Abi::Register);
        assert_eq!(info("go1.17", Machine::Aarch64).abi, Abi::Stack);
        assert_eq!(info("devel go1.28-abc", Machine::Aarch64).minor, Some(28));
    }
}
