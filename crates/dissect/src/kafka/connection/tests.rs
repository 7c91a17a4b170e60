#![allow(clippy::unwrap_used)]

use remora_model::{Transport, field};
use serde_json::Value as Json;

use crate::harness::{Harness, Recorded, Recorder, Value};
use crate::kafka::ENTRY;
use crate::{Ending, Limits, Problem, Role};

fn request(key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = [key.to_be_bytes(), version.to_be_bytes()].concat();
    bytes.extend(correlation.to_be_bytes());
    bytes.extend(b"\0\x04test");
    bytes.extend(body);
    framed(&bytes)
}

fn response(correlation: i32, body: &[u8]) -> Vec<u8> {
    framed(&[&correlation.to_be_bytes(), body].concat())
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// Heartbeat version 0 of group `g`, generation 1, member `m`.
fn heartbeat(correlation: i32) -> Vec<u8> {
    request(12, 0, correlation, b"\0\x01g\0\0\0\x01\0\x01m")
}

/// Its response.
fn beaten(correlation: i32, error: i16) -> Vec<u8> {
    response(correlation, &error.to_be_bytes())
}

/// Produce version 3 to `topic`, partition 1, with records of `len` bytes that are none.
fn produce(correlation: i32, acks: i16, topic: &str, len: usize) -> Vec<u8> {
    let mut body = b"\xff\xff".to_vec();
    body.extend(acks.to_be_bytes());
    body.extend(b"\0\0\x03\xe8\0\0\0\x01");
    body.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend(b"\0\0\0\x01\0\0\0\x01");
    body.extend(u32::try_from(len).unwrap().to_be_bytes());
    body.extend(vec![0; len]);
    request(0, 3, correlation, &body)
}

fn flow() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

fn json(call: &Recorded, id: remora_model::FieldId) -> Json {
    serde_json::from_str(&call.text(id)).unwrap()
}

fn list(call: &Recorded, id: remora_model::FieldId) -> Vec<String> {
    match call.get(id) {
        Some(Value::List(l)) => l.iter().map(|t| String::from_utf8(t.clone()).unwrap()).collect(),
        None => Vec::new(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_and_its_response_are_one_call() {
    let mut h = flow();
    h.at(1_000).client(heartbeat(7)).at(1_500).server(beaten(7, 27)).close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us), (1_000_000, Some(500), Some(500)));
    assert_eq!((call.request_bytes, call.response_bytes), (Some(28), Some(10)));
    assert_eq!((call.int(field::KAFKA_API_KEY), call.int(field::KAFKA_API_VERSION)), (Some(12), Some(0)));
    assert_eq!(call.text(field::KAFKA_API_KEY_NAME), "HEARTBEAT");
    assert_eq!(call.text(field::KAFKA_CLIENT_ID), "test");
    assert_eq!(call.text(field::KAFKA_GROUP), "g");
    assert_eq!(call.text(field::KAFKA_REQUEST_SUMMARY), "g");
    assert_eq!(
        (call.int(field::KAFKA_CORRELATION_ID), call.int(field::KAFKA_ERROR_CODE)),
        (Some(7), Some(27))
    );
    assert_eq!(call.text(field::KAFKA_ERROR), "REBALANCE_IN_PROGRESS");
    assert_eq!(json(call, field::KAFKA_REQUEST_BODY)["generationId"], 1);
    assert_eq!(json(call, field::KAFKA_RESPONSE_BODY), serde_json::json!({"errorCode": 27}));
    assert!(call.failed && call.incomplete.is_none() && h.sink.problems.is_empty());
}

#[test]
fn responses_are_paired_by_correlation_id_in_any_order() {
    let mut h = flow();
    h.client([heartbeat(1), heartbeat(2), heartbeat(3), heartbeat(2)].concat());
    h.server([beaten(3, 0), beaten(2, 25), beaten(1, 0), beaten(2, 0)].concat()).close(Ending::Closed);
    let got: Vec<_> = h
        .sink
        .calls
        .iter()
        .map(|c| (c.int(field::KAFKA_CORRELATION_ID), c.int(field::KAFKA_ERROR_CODE), c.request_pos))
        .collect();
    assert_eq!(
        got,
        [
            (Some(3), Some(0), Some(56)),
            (Some(2), Some(25), Some(28)),
            (Some(1), Some(0), Some(0)),
            (Some(2), Some(0), Some(84))
        ]
    );
    assert!(!h.sink.calls[0].failed && h.sink.calls[0].text(field::KAFKA_ERROR).is_empty());
}

#[test]
fn produce_without_acknowledgement_has_no_response() {
    let mut h = flow();
    h.client([produce(1, 0, "orders", 5), heartbeat(2)].concat()).server(beaten(2, 0));
    assert!(!h.dissector().is_busy());
    let [call, _] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert!(call.incomplete.is_none() && !call.failed && !call.is(field::KAFKA_RESPONSE));
    assert_eq!(call.int(field::KAFKA_ACKS), Some(0));
    assert_eq!(list(call, field::KAFKA_TOPICS), ["orders"]);
    assert_eq!(list(call, field::KAFKA_PARTITIONS), ["orders-1"]);
}

#[test]
fn versions_and_apis_without_a_table_are_shown_by_their_headers() {
    let mut h = flow();
    h.client([request(0, 40, 1, b"who knows"), request(52, 0, 2, b"vote")].concat());
    h.server([response(1, b"nobody"), response(2, b"")].concat()).close(Ending::Closed);
    let names: Vec<_> = h.sink.calls.iter().map(|c| c.text(field::KAFKA_API_KEY_NAME)).collect();
    assert_eq!(names, ["PRODUCE", "VOTE"]);
    assert!(h.sink.calls.iter().all(|c| c.incomplete.is_none() && c.int(field::KAFKA_ERROR_CODE).is_none()));
    assert!(h.sink.calls.iter().all(|c| c.get(field::KAFKA_REQUEST_BODY).is_none()));
    assert_eq!(h.sink.problems[&Problem::Opaque], (4, 19));
}

#[test]
fn a_broker_that_does_not_know_the_version_of_api_versions() {
    let mut h = flow();
    h.client(request(18, 3, 1, b"\0\x04lib\x041.0\0"));
    h.server(response(1, b"\0\x23\0\0\0\x01\0\x12\0\0\0\x02")).close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(call.text(field::KAFKA_ERROR), "UNSUPPORTED_VERSION");
    assert_eq!(json(call, field::KAFKA_RESPONSE_BODY)["apiKeys"][0]["maxVersion"], 2);
    assert_eq!(call.text(field::KAFKA_REQUEST_SUMMARY), "lib");
    assert!(h.sink.problems.is_empty());
}

/// Metadata version 12 for one topic, and its response that gives the topic an id.
fn metadata(correlation: i32, id: u8) -> (Vec<u8>, Vec<u8>) {
    let asked =
        request(3, 12, correlation, &[b"\0\x02".as_slice(), &[0; 16], b"\x07orders\0\0\0\0"].concat());
    let told =
        [b"\0\0\0\0\0\x01\x01\0\0\0\x01\x02\0\0\x07orders".as_slice(), &[id; 16], b"\0\x01\0\0\0\0\0\0"]
            .concat();
    (asked, response(correlation, &told))
}

/// Fetch version 13 of partition 2 of a topic by its id, and an empty response about it.
fn fetch(correlation: i32, id: u8) -> (Vec<u8>, Vec<u8>) {
    let mut asked =
        b"\0\xff\xff\xff\xff\0\0\x01\xf4\0\0\0\x01\0\x10\0\0\0\0\0\0\0\xff\xff\xff\xff\x02".to_vec();
    asked.extend([id; 16]);
    asked.extend(b"\x02\0\0\0\x02\xff\xff\xff\xff");
    asked.extend(8_i64.to_be_bytes());
    asked.extend([0xff; 4]);
    asked.extend([0xff; 8]);
    asked.extend(b"\0\x10\0\0\0\0\x01\x01\0");
    let mut told = b"\0\0\0\0\0\0\0\0\0\0\0\x02".to_vec();
    told.extend([id; 16]);
    told.extend(b"\x02\0\0\0\x02\0\0");
    told.extend([9_i64, 9, 0].map(i64::to_be_bytes).concat());
    told.extend(b"\0\xff\xff\xff\xff\x01\0\0\0");
    (request(1, 13, correlation, &asked), response(correlation, &told))
}

#[test]
fn topics_by_id_get_the_name_that_metadata_told() {
    let mut h = flow();
    let (asked, told) = metadata(1, 7);
    h.client(asked).server(told);
    for (correlation, id) in [(2, 7), (3, 8)] {
        let (asked, told) = fetch(correlation, id);
        h.client(asked).server(told);
    }
    assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    let calls = &h.sink.calls;
    assert_eq!(list(&calls[0], field::KAFKA_TOPICS), ["orders"]);
    assert_eq!(list(&calls[1], field::KAFKA_TOPICS), ["orders"]);
    assert_eq!(list(&calls[1], field::KAFKA_PARTITIONS), ["orders-2"]);
    assert_eq!(calls[1].text(field::KAFKA_REQUEST_SUMMARY), "orders");
    assert_eq!(list(&calls[2], field::KAFKA_TOPICS), ["CAgICAgICAgICAgICAgICA"]);
    assert!(calls.iter().all(|c| c.incomplete.is_none()));
}

#[test]
fn secrets_are_never_written_down() {
    let mut h = flow();
    // SaslHandshake version 1, then SaslAuthenticate; a setting whose name tells that it is secret.
    h.client(request(17, 1, 1, b"\0\x05PLAIN")).server(response(1, b"\0\0\0\0\0\x01\0\x05PLAIN"));
    h.client(request(36, 0, 2, b"\0\0\0\x0e\0alice\0hunter2"))
        .server(response(2, b"\0\0\xff\xff\0\0\0\x07hunter2"));
    let configs = b"\0\0\0\x01\x02\0\x01t\0\0\0\x02\0\x0cssl.password\0\x07hunter2\0\x01a\0\x01b\0";
    h.client(request(33, 0, 3, configs)).close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 3);
    assert_eq!(h.sink.calls[0].text(field::KAFKA_REQUEST_SUMMARY), "PLAIN");
    assert_eq!(h.sink.calls[1].text(field::KAFKA_REQUEST_BODY), r#"{"authBytes":"***"}"#);
    assert!(h.sink.calls[2].text(field::KAFKA_REQUEST_BODY).contains(r#"{"name":"a","value":"b"}"#));
    assert!(!format!("{:?}", h.sink.calls).contains(&format!("{:?}", b"hunter2").replace(['[', ']'], "")));
    assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
}

#[test]
fn tokens_without_headers_after_the_first_version_of_the_handshake() {
    let mut h = flow();
    h.client(request(17, 0, 1, b"\0\x05PLAIN")).server(response(1, b"\0\0\0\0\0\x01\0\x05PLAIN"));
    h.client(framed(b"\0alice\0hunter2")).server(framed(b""));
    h.client(framed(b"\x60\x82\x01\x02 a ticket")).server(framed(b"\x60\x01"));
    h.client(heartbeat(2)).server(beaten(2, 0)).close(Ending::Closed);
    let keys: Vec<_> = h.sink.calls.iter().map(|c| c.int(field::KAFKA_API_KEY)).collect();
    assert_eq!(keys, [Some(17), Some(12)]);
    assert!(h.sink.calls.iter().all(|c| c.incomplete.is_none()));
    assert_eq!(h.sink.problems.keys().collect::<Vec<_>>(), [&Problem::Opaque]);
}

#[test]
fn a_gap_inside_a_message_costs_only_that_message() {
    let mut h = flow();
    let (first, second) = (heartbeat(1), heartbeat(2));
    h.client(&first[..20]).gap(Role::Client, 6).client(&first[26..]).client(&second);
    let answer = beaten(1, 0);
    h.server(&answer[..8]).gap(Role::Server, 2).server(beaten(2, 0)).close(Ending::Closed);
    let got: Vec<_> =
        h.sink.calls.iter().map(|c| (c.int(field::KAFKA_CORRELATION_ID), c.incomplete)).collect();
    assert_eq!(got, [(Some(1), Some("gap")), (Some(2), None)]);
    assert_eq!((h.sink.calls[0].request_bytes, h.sink.calls[0].response_bytes), (Some(28), Some(10)));
    assert!(h.sink.problems.is_empty());
}

#[test]
fn a_gap_inside_records_loses_only_records() {
    let mut h = flow();
    let mut bytes = produce(1, 1, "t", 1_000);
    let records = bytes.len() - 1_000;
    bytes[records + 8..records + 12].copy_from_slice(&(1_000 - 12_i32).to_be_bytes());
    bytes[records + 16] = 2;
    h.client(&bytes[..200]).gap(Role::Client, 500).client(&bytes[700..]);
    h.server(response(1, b"\0\0\0\0\0\0\0\0")).close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.incomplete, call.request_bytes), (Some("gap"), Some(bytes.len() as i64)));
    assert_eq!(json(call, field::KAFKA_REQUEST_BODY)["topicData"][0]["name"], "t");
}

#[test]
fn after_other_gaps_a_request_never_gets_the_response_of_another() {
    // The end of the first response, the whole second and the beginning of the third are missing.
    let mut h = flow();
    h.client((1..=5).flat_map(heartbeat).collect::<Vec<u8>>());
    h.server(&beaten(1, 0)[..9]).gap(Role::Server, 15).server(&beaten(3, 1)[4..]);
    h.server([beaten(4, 16), beaten(5, 0)].concat()).close(Ending::Closed);
    let got: Vec<_> = h
        .sink
        .calls
        .iter()
        .map(|c| (c.int(field::KAFKA_CORRELATION_ID), c.int(field::KAFKA_ERROR_CODE), c.incomplete))
        .collect();
    assert_eq!(
        got,
        [
            (Some(1), None, Some("gap")),
            (Some(4), Some(16), None),
            (Some(2), None, Some("gap")),
            (Some(3), None, Some("gap")),
            (Some(5), Some(0), None),
        ]
    );
}

#[test]
fn a_response_to_a_request_that_was_not_seen() {
    let mut h = flow();
    h.client(heartbeat(1)).server(beaten(1, 0));
    let bytes = heartbeat(2);
    h.gap(Role::Client, bytes.len() as u64).client(heartbeat(3));
    h.server([beaten(2, 16), beaten(3, 0)].concat()).close(Ending::Closed);
    let got: Vec<_> = h
        .sink
        .calls
        .iter()
        .map(|c| (c.int(field::KAFKA_CORRELATION_ID), c.int(field::KAFKA_API_KEY), c.incomplete))
        .collect();
    assert_eq!(
        got,
        [(Some(1), Some(12), None), (Some(2), None, Some("no_request")), (Some(3), Some(12), None)]
    );
    assert!(h.sink.calls[1].is(field::KAFKA_RESPONSE) && !h.sink.calls[1].is(field::KAFKA_REQUEST));
}

#[test]
fn what_belongs_to_nothing_is_no_call_in_a_stream_that_was_joined() {
    let mut h = flow();
    // Responses to what was asked before, one of them in the middle.
    h.server(&beaten(90, 0)[3..]).server(beaten(91, 0)).client(heartbeat(92)).server(beaten(92, 0));
    h.close(Ending::Closed);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.int(field::KAFKA_CORRELATION_ID), call.incomplete), (Some(92), None));
    assert_eq!(h.sink.problems[&Problem::Unsynced].1, 17);
}

