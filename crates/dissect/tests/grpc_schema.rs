//! Messages of gRPC with their schema, against the client's own record of what it sent and got.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::harness::Recorder;
use remora_dissect::{Limits, Schemas};
use remora_model::{CaptureSource, field as f};
use serde_json::Value;

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
