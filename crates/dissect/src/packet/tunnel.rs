//! Packets inside packets: IP in IP (RFC 2003, RFC 2473, RFC 4213), GRE (RFC 2784, RFC 2890, RFC 2637) with
//! what it carries, VXLAN (RFC 7348), Geneve (RFC 8926).

use super::{LinkType, Transport, be16};

// IP protocol numbers (IANA).
const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const GRE: u8 = 47;

/// Ports of VXLAN: IANA's, and the one that Linux used before there was one and that Flannel uses still.
const VXLAN_PORTS: [u16; 2] = [4_789, 8_472];
/// Port of Geneve.
const GENEVE_PORT: u16 = 6_081;

// EtherTypes, as GRE and Geneve use them.
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ETHERNET: u16 = 0x6558;
const PPP: u16 = 0x880b;
const ERSPAN_2: u16 = 0x88be;
const ERSPAN_3: u16 = 0x22eb;

/// What a tunnel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner<'a> {
    /// How it begins.
    pub link: LinkType,
    /// Its bytes as captured.
    pub frame: &'a [u8],
    /// Its length on the wire.
    pub wire_len: u32,
    /// Who sends to this port may have meant something else: the packet counts as what it is if the
    /// inside cannot be read.
    pub doubtful: bool,
}

impl Inner<'_> {
    /// True for an Ethernet frame with an ARP packet: no IP, and yet no accident.
    pub(super) fn is_arp(&self) -> bool {
        self.link == LinkType::ETHERNET && be16(self.frame, 12) == Some(0x0806)
    }
}

/// The packet inside the payload of an IP packet, if that is a tunnel. `wire_len` is the payload's length on the wire.
pub fn inside(protocol: u8, payload: &[u8], wire_len: u32) -> Option<Inner<'_>> {
    let (link, skip, doubtful) = match protocol {
        IPV4_IN_IP => (LinkType::IPV4, 0, false),
        IPV6_IN_IP => (LinkType::IPV6, 0, false),
        GRE => {
            let (link, skip) = gre(payload)?;
            (link, skip, false)
        }
        super::transport::UDP => {
            let (link, skip) = udp(payload, wire_len)?;
            (link, skip, true)
        }
        _ => return None,
    };
    let frame = payload.get(skip..).filter(|f| !f.is_empty())?;
    Some(Inner { link, frame, wire_len: wire_len.saturating_sub(u32::try_from(skip).ok()?), doubtful })
}

/// What GRE carries, and the length of its header.
fn gre(bytes: &[u8]) -> Option<(LinkType, usize)> {
    let (flags, carried) = (be16(bytes, 0)?, be16(bytes, 2)?);
    let has = |bit: u16, len: usize| if flags & bit != 0 { len } else { 0 };
    // Checksum and offset, key, sequence number.
    let options = has(0x8000, 4) + has(0x2000, 4) + has(0x1000, 4);
    // Source routes are a thing of the past.
    if flags & 0x4000 != 0 {
        return None;
    }
    match (flags & 7, carried) {
        (0, IPV4 | IPV6) => Some((LinkType::RAW, 4 + options)),
        (0, ETHERNET) => Some((LinkType::ETHERNET, 4 + options)),
        // A sequence number means that a header of ERSPAN follows.
        (0, ERSPAN_2) => Some((LinkType::ETHERNET, 4 + options + has(0x1000, 8))),
        (0, ERSPAN_3) => {
            let header = bytes.get(4 + options..)?;
            let more = if header.get(11)? & 1 != 0 { 8 } else { 0 };
            Some((LinkType::ETHERNET, 4 + options + 12 + more))
        }
        // PPTP: key and, where it is there, an acknowledgement.
        (1, PPP) => Some((LinkType::PPP, 4 + options + has(0x0080, 4))),
        _ => None,
    }
}

