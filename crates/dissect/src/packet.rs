//! Finds addresses and payload in a frame.

use crate::Problem;

/// How the bytes of a frame begin: a `LINKTYPE_` number (<https://www.tcpdump.org/linktypes.html>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: address family in the byte order of the capturing machine.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// PPP.
    pub const PPP: Self = Self(9);
    /// IP without a link header, as `DLT_RAW` of most systems.
    pub const DLT_RAW: Self = Self(12);
    /// IP without a link header, as `DLT_RAW` of OpenBSD.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// IPv4 or IPv6 without a link header.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// IPv4 without a link header.
    pub const IPV4: Self = Self(228);
    /// IPv6 without a link header.
    pub const IPV6: Self = Self(229);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// Every link type that is read.
    pub const ALL: &'static [Self] = &[
        Self::NULL,
        Self::ETHERNET,
        Self::PPP,
        Self::DLT_RAW,
        Self::DLT_RAW_OPENBSD,
        Self::RAW,
        Self::LOOP,
        Self::LINUX_SLL,
        Self::IPV4,
        Self::IPV6,
        Self::LINUX_SLL2,
    ];
}

/// (being written)
pub fn parse(_link: LinkType, _frame: &[u8], _wire_len: u32) -> Result<(), Problem> {
    Err(Problem::UnknownLink)
}
