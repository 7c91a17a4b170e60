use super::*;
use crate::dns::testing::Build;

fn udp(bytes: &[u8]) -> Verdict {
    probe(bytes, Transport::Udp)
}

fn tcp(bytes: &[u8]) -> Verdict {
    probe(bytes, Transport::Tcp)
}

#[test]
fn datagrams() {
    assert_eq!(udp(&Build::query(1, "a.b").0), Verdict::Match(Role::Client));
    assert_eq!(udp(&Build::query(1, "a.b").opt(0, true, b"").0), Verdict::Match(Role::Client));
    assert_eq!(udp(&Build::response(1, "a.b").a("a.b", 1).0), Verdict::Match(Role::Server));
    // NXDOMAIN without a record.
    assert_eq!(udp(&Build::new(1, 0x8183).question("a", types::A).0), Verdict::Match(Role::Server));
    // An mDNS announcement has no question.
    assert_eq!(udp(&Build::new(0, 0x8400).a("a.local", 1).0), Verdict::Match(Role::Server));
    let mut padded = Build::query(1, "a").0;
    padded.extend([0; 7]);
    assert_eq!(udp(&padded), Verdict::Match(Role::Client));
}

#[test]
fn what_is_not_quite_dns_is_not_dns() {
    let good = Build::query(0x1234, "www.example").0;
    assert_eq!(udp(&good[..good.len() - 1]), Verdict::No);
    let mut trailing = good.clone();
    trailing.push(1);
    assert_eq!(udp(&trailing), Verdict::No);
    for (at, value, why) in [
        (2, 0x79, "operation code"),
        (3, 0x40, "the zero bit"),
        (3, 0x05, "a response code in a query"),
        (2, 0x04, "an authoritative query"),
        (5, 0, "nothing asked"),
        (7, 1, "an answer that is not there"),
        (12, 0x43, "a label of an unknown kind"),
        (12, 0xc0, "a pointer forwards"),
        (good.len() - 1, 9, "class"),
    ] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(udp(&bad), Verdict::No, "{why}");
    }
    assert_eq!(udp(&[0; 64]), Verdict::No);
    assert_eq!(udp(&[0xff; 64]), Verdict::No);
    assert_eq!(udp(b"NOTIFY * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\n\r\n"), Verdict::No);
    // STUN binding request, NTP client.
    assert_eq!(udp(b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"), Verdict::No);
    let mut ntp = [0; 48];
    ntp[0] = 0x23;
    assert_eq!(udp(&ntp), Verdict::No);
}

#[test]
fn netbios_names_are_not_dns() {
    let query = Build::new(1, 0x0110).question("CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 33).0;
    assert_eq!(udp(&query), Verdict::No);
}

#[test]
fn few_random_datagrams_pass() {
    // A linear congruential generator: the same octets in every run.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let claimed = (0..200_000)
        .filter(|_| {
            let len = usize::from(next()) + 12;
            let bytes: Vec<u8> = (0..len).map(|_| next()).collect();
            udp(&bytes) != Verdict::No || matches!(tcp(&bytes), Verdict::Match(_))
        })
        .count();
    assert_eq!(claimed, 0);
}

#[test]
fn streams() {
    let whole = Build::query(1, "www.example").framed();
    assert_eq!(tcp(&whole), Verdict::Match(Role::Client));
    assert_eq!(tcp(&whole[..1]), Verdict::NeedMore);
    assert_eq!(tcp(&whole[..2]), Verdict::NeedMore);
    assert_eq!(tcp(&whole[..20]), Verdict::NeedMore);
    let mut two = whole.clone();
    two.extend(&whole);
    assert_eq!(tcp(&two), Verdict::Match(Role::Client));
    assert_eq!(tcp(b"\x00\x05abcdefgh"), Verdict::No);
    assert_eq!(tcp(b"GET / HTTP/1.1\r\n\r\n"), Verdict::No);
    assert_eq!(tcp(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x5a\x5a\x5a\x5a"), Verdict::No);

    let mut long = Build::response(1, "z");
    for i in 0..200 {
        long = long.a("z", i);
    }
    let long = long.framed();
    assert_eq!(tcp(&long[..100]), Verdict::Likely(Role::Server));
    assert_eq!(tcp(&long[..2_000]), Verdict::Match(Role::Server));
}

#[test]
fn never_needs_more_than_it_is_given_to_see() {
    for fill in 0..=255 {
        for head in [[0xff, 0xff], [0x10, 0x00], [0x20, 0x00]] {
            let mut bytes = vec![fill; 4096];
            bytes[..2].copy_from_slice(&head);
            assert_ne!(tcp(&bytes), Verdict::NeedMore, "{fill}");
        }
    }
}

#[test]
fn resync_finds_the_next_message() {
    let mut bytes = vec![0, 12, 7, 7, 7, 200, 0, 1];
    let at = bytes.len();
    bytes.extend(Build::response(9, "www.example").a("www.example", 1).framed());
    assert_eq!(resync(&bytes, Role::Server), Some(at));
    assert_eq!(resync(&bytes, Role::Client), None);
    assert_eq!(resync(&bytes[..bytes.len() - 1], Role::Server), None);
}
