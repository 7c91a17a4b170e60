#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use remora_model::{FieldId, Transport, field};

use super::ENTRY;
use crate::harness::{Harness, Recorded, Recorder};
use crate::{Ending, Limits, Problem, Role};

fn flow() -> Harness {
    Harness::new(&ENTRY, Transport::Icmp)
}

/// A message with an identifier and a sequence number.
fn echo(kind: u8, id: u16, seq: u16) -> Vec<u8> {
    let [i, j] = id.to_be_bytes();
    let [s, t] = seq.to_be_bytes();
    vec![kind, 0, 0xab, 0xcd, i, j, s, t, 1, 2, 3, 4]
}

/// An error that quotes a datagram from 10.0.0.1:40000 to 10.0.0.2:53.
fn error(kind: u8, code: u8, word: [u8; 4]) -> Vec<u8> {
    let mut m = vec![kind, code, 0, 0];
    m.extend_from_slice(&word);
    m.extend_from_slice(&[0x45, 0, 0, 60, 0, 1, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    m.extend_from_slice(&[0x9c, 0x40, 0, 53, 0, 40, 0, 0]);
    m
}

fn seqs(h: &Harness) -> Vec<(i64, Option<i64>, Option<&'static str>)> {
    h.sink.calls.iter().map(|c| (c.int(field::ICMP_SEQ).unwrap(), c.elapsed_us, c.incomplete)).collect()
}

fn only(h: &Harness) -> &Recorded {
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    call
}

fn texts<const N: usize>(call: &Recorded, ids: [FieldId; N]) -> [String; N] {
    ids.map(|id| call.text(id))
}

#[test]
fn an_echo_and_its_reply_are_one_call() {
    let mut h = flow();
    h.at(1_000).client(echo(8, 7, 1));
    assert!(h.dissector().is_busy());
    h.at(1_250).server(echo(0, 7, 1));
    let call = only(&h);
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us), (1_000_000, Some(250), Some(250)));
    assert_eq!((call.request_bytes, call.response_bytes), (Some(12), Some(12)));
    assert_eq!((call.failed, call.incomplete), (false, None));
    assert_eq!(call.text(field::ICMP_TYPE), "echo_request");
    let ints = [field::ICMP_VERSION, field::ICMP_CODE, field::ICMP_LENGTH, field::ICMP_ID, field::ICMP_SEQ];
    assert_eq!(ints.map(|id| call.int(id)), [4, 0, 12, 7, 1].map(Some));
    assert!(!h.dissector().is_busy());
}

#[test]
fn replies_are_paired_by_their_numbers() {
    let mut h = flow();
    h.at(0).client(echo(8, 7, 1));
    h.at(10).client(echo(8, 7, 2)).client(echo(8, 9, 1));
    h.at(20).server(echo(0, 7, 2));
    h.at(40).server(echo(0, 7, 1)).server(echo(0, 7, 3)).server(echo(0, 9, 1));
    let expected =
        [(2, Some(10), None), (1, Some(40), None), (3, None, Some("no_request")), (1, Some(30), None)];
    assert_eq!(seqs(&h), expected);
    // Another type of request with the same numbers is another one.
    let mut h = flow();
    h.client(echo(13, 7, 1)).server(echo(0, 7, 1)).server(echo(14, 7, 1));
    assert_eq!(h.sink.calls[0].incomplete, Some("no_request"));
    assert_eq!(h.sink.calls[1].text(field::ICMP_TYPE), "timestamp_request");
}

#[test]
fn both_ends_may_ask() {
    let mut h = flow();
    h.at(0).client(echo(8, 7, 1));
    h.at(5).server(echo(8, 7, 1));
    h.at(7).client(echo(0, 7, 1));
    h.at(9).server(echo(0, 7, 1));
    assert_eq!(seqs(&h), [(1, Some(2), None), (1, Some(9), None)]);
}

#[test]
fn what_is_seen_twice_is_one_call() {
    let mut h = flow();
    h.at(0).client(echo(8, 7, 1)).client(echo(8, 7, 1));
    h.at(5).server(echo(0, 7, 1)).server(echo(0, 7, 1));
    assert_eq!(seqs(&h), [(1, Some(5), None)]);
    // A third reply has nothing to reply to.
    h.server(echo(0, 7, 1));
    assert_eq!(seqs(&h)[1..], [(1, None, Some("no_request"))]);
}

#[test]
fn who_waits_too_long_or_to_the_end_has_no_response() {
    let limits = Limits { response_wait: Duration::from_secs(1), pending: 2, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Icmp, limits, Recorder::default());
    h.at(0).client(echo(8, 7, 1));
    h.at(500_000).client(echo(8, 7, 2)).tick();
    assert!(h.sink.calls.is_empty());
    h.at(1_000_000).tick();
    assert_eq!(seqs(&h), [(1, None, Some("no_response"))]);
    h.client(echo(8, 7, 3)).client(echo(8, 7, 4));
    assert_eq!(h.sink.problems[&Problem::TooManyPending].0, 1);
    h.close(Ending::Lost);
    assert_eq!(seqs(&h).iter().map(|s| s.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(!h.dissector().is_busy());
}

#[test]
fn errors_name_what_caused_them() {
    let mut h = flow();
    h.client(error(3, 3, [0; 4]));
    let call = only(&h);
    assert!(call.failed && call.incomplete.is_none() && call.elapsed_us.is_none());
    let ids = [
        field::ICMP_TYPE,
        field::ICMP_ERROR,
        field::ICMP_ORIGINAL_PROTOCOL,
        field::ICMP_ORIGINAL_SRC_IP,
        field::ICMP_ORIGINAL_DST_IP,
    ];
    let expected = ["destination_unreachable", "port_unreachable", "udp", "10.0.0.1", "10.0.0.2"];
    assert_eq!(texts(call, ids), expected);
    assert_eq!(call.int(field::ICMP_ORIGINAL_SRC_PORT), Some(40_000));
    assert_eq!(call.int(field::ICMP_ORIGINAL_DST_PORT), Some(53));

    let mut h = flow();
    h.client(error(3, 4, [0, 0, 5, 0x14])).client(error(12, 0, [20, 0, 0, 0])).client(error(
        5,
        1,
        [10, 0, 0, 9],
    ));
    assert_eq!(h.sink.calls[0].int(field::ICMP_MTU), Some(1_300));
    assert_eq!(h.sink.calls[1].int(field::ICMP_POINTER), Some(20));
    assert_eq!(texts(&h.sink.calls[2], [field::ICMP_GATEWAY, field::ICMP_ERROR]), ["10.0.0.9", "host"]);
    assert_eq!([0, 1, 2].map(|i| h.sink.calls[i].failed), [true, true, false]);
}

#[test]
fn what_is_cut_or_unknown_does_no_harm() {
    let mut h = flow();
    let whole = error(3, 3, [0; 4]);
    for len in 0..whole.len() {
        h.client(&whole[..len]);
    }
    h.client([8, 0, 0, 0, 1]).server([0; 4]).client([253, 9, 0, 0, 1]);
    let last = h.sink.calls.last().unwrap();
    assert_eq!((last.text(field::ICMP_TYPE).as_str(), last.failed), ("type_253", false));
    assert_eq!(h.sink.problems[&Problem::Malformed].0, 6, "four without a header, two without numbers");
}

#[test]
fn the_type_says_who_asks() {
    use crate::Verdict;
    for (kind, role) in [(8, Role::Client), (0, Role::Server), (128, Role::Client), (129, Role::Server)] {
        assert_eq!((ENTRY.probe)(&[kind, 0, 0, 0], Transport::Icmp), Verdict::Match(role));
    }
}
