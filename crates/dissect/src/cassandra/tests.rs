#![allow(clippy::unwrap_used)]

use remora_model::{Transport, field};

use super::{ENTRY, detect};
use crate::harness::Harness;
use crate::{Ending, Problem, Role, Verdict};

fn envelope(version: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![version, 0];
    out.extend(stream.to_be_bytes());
    out.push(opcode);
    out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body);
    out
}

fn string(text: &str) -> Vec<u8> {
    let mut out = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    out.extend(text.as_bytes());
    out
}

fn query(stream: i16, text: &str) -> Vec<u8> {
    let mut body = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    body.extend(text.as_bytes());
    body.extend([0, 4, 0]);
    envelope(4, stream, 7, &body)
}

fn void(stream: i16) -> Vec<u8> {
    envelope(0x84, stream, 8, &[0, 0, 0, 1])
}

fn error(stream: i16, code: i32, text: &str) -> Vec<u8> {
    envelope(0x84, stream, 0, &[&code.to_be_bytes()[..], &string(text)].concat())
}

fn harness() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

#[test]
fn answers_find_their_requests_by_stream() {
    let mut h = harness();
    h.client(query(1, "SELECT a FROM b")).client(query(2, "INSERT INTO c (d) VALUES (1)"));
    h.server(void(2)).server(error(1, 0x1200, "too slow")).close(Ending::Closed);
    let c = &h.sink.calls;
    assert_eq!(c[0].text(field::CASSANDRA_QUERY), "INSERT INTO c (d) VALUES (1)");
    assert_eq!(c[0].text(field::CASSANDRA_CONSISTENCY), "QUORUM");
    assert_eq!((c[0].failed, c[1].failed, c[1].client_error), (false, true, false));
    assert_eq!(c[1].text(field::CASSANDRA_ERROR), "READ_TIMEOUT");
    assert_eq!(c[1].text(field::CASSANDRA_QUERY), "SELECT a FROM b");
}

#[test]
fn passwords_are_not_written_down() {
    let mut h = harness();
    h.client(query(1, "ALTER ROLE bob WITH PASSWORD = 'secret'")).server(void(1));
    h.client(envelope(4, 2, 15, b"\0\0\0\x0d\0alice\0secret")).server(envelope(
        0x84,
        2,
        16,
        b"\0\0\0\x06secret",
    ));
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 2);
    assert!(!format!("{:?}", h.sink.calls).contains("secret"));
    assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
}

#[test]
fn events_lack_nothing() {
    let mut h = harness();
    let body = [string("STATUS_CHANGE"), string("DOWN"), vec![4, 192, 0, 2, 9, 0, 0, 0x23, 0x52]].concat();
    h.client(query(1, "SELECT a FROM b")).server(envelope(0x84, -1, 12, &body)).server(void(1));
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls[0].text(field::CASSANDRA_EVENT), "STATUS_CHANGE DOWN 192.0.2.9:9042");
    assert_eq!((h.sink.calls[0].incomplete, h.sink.calls[0].request_bytes), (None, None));
}

#[test]
fn a_stream_id_that_may_have_been_used_again_pairs_nothing() {
    let mut h = harness();
    h.client(query(1, "SELECT a FROM b")).gap(Role::Server, 20).gap(Role::Client, 30);
    h.client(query(2, "SELECT c FROM d"))
        .server(error(1, 0x2200, "no"))
        .server(void(2))
        .close(Ending::Closed);
    let seen: Vec<_> = h.sink.calls.iter().map(|c| (c.text(field::CASSANDRA_QUERY), c.incomplete)).collect();
    assert_eq!(
        seen,
        [
            ("SELECT a FROM b".to_owned(), Some("gap")),
            (String::new(), Some("no_request")),
            ("SELECT c FROM d".to_owned(), None)
        ]
    );
}

#[test]
fn what_does_not_fit_is_passed_over() {
    let mut h = harness();
    h.client(envelope(4, 1, 7, b"\0\0\xff\xff")).client(query(2, "SELECT 1")).server(void(1)).server(void(2));
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 2);
    assert!(h.sink.problems.contains_key(&Problem::Malformed));
}

#[test]
fn detection() {
    let probe = |b: &[u8]| detect::probe(b, Transport::Tcp);
    let request = query(1, "SELECT a FROM b");
    assert_eq!(probe(&request), Verdict::Match(Role::Client));
    assert_eq!(probe(&error(1, 0x2200, "no")), Verdict::Match(Role::Server));
    assert_eq!(probe(&envelope(4, 0, 5, b"")), Verdict::Likely(Role::Client));
    assert_eq!(
        probe(&envelope(5, 0, 1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0")),
        Verdict::Match(Role::Client)
    );
    for n in 0..request.len() {
        assert!(!matches!(probe(&request[..n]), Verdict::Likely(_) | Verdict::Match(Role::Server)), "{n}");
    }
    assert_eq!(probe(b"GET / HTTP/1.1\r\n"), Verdict::No);
    let later = [&[7; 50][..], &request].concat();
    assert_eq!(detect::resync(&later, Role::Client), Some(50));
}