#[test]
fn endings() {
    for (how, why) in
        [(Ending::Closed, "no_response"), (Ending::Lost, "no_response"), (Ending::Reset, "reset")]
    {
        let mut h = flow();
        h.client(heartbeat(1)).close(how);
        assert_eq!(h.sink.calls[0].incomplete, Some(why));
        assert!(!h.dissector().is_busy());
    }
    for (how, why) in [(Ending::Closed, "truncated"), (Ending::Reset, "reset")] {
        let mut h = flow();
        h.client(&heartbeat(1)[..23]).close(how);
        assert_eq!((h.sink.calls.len(), h.sink.calls[0].incomplete), (1, Some(why)));
        let mut h = flow();
        h.client(heartbeat(1)).server(&beaten(1, 0)[..9]).close(how);
        assert_eq!((h.sink.calls.len(), h.sink.calls[0].incomplete), (1, Some(why)));
        assert!(!h.dissector().is_busy());
    }
    // The server goes on after the client's end, and the client after the server's.
    let mut h = flow();
    h.client(heartbeat(1))
        .end(Role::Client, Ending::Closed)
        .server(beaten(1, 0))
        .end(Role::Server, Ending::Closed);
    assert_eq!((h.sink.calls.len(), h.sink.calls[0].incomplete), (1, None));
    let mut h = flow();
    h.end(Role::Server, Ending::Closed).client(heartbeat(1)).end(Role::Client, Ending::Closed);
    assert_eq!((h.sink.calls.len(), h.sink.calls[0].incomplete), (1, Some("no_response")));
}

