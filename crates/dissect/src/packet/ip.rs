//! IPv4 (RFC 791) and IPv6 (RFC 8200).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Fragment, IpView, be16, be32};
use crate::Problem;

/// IPv6 extension headers that are followed.
const MAX_EXTENSIONS: usize = 8;

// Protocol numbers of IPv6 extension headers (IANA).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

/// Reads an IP packet; its first nibble says which version. `wire_len` is its length before a
/// snaplen cut it, link padding included.
pub fn parse(packet: &[u8], wire_len: u32) -> Result<IpView<'_>, Problem> {
    match packet.first().ok_or(Problem::ShortPacket)? >> 4 {
        4 => v4(packet, wire_len),
        6 => v6(packet, wire_len),
        _ => Err(Problem::BadPacket),
    }
}

fn v4(packet: &[u8], wire_len: u32) -> Result<IpView<'_>, Problem> {
    let header: &[u8; 20] = packet.first_chunk().ok_or(Problem::ShortPacket)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    if header_len < 20 {
        return Err(Problem::BadPacket);
    }
    // A super-packet that the network card will cut up (GSO) may exceed what the field can say:
    // the kernel then leaves it at zero.
    let total = match u16::from_be_bytes([header[2], header[3]]) {
        0 => wire_len,
        n => u32::from(n),
    };
    let payload_len = total.checked_sub(header_len as u32).ok_or(Problem::BadPacket)?;
    let payload = captured(packet, header_len, payload_len)?;

    let flags = u16::from_be_bytes([header[6], header[7]]);
    let (more, offset) = (flags & 0x2000 != 0, u32::from(flags & 0x1fff) * 8);
    let fragment = (more || offset != 0).then(|| Fragment {
        id: u32::from(u16::from_be_bytes([header[4], header[5]])),
        offset,
        more,
    });
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    Ok(IpView {
        src: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        dst: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
        protocol: header[9],
        wire_len: total,
        payload,
        payload_len,
        fragment,
    })
}

fn v6(packet: &[u8], wire_len: u32) -> Result<IpView<'_>, Problem> {
    let header: &[u8; 40] = packet.first_chunk().ok_or(Problem::ShortPacket)?;
    // Zero stands for a jumbogram (RFC 2675), as the kernel also makes of large GSO packets.
    let total = match u16::from_be_bytes([header[4], header[5]]) {
        0 => wire_len,
        n => u32::from(n) + 40,
    };
    let (mut protocol, mut at, mut fragment) = (header[6], 40_usize, None);
    for _ in 0..MAX_EXTENSIONS {
        let len = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HIP | SHIM6 => {
                (usize::from(*packet.get(at + 1).ok_or(Problem::ShortPacket)?) + 1) * 8
            }
            AUTHENTICATION => (usize::from(*packet.get(at + 1).ok_or(Problem::ShortPacket)?) + 2) * 4,
            FRAGMENT => {
                let place = be16(packet, at + 2).ok_or(Problem::ShortPacket)?;
                let id = be32(packet, at + 4).ok_or(Problem::ShortPacket)?;
                let (offset, more) = (u32::from(place & 0xfff8), place & 1 != 0);
                // An "atomic" fragment is a whole packet (RFC 6946).
                fragment = (offset != 0 || more).then_some(Fragment { id, offset, more });
                8
            }
            _ => break,
        };
        protocol = *packet.get(at).ok_or(Problem::ShortPacket)?;
        at += len;
        // What follows in a fragment belongs to the datagram as a whole.
        if fragment.is_some() {
            break;
        }
    }
    let header_len = u32::try_from(at).unwrap_or(u32::MAX);
    let payload_len = total.checked_sub(header_len).ok_or(Problem::BadPacket)?;
    let payload = captured(packet, at, payload_len)?;
    let address = |from: usize| -> IpAddr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[from..from + 16]);
        let ip = Ipv6Addr::from(octets);
        ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
    };
    Ok(IpView {
        src: address(8),
        dst: address(24),
        protocol,
        wire_len: total,
        payload,
        payload_len,
        fragment,
    })
}

/// What was captured of the `len` bytes at `at`.
fn captured(packet: &[u8], at: usize, len: u32) -> Result<&[u8], Problem> {
    let rest = packet.get(at..).ok_or(Problem::ShortPacket)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX).min(rest.len());
    Ok(&rest[..len])
}
