//! Which flow a packet belongs to, read from its headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The ends and the IP protocol of a flow, the same for both directions. Protocols without ports
/// have port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowKey {
    protocol: u8,
    low: SocketAddrKey,
    high: SocketAddrKey,
}

pub(crate) type SocketAddrKey = (IpAddr, u16);

impl FlowKey {
    /// The flow of an IP protocol number between two ends, in whichever order.
    pub fn new(protocol: u8, a: SocketAddr, b: SocketAddr) -> Self {
        Self::between(protocol, (a.ip().to_canonical(), a.port()), (b.ip().to_canonical(), b.port()))
    }

    fn between(protocol: u8, a: SocketAddrKey, b: SocketAddrKey) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self { protocol, low, high }
    }

    /// IP protocol number.
    pub fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Both ends; their order says nothing about who opened the flow.
    pub fn ends(&self) -> [SocketAddr; 2] {
        [self.low, self.high].map(|(ip, port)| SocketAddr::new(ip, port))
    }

    /// The same flow without its ports: what later fragments of its datagrams show.
    pub(crate) fn without_ports(&self) -> Self {
        Self::between(self.protocol, (self.low.0, 0), (self.high.0, 0))
    }

    /// A number that stands in indexes, so that it never changes: FNV-1a of 64 bits over protocol and
    /// ends (addresses as IPv6), folded to 32. `fragment` files fragments apart.
    pub(crate) fn hash(&self, fragment: bool) -> u32 {
        let mut h = 0xcbf2_9ce4_8422_2325_u64;
        let mut word = |w: u64| h = (h ^ w).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        word(u64::from(self.protocol) | u64::from(fragment) << 8);
        for (ip, port) in [self.low, self.high] {
            let bits = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
                IpAddr::V6(ip) => ip.to_bits(),
            };
            word((bits >> 64) as u64);
            word(bits as u64);
            word(u64::from(port));
        }
        word(0x9e37_79b9_7f4a_7c15);
        (h ^ h >> 32) as u32
    }
}

/// A packet's headers, as far as they are needed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headers {
    /// Its flow; of a fragment that is not the first, without ports.
    pub(crate) key: FlowKey,
    /// Who sent it.
    pub(crate) from: SocketAddrKey,
    /// Who is to get it.
    pub(crate) to: SocketAddrKey,
    pub(crate) fragment: Option<Fragment>,
    /// Where the payload of the transport begins, if the packet has been captured so far.
    pub(crate) payload: usize,
}

/// A part of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fragment {
    /// Its identification.
    pub(crate) id: u32,
    /// It has the ports.
    pub(crate) first: bool,
}

/// Extension headers that are followed.
const MAX_EXTENSIONS: usize = 8;

const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

impl Headers {
    /// Reads IPv4 or IPv6 from its first byte on; `None` for anything else and what is cut before the
    /// addresses end.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        match data.first()? >> 4 {
            4 => Self::v4(data),
            6 => Self::v6(data),
            _ => None,
        }
    }

    /// RFC 791, 3.1.
    fn v4(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<20>()?;
        let len = usize::from(head[0] & 15) * 4;
        let src = IpAddr::V4(Ipv4Addr::new(head[12], head[13], head[14], head[15]));
        let dst = IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19]));
        let place = u16::from_be_bytes([head[6], head[7]]);
        // More fragments, or an offset.
        let fragment = (place & 0x3fff != 0).then(|| Fragment {
            id: u32::from(u16::from_be_bytes([head[4], head[5]])),
            first: place & 0x1fff == 0,
        });
        Some(Self::upper(data, len.max(20), head[9], src, dst, fragment))
    }

    /// RFC 8200, 3 and 4.
    fn v6(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<40>()?;
        let address = |at: usize| {
            let bytes = head.get(at..).and_then(|b| b.first_chunk::<16>())?;
            Some(IpAddr::V6(Ipv6Addr::from(*bytes)).to_canonical())
        };
        let (src, dst) = (address(8)?, address(24)?);
        let mut next = head[6];
        let mut at = 40;
        let mut fragment = None;
        for _ in 0..MAX_EXTENSIONS {
            let Some(extension) = data.get(at..).and_then(|b| b.first_chunk::<2>()) else { break };
            let len = match next {
                // Hop-by-hop options, routing, destination options.
                0 | 43 | 60 => (usize::from(extension[1]) + 1) * 8,
                // Authentication, in words less two.
                51 => (usize::from(extension[1]) + 2) * 4,
                44 => {
                    let Some(f) = data.get(at..).and_then(|b| b.first_chunk::<8>()) else { break };
                    let place = u16::from_be_bytes([f[2], f[3]]);
                    // One that is whole by itself is no fragment (RFC 6946).
                    if place & 0xfff9 != 0 {
                        let id = u32::from_be_bytes([f[4], f[5], f[6], f[7]]);
                        fragment = Some(Fragment { id, first: place >> 3 == 0 });
                    }
                    8
                }
                _ => break,
            };
            next = extension[0];
            at += len;
            if fragment.is_some_and(|f| !f.first) {
                break;
            }
        }
        Some(Self::upper(data, at, next, src, dst, fragment))
    }

    fn upper(
        data: &[u8],
        at: usize,
        protocol: u8,
        src: IpAddr,
        dst: IpAddr,
        fragment: Option<Fragment>,
    ) -> Self {
        let ports = match (data.get(at..).and_then(|b| b.first_chunk::<4>()), protocol) {
            _ if fragment.is_some_and(|f| !f.first) => None,
            (Some(b), TCP | UDP | DCCP | SCTP | UDP_LITE) => {
                Some((u16::from_be_bytes([b[0], b[1]]), u16::from_be_bytes([b[2], b[3]])))
            }
            _ => None,
        };
        let (from, to) = ports.unwrap_or_default();
        let (from, to) = ((src, from), (dst, to));
        let header = match protocol {
            _ if fragment.is_some_and(|f| !f.first) => 0,
            TCP => data.get(at + 12).map_or(20, |b| usize::from(b >> 4) * 4).max(20),
            SCTP => 12,
            _ => 8,
        };
        Self { key: FlowKey::between(protocol, from, to), from, to, fragment, payload: at + header }
    }

    /// The number under which the packet is filed.
    pub(crate) fn hash(&self) -> u32 {
        match self.fragment {
            None => self.key.hash(false),
            Some(_) => self.key.without_ports().hash(true),
        }
    }
}