#[test]
fn large_records_are_skipped_and_what_follows_is_read() {
    let limits = Limits { payload: 1_000, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    // One batch of a megabyte: its header says so.
    let mut bytes = produce(1, 1, "t", 1 << 20);
    let records = bytes.len() - (1 << 20);
    bytes[records + 8..records + 12].copy_from_slice(&((1 << 20) - 12_i32).to_be_bytes());
    bytes[records + 16] = 2;
    bytes[records + 57..records + 61].copy_from_slice(&123_i32.to_be_bytes());
    h.client(&bytes[..5_000]);
    assert_eq!(h.skipping(Role::Client), bytes.len() as u64 - 5_000);
    h.client(&bytes[5_000..]).client(heartbeat(2)).server([response(1, &[0; 8]), beaten(2, 0)].concat());
    let [call, after] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.int(field::KAFKA_RECORDS), call.request_bytes), (Some(123), Some(bytes.len() as i64)));
    assert!(call.incomplete.is_none() && call.text(field::KAFKA_REQUEST_BODY).len() <= 1_000);
    assert_eq!(after.int(field::KAFKA_CORRELATION_ID), Some(2));
    assert_eq!(h.sink.problems[&Problem::PayloadLimit].0, 1);
    assert!(h.dissector().memory() < 32 << 10, "{}", h.dissector().memory());
}

