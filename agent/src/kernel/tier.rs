//! The ways of seeing packets, best first, and the report of which one runs.

use std::{fmt, str::FromStr};

/// A way of seeing packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tier {
    /// `cgroup_skb` programs at the root of cgroup v2: every socket of every container, with its
    /// cgroup and process.
    Cgroup,
    /// tc (tcx where the kernel has it) programs on interfaces: packets, no identity.
    Tc,
    /// `AF_PACKET` sockets: packets, no identity, no flow table in the kernel.
    Packet,
}

impl Tier {
    /// All tiers, best first.
    pub const ALL: [Self; 3] = [Self::Cgroup, Self::Tc, Self::Packet];

    /// Name in settings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup_skb",
            Self::Tc => "tc",
            Self::Packet => "af_packet",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no tier's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a capture tier; there are cgroup_skb, tc and af_packet")]
pub struct TierError(String);

impl FromStr for Tier {
    type Err = TierError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|t| t.name() == s).ok_or_else(|| TierError(s.to_owned()))
    }
}

/// Which tier runs, and why the better ones do not.
#[derive(Clone, Debug)]
pub struct TierReport {
    /// The tier that runs.
    pub tier: Tier,
    /// Where it is attached: the cgroup directory or the interfaces.
    pub attached_to: String,
    /// The better tiers that were tried, each with the reason on one line.
    pub rejected: Vec<(Tier, String)>,
    /// What this tier cannot do here, one line each.
    pub limits: Vec<String>,
    /// Kernel release (`uname -r`).
    pub kernel: String,
    /// True when the kernel describes its types (`/sys/kernel/btf/vmlinux`).
    pub btf: bool,
    /// Number of rings.
    pub rings: usize,
}