/// What a datagram to the port of a tunnel carries, and where in it.
fn udp(bytes: &[u8], wire_len: u32) -> Option<(LinkType, usize)> {
    let port = be16(bytes, 2)?;
    if VXLAN_PORTS.contains(&port) {
        let Ok(Transport::Udp(datagram)) = super::parse_transport(super::transport::UDP, bytes, wire_len)
        else {
            return None;
        };
        // The network identifier is there, and what is reserved, or of an extension, is zero.
        let &[flags, policy, _, _, _, _, _, reserved, ..] = datagram.payload else { return None };
        let group_policy = flags & 0x80 != 0;
        let fits = flags & 0x7f == 0x08 && reserved == 0 && (group_policy || policy == 0);
        return fits.then_some((LinkType::ETHERNET, 16));
    }
    if port == GENEVE_PORT {
        let first = *bytes.get(8)?;
        let options = usize::from(first & 0x3f) * 4;
        let link = match (first >> 6, be16(bytes, 10)?) {
            (0, ETHERNET) => LinkType::ETHERNET,
            (0, IPV4 | IPV6) => LinkType::RAW,
            _ => return None,
        };
        return Some((link, 16 + options));
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::Problem;
    use crate::packet::{PacketView, parse, parse_inside};

    /// An IPv4 packet of that protocol from 10.0.0.`n` to 10.0.0.9.
    fn ip(n: u8, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let total = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
        let mut p =
            vec![0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, n, 10, 0, 0, 9];
        p.extend_from_slice(payload);
        p
    }

    fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(8 + payload.len()).unwrap();
        [&[0x80, 0][..], &port.to_be_bytes(), &len.to_be_bytes(), &[0, 0], payload].concat()
    }

    fn ethernet(packet: &[u8]) -> Vec<u8> {
        [&[0; 12][..], &[8, 0], packet].concat()
    }

    fn read(packet: &[u8], levels: usize) -> (PacketView<'_>, u32) {
        parse_inside(LinkType::RAW, packet, u32::try_from(packet.len()).unwrap(), levels).unwrap()
    }

    #[test]
    fn every_tunnel_leads_to_the_packet_inside() {
        let inner = ip(1, 17, &udp(9, b"hello"));
        let framed = ethernet(&inner);
        let gre = |head: &[u8], what: &[u8]| ip(7, 47, &[head, what].concat());
        let cases = [
            ip(7, 4, &inner),
            gre(&[0, 0, 8, 0], &inner),
            gre(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 1], &inner),
            gre(&[0, 0, 0x65, 0x58], &framed),
            gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0], &framed),
            gre(&[0x30, 0x81, 0x88, 0x0b, 0, 31, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21], &inner),
            ip(7, 17, &udp(4_789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &framed].concat())),
            ip(7, 17, &udp(6_081, &[&[1, 0, 0x65, 0x58, 0, 0, 5, 0, 9, 9, 9, 9][..], &framed].concat())),
        ];
        for packet in cases {
            let (view, header) = read(&packet, 4);
            let Some(Transport::Udp(u)) = view.transport else { panic!("{view:?}") };
            assert_eq!(
                (view.ip.src.to_string().as_str(), u.payload),
                ("10.0.0.1", &b"hello"[..]),
                "{packet:02x?}"
            );
            assert_eq!(header, u32::try_from(packet.len() - inner.len()).unwrap());
        }
    }

    #[test]
    fn tunnels_in_tunnels_are_bounded() {
        let mut packet = ip(1, 17, &udp(9, b"hello"));
        for _ in 0..6 {
            packet = ip(7, 4, &packet);
        }
        let len = u32::try_from(packet.len()).unwrap();
        assert_eq!(parse_inside(LinkType::RAW, &packet, len, 4), Err(Problem::OtherTransport));
        assert!(matches!(read(&packet, 6).0.transport, Some(Transport::Udp(_))));
        assert_eq!(
            parse(LinkType::RAW, &packet, len),
            Err(Problem::OtherTransport),
            "none are opened unasked"
        );
    }

    #[test]
    fn a_packet_that_claims_more_than_it_is_in_does_not_move() {
        let mut inner = ip(1, 4, &ip(2, 17, &udp(9, b"hello")));
        let mut around = ip(7, 4, &inner);
        assert_eq!(read(&around, 4).1, 40);
        // The one in the middle says that it is longer than the outer one.
        inner[2] = 0x7f;
        around.truncate(20);
        around.extend_from_slice(&inner);
        assert_eq!(read(&around, 4).1, 40);
    }

    #[test]
    fn arp_in_a_tunnel_is_no_datagram() {
        let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
        let packet = ip(7, 17, &udp(4_789, &[&[8, 0, 0, 0, 0, 0, 5, 0][..], &arp].concat()));
        let len = u32::try_from(packet.len()).unwrap();
        assert_eq!(parse_inside(LinkType::RAW, &packet, len, 4), Err(Problem::NotIp));
    }

    #[test]
    fn what_only_looks_like_a_tunnel_stays_what_it_is() {
        for payload in [&b"text"[..], &[8, 0, 0, 0, 0, 0, 5, 0, 1, 2, 3], &[0x0c; 40]] {
            let packet = ip(7, 17, &udp(4_789, payload));
            let (view, header) = read(&packet, 4);
            let Some(Transport::Udp(u)) = view.transport else { panic!("{view:?}") };
            assert_eq!((u.dst_port, u.payload, header), (4_789, payload, 0));
        }
    }
}
