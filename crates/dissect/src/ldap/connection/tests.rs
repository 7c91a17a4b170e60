//! Pairing, secrets and faults.

use remora_model::{Transport, field};

use super::super::ENTRY;
use crate::harness::{Harness, Value};
use crate::{Ending, Limits, Problem, Role, Verdict, harness::Recorder};

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let mut out = vec![tag, 0x82];
    out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    out.extend(value);
    out
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[2, 1, id], operation])
}

fn text(value: &str) -> Vec<u8> {
    tlv(4, &[value.as_bytes()])
}

fn bind(id: u8, name: &str, password: &str) -> Vec<u8> {
    message(id, &tlv(0x60, &[&[2, 1, 3], &text(name), &tlv(0x80, &[password.as_bytes()])]))
}

fn search(id: u8, base: &str, filter: &[u8]) -> Vec<u8> {
    let fixed = [10, 1, 2, 10, 1, 0, 2, 1, 0, 2, 1, 0, 1, 1, 0];
    message(id, &tlv(0x63, &[&text(base), &fixed, filter, &tlv(0x30, &[&text("mail")])]))
}

fn present() -> Vec<u8> {
    tlv(0x87, &[b"objectClass"])
}

fn entry(id: u8, dn: &str) -> Vec<u8> {
    let attribute = |name: &str, value: &str| tlv(0x30, &[&text(name), &tlv(0x31, &[&text(value)])]);
    let attributes = tlv(0x30, &[&attribute("mail", "a@b"), &attribute("userPassword", "geheim")]);
    message(id, &tlv(0x64, &[&text(dn), &attributes]))
}

fn result(id: u8, tag: u8, code: u8, words: &str) -> Vec<u8> {
    message(id, &tlv(tag, &[&[10, 1, code], &text(""), &text(words)]))
}

fn extended(id: u8, oid: &str) -> Vec<u8> {
    message(id, &tlv(0x77, &[&tlv(0x80, &[oid.as_bytes()])]))
}

fn tcp() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

#[test]
fn answers_come_in_any_order() {
    let mut h = tcp();
    h.client(bind(1, "cn=a", "geheim")).server(result(1, 0x61, 0, ""));
    h.client([search(2, "dc=x", &present()), search(3, "dc=y", &present())].concat());
    h.server(entry(3, "cn=1,dc=y")).server([entry(2, "cn=1,dc=x"), result(2, 0x65, 0, "")].concat());
    h.server(entry(3, "cn=2,dc=y")).server(result(3, 0x65, 4, "enough")).close(Ending::Closed);
    assert!(h.sink.problems.is_empty() && h.sink.calls.len() == 3, "{:?}", h.sink.problems);
    let [b, first, second] = &h.sink.calls[..] else { panic!() };
    assert_eq!(b.text(field::LDAP_SUMMARY), "cn=a simple");
    assert_eq!(first.int(field::LDAP_ENTRIES), Some(1));
    assert_eq!(first.text(field::LDAP_USER), "cn=a");
    assert_eq!(first.text(field::LDAP_RESPONSE_BODY), "dn: cn=1,dc=x\nmail: a@b\nuserPassword: ***\n");
    assert_eq!(second.int(field::LDAP_ENTRIES), Some(2));
    assert_eq!(second.text(field::LDAP_RESULT), "sizeLimitExceeded");
    assert!(second.failed && !second.client_error && !first.failed);
    assert!(!format!("{:?}", h.sink.calls).contains("geheim"));
}

#[test]
fn an_upgrade_waits_for_its_answer() {
    let start = extended(1, "1.3.6.1.4.1.1466.20037");
    let mut h = tcp();
    h.client(&start).client(b"\x16\x03\x01\x00\x10").server(result(1, 0x78, 0, ""));
    assert_eq!(h.sink.calls[0].text(field::LDAP_EXTENSION), "StartTLS");
    assert!(h.handed_over() && h.sink.problems.is_empty());
    // Refused: the connection goes on.
    let mut h = tcp();
    h.client([start, bind(2, "", "")].concat()).server(result(1, 0x78, 2, "no"));
    h.client(search(3, "", &present())).server(result(2, 0x61, 0, "")).server(result(3, 0x65, 0, ""));
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 3);
    assert_eq!(h.sink.calls[1].text(field::LDAP_AUTH_METHOD), "anonymous");
}

#[test]
fn one_way_operations() {
    let mut h = tcp();
    h.client(search(2, "dc=x", &present())).server(entry(2, "cn=1,dc=x"));
    h.client(message(3, &[0x50, 1, 2])).server(entry(2, "cn=2,dc=x")).client(message(4, &[0x42, 0]));
    h.server(message(
        0,
        &tlv(0x78, &[&[10, 1, 52], &text(""), &text("bye"), &tlv(0x8a, &[b"1.3.6.1.4.1.1466.20036"])]),
    ));
    h.close(Ending::Closed);
    let of = |i: usize| {
        let c = &h.sink.calls[i];
        (c.text(field::LDAP_TYPE), c.text(field::LDAP_SUMMARY), c.incomplete)
    };
    assert_eq!(of(0), ("abandonRequest".into(), "2".into(), None));
    assert_eq!(of(1), ("unbindRequest".into(), String::new(), None));
    assert_eq!(of(2), ("extendedResp".into(), "NoticeOfDisconnection".into(), None));
    assert_eq!(of(3), ("searchRequest".into(), "dc=x sub (objectClass=*)".into(), Some("truncated")));
    assert_eq!(h.sink.calls.len(), 4);
}

