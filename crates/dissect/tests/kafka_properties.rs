//! Kafka, made up and recorded: however the bytes are split the calls are those that were meant,
//! joined anywhere nothing is invented, gaps join nothing that does not belong together, and no
//! damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use remora_dissect::file::CaptureFile;
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Engine, FlowIds, Limits, Problem, Role, Sink, kafka};
use remora_model::{Call, CaptureSource, FlowRow, Transport, field};

fn text(t: &str) -> Vec<u8> {
    [&(t.len() as u16).to_be_bytes()[..], t.as_bytes()].concat()
}

/// A request without its correlation id, what answers it, and what the call should say: name of
/// the API, topics, group, error code.
#[derive(Clone, Debug)]
struct Exchange {
    key: i16,
    version: i16,
    request: Vec<u8>,
    response: Option<Vec<u8>>,
    name: &'static str,
    topics: Vec<String>,
    group: String,
    error: Option<i64>,
}

impl Exchange {
    fn request(&self, correlation: i32) -> Vec<u8> {
        let mut bytes = [self.key.to_be_bytes(), self.version.to_be_bytes()].concat();
        bytes.extend(correlation.to_be_bytes());
        bytes.extend(text("generator"));
        bytes.extend(&self.request);
        [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()
    }

    fn response(&self, correlation: i32) -> Vec<u8> {
        let Some(body) = &self.response else { return Vec::new() };
        [&(body.len() as u32 + 4).to_be_bytes()[..], &correlation.to_be_bytes(), body].concat()
    }
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9._-]{0,20}"
}

fn error() -> impl Strategy<Value = i16> {
    prop_oneof![Just(0_i16), 1..100_i16]
}

/// One batch of magic 2 with a record for each value.
fn batch(values: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    for (i, value) in values.iter().enumerate() {
        // Lengths below 64 take one byte, zigzag.
        let mut body = vec![0, 0, (i as u8) << 1, 2, b'k', (value.len() as u8) << 1];
        body.extend(value);
        body.push(0);
        records.push((body.len() as u8) << 1);
        records.extend(body);
    }
    let mut out = vec![0; 8];
    out.extend((records.len() as u32 + 49).to_be_bytes());
    out.extend([0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]);
    out.extend((values.len() as u32 - 1).to_be_bytes());
    out.extend([0; 16]);
    out.extend([0xff; 14]);
    out.extend((values.len() as u32).to_be_bytes());
    out.extend(records);
    out
}

fn produce() -> impl Strategy<Value = Exchange> {
    let values = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..20);
    (name(), values, error(), prop::sample::select(vec![0_i16, 1, -1])).prop_map(
        |(topic, values, error, acks)| {
            let records = batch(&values);
            let mut request = b"\xff\xff".to_vec();
            request.extend(acks.to_be_bytes());
            request.extend([0, 0, 3, 232, 0, 0, 0, 1]);
            request.extend(text(&topic));
            request.extend([0, 0, 0, 1, 0, 0, 0, 0]);
            request.extend((records.len() as u32).to_be_bytes());
            request.extend(records);
            let mut response = vec![0, 0, 0, 1];
            response.extend(text(&topic));
            response.extend([0, 0, 0, 1, 0, 0, 0, 0]);
            response.extend(error.to_be_bytes());
            response.extend([0; 16]);
            response.extend([0; 4]);
            Exchange {
                key: 0,
                version: 3,
                request,
                response: (acks != 0).then_some(response),
                name: "PRODUCE",
                topics: vec![topic],
                group: String::new(),
                error: (acks != 0).then_some(error.into()),
            }
        },
    )
}

fn heartbeat() -> impl Strategy<Value = Exchange> {
    (name(), error()).prop_map(|(group, error)| Exchange {
        key: 12,
        version: 1,
        request: [text(&group), vec![0, 0, 0, 7], text("member")].concat(),
        response: Some([&[0, 0, 0, 0][..], &error.to_be_bytes()].concat()),
        name: "HEARTBEAT",
        topics: Vec::new(),
        group,
        error: Some(error.into()),
    })
}

/// DeleteTopics version 4, a flexible one, with a tagged field that nobody knows.
fn delete() -> impl Strategy<Value = Exchange> {
    (prop::collection::btree_set(name(), 1..6), error()).prop_map(|(topics, error)| {
        let compact = |t: &str| [&[t.len() as u8 + 1][..], t.as_bytes()].concat();
        let count = topics.len() as u8 + 1;
        let mut request = vec![0, count];
        topics.iter().for_each(|t| request.extend(compact(t)));
        request.extend([0, 0, 0, 9, 1, 99, 2, 1, 2]);
        let mut response = vec![0, 0, 0, 0, 0, count];
        for t in &topics {
            response.extend(compact(t));
            response.extend(error.to_be_bytes());
            response.push(0);
        }
        response.push(0);
        Exchange {
            key: 20,
            version: 4,
            request,
            response: Some(response),
            name: "DELETE_TOPICS",
            topics: topics.into_iter().collect(),
            group: String::new(),
            error: Some(error.into()),
        }
    })
}

