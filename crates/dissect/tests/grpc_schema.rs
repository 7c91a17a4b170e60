//! Messages of gRPC with their schema, against the client's own record of what it sent and got.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

#[path = "support/http2.rs"]
mod wire;

use proptest::prelude::*;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Limits, Problem, Role, Schemas, http2};
use remora_model::{CaptureSource, Transport, field as f};
use serde_json::Value;
use wire::{DATA, END_STREAM, Encoder, frame, hello, message, rpc, settings};

const CAPTURE: &[u8] = include_bytes!("corpus/http2/typed.pcap");
const SET: &[u8] = include_bytes!("corpus/http2/typed.set");
const RECORD: &str = include_str!("corpus/http2/typed.json");

/// Method, kind, and the bodies of the calls to the service, with the calls of reflection.
fn calls(schemas: Schemas) -> Vec<[String; 4]> {
    let limits = Limits { schemas, ..Limits::default() };
    let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
    let mut sink = Recorder::default();
    support::run_bytes(CAPTURE, &mut engine, &mut sink);
    let fields = [f::GRPC_METHOD, f::GRPC_KIND, f::REQUEST_BODY, f::RESPONSE_BODY];
    sink.calls.iter().map(|call| fields.map(|id| call.text(id))).collect()
}

/// One value per message.
fn values(body: &str) -> Value {
    body.lines().map(|line| serde_json::from_str::<Value>(line).expect(line)).collect()
}

/// 1 and 1.0 are the same number in JSON.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(n) => Value::from(n.as_f64()),
        Value::Array(all) => all.iter().map(plain).collect(),
        Value::Object(all) => all.iter().map(|(k, v)| (k.clone(), plain(v))).collect(),
        other => other.clone(),
    }
}

/// Compares calls with the lines of the record.
fn agree<'a>(calls: impl Iterator<Item = &'a [String; 4]>, lines: impl Iterator<Item = &'a str>) -> usize {
    let mut n = 0;
    for ([method, kind, request, response], line) in calls.zip(lines) {
        let record: Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["method"], **method);
        assert_eq!(kind, if method == "Watch" { "server_stream" } else { "unary" });
        assert_eq!(plain(&record["request"]), plain(&values(request)), "{request}");
        assert_eq!(plain(&record["response"]), plain(&values(response)), "{response}");
        n += 1;
    }
    n
}

#[test]
fn a_descriptor_set_names_everything() {
    let calls = calls(Schemas::parse(SET).unwrap());
    let own = calls.iter().filter(|[method, ..]| method != "ServerReflectionInfo");
    assert_eq!(agree(own, RECORD.lines()), 10);
    assert_eq!(calls.len(), 11);
}

#[test]
fn reflection_names_what_is_called_after_it() {
    let calls = calls(Schemas::default());
    let at = calls.iter().position(|[method, ..]| method == "ServerReflectionInfo").unwrap();
    assert_eq!(at, 5);
    assert!(calls[1][2].starts_with("1: 0x3fb999999999999a 2: 0x3fc00000"), "{}", calls[1][2]);
    assert_eq!(calls[4][1], "unary", "by the number of messages");
    assert_eq!(agree(calls[at + 1..].iter(), RECORD.lines().skip(5)), 5);
}

#[test]
fn what_an_engine_has_learned_others_know_that_share_it() {
    let schemas = Schemas::default();
    calls(schemas.clone());
    let calls = calls(schemas);
    let own = calls.iter().filter(|[method, ..]| method != "ServerReflectionInfo");
    assert_eq!(agree(own, RECORD.lines()), 10);
}

/// A call with one message each way, shown in pieces of `piece` bytes.
fn play(limits: Limits, calls: &[(&str, &[u8], &[u8])], piece: usize) -> Harness {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Recorder::default());
    flow.client(hello()).server(settings());
    for (i, (path, asked, answered)) in calls.iter().enumerate() {
        let id = 2 * i as u32 + 1;
        let request =
            [c.headers(id, 0, &rpc(path)), frame(DATA, END_STREAM, id, &message(0, asked))].concat();
        let response = [
            s.headers(id, 0, &[(":status", "200"), ("content-type", "application/grpc")]),
            frame(DATA, 0, id, &message(0, answered)),
            s.headers(id, END_STREAM, &[("grpc-status", "0")]),
        ]
        .concat();
        for (role, bytes) in [(Role::Client, request), (Role::Server, response)] {
            bytes.chunks(piece).for_each(|b| _ = flow.send(role, b));
        }
    }
    flow
}

