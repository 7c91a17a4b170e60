#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

/// An IPv4 packet with a TCP segment that carries `hello`.
fn ipv4() -> Vec<u8> {
    let mut p = vec![0x45, 0, 0, 45, 0, 9, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    p.extend_from_slice(&tcp());
    p
}

fn tcp() -> Vec<u8> {
    let mut t = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 7, 0, 0, 0, 9, 0x50, 0x18, 1, 0, 0, 0, 0, 0];
    t.extend_from_slice(b"hello");
    t
}

/// An IPv6 packet whose payload begins with a header of type `next`.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
    p.extend_from_slice(&[next, 64]);
    p.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
    p.extend_from_slice(&Ipv6Addr::LOCALHOST.octets());
    p.extend_from_slice(payload);
    p
}

use std::net::Ipv6Addr;

fn frame(link: LinkType, head: &[u8], packet: &[u8]) -> Result<Vec<u8>, Problem> {
    let frame = [head, packet].concat();
    let len = u32::try_from(frame.len()).unwrap();
    match parse(link, &frame, len)?.transport {
        Some(Transport::Tcp(t)) => {
            assert_eq!((t.src_port, t.dst_port, t.seq, t.ack), (40_000, 80, 7, 9));
            assert_eq!(t.payload.len(), t.payload_len as usize);
            Ok(t.payload.to_vec())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_link_type_leads_to_the_packet() {
    let mac = [0; 12];
    let eth = |rest: &[u8]| [&mac[..], rest].concat();
    let cases: Vec<(LinkType, Vec<u8>)> = vec![
        (LinkType::ETHERNET, eth(&[8, 0])),
        (LinkType::ETHERNET, eth(&[0x81, 0, 0, 5, 8, 0])),
        (LinkType::ETHERNET, eth(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0])),
        (LinkType::ETHERNET, eth(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 47, 0, 0x21])),
        (LinkType::LINUX_SLL, [&[0; 14][..], &[8, 0]].concat()),
        (LinkType::LINUX_SLL2, [&[8, 0][..], &[0; 18]].concat()),
        (LinkType::RAW, vec![]),
        (LinkType::DLT_RAW, vec![]),
        (LinkType::DLT_RAW_OPENBSD, vec![]),
        (LinkType::NULL, vec![2, 0, 0, 0]),
        (LinkType::NULL, vec![0, 0, 0, 2]),
        (LinkType::LOOP, vec![0, 0, 0, 2]),
        (LinkType::PPP, vec![0xff, 3, 0, 0x21]),
        (LinkType::PPP, vec![0, 0x21]),
        (LinkType::PPP, vec![0x21]),
        (LinkType::PPP_WITH_DIR, vec![1, 0xff, 3, 0, 0x21]),
    ];
    for (link, head) in cases {
        assert_eq!(frame(link, &head, &ipv4()).unwrap(), b"hello", "{link:?} {head:02x?}");
    }
}

#[test]
fn what_is_not_ip_says_so() {
    let arp = [&[0; 12][..], &[8, 6], &[0; 28]].concat();
    assert_eq!(parse(LinkType::ETHERNET, &arp, 42), Err(Problem::NotIp));
    assert_eq!(parse(LinkType(147), &arp, 42), Err(Problem::UnknownLink));
    let tags = [&[0; 12][..], &[0x81, 0, 0, 1].repeat(9)].concat();
    assert_eq!(parse(LinkType::ETHERNET, &tags, 48), Err(Problem::BadPacket));
    assert_eq!(parse(LinkType::ETHERNET, &[0; 13], 13), Err(Problem::ShortPacket));
    let mut ospf = ipv4();
    ospf[9] = 89;
    assert_eq!(parse(LinkType::RAW, &ospf, 45), Err(Problem::OtherTransport));
}

#[test]
fn padding_is_not_payload() {
    let padded = [&ipv4()[..], &[0; 15]].concat();
    assert_eq!(frame(LinkType::RAW, &[], &padded).unwrap(), b"hello");
}

#[test]
fn options_are_skipped() {
    let mut p = ipv4();
    p[0] = 0x46;
    p[3] = 49;
    p.splice(20..20, [1, 1, 1, 1]);
    assert_eq!(frame(LinkType::RAW, &[], &p).unwrap(), b"hello");
}

#[test]
fn a_snaplen_shows_in_the_lengths() {
    let p = ipv4();
    let view = parse(LinkType::RAW, &p[..42], 45).unwrap();
    let Some(Transport::Tcp(t)) = view.transport else { panic!("{view:?}") };
    assert_eq!((t.payload, t.payload_len), (&b"he"[..], 5));
    assert_eq!(parse(LinkType::RAW, &p[..39], 45), Err(Problem::ShortPacket));
}

#[test]
fn super_packets_without_a_length_have_the_captured_one() {
    let mut p = ipv4();
    p[2..4].fill(0);
    assert_eq!(frame(LinkType::RAW, &[], &p).unwrap(), b"hello");
    let mut p = ipv6(6, &tcp());
    p[4..6].fill(0);
    assert_eq!(frame(LinkType::RAW, &[], &p).unwrap(), b"hello");
}

#[test]
fn ipv6_extension_headers_are_bounded() {
    let option = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    let some = [&option(43)[..], &option(60), &option(6), &tcp()].concat();
    assert_eq!(frame(LinkType::RAW, &[], &ipv6(0, &some)).unwrap(), b"hello");
    let many = [&option(60).repeat(20)[..], &tcp()].concat();
    let p = ipv6(60, &many);
    assert_eq!(parse(LinkType::RAW, &p, p.len() as u32), Err(Problem::OtherTransport));
    // An atomic fragment is whole.
    let atomic = [&[6, 0, 0, 0, 0, 0, 0, 1][..], &tcp()].concat();
    assert_eq!(frame(LinkType::RAW, &[], &ipv6(44, &atomic)).unwrap(), b"hello");
}

#[test]
fn fragments_are_told() {
    let mut p = ipv4();
    p[6..8].copy_from_slice(&[0x20, 3]);
    let view = parse(LinkType::RAW, &p, 45).unwrap();
    assert_eq!(view.ip.fragment, Some(Fragment { id: 9, offset: 24, more: true }));
    assert_eq!(view.transport, None);
}

#[test]
fn lengths_that_contradict_each_other_are_refused() {
    let mut p = ipv4();
    p[0] = 0x44;
    assert_eq!(parse(LinkType::RAW, &p, 45), Err(Problem::BadPacket));
    let mut p = ipv4();
    p[32] = 0xf0;
    assert_eq!(parse(LinkType::RAW, &p, 45), Err(Problem::BadPacket), "TCP header longer than the packet");
    assert_eq!(parse(LinkType::RAW, &[0x75; 40], 40), Err(Problem::BadPacket), "IP version 7");
}

#[test]
fn mapped_addresses_become_ipv4() {
    let mut p = ipv6(6, &tcp());
    p[8..24].copy_from_slice(&"::ffff:10.1.2.3".parse::<Ipv6Addr>().unwrap().octets());
    let view = parse(LinkType::RAW, &p, p.len() as u32).unwrap();
    assert_eq!(view.ip.src.to_string(), "10.1.2.3");
}
