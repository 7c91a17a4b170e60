//! Cassandra: messages as tshark finds them, and conversations made up, of which no split changes
//! anything and no damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, cassandra};
use remora_model::{Transport, field};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/cassandra").join(name)
}

/// Calls of a capture by the client's port.
fn calls(name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(corpus(name).with_extension("ndjson")).unwrap();
    let all = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    all.filter(|c| c["protocol"] == "cassandra").collect()
}

/// Every request that tshark finds is a call with its operation and stream, and so is every error
/// code and number of rows. tshark 4.0 reads no frames of version 5, and gives one message of those
/// that share a segment at times.
#[test]
fn messages_are_those_that_tshark_finds() {
    let mut messages = 0;
    for name in ["v3", "v4", "v4-auth", "v3-lz4", "v4-snappy"] {
        let mut ours: BTreeMap<(String, i64, i64), usize> = BTreeMap::new();
        let (mut codes, mut rows) = (Vec::new(), Vec::new());
        for call in calls(name) {
            let opcode = OPERATIONS.iter().position(|o| *o == call["cassandra_opcode"]).unwrap() as i64;
            let key = (call["src.port"].to_string(), call["cassandra_stream"].as_i64().unwrap(), opcode);
            *ours.entry(key).or_default() += 1;
            codes.extend(call["cassandra_error_code"].as_i64());
            rows.extend(call["cassandra_rows"].as_i64());
        }
        for line in std::fs::read_to_string(corpus(name).with_extension("tshark")).unwrap().lines() {
            let column: Vec<&str> = line.split('\t').collect();
            if column[1] == "39042" {
                for (stream, opcode) in column[3].split('|').zip(column[4].split('|')) {
                    let key = (column[0].to_owned(), stream.parse().unwrap(), opcode.parse().unwrap());
                    let left = ours.get_mut(&key).unwrap_or_else(|| panic!("{name}: {key:?}"));
                    *left = left.checked_sub(1).unwrap_or_else(|| panic!("{name}: {key:?} once more"));
                    messages += 1;
                }
            } else {
                for code in column[5].split('|').filter(|t| !t.is_empty()) {
                    assert!(codes.contains(&code.parse().unwrap()), "{name}: {code}");
                }
                for n in column[6].split('|').filter(|t| !t.is_empty()) {
                    assert!(rows.contains(&n.parse().unwrap()), "{name}: {n} rows");
                }
            }
        }
    }
    assert!(messages > 100, "{messages}");
}

/// The driver did the same in every version, and with every compression.
#[test]
fn versions_and_compressions_agree() {
    let statements = |name: &str| {
        let mut all: Vec<(String, String, Option<i64>, bool)> = calls(name)
            .iter()
            .filter(|c| {
                matches!(c["cassandra_opcode"].as_str(), Some("QUERY" | "EXECUTE" | "BATCH" | "PREPARE"))
            })
            .map(|c| {
                let text = |key: &str| c[key].as_str().unwrap_or_default().to_owned();
                (
                    text("cassandra_opcode"),
                    text("cassandra_query"),
                    c["cassandra_rows"].as_i64(),
                    c["failed"] == true,
                )
            })
            .filter(|c| !c.1.contains("xxxx") && !c.1.contains("system"))
            .collect();
        all.sort();
        all
    };
    let first = statements("v4");
    assert!(first.len() > 20);
    for name in ["v3", "v3-lz4", "v4-snappy", "v5", "v5-lz4"] {
        assert_eq!(statements(name), first, "{name}");
        let odd: Vec<_> =
            calls(name).into_iter().filter(|c| c.get("incomplete").is_some_and(|i| !i.is_null())).collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
    }
}

/// Operations by their codes.
const OPERATIONS: [&str; 17] = [
    "ERROR",
    "STARTUP",
    "READY",
    "AUTHENTICATE",
    "",
    "OPTIONS",
    "SUPPORTED",
    "QUERY",
    "RESULT",
    "PREPARE",
    "EXECUTE",
    "REGISTER",
    "EVENT",
    "BATCH",
    "AUTH_CHALLENGE",
    "AUTH_RESPONSE",
    "AUTH_SUCCESS",
];

