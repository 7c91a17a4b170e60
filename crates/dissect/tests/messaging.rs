//! AMQP, MQTT and NATS, as recorded: however the bytes are split the calls are the same, joined
//! anywhere nothing is invented, and neither gaps nor damage nor hostile lengths do harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use remora_dissect::detect::Entry;
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Limits, Problem, Role, amqp, mqtt, nats};
use remora_model::{FieldId, Transport, field};
use support::conversation::{Said, conversations};

/// A protocol, its recordings, their port, and the fields that say what a call is about.
struct Broker {
    entry: &'static Entry,
    directory: &'static str,
    port: u16,
    about: [FieldId; 4],
}

static AMQP: Entry = amqp::ENTRY;
static MQTT: Entry = mqtt::ENTRY;
static NATS: Entry = nats::ENTRY;

fn brokers() -> [Broker; 3] {
    let amqp = [field::AMQP_METHOD, field::AMQP_ROUTING_KEY, field::AMQP_BODY, field::AMQP_CHANNEL];
    // Topics behind an alias, and payloads in a version that is not known, may not be known.
    let mqtt = [field::MQTT_TYPE, field::MQTT_QOS, field::MQTT_RETAIN, field::MQTT_PACKET_ID];
    let nats = [field::NATS_OPERATION, field::NATS_SUBJECT, field::NATS_PAYLOAD, field::NATS_SID];
    [
        Broker { entry: &AMQP, directory: "amqp", port: 5699, about: amqp },
        Broker { entry: &MQTT, directory: "mqtt", port: 1899, about: mqtt },
        Broker { entry: &NATS, directory: "nats", port: 4299, about: nats },
    ]
}

/// The recorded conversations of a protocol, without those that are nothing but large.
fn recorded(broker: &Broker) -> Vec<Vec<Said>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(broker.directory);
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap"))
        .filter(|p| p.file_stem().is_some_and(|s| s != "large"))
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{}", broker.directory);
    files.iter().flat_map(|f| conversations(f, broker.port).into_values()).collect()
}

fn harness(broker: &Broker, limits: Limits) -> Harness<Recorder> {
    Harness::with(broker.entry, Transport::Tcp, limits, Recorder::default())
}

/// Plays a conversation in pieces of at most `piece` bytes.
fn play(broker: &Broker, talk: &[Said], piece: usize, limits: &Limits) -> Recorder {
    let mut h = harness(broker, limits.clone());
    for said in talk {
        for part in said.bytes.chunks(piece) {
            h.send(said.role, part);
        }
    }
    h.close(Ending::Closed);
    assert!(!h.dissector().is_busy());
    h.sink
}

#[test]
fn any_split_gives_the_same_calls() {
    for broker in brokers() {
        for talk in recorded(&broker) {
            for limits in [Limits::default(), Limits { payload: 7, ..Limits::default() }] {
                let whole = play(&broker, &talk, usize::MAX, &limits);
                assert!(!whole.calls.is_empty() || talk.len() < 3);
                for piece in [1, 2, 3, 7, 64, 1000] {
                    let split = play(&broker, &talk, piece, &limits);
                    assert_eq!(split.calls, whole.calls, "{} {piece}", broker.directory);
                    assert_eq!(split.problems, whole.problems, "{} {piece}", broker.directory);
                }
            }
        }
    }
}

/// Small limits change texts, and neither the number of calls nor what paired them.
#[test]
fn limits_change_only_texts() {
    for broker in brokers() {
        for talk in recorded(&broker) {
            let whole = play(&broker, &talk, usize::MAX, &Limits::default());
            let little = play(&broker, &talk, usize::MAX, &Limits { payload: 300, ..Limits::default() });
            let shape =
                |c: &Recorded| (c.request_pos, c.response_pos, c.request_bytes, c.response_bytes, c.failed);
            assert_eq!(
                little.calls.iter().map(shape).collect::<Vec<_>>(),
                whole.calls.iter().map(shape).collect::<Vec<_>>(),
                "{}",
                broker.directory
            );
        }
    }
}

fn about(broker: &Broker, call: &Recorded) -> Vec<Option<Value>> {
    broker.about.iter().map(|f| call.get(*f).cloned()).collect()
}

/// Whatever is reported of a connection that was joined in the middle was said in it. Halves of
/// calls, of which the other half came before, have another name.
#[test]
fn joined_anywhere_nothing_is_invented() {
    let mut found = 0;
    for broker in brokers() {
        for talk in recorded(&broker) {
            let whole = play(&broker, &talk, usize::MAX, &Limits::default());
            let known: BTreeSet<String> =
                whole.calls.iter().map(|c| format!("{:?}", about(&broker, c))).collect();
            for from in 1..talk.len() {
                let joined = play(&broker, &talk[from..], usize::MAX, &Limits::default());
                for call in &joined.calls {
                    let halves = [
                        "PUBREL",
                        "-ERR",
                        "+OK",
                        "PUB",
                        "HPUB",
                        "MSG",
                        "HMSG",
                        "PING",
                        "basic.ack",
                        "basic.nack",
                        "channel.close",
                        "channel.close-ok",
                        "connection.close",
                    ];
                    let name = call.text(broker.about[0]);
                    let is_half = call.incomplete.is_some() || halves.contains(&name.as_str());
                    assert!(
                        is_half || known.contains(&format!("{:?}", about(&broker, call))),
                        "{} from {from}: {call:?}",
                        broker.directory
                    );
                    found += 1;
                }
            }
        }
    }
    assert!(found > 500, "{found}");
}

