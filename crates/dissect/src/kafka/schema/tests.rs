#![allow(clippy::unwrap_used)]

use serde_json::Value as Json;

use super::*;
use crate::Limits;
use crate::kafka::api;
use crate::kafka::header::is_flexible;
use crate::kafka::message::Message;
use crate::kafka::token::Step;
use crate::kafka::topic_ids::TopicIds;
use crate::kafka::walk::Walker;

/// Reads a message whose bytes come `piece` at a time. Gives it as JSON, if it fits.
fn read(body: &Body, request: bool, version: i16, bytes: &[u8], piece: usize) -> Option<Json> {
    let (mut message, mut ids, mut walker) = (Message::default(), TopicIds::default(), Walker::default());
    message.begin(1 << 20, &Limits::default());
    let fields = if request { body.request } else { body.response };
    walker.begin(fields, version, is_flexible(body, version), false, bytes.len() as u64);
    let (mut at, mut shown) = (0, 0);
    loop {
        match walker.step(&bytes[at..shown]) {
            Step::Token(n, token) => {
                message.token(token, &mut ids);
                at += n;
            }
            Step::Quiet(n) => at += n,
            Step::More => {
                assert!(shown < bytes.len(), "asks for what the message has not got");
                shown = (shown + piece).min(bytes.len());
            }
            Step::Done => break,
            Step::Fault => return None,
        }
    }
    assert_eq!(at, bytes.len());
    message.finish();
    assert_eq!(message.cut(), 0);
    Some(serde_json::from_slice(message.content.json.text()).unwrap())
}

/// One message of every API and version, as kafka-python encodes it (`tests/corpus/kafka/vectors.py`).
#[test]
fn messages_of_every_version_are_read_as_they_were_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/kafka/messages.txt");
    let mut seen = std::collections::BTreeSet::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let mut columns = line.split_whitespace();
        let key: i16 = columns.next().unwrap().parse().unwrap();
        let version: i16 = columns.next().unwrap().parse().unwrap();
        let request = columns.next().unwrap() == "request";
        // A response without fields is a line without bytes.
        let rest: Vec<&str> = columns.collect();
        let (hex, json) = match rest[..] {
            [json] => ("", json),
            [hex, json] => (hex, json),
            _ => panic!("{line}"),
        };
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
        let expected: Json = serde_json::from_str(json).unwrap();
        let body = api::body(key, version).unwrap_or_else(|| panic!("{key} version {version}"));
        for piece in [1, 3, 7, bytes.len().max(1)] {
            let found = read(body, request, version, &bytes, piece);
            assert_eq!(found.as_ref(), Some(&expected), "{key} version {version} in pieces of {piece}");
        }
        // What is cut or goes on is not taken for whole.
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(read(body, request, version, &longer, 1_000), None, "{key} version {version}");
        if !bytes.is_empty() {
            let shorter = &bytes[..bytes.len() - 1];
            assert_eq!(read(body, request, version, shorter, 1_000), None, "{key} version {version}");
        }
        seen.insert((key, version, request));
    }
    // kafka-python knows neither delegation tokens nor the newest ones.
    let others = [38, 39, 40, 41, 68, 69, 71, 72];
    for (key, body) in api::described().filter(|(key, _)| !others.contains(key)) {
        for version in 0..=body.latest {
            assert!(seen.contains(&(key, version, true)), "request {key} version {version}");
            assert!(seen.contains(&(key, version, false)), "response {key} version {version}");
        }
    }
}

/// The least number of bytes that the fields take in that version.
fn least(fields: &[Field], version: i16, flexible: bool) -> usize {
    let there = fields.iter().filter(|f| f.tag.is_none() && f.versions.contain(version));
    let sum: usize = there
        .map(|f| match f.kind {
            Kind::Structure(fields) => least(fields, version, flexible),
            _ => 1,
        })
        .sum();
    let bare = fields.first().is_some_and(|f| f.name.is_empty());
    sum + usize::from(flexible && !bare)
}

/// Arrays of elements without bytes would let a few bytes claim any number of them.
fn check(fields: &[Field], version: i16, flexible: bool, path: &str) {
    for field in fields.iter().filter(|f| f.versions.contain(version)) {
        let path = format!("{path}.{}", field.name);
        assert!(field.tag.is_none() || flexible, "{path}: tagged before version {version}");
        match field.kind {
            Kind::Array(inner) => {
                assert!(least(inner, version, flexible) > 0, "{path} version {version}");
                check(inner, version, flexible, &path);
            }
            Kind::Structure(inner) | Kind::Nullable(inner) => check(inner, version, flexible, &path),
            _ => {}
        }
    }
}

