//! What is captured, and how.

/// Settings that may change while the programs run (map `SETTINGS`, index 0).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Changes with every change of the policy, so that flows are judged again.
    pub generation: u32,
    /// Most bytes of a packet to copy, at most `MAX_CAPTURE`.
    pub snaplen: u32,
    /// One flow in this many is captured; 0 and 1 mean all.
    pub sample: u32,
    /// See [`settings_flags`].
    pub flags: u32,
    /// Sockets of this process are left out; 0 for none.
    pub own_tgid: u32,
    /// A ring that holds this many bytes wakes its reader.
    pub wakeup_bytes: u32,
}

const _: () = assert!(size_of::<Settings>() == 24);

/// Bits of [`Settings::flags`]: which lists have entries.
pub mod settings_flags {
    /// Some port is excluded.
    pub const PORTS_EXCLUDED: u32 = 1;
    /// Some port is included: flows need one of them.
    pub const PORTS_INCLUDED: u32 = 2;
    /// Some address range is excluded.
    pub const CIDRS_EXCLUDED: u32 = 4;
    /// Some address range is included: flows need one of them.
    pub const CIDRS_INCLUDED: u32 = 8;
    /// Some cgroup is excluded.
    pub const CGROUPS_EXCLUDED: u32 = 16;
    /// Some cgroup is included: flows need one of them.
    pub const CGROUPS_INCLUDED: u32 = 32;
}

/// Value of a policy list: bits that may be combined; exclusion wins.
#[derive(Clone, Copy, Debug)]
pub struct Match;

impl Match {
    /// Captured.
    pub const INCLUDE: u8 = 1;
    /// Not captured.
    pub const EXCLUDE: u8 = 2;
}

/// Bytes of an IPv4 prefix in network order, data part of the key of `CIDRS4`.
pub type CidrKey4 = [u8; 4];

/// Bytes of an IPv6 prefix in network order, data part of the key of `CIDRS6`.
pub type CidrKey6 = [u8; 16];

/// State of a ring's reader (map `RING_STATES`, one per ring).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RingState {
    /// 1 while the reader sleeps long: the next record wakes it.
    pub idle: u32,
    /// Always zero.
    pub pad: u32,
}

const _: () = assert!(size_of::<RingState>() == 8);