/// The random of a TLS ClientHello that begins in this payload of TCP (RFC 8446, 4.1.2 and 5.1).
pub(crate) fn client_random(headers: &Headers, data: &[u8]) -> Option<[u8; 32]> {
    if headers.key.protocol != TCP || headers.fragment.is_some() {
        return None;
    }
    // Record: handshake (22), version 3.x, length; message: ClientHello (1), length, version 3.3.
    match data.get(headers.payload..)? {
        [22, 3, _, _, _, 1, _, _, _, 3, 1..=3, random @ ..] => random.first_chunk().copied(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn v4(protocol: u8, place: u16, payload: &[u8]) -> Vec<u8> {
        let mut p = vec![0x45, 0, 0, 0, 0x12, 0x34];
        p.extend(place.to_be_bytes());
        p.extend([64, protocol, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
        p.extend(payload);
        p
    }

    #[test]
    fn both_directions_are_one_flow() {
        let (a, b) = ("10.0.0.1:80".parse().unwrap(), "10.0.0.2:999".parse().unwrap());
        let key = FlowKey::new(6, a, b);
        assert_eq!(key, FlowKey::new(6, b, a));
        assert_eq!(key, FlowKey::new(6, "[::ffff:10.0.0.2]:999".parse().unwrap(), a));
        let mut tcp = [0; 20];
        tcp[..4].copy_from_slice(&[999_u16.to_be_bytes(), 80_u16.to_be_bytes()].concat());
        tcp[12] = 0x50;
        let headers = Headers::parse(&v4(6, 0x4000, &tcp)).unwrap();
        assert_eq!((headers.key, headers.payload, headers.fragment), (key, 40, None));
        assert_ne!(key.hash(false), FlowKey::new(17, a, b).hash(false));
        assert_ne!(key.hash(false), key.hash(true));
    }

    /// The number stands in files: it must stay as it is.
    #[test]
    fn the_hash_does_not_change() {
        let key = FlowKey::new(6, "10.0.0.1:80".parse().unwrap(), "10.0.0.2:999".parse().unwrap());
        assert_eq!(key.hash(false), 1_961_971_687);
    }

    #[test]
    fn fragments_are_filed_together() {
        let first = Headers::parse(&v4(17, 0x2000, &[1, 2, 3, 4, 0, 0, 0, 0])).unwrap();
        let later = Headers::parse(&v4(17, 0x0010, &[9; 30])).unwrap();
        assert_eq!(first.fragment, Some(Fragment { id: 0x1234, first: true }));
        assert_eq!(later.fragment, Some(Fragment { id: 0x1234, first: false }));
        assert_eq!(first.hash(), later.hash());
        assert_ne!(first.key, later.key);
        assert_eq!(first.key.without_ports(), later.key);
    }

    #[test]
    fn extension_headers_are_passed() {
        let mut p = vec![0x60, 0, 0, 0, 0, 40, 0, 64];
        p.extend([1; 16]);
        p.extend([2; 16]);
        p.extend([44, 0, 0, 0, 0, 0, 0, 0]); // hop-by-hop
        p.extend([17, 0, 0, 1, 0, 0, 0, 7]); // fragment, first of several
        p.extend([0, 1, 0, 2, 0, 8, 0, 0]);
        let headers = Headers::parse(&p).unwrap();
        assert_eq!(headers.fragment, Some(Fragment { id: 7, first: true }));
        assert_eq!((headers.key.protocol(), headers.payload), (17, 64));
        assert_eq!(headers.key.ends().map(|e| e.port()), [1, 2]);
        for cut in 0..p.len() {
            assert_eq!(Headers::parse(&p[..cut]).is_some(), cut >= 40);
        }
    }

    #[test]
    fn a_hello_gives_its_random() {
        let mut tcp = vec![0; 20];
        tcp[12] = 0x50;
        tcp.extend([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
        tcp.extend(0..32);
        let packet = v4(6, 0, &tcp);
        let headers = Headers::parse(&packet).unwrap();
        assert_eq!(client_random(&headers, &packet).unwrap()[..3], [0, 1, 2]);
        assert_eq!(client_random(&headers, &packet[..packet.len() - 1]), None);
    }
}
