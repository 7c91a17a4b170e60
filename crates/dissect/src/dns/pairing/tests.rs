#![allow(clippy::unwrap_used)]

use remora_model::field;

use super::*;
use crate::{
    Limits,
    dns::{ENTRY, testing::Build},
    harness::{Harness, Recorded, Recorder, Value},
};

fn udp() -> Harness {
    Harness::new(&ENTRY, Transport::Udp)
}

fn tcp() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

fn list(call: &Recorded, id: remora_model::FieldId) -> Vec<String> {
    match call.get(id) {
        Some(Value::List(l)) => l.iter().map(|t| String::from_utf8(t.clone()).unwrap()).collect(),
        other => panic!("{other:?}"),
    }
}

fn answers(call: &Recorded) -> Vec<String> {
    list(call, field::DNS_ANSWERS)
}

#[test]
fn a_query_and_its_response() {
    let mut h = udp();
    h.at(1_000).client(Build::query(7, "a").0);
    h.at(1_250).server(Build::response(7, "a").a("a", 1).0);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us), (1_000_000, Some(250), Some(250)));
    assert_eq!((call.request_bytes, call.response_bytes), (Some(19), Some(36)));
    assert_eq!((call.failed, call.incomplete), (false, None));
    assert_eq!(list(call, field::DNS_QUESTIONS), ["a"]);
    assert_eq!(list(call, field::DNS_FLAGS), ["rd", "ra"]);
    assert_eq!(answers(call), ["192.0.2.1"]);
    assert_eq!(call.int(field::STATUS_CODE), Some(0));
    assert_eq!(call.text(field::DNS_RCODE), "NOERROR");
    assert_eq!(call.text(field::DNS_OPCODE), "QUERY");
    assert!(call.is(field::DNS_REQUEST) && call.is(field::DNS_RESPONSE));
    assert!(!h.dissector().is_busy());
}

#[test]
fn answers_out_of_order_and_the_same_id_for_two_questions() {
    let mut h = udp();
    h.client(Build::query(1, "a").0).client(Build::query(1, "b").0).client(Build::query(2, "c").0);
    h.server(Build::response(2, "c").a("c", 3).0);
    h.server(Build::response(1, "b").a("b", 2).0);
    h.server(Build::response(1, "a").a("a", 1).0);
    let got: Vec<_> = h
        .sink
        .calls
        .iter()
        .map(|c| (list(c, field::DNS_QUESTIONS)[0].clone(), answers(c)[0].clone()))
        .collect();
    let expected = [("c", "192.0.2.3"), ("b", "192.0.2.2"), ("a", "192.0.2.1")];
    assert_eq!(got, expected.map(|(q, a)| (q.to_string(), a.to_string())));
}

#[test]
fn nxdomain_is_a_failure() {
    let mut h = udp();
    h.client(Build::query(1, "a").0).server(Build::new(1, 0x8183).question("a", types::A).0);
    assert!(h.sink.calls[0].failed);
    assert_eq!(h.sink.calls[0].int(field::STATUS_CODE), Some(3));
    assert_eq!(h.sink.calls[0].text(field::DNS_RCODE), "NXDOMAIN");
}

#[test]
fn a_repeated_query_is_one_call_and_its_second_answer_none() {
    let mut h = udp();
    h.at(0).client(Build::query(1, "a").0);
    h.at(5_000_000).client(Build::query(1, "a").0);
    h.at(5_000_100).server(Build::response(1, "a").a("a", 1).0);
    h.at(5_000_200).server(Build::response(1, "a").a("a", 1).0);
    assert_eq!(h.sink.calls.len(), 1);
    assert_eq!(h.sink.calls[0].elapsed_us, Some(5_000_100));
    h.server(Build::response(1, "a").a("a", 1).0);
    assert_eq!(h.sink.calls[1].incomplete, Some("no_request"), "a third one answers nothing");
}

#[test]
fn silence_is_reported_after_the_wait() {
    let mut h = udp();
    h.at(0).client(Build::query(1, "a").0);
    h.at(6_000_000).client(Build::query(1, "a").0);
    h.at(15_999_999).tick();
    assert!(h.sink.calls.is_empty());
    h.at(16_000_000).tick();
    assert_eq!(h.sink.calls[0].incomplete, Some("no_response"));
    assert_eq!(h.sink.calls[0].ts, 0);
    assert!(h.sink.calls[0].get(field::STATUS_CODE).is_none());
    assert!(!h.sink.calls[0].failed && !h.sink.calls[0].is(field::DNS_RESPONSE));
    // The answer comes after all.
    h.server(Build::response(1, "a").a("a", 1).0);
    assert_eq!(h.sink.calls.len(), 1, "it answers the repetition, which is counted with the query");
    h.server(Build::response(1, "a").a("a", 1).0);
    assert_eq!(h.sink.calls[1].incomplete, Some("no_request"));
}

