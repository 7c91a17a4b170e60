//! MongoDB: Extended JSON as PyMongo writes it, messages as tshark counts them, and messages made
//! up, of which no split changes anything and no damage does harm.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Problem, Role, mongodb};
use remora_model::{Transport, field};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/mongodb").join(name)
}

fn message(id: i32, response_to: i32, opcode: i32, body: &[u8]) -> Vec<u8> {
    let len = i32::try_from(16 + body.len()).unwrap();
    let mut out: Vec<u8> = [len, id, response_to, opcode].into_iter().flat_map(i32::to_le_bytes).collect();
    out.extend(body);
    out
}

/// A document of elements: type, name, value.
fn document(elements: &[(u8, &str, Vec<u8>)]) -> Vec<u8> {
    let mut inner = Vec::new();
    for (kind, name, value) in elements {
        inner.push(*kind);
        inner.extend(name.as_bytes());
        inner.push(0);
        inner.extend(value);
    }
    let mut out = i32::try_from(inner.len() + 5).unwrap().to_le_bytes().to_vec();
    out.extend(inner);
    out.push(0);
    out
}

fn text(text: &str) -> Vec<u8> {
    let mut out = i32::try_from(text.len() + 1).unwrap().to_le_bytes().to_vec();
    out.extend(text.as_bytes());
    out.push(0);
    out
}

fn body(flags: u32, document: &[u8]) -> Vec<u8> {
    let mut out = flags.to_le_bytes().to_vec();
    out.push(0);
    out.extend(document);
    out
}

fn sequence(name: &str, documents: &[Vec<u8>]) -> Vec<u8> {
    let mut inner = name.as_bytes().to_vec();
    inner.push(0);
    documents.iter().for_each(|d| inner.extend(d));
    let mut out = vec![1];
    out.extend(i32::try_from(inner.len() + 4).unwrap().to_le_bytes());
    out.extend(inner);
    out
}

fn ok(more: &[(u8, &str, Vec<u8>)]) -> Vec<u8> {
    let mut elements = more.to_vec();
    elements.push((1, "ok", 1.0_f64.to_le_bytes().to_vec()));
    document(&elements)
}

#[test]
fn extended_json_is_as_pymongo_writes_it() {
    let bson = std::fs::read(corpus("types.bson")).unwrap();
    let mut body = body(0, &document(&[(2, "insert", text("types")), (2, "$db", text("shop"))]));
    body.extend(sequence("documents", &[bson]));
    let mut h = Harness::new(&mongodb::ENTRY, Transport::Tcp);
    h.client(message(1, 0, 2013, &body)).server(message(2, 1, 2013, &self::body(0, &ok(&[]))));
    assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
    let shown = h.sink.calls[0].text(field::MONGODB_REQUEST_BODY);
    let ours: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let theirs = std::fs::read_to_string(corpus("types.json")).unwrap();
    let theirs: serde_json::Value = serde_json::from_str(&theirs).unwrap();
    for (name, value) in theirs.as_object().unwrap() {
        assert_eq!(&ours["documents"][0][name], value, "{name}");
    }
    assert_eq!(ours["documents"][0], theirs);
}