fn exchanges() -> impl Strategy<Value = Vec<Exchange>> {
    prop::collection::vec(prop_oneof![produce(), heartbeat(), delete()], 1..8)
}

fn client(all: &[Exchange]) -> Vec<u8> {
    (1..).zip(all).flat_map(|(i, e)| e.request(i)).collect()
}

fn server(all: &[Exchange]) -> Vec<u8> {
    (1..).zip(all).flat_map(|(i, e)| e.response(i)).collect()
}

fn send(h: &mut Harness, role: Role, bytes: &[u8], cuts: &[usize]) {
    let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts.into_iter().chain([bytes.len()]) {
        h.send(role, &bytes[from..cut]);
        from = cut;
    }
}

fn list(call: &Recorded, id: remora_model::FieldId) -> Vec<String> {
    match call.get(id) {
        Some(Value::List(l)) => l.iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect(),
        _ => Vec::new(),
    }
}

/// What is said of a call that is whole: correlation id, API, topics, group, error.
type Meant = (i64, String, Vec<String>, String, Option<i64>);

fn said(call: &Recorded) -> Meant {
    (
        call.int(field::KAFKA_CORRELATION_ID).unwrap(),
        call.text(field::KAFKA_API_KEY_NAME),
        list(call, field::KAFKA_TOPICS),
        call.text(field::KAFKA_GROUP),
        call.int(field::KAFKA_ERROR_CODE),
    )
}