#[test]
fn open_queries_are_bounded() {
    let limits = Limits { pending: 2, ..Limits::default() };
    let mut h = Harness::with(&ENTRY, Transport::Udp, limits, Recorder::default());
    for (id, host) in [(1, "a"), (2, "b"), (3, "c")] {
        h.client(Build::query(id, host).0);
    }
    assert_eq!(h.sink.calls.len(), 1);
    assert_eq!(h.sink.calls[0].incomplete, Some("no_response"));
    assert_eq!(h.sink.problems[&Problem::TooManyPending].0, 1);
    h.close(Ending::Lost);
    assert_eq!(h.sink.calls.len(), 3);
}

#[test]
fn a_damaged_message_gives_what_can_be_read() {
    let mut h = udp();
    let response = Build::response(1, "a").a("a", 1).opt(0, true, b"").0;
    h.client(Build::query(1, "a").0).server(&response[..response.len() - 2]);
    assert_eq!((answers(&h.sink.calls[0]), h.sink.calls[0].incomplete), (vec!["192.0.2.1".into()], None));
    assert_eq!(h.sink.problems[&Problem::Malformed].0, 1);
    h.client(Build::query(2, "a").0).server(&Build::response(2, "a").a("a", 1).0[..30]);
    assert_eq!(h.sink.calls[1].incomplete, Some("truncated"));
    assert_eq!(h.sink.problems[&Problem::Malformed].0, 2);
    h.client(b"junk");
    assert_eq!(h.sink.calls.len(), 2);
    assert_eq!(h.sink.problems[&Problem::Malformed], (3, 45 + 30 + 4));
}

#[test]
fn an_error_without_the_question_is_paired_by_id() {
    let mut h = udp();
    h.client(Build::query(1, "a").0).server(Build::new(1, 0x8181).0);
    assert_eq!(h.sink.calls[0].text(field::DNS_RCODE), "FORMERR");
    assert_eq!(h.sink.calls[0].incomplete, None);
    assert_eq!(list(&h.sink.calls[0], field::DNS_QUESTIONS), ["a"]);
}

#[test]
fn multicast_messages_stand_alone() {
    let mut recorder = Recorder::default();
    let limits = Limits::default();
    let mut dns = Dns::new(Transport::Udp);
    let times = [(0, Timestamp(5))];
    let mut cx = Context {
        flow: remora_model::FlowId(1),
        transport: Transport::Udp,
        client: remora_model::Endpoint { ip: [192, 0, 2, 1].into(), port: 5353 },
        server: remora_model::Endpoint { ip: [224, 0, 0, 251].into(), port: 5353 },
        source: remora_model::CaptureSource::File,
        tls: false,
        registry: crate::detect::REGISTRY,
        within: crate::engine::nested::Within { secrets: &Default::default(), depth: 0 },
        tally: Default::default(),
        limits: &limits,
        pos: 0,
        times: crate::dissector::Times(&times),
        sink: &mut recorder,
    };
    dns.data(Role::Client, &Build::new(0, 0).question("a.local", types::A).0, &mut cx);
    dns.data(Role::Client, &Build::new(0, 0).question("a.local", types::A).0, &mut cx);
    dns.data(Role::Client, &Build::new(0, 0x8400).a("a.local", 1).0, &mut cx);
    assert!(!dns.is_busy());
    let seen: Vec<_> = recorder
        .calls
        .iter()
        .map(|c| (c.is(field::DNS_REQUEST), c.is(field::DNS_RESPONSE), c.incomplete))
        .collect();
    assert_eq!(seen, [(true, false, None), (true, false, None), (false, true, None)]);
}

#[test]
fn a_query_from_the_other_side_is_answered_by_this_one() {
    let mut h = udp();
    h.server(Build::query(1, "a").0).client(Build::response(1, "a").a("a", 1).0);
    assert_eq!(h.sink.calls.len(), 1);
    assert_eq!(h.sink.calls[0].incomplete, None);
}

