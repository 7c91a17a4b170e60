//! What to capture, and with which bounds.

use std::{collections::BTreeSet, fmt, net::IpAddr, str::FromStr};

use remora_abi::MAX_CAPTURE;

use super::Tier;

/// Settings of [`super::Capture::start`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Use this tier and no other; `None` takes the best that works.
    pub tier: Option<Tier>,
    /// Number of rings, each read by one thread; 0 means one per CPU, at most 4.
    pub rings: u32,
    /// Size of each ring in bytes; rounded up to a power of two and whole pages.
    pub ring_bytes: u32,
    /// Entries of the flow table; the least recently used flow leaves a full table.
    pub flows: u32,
    /// Most bytes of a packet to keep, from the IP header on.
    pub snaplen: u32,
    /// Capture one flow in this many; 1 means all.
    pub sample: u32,
    /// What to capture.
    pub policy: Policy,
    /// Leave out the sockets of this process; by default the calling one.
    pub own_process: Option<u32>,
    /// Interfaces for the tiers that work on interfaces; empty means all that are up.
    pub interfaces: Vec<String>,
    /// Reads the plaintext of TLS from the libraries that make it; `None`: never.
    pub tls: Option<TlsConfig>,
    /// Send the debug log of the kernel programs to `tracing` (new flows, policy decisions).
    pub debug_log: bool,
}

impl Config {
    /// Ring size unless set: holds 50 ms of 2.5 Gbit/s.
    pub const RING_BYTES: u32 = 16 << 20;
    /// Flow table entries unless set (about 280 bytes each).
    pub const FLOWS: u32 = 65_536;
    /// Most rings unless set.
    pub const MAX_DEFAULT_RINGS: u32 = 4;
    /// Most rings that can be set.
    pub const MAX_RINGS: u32 = 64;
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tier: None,
            rings: 0,
            ring_bytes: Self::RING_BYTES,
            flows: Self::FLOWS,
            snaplen: MAX_CAPTURE,
            sample: 1,
            policy: Policy::default(),
            own_process: Some(std::process::id()),
            interfaces: Vec::new(),
            tls: None,
            debug_log: false,
        }
    }
}

/// Bounds of what the probes on TLS libraries use.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Size of the ring that plaintext comes through, in bytes; rounded up to a power of two.
    pub ring_bytes: u32,
    /// Connections of libraries, and threads that use them, that are remembered; the least recently
    /// used one leaves a full table.
    pub connections: u32,
    /// Most bytes of plaintext copied of one call of a library, at most
    /// [`Self::MAX_CALL_BUDGET`]; the rest is a gap of known length.
    pub call_budget: u32,
    /// Secrets of connections are read too.
    pub secrets: bool,
}

impl TlsConfig {
    /// Copying this much holds a process up for about a millisecond.
    pub const MAX_CALL_BUDGET: u32 = remora_abi::TLS_CALL;
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { ring_bytes: 16 << 20, connections: 16_384, call_budget: 256 << 10, secrets: false }
    }
}

/// Which flows are captured. An empty include list admits everything; with several include lists
/// a flow must be in each of them; an exclude list always wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Ports of which a flow needs one (either side).
    pub include_ports: BTreeSet<u16>,
    /// Ports that neither side may have.
    pub exclude_ports: BTreeSet<u16>,
    /// Address ranges of which a flow needs one (either side).
    pub include_cidrs: BTreeSet<Cidr>,
    /// Address ranges in which neither side may be.
    pub exclude_cidrs: BTreeSet<Cidr>,
    /// Cgroup-v2 ids (inode numbers of the directories) of which a flow needs one; they and their
    /// descendants match. Only in the cgroup tier.
    pub include_cgroups: BTreeSet<u64>,
    /// Cgroup-v2 ids that neither side may be in or below. Only in the cgroup tier.
    pub exclude_cgroups: BTreeSet<u64>,
}

impl Policy {
    /// Most entries of all address lists together.
    pub const MAX_CIDRS: usize = 4_096;
    /// Most entries of both cgroup lists together.
    pub const MAX_CGROUPS: usize = 16_384;
}

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    addr: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Builds a range; host bits are cleared. `None` when the prefix is too long for the family.
    pub fn new(addr: IpAddr, prefix: u8) -> Option<Self> {
        let addr = match addr {
            IpAddr::V4(a) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V4((u32::from(a) & mask).into())
            }
            IpAddr::V6(a) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::V6((u128::from(a) & mask).into())
            }
            _ => return None,
        };
        Some(Self { addr, prefix })
    }

    /// First address.
    pub fn address(&self) -> IpAddr {
        self.addr
    }

    /// Length of the prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True when `addr` lies in the range.
    pub fn contains(&self, addr: IpAddr) -> bool {
        Self::new(addr.to_canonical(), self.prefix).is_some_and(|c| c.addr == self.addr)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

/// Text that is not an address range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address range; write 10.0.0.0/8 or fd00::/8")]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || CidrError(text.to_owned());
        let (addr, prefix) = match text.split_once('/') {
            Some((a, p)) => (a, Some(p)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| bad())?;
        let prefix = match prefix {
            Some(p) => p.parse().map_err(|_| bad())?,
            None if addr.is_ipv4() => 32,
            None => 128,
        };
        Self::new(addr, prefix).ok_or_else(bad)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_written() {
        for (text, out) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("fd12::1/8", "fd00::/8"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), out);
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", "host/8"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn containment_respects_the_family() {
        let c: Cidr = "10.0.0.0/8".parse().unwrap();
        assert!(c.contains("10.255.0.1".parse().unwrap()));
        assert!(c.contains("::ffff:10.255.0.1".parse().unwrap()));
        assert!(!c.contains("11.0.0.0".parse().unwrap()));
        assert!(!c.contains("fd00::1".parse().unwrap()));
    }
}
