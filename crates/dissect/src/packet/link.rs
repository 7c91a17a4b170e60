//! Link headers.

use super::{be16, be32};
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
    /// PPP in HDLC-like framing, with or without address and control bytes.
    pub const PPP_HDLC: Self = Self(50);
    /// IPv4 or IPv6 without a link header.
    pub const RAW: Self = Self(101);
    /// OpenBSD loopback: address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// Linux cooked capture.
    pub const LINUX_SLL: Self = Self(113);
    /// PPP preceded by a byte that says whether the frame was sent or received.
    pub const PPP_WITH_DIR: Self = Self(204);
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
        Self::PPP_HDLC,
        Self::RAW,
        Self::LOOP,
        Self::LINUX_SLL,
        Self::PPP_WITH_DIR,
        Self::IPV4,
        Self::IPV6,
        Self::LINUX_SLL2,
    ];
}

// EtherTypes (IEEE 802 numbers, as in Linux `if_ether.h`).
const ETH_IPV4: u16 = 0x0800;
const ETH_IPV6: u16 = 0x86dd;
const ETH_VLAN: u16 = 0x8100;
const ETH_QINQ: u16 = 0x88a8;
const ETH_QINQ_OLD: u16 = 0x9100;
const ETH_PPPOE_SESSION: u16 = 0x8864;

// PPP protocol numbers (RFC 1661, RFC 1332, RFC 5072).
const PPP_IPV4: u16 = 0x0021;
const PPP_IPV6: u16 = 0x0057;

/// VLAN tags that are followed; real networks use two.
const MAX_TAGS: usize = 4;

/// The IP packet inside a frame, and its length on the wire including padding of the link.
pub fn network(link: LinkType, frame: &[u8], wire_len: u32) -> Result<(&[u8], u32), Problem> {
    let skip = match link {
        LinkType::ETHERNET => ethertype(frame, 12)?,
        LinkType::LINUX_SLL => ethertype(frame, 14)?,
        LinkType::LINUX_SLL2 => sll2(frame)?,
        LinkType::RAW | LinkType::DLT_RAW | LinkType::DLT_RAW_OPENBSD | LinkType::IPV4 | LinkType::IPV6 => 0,
        LinkType::NULL | LinkType::LOOP => loopback(frame)?,
        LinkType::PPP | LinkType::PPP_HDLC => ppp(frame, 0)?,
        LinkType::PPP_WITH_DIR => ppp(frame, 1)?,
        _ => return Err(Problem::UnknownLink),
    };
    let packet = frame.get(skip..).ok_or(Problem::ShortPacket)?;
    let header = u32::try_from(skip).unwrap_or(u32::MAX);
    let captured = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    Ok((packet, wire_len.saturating_sub(header).max(captured)))
}

/// Where the IP packet begins behind the EtherType at `at`.
fn ethertype(frame: &[u8], mut at: usize) -> Result<usize, Problem> {
    for _ in 0..=MAX_TAGS {
        match be16(frame, at).ok_or(Problem::ShortPacket)? {
            ETH_IPV4 | ETH_IPV6 => return Ok(at + 2),
            ETH_VLAN | ETH_QINQ | ETH_QINQ_OLD => at += 4,
            // PPPoE (RFC 2516): six bytes of header, then a PPP protocol number.
            ETH_PPPOE_SESSION => return ppp(frame, at + 8),
            _ => return Err(Problem::NotIp),
        }
    }
    Err(Problem::BadPacket)
}

/// SLL2 begins with the EtherType; tags, if any, follow the 20 bytes of its header.
fn sll2(frame: &[u8]) -> Result<usize, Problem> {
    match be16(frame, 0).ok_or(Problem::ShortPacket)? {
        ETH_IPV4 | ETH_IPV6 => Ok(20),
        // The header ends with the tag control information's place taken: what follows is the
        // rest of the tag, TCI and EtherType.
        ETH_VLAN | ETH_QINQ | ETH_QINQ_OLD => ethertype(frame, 22),
        _ => Err(Problem::NotIp),
    }
}

/// An address family. Both byte orders are tried, because a file may come from another machine;
/// the families are below 2^16, so they cannot be confused.
fn loopback(frame: &[u8]) -> Result<usize, Problem> {
    let family = be32(frame, 0).ok_or(Problem::ShortPacket)?;
    let family = if family > 0xffff { family.swap_bytes() } else { family };
    match family {
        // AF_INET everywhere; AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
        2 | 10 | 24 | 28 | 30 => Ok(4),
        _ => Err(Problem::NotIp),
    }
}

/// PPP at `at`: optional HDLC address and control bytes, then a protocol number of two bytes, or
/// of one where the peers agreed to compress it (RFC 1661, section 6.5: odd means last byte).
fn ppp(frame: &[u8], mut at: usize) -> Result<usize, Problem> {
    if frame.get(at..at + 2) == Some(&[0xff, 0x03]) {
        at += 2;
    }
    let &first = frame.get(at).ok_or(Problem::ShortPacket)?;
    let (protocol, len) = if first & 1 == 1 {
        (u16::from(first), 1)
    } else {
        (be16(frame, at).ok_or(Problem::ShortPacket)?, 2)
    };
    match protocol {
        PPP_IPV4 | PPP_IPV6 => Ok(at + len),
        _ => Err(Problem::NotIp),
    }
}