/// Every message that tshark finds is a request or reply of a call, with its operation code, and
/// replies belong to the requests that they say.
#[test]
fn messages_are_those_that_tshark_finds() {
    let mut messages = 0;
    for name in ["crud", "types", "snappy", "zlib", "zstd", "exhaust", "auth", "old"] {
        let mut asked: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        let mut replies: BTreeMap<String, i64> = BTreeMap::new();
        for line in std::fs::read_to_string(corpus(name).with_extension("tshark")).unwrap().lines() {
            let column: Vec<&str> = line.split('\t').collect();
            let ids = column[3].split('|').filter(|t| !t.is_empty());
            if column[1] == "37917" {
                let ids = ids.map(|t| {
                    i64::from(u32::from_str_radix(t.trim_start_matches("0x"), 16).unwrap().cast_signed())
                });
                asked.entry(column[0].to_owned()).or_default().extend(ids);
            } else {
                *replies.entry(column[1].to_owned()).or_default() += ids.count() as i64;
            }
        }
        let (mut ours, mut answered): (BTreeMap<String, Vec<i64>>, BTreeMap<String, i64>) =
            Default::default();
        for line in std::fs::read_to_string(corpus(name).with_extension("ndjson")).unwrap().lines() {
            let call: serde_json::Value = serde_json::from_str(line).unwrap();
            if call["protocol"] != "mongodb" {
                continue;
            }
            let port = call["src.port"].to_string();
            if call["request_bytes"].is_i64() {
                ours.entry(port.clone()).or_default().push(call["mongodb_request_id"].as_i64().unwrap());
            }
            *answered.entry(port).or_default() += i64::from(call["response_bytes"].is_i64());
        }
        for ids in ours.values_mut().chain(asked.values_mut()) {
            ids.sort_unstable();
            messages += ids.len();
        }
        assert_eq!(ours, asked, "{name}");
        answered.retain(|_, n| *n > 0);
        assert_eq!(answered, replies, "{name}");
    }
    assert!(messages > 200, "{messages}");
}

#[derive(Clone, Debug)]
struct Exchange {
    collection: String,
    documents: Vec<String>,
    code: Option<i32>,
    unacknowledged: bool,
}

fn exchange() -> impl Strategy<Value = Exchange> {
    (
        "[a-z]{1,20}",
        prop::collection::vec("[a-z]{0,200}", 0..5),
        prop::option::of(1_i32..20_000),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(collection, documents, code, unacknowledged)| Exchange {
            collection,
            documents,
            code,
            unacknowledged,
        })
}