fn envelope(version: u8, stream: i16, opcode: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![version, 0];
    out.extend(stream.to_be_bytes());
    out.push(opcode);
    out.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body);
    out
}

/// A statement, and the texts of the one column of its rows.
type Meant = (String, Vec<String>);

fn exchange() -> impl Strategy<Value = Meant> {
    ("SELECT [a-z]{1,200}", prop::collection::vec("[a-z]{0,100}", 0..10))
}

fn wire(all: &[Meant]) -> (Vec<u8>, Vec<u8>) {
    let (mut requests, mut responses) = (Vec::new(), Vec::new());
    for (stream, (text, rows)) in (0_i16..).zip(all) {
        let mut body = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        body.extend(text.as_bytes());
        body.extend([0, 1, 0]);
        requests.extend(envelope(4, stream, 7, &body));
        let mut body = b"\0\0\0\x02\0\0\0\x01\0\0\0\x01\0\x02ks\0\x01t\0\x01c\0\x0d".to_vec();
        body.extend(u32::try_from(rows.len()).unwrap().to_be_bytes());
        for row in rows {
            body.extend(u32::try_from(row.len()).unwrap().to_be_bytes());
            body.extend(row.as_bytes());
        }
        responses.extend(envelope(0x84, stream, 8, &body));
    }
    (requests, responses)
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_calls_that_were_meant(
        all in prop::collection::vec(exchange(), 1..8),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        payload in prop_oneof![Just(1 << 16), 0_usize..60],
    ) {
        let (requests, responses) = wire(&all);
        let limits = Limits { payload, ..Limits::default() };
        let run = |cuts: &[usize]| {
            let mut h = Harness::with(&cassandra::ENTRY, Transport::Tcp, limits.clone(), Recorder::default());
            send(&mut h, Role::Client, &requests, cuts);
            send(&mut h, Role::Server, &responses, cuts);
            h.close(Ending::Closed);
            (h.sink.calls, h.sink.problems)
        };
        let whole = run(&[]);
        prop_assert_eq!(whole.0.len(), all.len());
        for (call, (text, rows)) in whole.0.iter().zip(&all) {
            prop_assert_eq!(call.int(field::CASSANDRA_ROWS), Some(rows.len() as i64));
            prop_assert_eq!(call.incomplete, None);
            if payload > 60 {
                prop_assert_eq!(&call.text(field::CASSANDRA_QUERY), text);
                let lines: String = ["c"].into_iter().chain(rows.iter().map(String::as_str)).map(|r| format!("{r}\n")).collect();
                prop_assert_eq!(call.text(field::CASSANDRA_RESPONSE_BODY), lines);
            }
        }
        prop_assert_eq!(run(&cuts), whole);
    }

    #[test]
    fn no_damage_does_harm(
        all in prop::collection::vec(exchange(), 1..8),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..10),
        keep in any::<usize>(),
        gap in 0_u64..100,
    ) {
        let (requests, responses) = wire(&all);
        for (role, mut bytes) in [(Role::Client, requests), (Role::Server, responses)] {
            for (at, with) in &flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            bytes.truncate(keep % (bytes.len() + 1));
            let mut h = Harness::new(&cassandra::ENTRY, Transport::Tcp);
            for piece in bytes.chunks(23) {
                h.send(role, piece);
            }
            h.gap(role, gap).send(role, &bytes).send(role.other(), &bytes).close(Ending::Lost);
            prop_assert!(!h.dissector().is_busy());
            prop_assert!(h.dissector().memory() < 1 << 20);
        }
    }
}

#[test]
fn hostile_lengths_hold_nothing() {
    for (role, version, opcode) in [(Role::Client, 4, 7), (Role::Server, 0x84, 8)] {
        let mut wire = vec![version, 0, 0, 1, opcode, 0x0f, 0xff, 0xff, 0xff];
        wire.extend([0, 0, 0, 2, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff]);
        let mut h = Harness::new(&cassandra::ENTRY, Transport::Tcp);
        for _ in 0..40 {
            h.send(role, &wire);
        }
        h.close(Ending::Lost);
        assert!(h.dissector().memory() < 1 << 17);
    }
}
