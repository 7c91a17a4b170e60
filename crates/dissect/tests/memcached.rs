//! Memcached: commands and answers as tshark finds them, and conversations made up, of which no
//! split changes anything and no damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, memcached};
use remora_model::{Transport, field};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/memcached").join(name)
}

/// Commands of the text protocol with their keys, and operations of the binary protocol, that tshark
/// finds are calls, in order. It leaves out some, such as all meta commands and what comes third in
/// one segment.
#[test]
fn commands_are_those_that_tshark_finds() {
    let mut commands = 0;
    for name in ["text", "auth", "tools", "binary"] {
        let mut theirs = Vec::new();
        for line in std::fs::read_to_string(corpus(name).with_extension("tshark")).unwrap().lines() {
            let column: Vec<&str> = line.split('\t').collect();
            if column[1] != "31811" {
                continue;
            }
            let keys: Vec<&str> = column[3].split('|').filter(|t| !t.is_empty()).collect();
            match column[2] {
                "" => column[5]
                    .split('|')
                    .filter(|t| !t.is_empty())
                    .for_each(|code| theirs.push(code.to_owned())),
                word => theirs.push(format!("{word} {}", keys.join(" ")).trim().to_owned()),
            }
        }
        let text = std::fs::read_to_string(corpus(name).with_extension("ndjson")).unwrap();
        let mut calls: Vec<serde_json::Value> =
            text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).collect();
        calls.retain(|c| c["protocol"] == "memcached");
        calls.sort_by_key(|c| (c["ts"].as_str().unwrap().to_owned(), c["request_pos"].as_i64()));
        let mut ours = Vec::new();
        for call in &calls {
            let command = call["memcached_command"].as_str().unwrap();
            if call["memcached_protocol"] == "binary" {
                let code = OPERATIONS.iter().position(|o| *o == command).unwrap();
                ours.push(code.to_string());
            } else {
                let keys: Vec<&str> = call["memcached_keys"]
                    .as_array()
                    .map_or(vec![], |k| k.iter().map(|k| k.as_str().unwrap()).collect());
                ours.push(format!("{command} {}", keys.join(" ")).trim().to_owned());
            }
        }
        commands += theirs.len();
        let mut rest = ours.iter();
        for command in &theirs {
            assert!(rest.any(|c| c == command), "{name}: {command}: {ours:#?}");
        }
    }
    assert!(commands > 70, "{commands}");
}

/// Operations of the binary protocol by their codes.
const OPERATIONS: [&str; 37] = [
    "get",
    "set",
    "add",
    "replace",
    "delete",
    "increment",
    "decrement",
    "quit",
    "flush",
    "getq",
    "noop",
    "version",
    "getk",
    "getkq",
    "append",
    "prepend",
    "stat",
    "setq",
    "addq",
    "replaceq",
    "deleteq",
    "incrementq",
    "decrementq",
    "quitq",
    "flushq",
    "appendq",
    "prependq",
    "verbosity",
    "touch",
    "gat",
    "gatq",
    "",
    "sasl_list_mechs",
    "sasl_auth",
    "sasl_step",
    "gatk",
    "gatkq",
];

/// A request on the wire, its answer, the command, and how many keys were found.
type Meant = (Vec<u8>, Vec<u8>, String, Option<i64>);