#[test]
fn what_was_not_seen_is_said() {
    let mut h = tcp();
    h.server([entry(7, "cn=1"), result(7, 0x65, 0, "")].concat());
    h.client(search(8, "dc=x", &present()));
    // Another operation's answer is not the answer.
    h.server(result(8, 0x67, 0, "")).close(Ending::Closed);
    let whys: Vec<_> = h.sink.calls.iter().map(|c| c.incomplete).collect();
    assert_eq!(whys, [Some("no_request"), Some("no_request"), Some("no_response")]);
    // There may have been more of them.
    assert_eq!(h.sink.calls[0].int(field::LDAP_ENTRIES), None);
}

#[test]
fn holes_inside_messages_lose_nothing_else() {
    let done = result(2, 0x65, 0, "");
    let long = entry(2, &"x".repeat(500));
    let mut h = tcp();
    h.client(search(2, "dc=x", &present())).server(&long[..100]).gap(Role::Server, 200);
    h.server([&long[300..], &done].concat()).close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.incomplete, call.int(field::LDAP_RESULT_CODE)), (Some("gap"), Some(0)));
    // At an unknown place the boundary is found again.
    let mut h = tcp();
    h.client(search(2, "dc=x", &present())).gap(Role::Server, 10);
    h.server([&b"junk"[..], &entry(2, "cn=1"), &done].concat()).close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(call.incomplete, Some("gap"));
}

#[test]
fn large_messages_are_not_waited_for() {
    let limits = Limits { payload: 1 << 10, message_bytes: 8 << 10, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    h.client(search(2, "dc=x", &present()));
    let long = entry(2, &"x".repeat(50_000));
    for piece in long.chunks(1_000) {
        h.server(piece);
        assert!(h.dissector().memory() < 64 << 10);
    }
    h.server(result(2, 0x65, 0, "")).close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.incomplete, call.int(field::LDAP_ENTRIES)), (None, Some(1)));
    assert_eq!(call.response_bytes, Some(long.len() as i64 + result(2, 0x65, 0, "").len() as i64));
    assert!(h.sink.problems.contains_key(&Problem::PayloadLimit));
}

#[test]
fn datagrams() {
    let mut h = Harness::new(&ENTRY, Transport::Udp);
    let ask = search(1, "", &present());
    h.at(0).client(&ask).at(50).client(&ask).at(90).server([entry(1, ""), result(1, 0x65, 0, "")].concat());
    h.at(100).client(search(2, "", &present())).at(20_000_000).tick();
    let [first, second] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((first.incomplete, first.elapsed_us), (None, Some(90)));
    assert_eq!(second.incomplete, Some("no_response"));
}

#[test]
fn layers_of_sasl_are_opaque() {
    let sasl = tlv(0xa3, &[&text("GSSAPI"), &text("token")]);
    let mut h = tcp();
    h.client(message(1, &tlv(0x60, &[&[2, 1, 3], &text(""), &sasl]))).server(result(1, 0x61, 0, ""));
    h.client(b"\0\0\0\x20secret").server(b"\0\0\0\x20secret").close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(call.text(field::LDAP_SASL_MECHANISM), "GSSAPI");
    assert_eq!(h.sink.problems.keys().collect::<Vec<_>>(), [&Problem::Opaque]);
    assert!(!format!("{:?}", h.sink.calls).contains("token"));
}

#[test]
fn detection() {
    let probe = |bytes: &[u8]| (ENTRY.probe)(bytes, Transport::Tcp);
    let ask = search(1, "dc=x", &present());
    assert_eq!(probe(&ask), Verdict::Match(Role::Client));
    assert_eq!(probe(&result(1, 0x61, 0, "")), Verdict::Match(Role::Server));
    assert_eq!(probe(&message(4, &[0x42, 0])), Verdict::Match(Role::Client));
    for n in 1..ask.len() {
        assert!(!matches!(probe(&ask[..n]), Verdict::No), "{n}");
    }
    // SNMP, TLS, HTTP, MySQL.
    for other in [
        &b"\x30\x26\x02\x01\x01\x04\x06public\xa0\x19"[..],
        b"\x16\x03\x01",
        b"GET / HTTP/1.1\r\n",
        b"\x0a\0\0\0",
    ] {
        assert_eq!(probe(other), Verdict::No, "{other:?}");
    }
    let joined = [&b"\x30tail of another"[..], &ask].concat();
    assert_eq!((ENTRY.resync)(&joined, Role::Client), Some(joined.len() - ask.len()));
}

#[test]
fn requests_are_bounded() {
    let limits = Limits { pending: 4, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    (1..100).for_each(|id| {
        h.client(search(id, "dc=x", &present()));
    });
    assert_eq!(h.sink.calls.len(), 95);
    assert_eq!(h.sink.problems[&Problem::TooManyPending].0, 95);
    h.close(Ending::Reset);
    assert_eq!(h.sink.calls[98].incomplete, Some("reset"));
    assert!(matches!(h.sink.calls[0].get(field::LDAP_ATTRIBUTES), Some(Value::List(l)) if l.len() == 1));
}
