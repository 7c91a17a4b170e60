//! Headers of packets that no program in the kernel has looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What IP and transport headers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Headers {
    pub(super) version: u8,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) src_port: u16,
    pub(super) dst_port: u16,
    pub(super) protocol: u8,
    pub(super) tcp_flags: u8,
    pub(super) l4: usize,
    pub(super) payload: usize,
    /// Length that the IP header states; 0 when it cannot (BIG TCP).
    pub(super) stated: usize,
    pub(super) fragment: bool,
    pub(super) no_l4: bool,
}

/// Why a packet has no headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Short,
    NotIp,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const UDP_LITE: u8 = 136;
const SCTP: u8 = 132;
const DCCP: u8 = 33;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
/// Most IPv6 extension headers that are walked over, as in the kernel programs.
const MAX_EXTENSIONS: usize = 6;

fn byte(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

fn word(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Reads the headers of a packet that begins with its IP header.
pub(super) fn parse(data: &[u8]) -> Result<Headers, Failure> {
    match data.first().map(|b| b >> 4) {
        Some(4) => v4(data).ok_or(Failure::Short),
        Some(6) => v6(data).ok_or(Failure::Short),
        Some(_) => Err(Failure::NotIp),
        None => Err(Failure::Short),
    }
}

fn v4(data: &[u8]) -> Option<Headers> {
    let l4 = usize::from(byte(data, 0)? & 15) * 4;
    if l4 < 20 || l4 > data.len() {
        return None;
    }
    let fragment = word(data, 6)?;
    let addr = |at: usize| data.get(at..)?.first_chunk::<4>().map(|b| IpAddr::V4(Ipv4Addr::from(*b)));
    let h = Headers {
        version: 4,
        src: addr(12)?,
        dst: addr(16)?,
        src_port: 0,
        dst_port: 0,
        protocol: byte(data, 9)?,
        tcp_flags: 0,
        l4,
        payload: l4,
        stated: usize::from(word(data, 2)?),
        fragment: fragment & 0x3fff != 0,
        no_l4: fragment & 0x1fff != 0,
    };
    Some(upper(data, h))
}

fn v6(data: &[u8]) -> Option<Headers> {
    let addr = |at: usize| data.get(at..)?.first_chunk::<16>().map(|b| IpAddr::V6(Ipv6Addr::from(*b)));
    let after = usize::from(word(data, 4)?);
    let (mut next, mut at) = (byte(data, 6)?, 40);
    let (mut fragment, mut no_l4, mut found) = (false, false, false);
    let (src, dst) = (addr(8)?, addr(24)?);
    for _ in 0..MAX_EXTENSIONS {
        if !matches!(next, 0 | 43 | FRAGMENT | AUTHENTICATION | 60) {
            found = true;
            break;
        }
        let (Some(following), Some(length)) = (byte(data, at), byte(data, at + 1)) else { break };
        let kind = std::mem::replace(&mut next, following);
        at += match kind {
            FRAGMENT => {
                let Some(offset) = word(data, at + 2) else { break };
                // An atomic fragment (RFC 6946) is a whole packet.
                fragment |= offset & 0xfff9 != 0;
                no_l4 |= offset & 0xfff8 != 0;
                8
            }
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        if no_l4 {
            break;
        }
    }
    let h = Headers {
        version: 6,
        src,
        dst,
        src_port: 0,
        dst_port: 0,
        protocol: next,
        tcp_flags: 0,
        l4: at,
        payload: at,
        stated: if after == 0 { 0 } else { after + 40 },
        fragment,
        no_l4: no_l4 || !found,
    };
    Some(upper(data, h))
}

fn upper(data: &[u8], mut h: Headers) -> Headers {
    if h.no_l4 {
        return h;
    }
    let least = match h.protocol {
        TCP => 20,
        UDP | UDP_LITE => 8,
        SCTP | DCCP => 12,
        _ => return h,
    };
    let Some(head) = data.get(h.l4..h.l4 + least) else {
        h.no_l4 = true;
        return h;
    };
    if !h.fragment {
        h.src_port = word(head, 0).unwrap_or(0);
        h.dst_port = word(head, 2).unwrap_or(0);
    }
    h.payload = h.l4 + least;
    if h.protocol == TCP {
        h.tcp_flags = byte(head, 13).unwrap_or(0);
        h.payload = h.l4 + (usize::from(byte(head, 12).unwrap_or(0) >> 4) * 4).max(20);
    }
    h
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn udp6(extensions: &[&[u8]]) -> Vec<u8> {
        let body: usize = extensions.iter().map(|e| e.len()).sum::<usize>() + 8 + 3;
        let mut p = vec![0x60, 0, 0, 0, 0, u8::try_from(body).unwrap(), 17, 64];
        p.extend([0xfd; 32]);
        for e in extensions {
            p.extend(*e);
        }
        p.extend([0, 53, 1, 0, 0, 11, 0, 0, 1, 2, 3]);
        p
    }

    #[test]
    fn extension_headers_are_walked() {
        let plain = udp6(&[]);
        let h = parse(&plain).unwrap();
        assert_eq!((h.src_port, h.dst_port, h.payload, h.stated), (53, 256, 48, 51));
        let mut hop = udp6(&[&[60, 0, 0, 0, 0, 0, 0, 0], &[17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
        hop[6] = 0;
        let h = parse(&hop).unwrap();
        assert_eq!((h.protocol, h.l4, h.src_port), (17, 64, 53));
        let mut later = udp6(&[&[17, 0, 0, 8, 0, 0, 0, 1]]);
        later[6] = FRAGMENT;
        let h = parse(&later).unwrap();
        assert!(h.fragment && h.no_l4);
        assert_eq!(h.src_port, 0);
    }

    #[test]
    fn truncated_packets_are_no_panic() {
        let mut p = udp6(&[&[0; 8], &[0; 8]]);
        p[6] = 0;
        for n in 0..p.len() {
            let _ = parse(&p[..n]);
        }
        let v4 = [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 1, 0];
        for n in 0..v4.len() {
            let _ = parse(&v4[..n]);
        }
        assert!(parse(&v4).unwrap().no_l4);
        assert_eq!(parse(&[0xff; 60]).unwrap_err(), Failure::NotIp);
        assert_eq!(parse(&[]).unwrap_err(), Failure::Short);
    }
}
