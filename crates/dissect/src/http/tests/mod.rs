//! Whole conversations, one rule at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bodies;
mod detection;
mod faults;
mod pairing;
mod partial;
mod payload;
mod web;

use remora_model::{Transport, field as f};

use super::ENTRY;
use crate::harness::{Harness, Recorded, Recorder};
use crate::{Ending, Limits, Problem, Role};

fn flow() -> Harness {
    Harness::new(&ENTRY, Transport::Tcp)
}

fn flow_with(limits: Limits) -> Harness {
    Harness::with(&ENTRY, Transport::Tcp, limits, Recorder::default())
}

/// Method, path, status and reason for not being whole, of every call.
fn summary(flow: &Harness) -> Vec<String> {
    flow.sink
        .calls
        .iter()
        .map(|c| {
            let status = c.int(f::STATUS_CODE).map_or("-".into(), |s| s.to_string());
            let method = c.text(f::METHOD);
            let method = if method.is_empty() { "-".into() } else { method };
            let line = format!("{method} {} {status} {}", c.text(f::PATH), c.incomplete.unwrap_or(""));
            line.trim().to_owned()
        })
        .collect()
}

fn only(flow: &Harness) -> &Recorded {
    assert_eq!(flow.sink.calls.len(), 1, "{:?}", summary(flow));
    &flow.sink.calls[0]
}

fn count(flow: &Harness, problem: Problem) -> u64 {
    flow.sink.problems.get(&problem).map_or(0, |p| p.0)
}

/// Asserts that nothing was counted.
fn clean(flow: &Harness) {
    assert!(flow.sink.problems.is_empty(), "{:?}", flow.sink.problems);
    assert!(!flow.dissector().is_busy());
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n")
}

#[test]
fn a_call_has_its_fields() {
    let mut flow = flow();
    flow.at(1_000).client("POST /a/b?c=d HTTP/1.1\r\nHost: Shop.example:8080\r\nUser-Agent: curl/8\r\n");
    flow.at(1_250)
        .client("Content-Type: application/json\r\nContent-Length: 7\r\nX-A: 1\r\nX-a: 2\r\n\r\n{\"a\"");
    flow.at(1_500).client(":1}");
    flow.at(2_000).server("HTTP/1.1 503 Busy\r\nContent-Type: Text/HTML; charset=utf-8\r\nContent-");
    flow.at(2_700).server("Length: 5\r\n\r\n<h1>\n");
    clean(&flow);
    let call = only(&flow);
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us), (1_000_000, Some(500), Some(1_700)));
    assert_eq!((call.failed, call.client_error, call.incomplete), (true, false, None));
    assert_eq!((call.request_pos, call.response_pos), (Some(0), Some(0)));
    assert_eq!((call.request_bytes, call.response_bytes), (Some(145), Some(85)));
    for (id, text) in [
        (f::METHOD, "POST"),
        (f::URL, "/a/b?c=d"),
        (f::PATH, "/a/b"),
        (f::HTTP_VERSION, "HTTP/1.1"),
        (f::HOST, "Shop.example"),
        (f::USER_AGENT, "curl/8"),
        (f::CONTENT_TYPE, "text/html"),
        (f::REQUEST_BODY, "{\"a\":1}"),
        (f::RESPONSE_BODY, "<h1>\n"),
    ] {
        assert_eq!(call.text(id), text);
    }
    for (id, n) in [
        (f::STATUS_CODE, 503),
        (f::REQUEST_HEADERS_SIZE, 138),
        (f::REQUEST_BODY_SIZE, 7),
        (f::RESPONSE_HEADERS_SIZE, 80),
        (f::RESPONSE_BODY_SIZE, 5),
    ] {
        assert_eq!(call.int(id), Some(n), "{}", id.def().name);
    }
    assert_eq!(call.entry(f::REQUEST_HEADERS, "x-a"), Some("1, 2".into()));
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "content-length"), Some("5".into()));
    assert!(!call.is(f::REQUEST_BODY_TRUNCATED) && !call.is(f::RESPONSE_BODY_TRUNCATED));
}

#[test]
fn only_stored_fields_of_http_are_reported() {
    let mut flow = flow();
    flow.client(get("/")).server(OK);
    for name in only(&flow).fields.keys() {
        let def = remora_model::field::by_name(name).unwrap();
        assert!(def.applies_to(remora_model::Protocol::Http), "{name}");
        assert!(def.storage.is_column(), "{name}");
    }
}

#[test]
fn client_errors_are_not_failures() {
    let mut flow = flow();
    flow.client(get("/")).server("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    let call = only(&flow);
    assert_eq!((call.failed, call.client_error), (false, true));
}

#[test]
fn trace_context_is_found() {
    let mut flow = flow();
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    for headers in [
        format!("Traceparent: 00-{trace}-{span}-01\r\nb3: 0"),
        format!("b3: {trace}-{span}-1"),
        format!("X-B3-TraceId: {trace}\r\nX-B3-SpanId: {span}"),
    ] {
        flow.client(format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n")).server(OK);
        let call = flow.sink.calls.pop().unwrap();
        assert_eq!((call.text(f::TRACE_ID), call.text(f::SPAN_ID)), (trace.into(), span.into()));
    }
}

#[test]
fn waiting_requests_are_busy_and_idle_connections_hold_nothing() {
    let mut flow = flow();
    let idle = flow.dissector().memory();
    flow.client("GET /");
    assert!(flow.dissector().is_busy());
    flow.client(" HTTP/1.1\r\n\r\n").at(3_600_000_000).tick();
    assert!(flow.dissector().is_busy() && flow.dissector().memory() > idle);
    assert!(flow.sink.calls.is_empty());
    flow.server(OK);
    assert!(!flow.dissector().is_busy());
    assert!(flow.dissector().memory() < idle + 256);
    flow.close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET / 200"]);
}