/// A piece that is missing anywhere is made known, and what is reported without a mark is as it was.
#[test]
fn gaps_are_marked() {
    for broker in brokers() {
        for talk in recorded(&broker) {
            let whole = play(&broker, &talk, usize::MAX, &Limits::default());
            let pairs: BTreeSet<_> =
                whole.calls.iter().filter_map(|c| Some((c.request_pos?, c.response_pos?))).collect();
            for missing in 0..talk.len() {
                let mut h = harness(&broker, Limits::default());
                for (i, said) in talk.iter().enumerate() {
                    if i == missing {
                        h.gap(said.role, said.bytes.len() as u64);
                    } else {
                        h.send(said.role, &said.bytes);
                    }
                }
                h.close(Ending::Closed);
                assert!(!h.dissector().is_busy());
                // The rest of an exchange is a call of its own where its beginning is missing.
                let is_rest = |c: &&Recorded| {
                    c.text(field::AMQP_METHOD).ends_with(".close")
                        || c.text(field::MQTT_TYPE) == "PUBREL"
                        // Whether an acknowledgement is a request is known from the subscription.
                        || c.text(field::NATS_JETSTREAM) == "DELIVER"
                };
                for call in h.sink.calls.iter().filter(|c| c.incomplete.is_none() && !is_rest(c)) {
                    if let (Some(asked), Some(answered)) = (call.request_pos, call.response_pos) {
                        assert!(
                            pairs.contains(&(asked, answered)),
                            "{} without {missing}: {call:?}",
                            broker.directory
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn secrets_are_nowhere() {
    for broker in brokers() {
        for talk in recorded(&broker) {
            let all = play(&broker, &talk, usize::MAX, &Limits::default());
            let text = format!("{:?}", all.calls);
            for secret in
                ["sesame", "\\0guest\\0", "115, 101, 115, 97, 109, 101", "103, 117, 101, 115, 116, 0"]
            {
                assert!(!text.contains(secret), "{} {secret}", broker.directory);
            }
        }
    }
}

#[test]
fn hostile_lengths_hold_nothing() {
    let cases: [(usize, &[u8]); 9] = [
        (0, b"\x03\0\x01\xff\xff\xff\xff"),
        (0, b"\x02\0\x01\0\0\0\x0e\0\x3c\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\xce"),
        (0, b"\x01\0\x01\xff\xff\xff\xff\0\x3c\0\x28"),
        (1, b"\x30\xff\xff\xff\x7f\0\x03a/b"),
        (1, b"\x82\xff\xff\xff\x7f\0\x01\0\x03a/b\x01"),
        (1, b"\x32\xff\xff\xff\x7f\xff\xff"),
        (2, b"PUB a 4294967295\r\nx"),
        (2, b"HPUB a 4294967295 4294967295\r\nNATS/1.0\r\n"),
        (2, b"MSG a 1 99999999999999999999\r\n"),
    ];
    let all = brokers();
    for (which, bytes) in cases {
        for role in [Role::Client, Role::Server] {
            let mut h = harness(&all[which], Limits::default());
            for _ in 0..40 {
                h.send(role, bytes);
            }
            h.close(Ending::Lost);
            assert!(!h.dissector().is_busy());
            assert!(h.dissector().memory() < 1 << 20, "{}", h.dissector().memory());
        }
    }
}

/// Requests that nobody answers are reported when there are too many of them.
#[test]
fn open_requests_are_bounded() {
    let limits = Limits { pending: 8, ..Limits::default() };
    let asks: [&[u8]; 3] = [
        b"\x01\0\x01\0\0\0\x0c\0\x3c\0\x46\0\0\x04jobs\0\xce",
        b"\xc0\0",
        b"SUB _INBOX.1 1\r\nPUB a _INBOX.1 2\r\nhi\r\n",
    ];
    for (broker, ask) in brokers().iter().zip(asks) {
        let mut h = harness(broker, limits.clone());
        if broker.directory == "nats" {
            // Else it is not known whether the server confirms what it is told.
            h.send(Role::Client, b"CONNECT {\"verbose\":false}\r\n");
        }
        for _ in 0..100 {
            h.send(Role::Client, ask);
        }
        assert!(h.sink.problems.contains_key(&Problem::TooManyPending), "{}", broker.directory);
        h.close(Ending::Closed);
        let open = h.sink.calls.iter().filter(|c| c.incomplete == Some("no_response")).count();
        assert_eq!(open, 100, "{}", broker.directory);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_damage_does_harm(
        which in 0_usize..3,
        talk in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        gap in (any::<prop::sample::Index>(), 0_u64..200),
        piece in 1_usize..600,
    ) {
        let broker = &brokers()[which];
        let all = recorded(broker);
        let talk = talk.get(&all);
        let mut h = harness(broker, Limits { payload: 1 << 10, ..Limits::default() });
        let hole = gap.0.index(talk.len());
        for (i, said) in talk.iter().enumerate() {
            let mut bytes = said.bytes.clone();
            for (at, with) in &flips {
                if at.index(talk.len()) == i {
                    let at = at.index(bytes.len());
                    bytes[at] ^= with;
                }
            }
            for part in bytes.chunks(piece) {
                h.send(said.role, part);
            }
            if i == hole {
                h.gap(said.role, gap.1);
            }
        }
        h.close(Ending::Lost);
        prop_assert!(!h.dissector().is_busy());
        prop_assert!(h.dissector().memory() < 4 << 20);
    }
}