fn exchange() -> impl Strategy<Value = Meant> {
    let key = "[a-z]{1,20}";
    let value = prop::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        (key, value.clone(), any::<bool>()).prop_map(|(key, value, noreply)| {
            let tail = if noreply { " noreply" } else { "" };
            let mut wire = format!("set {key} 1 2 {}{tail}\r\n", value.len()).into_bytes();
            wire.extend(&value);
            wire.extend(b"\r\n");
            let answer = if noreply { Vec::new() } else { b"STORED\r\n".to_vec() };
            (wire, answer, "set".to_owned(), None)
        }),
        (prop::collection::vec((key, prop::option::of(value.clone())), 1..5)).prop_map(|keys| {
            let names: Vec<&str> = keys.iter().map(|k| k.0.as_str()).collect();
            let wire = format!("get {}\r\n", names.join(" ")).into_bytes();
            let (mut answer, mut hits) = (Vec::new(), 0);
            for (key, value) in &keys {
                if let Some(value) = value {
                    answer.extend(format!("VALUE {key} 7 {}\r\n", value.len()).into_bytes());
                    answer.extend(value);
                    answer.extend(b"\r\n");
                    hits += 1;
                }
            }
            answer.extend(b"END\r\n");
            (wire, answer, "get".to_owned(), Some(hits))
        }),
        (key, any::<u32>()).prop_map(|(key, n)| {
            let wire = format!("incr {key} {n}\r\n").into_bytes();
            (wire, format!("{n}\r\n").into_bytes(), "incr".to_owned(), None)
        }),
        (key, value).prop_map(|(key, value)| {
            let mut answer = format!("VA {} f5\r\n", value.len()).into_bytes();
            answer.extend(&value);
            answer.extend(b"\r\n");
            (format!("mg {key} v f\r\n").into_bytes(), answer, "mg".to_owned(), Some(1))
        }),
    ]
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
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_split_gives_the_calls_that_were_meant(
        all in prop::collection::vec(exchange(), 1..8),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        payload in prop_oneof![Just(1 << 16), 0_usize..60],
    ) {
        let requests: Vec<u8> = all.iter().flat_map(|a| a.0.clone()).collect();
        let answers: Vec<u8> = all.iter().flat_map(|a| a.1.clone()).collect();
        let limits = Limits { payload, ..Limits::default() };
        let run = |cuts: &[usize]| {
            let mut h = Harness::with(&memcached::ENTRY, Transport::Tcp, limits.clone(), Recorder::default());
            send(&mut h, Role::Client, &requests, cuts);
            send(&mut h, Role::Server, &answers, cuts);
            h.close(Ending::Closed);
            (h.sink.calls, h.sink.problems)
        };
        let whole = run(&[]);
        let mut calls = whole.0.clone();
        prop_assert_eq!(calls.len(), all.len());
        calls.sort_by_key(|c| c.request_pos);
        let (mut request_pos, mut response_pos) = (0, 0);
        for (call, (sent, got, command, hits)) in calls.iter().zip(&all) {
            prop_assert_eq!(&call.text(field::MEMCACHED_COMMAND), command);
            prop_assert_eq!(call.int(field::MEMCACHED_HITS), *hits);
            prop_assert_eq!(call.incomplete, None);
            prop_assert_eq!((call.request_bytes, call.request_pos), (Some(sent.len() as i64), Some(request_pos)));
            if !got.is_empty() {
                prop_assert_eq!((call.response_bytes, call.response_pos), (Some(got.len() as i64), Some(response_pos)));
            }
            request_pos += sent.len() as i64;
            response_pos += got.len() as i64;
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
        for (role, mut bytes) in [
            (Role::Client, all.iter().flat_map(|a| a.0.clone()).collect::<Vec<u8>>()),
            (Role::Server, all.iter().flat_map(|a| a.1.clone()).collect()),
        ] {
            if bytes.is_empty() {
                continue;
            }
            for (at, with) in &flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            bytes.truncate(keep % (bytes.len() + 1));
            let mut h = Harness::new(&memcached::ENTRY, Transport::Tcp);
            for piece in bytes.chunks(23) {
                h.send(role, piece);
            }
            h.gap(role, gap).send(role, &bytes).send(role.other(), &bytes).close(Ending::Lost);
            prop_assert!(!h.dissector().is_busy());
            prop_assert!(h.dissector().memory() < 1 << 20);
        }
    }

    #[test]
    fn hostile_lengths_hold_nothing(n in any::<u32>(), opcode in 0_u8..40) {
        let mut header = vec![0x81, opcode, 0, 0, 0, 0, 0, 0];
        header.extend(n.to_be_bytes());
        header.extend([0; 12]);
        for wire in [header, format!("VALUE k 0 {n}\r\n").into_bytes()] {
            let mut h = Harness::new(&memcached::ENTRY, Transport::Tcp);
            for _ in 0..40 {
                h.server(&wire);
            }
            h.close(Ending::Lost);
            prop_assert!(h.dissector().memory() < 1 << 17);
        }
    }
}