fn meant(all: &[Exchange]) -> Vec<Meant> {
    (1..).zip(all).map(|(i, e)| (i, e.name.to_owned(), e.topics.clone(), e.group.clone(), e.error)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_calls_that_were_meant(
        all in exchanges(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut h = Harness::new(&kafka::ENTRY, Transport::Tcp);
        send(&mut h, Role::Client, &client(&all), &cuts);
        send(&mut h, Role::Server, &server(&all), &cuts);
        h.close(Ending::Closed);
        prop_assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
        let mut calls = h.sink.calls.clone();
        calls.sort_by_key(|c| c.request_pos);
        prop_assert!(calls.iter().all(|c| c.incomplete.is_none()));
        prop_assert_eq!(calls.iter().map(said).collect::<Vec<_>>(), meant(&all));
        let mut pos = 0;
        for (i, (call, e)) in (1..).zip(calls.iter().zip(&all)) {
            prop_assert_eq!(call.request_pos, Some(pos));
            prop_assert_eq!(call.request_bytes, Some(e.request(i).len() as i64));
            prop_assert_eq!(call.response_bytes.unwrap_or(0), e.response(i).len() as i64);
            prop_assert_eq!(call.failed, e.error.is_some_and(|e| e != 0));
            pos += e.request(i).len() as i64;
        }
    }

    /// With a limit so small that most is passed over, texts get shorter and nothing else changes.
    #[test]
    fn small_limits_change_only_texts(
        all in exchanges(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        payload in 0_usize..300,
    ) {
        let limits = Limits { payload, ..Limits::default() };
        let run = |cuts: &[usize]| {
            let mut h = Harness::with(&kafka::ENTRY, Transport::Tcp, limits.clone(), Recorder::default());
            send(&mut h, Role::Client, &client(&all), cuts);
            send(&mut h, Role::Server, &server(&all), cuts);
            h.close(Ending::Closed);
            (h.sink.calls, h.sink.problems)
        };
        let whole = run(&[]);
        let mut sorted = whole.0.clone();
        sorted.sort_by_key(|c| c.request_pos);
        prop_assert_eq!(sorted.iter().map(said).collect::<Vec<_>>(), meant(&all));
        prop_assert!(whole.1.keys().all(|p| *p == Problem::PayloadLimit));
        prop_assert_eq!(run(&cuts), whole);
    }

    /// Wherever bytes are missing, a call that claims to be whole is one that was meant.
    #[test]
    fn gaps_never_join_what_does_not_belong_together(
        all in exchanges(),
        holes in [(any::<usize>(), 0_usize..200), (any::<usize>(), 0_usize..200)],
        piece in 1_usize..200,
    ) {
        let mut h = Harness::new(&kafka::ENTRY, Transport::Tcp);
        for (role, bytes, (at, len)) in
            [(Role::Client, client(&all), holes[0]), (Role::Server, server(&all), holes[1])]
        {
            let at = at % (bytes.len() + 1);
            let end = (at + len).min(bytes.len());
            bytes[..at].chunks(piece).for_each(|p| { h.send(role, p); });
            if end > at {
                h.gap(role, (end - at) as u64);
            }
            bytes[end..].chunks(piece).for_each(|p| { h.send(role, p); });
        }
        h.close(Ending::Closed);
        prop_assert!(!h.dissector().is_busy());
        let meant = meant(&all);
        for call in h.sink.calls.iter().filter(|c| c.incomplete.is_none()) {
            prop_assert!(meant.contains(&said(call)), "{:?}", call);
        }
        // One call for each request at most, and what has a response has that of its id.
        let mut requests = BTreeMap::new();
        for call in h.sink.calls.iter().filter(|c| c.request_pos.is_some()) {
            *requests.entry(call.int(field::KAFKA_CORRELATION_ID)).or_insert(0) += 1;
        }
        prop_assert!(requests.values().all(|n| *n == 1), "{:?}", requests);
    }

    #[test]
    fn no_damage_does_harm(
        all in exchanges(),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..10),
        keep in any::<usize>(),
        gap in 0_u64..100,
    ) {
        for (role, mut bytes) in [(Role::Client, client(&all)), (Role::Server, [server(&all), vec![0]].concat())] {
            for (at, with) in &flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            bytes.truncate(keep % (bytes.len() + 1));
            (kafka::ENTRY.probe)(&bytes, Transport::Tcp);
            let mut h = Harness::new(&kafka::ENTRY, Transport::Tcp);
            h.client(client(&all));
            for piece in bytes.chunks(23) {
                h.send(role, piece);
            }
            h.gap(role, gap).send(role, &bytes).send(role.other(), &bytes).close(Ending::Lost);
            prop_assert!(!h.dissector().is_busy());
            prop_assert!(h.dissector().memory() < 1 << 20);
        }
    }

    #[test]
    fn hostile_lengths_hold_nothing(size in any::<u32>(), body in prop::collection::vec(any::<u8>(), 0..100)) {
        for role in [Role::Client, Role::Server] {
            let mut h = Harness::new(&kafka::ENTRY, Transport::Tcp);
            h.client(Exchange { key: 1, version: 4, request: vec![0xff; 8], response: None, name: "", topics: vec![], group: String::new(), error: None }.request(0));
            for _ in 0..40 {
                h.send(role, &size.to_be_bytes()).send(role, &body);
            }
            h.close(Ending::Lost);
            prop_assert!(h.dissector().memory() < 1 << 18);
        }
    }
}

/// What is compared of a call: correlation id, error code, what is missing, and a text that names
/// its connection, API and latency.
type Brief = (Option<i64>, Option<i64>, Option<&'static str>, String);

/// Keeps calls.
#[derive(Default)]
struct Calls(Vec<Brief>);

impl Sink for Calls {
    fn call(&mut self, call: &Call<'_>) {
        let int = |id| {
            call.fields.iter().find_map(|(f, v)| match v {
                remora_model::ValueRef::Int(n) if *f == id => Some(*n),
                _ => None,
            })
        };
        let name = format!(
            "{} {} {:?} {:?}",
            call.client.port,
            call.server.port,
            int(field::KAFKA_API_KEY),
            call.elapsed_us
        );
        self.0.push((
            int(field::KAFKA_CORRELATION_ID),
            int(field::KAFKA_ERROR_CODE),
            call.incomplete.map(|i| i.name()),
            name,
        ));
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, _: Problem, _: u64) {}
}

/// Joined at every packet of every capture, nothing is invented: what claims to be whole is a call
/// that was also seen in the whole capture.
#[test]
fn joined_anywhere_nothing_is_invented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/kafka");
    for name in ["codecs", "transactions", "errors", "aio"] {
        let bytes = std::fs::read(root.join(name).with_extension("pcap")).unwrap();
        let run = |skip: u64| {
            // What is told of connections in which nothing was recognised is not Kafka's to say.
            let limits = Limits { unknown_entries: false, ..Limits::default() };
            let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
            let mut calls = Calls::default();
            let mut file = CaptureFile::new(&bytes[..]).unwrap();
            let mut n = 0;
            while let Some(f) = file.next_frame().unwrap() {
                if n >= skip {
                    engine.frame(f.ts, f.link, f.bytes, f.wire_len, &mut calls);
                }
                n += 1;
            }
            engine.finish(&mut calls);
            (calls.0, n)
        };
        let (whole, frames) = run(0);
        assert!(whole.len() > 20);
        for skip in (1..frames).step_by(3) {
            for call in run(skip).0.iter().filter(|c| c.2.is_none()) {
                assert!(whole.contains(call), "{name} without {skip} packets: {call:?}");
            }
        }
    }
}
