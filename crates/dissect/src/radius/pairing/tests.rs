//! Pairing, repetitions, secrets and detection.

use remora_model::{Transport, field};

use super::super::ENTRY;
use crate::harness::Harness;
use crate::{Ending, Role, Verdict};

fn packet(code: u8, id: u8, authenticator: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = vec![code, id, 0, 0];
    out.extend((0..16_u8).map(|i| i.wrapping_mul(17).wrapping_add(authenticator)));
    for (number, value) in attributes {
        out.extend([*number, value.len() as u8 + 2]);
        out.extend(*value);
    }
    let len = u16::try_from(out.len()).unwrap().to_be_bytes();
    out[2..4].copy_from_slice(&len);
    out
}

fn access(id: u8, authenticator: u8) -> Vec<u8> {
    packet(1, id, authenticator, &[(1, b"anna"), (2, b"geheimgeheimgehe"), (4, &[192, 0, 2, 1])])
}

#[test]
fn repetitions_are_one_call() {
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    h.at(0).client(access(7, 1)).at(1_000).client(access(7, 1));
    h.at(1_500).server(packet(2, 7, 9, &[])).at(1_600).server(packet(2, 7, 9, &[]));
    // The same identifier with another authenticator is another request.
    h.client(access(7, 2)).at(2_000).client(access(7, 3)).server(packet(3, 7, 9, &[(18, b"no")]));
    h.end(Role::Client, Ending::Lost);
    let [first, second, third] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((first.elapsed_us, first.incomplete), (Some(1_500), None));
    assert_eq!(second.incomplete, Some("no_response"));
    assert_eq!(third.text(field::RADIUS_SUMMARY), "anna Access-Reject");
    assert_eq!(third.text(field::RADIUS_REPLY_MESSAGE), "no");
    assert!(third.failed && third.client_error && !first.failed);
    assert!(!format!("{:?}", h.sink.calls).contains("geheim"));
}

#[test]
fn answers_must_fit() {
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    h.client(packet(4, 1, 1, &[(40, &[0, 0, 0, 2]), (44, b"s1")])).server(packet(2, 1, 9, &[]));
    h.server(packet(5, 1, 9, &[]));
    let [wrong, right] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(wrong.incomplete, Some("no_request"));
    assert_eq!(right.text(field::RADIUS_SUMMARY), "s1 Stop Accounting-Response");
}

#[test]
fn both_sides_may_ask() {
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    h.server(packet(43, 1, 1, &[(1, b"anna")])).client(packet(45, 1, 2, &[(101, &[0, 0, 1, 145])]));
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(call.text(field::RADIUS_ERROR_CAUSE), "Unsupported-Attribute");
    assert!(call.failed && call.incomplete.is_none());
}

#[test]
fn vendors_and_secrets() {
    let vendor = |id: u32, rest: &[u8]| [&id.to_be_bytes()[..], rest].concat();
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    h.client(packet(
        1,
        1,
        1,
        &[
            (1, b"anna"),
            (26, &vendor(311, b"\x0b\x08geheim")),
            (26, &vendor(9, b"\x01\x12psk=geheimgeheim")),
            (26, &vendor(99_999, b"\x05\x04ok")),
            (26, &vendor(99_999, b"\xff")),
            (79, &[2, 1, 0, 9, 1, b'a', b'n', b'n', b'a']),
            (79, b"geheim"),
        ],
    ));
    h.end(Role::Client, Ending::Lost);
    let call = &h.sink.calls[0];
    let entry = |key: &str| call.entry(field::RADIUS_ATTRIBUTES, key).unwrap_or_default();
    assert_eq!(entry("MS-CHAP-Challenge"), "***");
    assert_eq!(entry("Cisco-AVPair"), "psk=***");
    assert_eq!(entry("Vendor-99999-5"), "ok");
    assert_eq!(entry("Vendor-99999"), "ff");
    assert_eq!(entry("EAP-Message"), "Response Identity");
    assert_eq!(call.text(field::RADIUS_EAP_METHOD), "Identity");
    assert!(!format!("{:?}", h.sink.calls).contains("geheim"));
}

#[test]
fn damage_is_counted() {
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    let mut bad = access(1, 1);
    let last = bad.len() - 5;
    bad[last] = 200;
    h.client(&bad).client(b"\x01").client(packet(200, 1, 1, &[]));
    h.end(Role::Client, Ending::Lost);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(call.incomplete, Some("truncated"));
    assert_eq!(h.sink.problems[&crate::Problem::Malformed].0, 3);
}

#[test]
fn detection() {
    let probe = |bytes: &[u8]| (ENTRY.probe)(bytes, Transport::Udp);
    let ask = access(1, 1);
    assert_eq!(probe(&ask), Verdict::Match(Role::Client));
    assert_eq!(probe(&packet(5, 1, 1, &[])), Verdict::Likely(Role::Server));
    assert_eq!(
        probe(&packet(2, 1, 1, &[(8, &[192, 0, 2, 1]), (27, &[0, 0, 0, 9])])),
        Verdict::Match(Role::Server)
    );
    for n in 0..ask.len() {
        assert_eq!(probe(&ask[..n]), Verdict::No, "{n}");
    }
    assert_eq!(probe(&[1; 40]), Verdict::No);
    // An address of 3 bytes is none.
    assert_eq!(probe(&packet(1, 1, 1, &[(1, b"anna"), (4, &[1, 2, 3])])), Verdict::No);
}