fn wire(all: &[Exchange]) -> (Vec<u8>, Vec<u8>) {
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for (n, e) in (1_i32..).zip(all) {
        let flags = if e.unacknowledged { 2 } else { 0 };
        let mut request =
            body(flags, &document(&[(2, "insert", text(&e.collection)), (2, "$db", text("d"))]));
        let documents: Vec<Vec<u8>> = e.documents.iter().map(|t| document(&[(2, "v", text(t))])).collect();
        request.extend(sequence("documents", &documents));
        requests.extend(message(n, 0, 2013, &request));
        let reply = match e.code {
            None => ok(&[(16, "n", i32::try_from(documents.len()).unwrap().to_le_bytes().to_vec())]),
            Some(code) => document(&[
                (1, "ok", 0.0_f64.to_le_bytes().to_vec()),
                (2, "errmsg", text("no")),
                (16, "code", code.to_le_bytes().to_vec()),
            ]),
        };
        if !e.unacknowledged {
            replies.extend(message(1_000 + n, n, 2013, &body(0, &reply)));
        }
    }
    (requests, replies)
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
    ) {
        let (requests, replies) = wire(&all);
        let mut h = Harness::new(&mongodb::ENTRY, Transport::Tcp);
        send(&mut h, Role::Client, &requests, &cuts);
        send(&mut h, Role::Server, &replies, &cuts);
        h.close(Ending::Closed);
        prop_assert!(h.sink.problems.is_empty(), "{:?}", h.sink.problems);
        prop_assert_eq!(h.sink.calls.len(), all.len());
        for call in &h.sink.calls {
            let n = usize::try_from(call.int(field::MONGODB_REQUEST_ID).unwrap() - 1).unwrap();
            let meant = &all[n];
            prop_assert_eq!(&call.text(field::MONGODB_COLLECTION), &meant.collection);
            prop_assert_eq!(call.incomplete, None);
            let code = meant.code.filter(|_| !meant.unacknowledged).map(i64::from);
            prop_assert_eq!(call.int(field::MONGODB_ERROR_CODE), code);
            prop_assert_eq!(call.failed, code.is_some());
            let shown: serde_json::Value = serde_json::from_str(&call.text(field::MONGODB_REQUEST_BODY)).unwrap();
            let documents: Vec<_> = meant.documents.iter().map(|t| serde_json::json!({ "v": t })).collect();
            prop_assert_eq!(&shown["documents"], &serde_json::json!(documents));
        }
    }

    #[test]
    fn small_limits_change_only_texts(
        all in prop::collection::vec(exchange(), 1..8),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        payload in 0_usize..200,
    ) {
        let (requests, replies) = wire(&all);
        let limits = Limits { payload, ..Limits::default() };
        let run = |cuts: &[usize]| {
            let mut h = Harness::with(&mongodb::ENTRY, Transport::Tcp, limits.clone(), Recorder::default());
            send(&mut h, Role::Client, &requests, cuts);
            send(&mut h, Role::Server, &replies, cuts);
            h.close(Ending::Closed);
            (h.sink.calls, h.sink.problems)
        };
        let whole = run(&[]);
        prop_assert_eq!(whole.0.len(), all.len());
        for call in &whole.0 {
            let n = usize::try_from(call.int(field::MONGODB_REQUEST_ID).unwrap() - 1).unwrap();
            let count = i64::try_from(all[n].documents.len()).unwrap();
            if count > 0 {
                prop_assert_eq!(call.int(field::MONGODB_DOCUMENTS), Some(count));
            }
        }
        prop_assert_eq!(run(&cuts), whole);
    }

    #[test]
    fn no_damage_does_harm(
        all in prop::collection::vec(exchange(), 1..6),
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..10),
        keep in any::<usize>(),
        gap in 0_u64..100,
    ) {
        let (requests, replies) = wire(&all);
        for (role, mut bytes) in [(Role::Client, requests), (Role::Server, replies)] {
            if bytes.is_empty() {
                continue;
            }
            for (at, with) in &flips {
                let at = at % bytes.len();
                bytes[at] ^= with;
            }
            bytes.truncate(keep % (bytes.len() + 1));
            let mut h = Harness::new(&mongodb::ENTRY, Transport::Tcp);
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
fn a_gap_inside_a_message_loses_only_that_message() {
    let all = vec![
        Exchange {
            collection: "a".into(),
            documents: vec!["x".repeat(300)],
            code: None,
            unacknowledged: false
        };
        3
    ];
    let (requests, replies) = wire(&all);
    let each = requests.len() / 3;
    let mut h = Harness::new(&mongodb::ENTRY, Transport::Tcp);
    h.client(&requests[..each + 200]).gap(Role::Client, 50).client(&requests[each + 250..]);
    h.server(&replies).close(Ending::Closed);
    let incomplete: Vec<_> = h.sink.calls.iter().map(|c| c.incomplete).collect();
    assert_eq!(incomplete, [None, Some("gap"), None]);
}

#[test]
fn deep_documents_are_bounded() {
    let mut doc = document(&[(16, "n", vec![1, 0, 0, 0])]);
    for _ in 0..1_000 {
        doc = document(&[(3, "d", doc)]);
    }
    let doc = document(&[(2, "insert", text("c")), (3, "deep", doc), (2, "$db", text("shop"))]);
    let mut h = Harness::new(&mongodb::ENTRY, Transport::Tcp);
    h.client(message(1, 0, 2013, &body(0, &doc))).server(message(2, 1, 2013, &body(0, &ok(&[]))));
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls[0].text(field::MONGODB_DATABASE), "shop");
    assert_eq!(h.sink.calls[0].incomplete, None);
    assert!(h.sink.problems.contains_key(&Problem::PayloadLimit), "{:?}", h.sink.problems);
}

#[test]
fn bombs_do_not_expand() {
    let zeros = vec![0; 8 << 20];
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &zeros).unwrap();
    let bomb = encoder.finish().unwrap();
    let mut inner = 2013_i32.to_le_bytes().to_vec();
    inner.extend(47_000_000_i32.to_le_bytes());
    inner.push(2);
    inner.extend(bomb);
    let mut h = Harness::new(&mongodb::ENTRY, Transport::Tcp);
    for n in 0..20 {
        h.client(message(n, 0, 2012, &inner));
    }
    assert!(h.dissector().memory() < 1 << 18, "{}", h.dissector().memory());
    h.close(Ending::Closed);
    assert_eq!(h.sink.calls.len(), 20);
}