#[test]
fn open_requests_and_memory_are_bounded() {
    let limits = Limits { pending: 4, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    h.client((0..10).flat_map(heartbeat).collect::<Vec<u8>>()).server(beaten(9, 0)).server(beaten(0, 0));
    let got: Vec<_> =
        h.sink.calls.iter().map(|c| (c.int(field::KAFKA_CORRELATION_ID).unwrap(), c.incomplete)).collect();
    assert_eq!(got[..6], [0, 1, 2, 3, 4, 5].map(|n| (n, Some("no_response"))));
    assert_eq!(got[6..], [(9, None), (0, Some("no_request"))]);
    assert_eq!(h.sink.problems[&Problem::TooManyPending].0, 6);

    let limits = Limits { flow_bytes: 100_000, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default());
    for n in 0..1_000 {
        let mut bytes = request(11, 0, n, b"\0\x01g\0\0\x10\0\0\x01m\0\x01x\0\0\0\x01\0\x01p\0\0\x75\x30");
        bytes.extend([b'a'; 30_000]);
        let size = u32::try_from(bytes.len() - 4).unwrap();
        bytes[..4].copy_from_slice(&size.to_be_bytes());
        h.client(bytes);
    }
    assert!(h.dissector().memory() < 4 << 20, "{}", h.dissector().memory());
    h.close(Ending::Lost);
    assert_eq!(h.sink.calls.len(), 1_000);
}