#[test]
fn streams_may_be_cut_anywhere() {
    let mut queries = Build::query(1, "a").framed();
    queries.extend(Build::query(2, "b").framed());
    let mut responses = Build::response(2, "b").a("b", 2).framed();
    responses.extend(Build::response(1, "a").a("a", 1).framed());
    let mut whole = tcp();
    whole.client(&queries).server(&responses).close(Ending::Closed);
    assert_eq!(whole.sink.calls.len(), 2);
    assert_eq!(whole.sink.calls[0].request_pos, Some(21));
    assert_eq!(whole.sink.calls[0].request_bytes, Some(21));
    for size in 1..queries.len() {
        let mut h = tcp();
        queries.chunks(size).for_each(|c| {
            h.client(c);
        });
        responses.chunks(size).for_each(|c| {
            h.server(c);
        });
        h.close(Ending::Closed);
        assert_eq!(h.sink.calls, whole.sink.calls, "{size}");
    }
}

#[test]
fn a_zone_transfer_is_one_call() {
    let messages = [
        Build::new(1, 0x8400).question("z", types::AXFR).soa(5).a("z", 1).framed(),
        Build::new(1, 0x8400).a("b.z", 2).framed(),
        Build::new(1, 0x8400).question("z", types::AXFR).a("c.z", 3).soa(5).framed(),
    ];
    let mut h = tcp();
    h.at(0).client(Build::new(1, 0).question("z", types::AXFR).framed());
    h.at(10).server(&messages[0]).at(20).server(&messages[1]);
    assert!(h.sink.calls.is_empty());
    h.at(30).server(&messages[2]);
    let [call] = &h.sink.calls[..] else { panic!("{:?}", h.sink.calls) };
    assert_eq!(list(call, field::DNS_ANSWER_TYPES), ["SOA", "A", "A", "A", "SOA"]);
    assert_eq!(list(call, field::DNS_QUESTIONS), ["z"]);
    assert_eq!((call.elapsed_us, call.ttlb_us, call.incomplete), (Some(10), Some(30), None));
    assert_eq!(call.response_bytes, Some(messages.iter().map(Vec::len).sum::<usize>() as i64));
}

#[test]
fn a_zone_transfer_that_breaks_off_is_truncated() {
    let mut h = tcp();
    h.client(Build::new(1, 0).question("z", types::AXFR).framed());
    h.server(Build::new(1, 0x8400).question("z", types::AXFR).soa(5).a("z", 1).framed());
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls[0].incomplete, Some("truncated"));
    assert_eq!(answers(&h.sink.calls[0]).len(), 2);
    // Refused at once.
    let mut h = tcp();
    h.client(Build::new(1, 0).question("z", types::AXFR).framed());
    h.server(Build::new(1, 0x8005).question("z", types::AXFR).framed());
    assert_eq!(h.sink.calls[0].text(field::DNS_RCODE), "REFUSED");
}

#[test]
fn ends_of_a_stream() {
    let mut h = tcp();
    h.client(Build::query(1, "a").framed()).end(Role::Client, Ending::Closed);
    assert!(h.sink.calls.is_empty(), "half closed: the answer may still come");
    h.server(&Build::response(1, "a").a("a", 1).framed()[..30]).end(Role::Server, Ending::Closed);
    assert_eq!(h.sink.calls.len(), 1);
    assert_eq!(h.sink.calls[0].incomplete, Some("truncated"));
    let mut h = tcp();
    h.client(Build::query(1, "a").framed()).close(Ending::Reset);
    assert_eq!(h.sink.calls[0].incomplete, Some("reset"));
}

#[test]
fn a_gap_costs_what_it_covers() {
    let mut h = tcp();
    h.client(Build::query(1, "a").framed()).client(Build::query(2, "b").framed());
    h.server(&Build::response(1, "a").a("a", 1).framed()[..10]);
    h.gap(Role::Server, 28);
    h.server([1, 2, 3]).server(Build::response(2, "b").a("b", 2).framed());
    assert_eq!(answers(&h.sink.calls[0]), ["192.0.2.2"]);
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls[1].incomplete, Some("no_response"));
}

#[test]
fn nothing_grows_over_many_calls() {
    let mut h = udp();
    let mut held = 0;
    for i in 0..1_000 {
        h.client(Build::query(i, "www.example").0);
        h.server(Build::response(i, "www.example").a("www.example", 1).0);
        if i == 10 {
            held = h.dissector().memory();
        }
    }
    assert_eq!(h.dissector().memory(), held);
    assert_eq!(h.sink.calls.len(), 1_000);
}
