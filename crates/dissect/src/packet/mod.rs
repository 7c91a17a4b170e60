//! Finds addresses and payload in a frame. Borrows, allocates nothing.
//!
//! Two lengths run through everything here: the *captured* bytes, which are the slice, and the
//! bytes that were *on the wire*, which may be more where a snaplen cut the frame. Checksums are
//! not checked: with offloading, a capture on the sending machine sees them unfinished.

mod ip;
mod link;
mod transport;
mod tunnel;

use std::net::IpAddr;

pub use ip::parse as parse_ip;
pub use link::{LinkType, network};
pub use transport::{
    IcmpMessage, SctpPacket, TcpFlags, TcpSegment, Transport, UdpDatagram, parse as parse_transport,
};
pub use tunnel::{Inner, inside};

use crate::Problem;

/// An IP packet, or a fragment of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpView<'a> {
    /// Sender. IPv4-mapped IPv6 is turned into IPv4.
    pub src: IpAddr,
    /// Receiver.
    pub dst: IpAddr,
    /// Protocol number of the payload, behind all IPv6 extension headers.
    pub protocol: u8,
    /// Length of the whole packet on the wire, IP header included, link padding excluded.
    pub wire_len: u32,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Length of the payload on the wire.
    pub payload_len: u32,
    /// Set when this is one fragment of several.
    pub fragment: Option<Fragment>,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification that the fragments of a datagram share.
    pub id: u32,
    /// Offset of its payload in the datagram's.
    pub offset: u32,
    /// False for the last fragment.
    pub more: bool,
}

/// A frame as far as it could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketView<'a> {
    /// The IP packet.
    pub ip: IpView<'a>,
    /// What it carries; `None` for a fragment.
    pub transport: Option<Transport<'a>>,
}

/// Reads a frame. `wire_len` is its length before a snaplen cut it. The error says why there is
/// nothing of what [`Transport`] has, and no fragment, to be had from it.
pub fn parse(link: LinkType, frame: &[u8], wire_len: u32) -> Result<PacketView<'_>, Problem> {
    parse_inside(link, frame, wire_len, 0).map(|(view, _)| view)
}

/// The same, through up to `levels` tunnels: what is inside them, and how many bytes of the frame came
/// before the innermost packet; 0 where there is no tunnel.
pub fn parse_inside(
    link: LinkType,
    frame: &[u8],
    wire_len: u32,
    levels: usize,
) -> Result<(PacketView<'_>, u32), Problem> {
    let (mut packet, mut len) = network(link, frame, wire_len)?;
    let start = packet.as_ptr().addr();
    for _ in 0..levels {
        let ip = parse_ip(packet, len)?;
        let inner =
            if ip.fragment.is_none() { inside(ip.protocol, ip.payload, ip.payload_len) } else { None };
        let Some(inner) = inner else { break };
        match network(inner.link, inner.frame, inner.wire_len) {
            Ok((next, next_len)) if !inner.doubtful || parse_ip(next, next_len).is_ok() => {
                (packet, len) = (next, next_len);
            }
            Err(problem) if !inner.doubtful || inner.is_arp() => return Err(problem),
            _ => break,
        }
    }
    let ip = parse_ip(packet, len)?;
    let transport = match ip.fragment {
        Some(_) => None,
        None => Some(parse_transport(ip.protocol, ip.payload, ip.payload_len)?),
    };
    // Lengths on the wire may be anything the headers claim; where a slice begins is certain.
    let before = packet.as_ptr().addr().saturating_sub(start);
    Ok((PacketView { ip, transport }, u32::try_from(before).unwrap_or(u32::MAX)))
}

/// The two bytes at `at`, in network byte order.
fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// The four bytes at `at`, in network byte order.
fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

#[cfg(test)]
mod tests;