#[test]
fn every_element_has_bytes_and_only_flexible_versions_have_tags() {
    for (key, body) in api::described() {
        for version in 0..=body.latest {
            for (fields, kind) in [(body.request, "request"), (body.response, "response")] {
                check(fields, version, is_flexible(body, version), &format!("{key} {kind}"));
            }
        }
    }
}

#[test]
fn a_group_heartbeat_of_the_new_protocol() {
    // Version 0: group "g", member "m", epoch 1, nulls, one topic id with partition 2; then tags.
    let id = [7_u8; 16];
    let mut bytes = b"\x02g\x02m\0\0\0\x01\0\0\xff\xff\xff\xff\0\0\x02".to_vec();
    bytes.extend(id);
    bytes.extend(b"\x02\0\0\0\x02\0\0");
    let found = read(&CONSUMER_GROUP_HEARTBEAT, true, 0, &bytes, 1).unwrap();
    assert_eq!(found["topicPartitions"][0]["partitions"][0], 2);
    assert_eq!(found["rebalanceTimeoutMs"], -1);
    // Its response, with an assignment and without.
    let head = b"\0\0\0\x05\0\0\0\x02m\0\0\0\x01\0\0\x13\x88";
    let without = [&head[..], b"\xff\0"].concat();
    assert_eq!(read(&CONSUMER_GROUP_HEARTBEAT, false, 0, &without, 1).unwrap()["assignment"], Json::Null);
    let with = [&head[..], b"\x01\x01\0\0"].concat();
    let found = read(&CONSUMER_GROUP_HEARTBEAT, false, 0, &with, 1).unwrap();
    assert_eq!(found["assignment"]["topicPartitions"], Json::Array(Vec::new()));
}

#[test]
fn delegation_tokens_are_read_without_their_secrets() {
    // CreateDelegationToken 3 in the name of "User:o", to be renewed by "User:r".
    let asked = b"\x05User\x02o\x02\x05User\x02r\0\0\0\0\0\0\0\x03\xe8\0";
    let found = read(&CREATE_DELEGATION_TOKEN, true, 3, asked, 1).unwrap();
    assert_eq!(found["ownerPrincipalName"], "o");
    assert_eq!(
        (&found["renewers"][0]["principalName"], &found["maxLifetimeMs"]),
        (&"r".into(), &1_000.into())
    );
    let times = [1_i64, 2, 3].map(i64::to_be_bytes).concat();
    let answer = [b"\0\0\x05User\x02o\x05User\x02a", &times[..], b"\x03id\x05hmac\0\0\0\0\0"].concat();
    let found = read(&CREATE_DELEGATION_TOKEN, false, 3, &answer, 1).unwrap();
    assert_eq!((&found["tokenId"], &found["hmac"]), (&"id".into(), &"***".into()));
    assert_eq!(found["tokenRequesterPrincipalName"], "a");
    // RenewDelegationToken 1 and ExpireDelegationToken 2.
    let found = read(&RENEW_DELEGATION_TOKEN, true, 1, b"\0\0\0\x04hmac\0\0\0\0\0\0\0\x05", 1).unwrap();
    assert_eq!((&found["hmac"], &found["renewPeriodMs"]), (&"***".into(), &5.into()));
    let answer = b"\0\x3e\0\0\0\0\0\0\0\x05\0\0\0\0\0";
    assert_eq!(read(&EXPIRE_DELEGATION_TOKEN, false, 2, answer, 1).unwrap()["errorCode"], 62);
    // DescribeDelegationToken 1 for everybody.
    assert_eq!(
        read(&DESCRIBE_DELEGATION_TOKEN, true, 1, b"\xff\xff\xff\xff", 1).unwrap()["owners"],
        Json::Null
    );
    let token = [b"\0\x04User\0\x01o", &times[..], b"\0\x02id\0\0\0\x04hmac\0\0\0\0"].concat();
    let answer = [b"\0\0\0\0\0\x01", &token[..], b"\0\0\0\0"].concat();
    let found = read(&DESCRIBE_DELEGATION_TOKEN, false, 1, &answer, 1).unwrap();
    assert_eq!(
        (&found["tokens"][0]["hmac"], &found["tokens"][0]["maxTimestamp"]),
        (&"***".into(), &3.into())
    );
}