const ECHO: &str = "/remora.typed.Typed/Echo";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// The answer of a server that was asked for all its files.
fn told() -> Vec<u8> {
    let length = |n: usize| [n as u8 & 0x7f | 0x80, (n >> 7) as u8];
    [b"\x22".as_slice(), &length(SET.len()), SET].concat()
}

#[test]
fn a_server_may_tell_more_than_is_kept_of_a_body() {
    for piece in [7, 1_000, 1 << 20] {
        let limits = Limits { payload: 64, ..Limits::default() };
        let flow = play(limits, &[(REFLECTION, b"", &told()), (ECHO, b"\x72\x02hi", b"")], piece);
        let texts: Vec<_> = flow.sink.calls.iter().map(|c| c.text(f::REQUEST_BODY)).collect();
        assert_eq!(texts, ["", r#"{"aString":"hi"}"#]);
    }
    // Not what was larger than a message may be.
    let limits = Limits { message_bytes: 1 << 10, ..Limits::default() };
    let flow = play(limits, &[(REFLECTION, b"", &told()), (ECHO, b"\x72\x02hi", b"")], 1 << 20);
    assert_eq!(flow.sink.calls[1].text(f::REQUEST_BODY), "14: \"hi\"");
    assert!(flow.sink.problems.contains_key(&Problem::MessageTooLarge));
}

#[test]
fn a_method_has_the_kind_that_it_is_declared_with() {
    let limits = Limits { schemas: Schemas::parse(SET).unwrap(), ..Limits::default() };
    let flow =
        play(limits, &[("/remora.typed.Typed/Watch", b"", b""), ("/remora.typed.Typed/No", b"", b"")], 9);
    let kinds: Vec<_> = flow.sink.calls.iter().map(|c| c.text(f::GRPC_KIND)).collect();
    assert_eq!(kinds, ["server_stream", "unary"]);
}

/// Bytes that are often fields: a tag of one that exists, and something behind it.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let one =
        (1_u16..45, 0_u8..6, prop::collection::vec(any::<u8>(), 0..12)).prop_map(|(number, kind, bytes)| {
            let tag = number << 3 | u16::from(kind);
            let mut out = vec![tag as u8 & 0x7f | 0x80, (tag >> 7) as u8];
            if kind == 2 {
                out.push(bytes.len() as u8);
            }
            out.extend(bytes);
            out
        });
    prop::collection::vec(one, 0..12).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes are, the text is JSON, or that of a message without a schema, and fits.
    #[test]
    fn any_message_is_shown(asked in fields(), answered in prop::collection::vec(any::<u8>(), 0..60), max in 1_usize..200) {
        let schemas = Schemas::parse(SET).unwrap();
        let limits = Limits { schemas: schemas.clone(), ..Limits::default() };
        let flow = play(limits, &[(ECHO, &asked, &answered)], 11);
        let call = &flow.sink.calls[0];
        for id in [f::REQUEST_BODY, f::RESPONSE_BODY] {
            let text = call.text(id);
            if text.starts_with('{') {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
            }
        }
        let flow = play(Limits { payload: max, schemas, ..Limits::default() }, &[(ECHO, &asked, &answered)], 11);
        prop_assert!(flow.sink.calls[0].text(f::REQUEST_BODY).len() <= max);
    }

    /// However what a server tells is damaged, nothing breaks.
    #[test]
    fn no_descriptor_does_harm(at in 0..SET.len(), bits in 1_u8.., asked in fields()) {
        let mut told = told();
        let at = (at + 3).min(told.len() - 1);
        told[at] ^= bits;
        let flow = play(Limits::default(), &[(REFLECTION, b"", &told), (ECHO, &asked, b"")], 1 << 20);
        prop_assert_eq!(flow.sink.calls.len(), 2);
    }
}
