//! One message, as far as it can be read. Borrows, allocates nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::types::{self, Class, Version};
use crate::packet::{IpView, parse_ip};

/// Groups that are read of one MLDv2 report.
pub(super) const MAX_GROUPS: usize = 16;

/// IP protocol numbers (IANA) whose header begins with the ports of sender and receiver.
const WITH_PORTS: &[u8] = &[6, 17, 33, 132, 136];

/// A message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    pub(super) version: Version,
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) class: Class,
    bytes: &'a [u8],
}

/// The packet that an error is about, as far as it is quoted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    /// Ports of sender and receiver.
    pub(super) ports: Option<(u16, u16)>,
    /// Identifier and sequence number of an echo request or reply.
    pub(super) echo: Option<(u16, u16)>,
}

impl<'a> Message<'a> {
    /// `None` for less than a header.
    pub(super) fn read(bytes: &'a [u8], version: Version) -> Option<Self> {
        let &[kind, code, _, _, ..] = bytes else { return None };
        Some(Self { version, kind, code, class: types::class(version, kind), bytes })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Identifier and sequence number, where the type has them.
    pub(super) fn numbers(&self) -> Option<(u16, u16)> {
        match (self.version, self.kind) {
            (Version::V4, 0 | 8 | 13..=18) | (Version::V6, 128 | 129) => Some((self.be16(4)?, self.be16(6)?)),
            // One byte of sequence number (RFC 8335, section 2).
            (Version::V4, 42 | 43) | (Version::V6, 160 | 161) => {
                Some((self.be16(4)?, u16::from(*self.bytes.get(6)?)))
            }
            // Home agent address discovery (RFC 6275, section 6.5) has no sequence number.
            (Version::V6, 144 | 145) => Some((self.be16(4)?, 0)),
            _ => None,
        }
    }

    /// By what a reply is known to belong to its request.
    pub(super) fn key(&self) -> Option<u64> {
        match (self.version, self.kind) {
            // The nonce of node information (RFC 4620, section 3).
            (Version::V6, 139 | 140) => self.bytes.get(8..)?.first_chunk().map(|b| u64::from_be_bytes(*b)),
            _ => self.numbers().map(|(id, seq)| u64::from(id) << 16 | u64::from(seq)),
        }
    }

    /// The largest packet that would have passed.
    pub(super) fn mtu(&self) -> Option<u32> {
        match (self.version, self.kind, self.code) {
            // RFC 1191, section 4; 0 from routers that do not know of it.
            (Version::V4, 3, 4) => self.be16(6).map(u32::from).filter(|mtu| *mtu != 0),
            (Version::V6, 2, _) => self.be32(4),
            _ => None,
        }
    }

    /// Offset of the byte that a parameter problem is about.
    pub(super) fn pointer(&self) -> Option<u32> {
        match (self.version, self.kind, self.code) {
            (Version::V4, 12, 0) => self.bytes.get(4).map(|b| u32::from(*b)),
            (Version::V6, 4, _) => self.be32(4),
            _ => None,
        }
    }

    /// The router that a redirect names.
    pub(super) fn gateway(&self) -> Option<IpAddr> {
        match (self.version, self.kind) {
            (Version::V4, 5) => {
                self.bytes.get(4..)?.first_chunk::<4>().map(|b| IpAddr::V4(Ipv4Addr::from(*b)))
            }
            (Version::V6, 137) => self.address(8),
            _ => None,
        }
    }

    /// The address that neighbour discovery asks for or tells of, and the destination of an ICMPv6
    /// redirect (RFC 4861, sections 4.3 to 4.5).
    pub(super) fn target(&self) -> Option<IpAddr> {
        match (self.version, self.kind) {
            (Version::V6, 135 | 136) => self.address(8),
            (Version::V6, 137) => self.address(24),
            _ => None,
        }
    }

    /// The groups that a message of multicast listener discovery is about (RFC 2710, RFC 3810); an
    /// unspecified one stands for all and is left out.
    pub(super) fn groups(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let (first, count) = match (self.version, self.kind) {
            (Version::V6, 130..=132) => (8, 1),
            (Version::V6, 143) => (8, usize::from(self.be16(6).unwrap_or(0))),
            _ => (0, 0),
        };
        let mut at = first;
        let mut left = count.min(MAX_GROUPS);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            if self.kind != 143 {
                return self.address(at);
            }
            // Record type, length of auxiliary data in words, number of sources, group.
            let group = self.address(at + 4)?;
            let sources = usize::from(self.be16(at + 2)?);
            at += 20 + 16 * sources + 4 * usize::from(*self.bytes.get(at + 1)?);
            Some(group)
        })
        .filter(|ip| !ip.is_unspecified())
    }

    /// The packet that an error or a redirect quotes.
    pub(super) fn quoted(&self) -> Option<Quoted> {
        let at = match (self.class, self.version) {
            (Class::Error, _) | (Class::Redirect, Version::V4) => 8,
            (Class::Redirect, Version::V6) => self.redirected_header()?,
            _ => return None,
        };
        let quote = self.bytes.get(at..)?;
        let ip = parse_ip(quote, u32::try_from(quote.len()).unwrap_or(u32::MAX)).ok()?;
        Some(Quoted::read(&ip))
    }

    /// Where the option of an ICMPv6 redirect that quotes the packet has it (RFC 4861, section 4.6.3).
    fn redirected_header(&self) -> Option<usize> {
        let mut at = 40;
        // Lengths are in units of eight bytes and never 0.
        for _ in 0..8 {
            let len = usize::from(*self.bytes.get(at + 1)?).checked_mul(8).filter(|n| *n > 0)?;
            if self.bytes.get(at) == Some(&4) {
                return Some(at + 8);
            }
            at += len;
        }
        None
    }

    fn be16(&self, at: usize) -> Option<u16> {
        self.bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
    }

    fn be32(&self, at: usize) -> Option<u32> {
        self.bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    fn address(&self, at: usize) -> Option<IpAddr> {
        self.bytes.get(at..)?.first_chunk::<16>().map(|b| IpAddr::V6(Ipv6Addr::from(*b)))
    }
}

impl Quoted {
    fn read(ip: &IpView<'_>) -> Self {
        let pair = |at: usize| {
            let bytes: &[u8; 4] = ip.payload.get(at..)?.first_chunk()?;
            Some((u16::from_be_bytes([bytes[0], bytes[1]]), u16::from_be_bytes([bytes[2], bytes[3]])))
        };
        // Only the first fragment has what follows the IP header.
        let first = ip.fragment.is_none_or(|f| f.offset == 0);
        let is_echo = matches!((ip.protocol, ip.payload.first()), (1, Some(0 | 8)) | (58, Some(128 | 129)));
        Self {
            src: ip.src,
            dst: ip.dst,
            protocol: ip.protocol,
            ports: (first && WITH_PORTS.contains(&ip.protocol)).then(|| pair(0)).flatten(),
            echo: (first && is_echo).then(|| pair(4)).flatten(),
        }
    }

    /// The name of its protocol, `None` for one without a common name.
    pub(super) fn protocol_name(&self) -> Option<&'static str> {
        Some(match self.protocol {
            1 => "icmp",
            2 => "igmp",
            6 => "tcp",
            17 => "udp",
            33 => "dccp",
            41 => "ipv6",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            58 => "icmpv6",
            89 => "ospf",
            132 => "sctp",
            136 => "udplite",
            _ => return None,
        })
    }
}
