//! What is spoken in bodies.

use remora_model::FieldId;

use super::*;

fn post(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const EVENTS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn graphql_fails_with_its_errors() {
    let mut flow = flow();
    let ask = r#"{"query":"query Shop { shop { id } }"}"#;
    flow.client(post("/graphql", ask)).server(json(r#"{"data":{"shop":null}}"#));
    flow.client(post("/graphql", ask)).server(json(r#"{"errors":[{"message":"down"}]}"#));
    clean(&flow);
    let [good, bad] = flow.sink.calls.as_slice() else { panic!() };
    assert_eq!((good.failed, bad.failed), (false, true));
    assert_eq!((bad.text(f::GQL_OPERATION), bad.int(f::STATUS_CODE)), ("Shop".into(), Some(200)));
    assert_eq!(bad.get(f::GQL_ERRORS), Some(&crate::harness::Value::List(vec![b"down".to_vec()])));
    assert!(good.is(f::GQLV1) && !good.is(f::GQLV2));
}

#[test]
fn json_rpc_and_events_are_read() {
    let mut flow = flow();
    let call = r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"buy"}}"#;
    flow.client(post("/mcp", call)).server(EVENTS);
    flow.server(chunk("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":4,\"er"));
    flow.server(chunk("ror\":{\"code\":-32602,\"message\":\"no\"}}\n\n")).server("0\r\n\r\n");
    clean(&flow);
    let call = only(&flow);
    let texts = |ids: &[FieldId]| ids.iter().map(|id| call.text(*id)).collect::<Vec<_>>();
    assert_eq!(
        texts(&[f::JSONRPC_METHOD, f::JSONRPC_ID, f::JSONRPC_TARGET, f::JSONRPC_ERROR]),
        ["tools/call", "4", "buy", "no"]
    );
    assert_eq!((call.int(f::JSONRPC_ERROR_CODE), call.int(f::SSE_EVENTS)), (Some(-32_602), Some(1)));
    assert!(call.failed && call.client_error);
}

#[test]
fn events_are_counted_beyond_the_payload_limit() {
    let mut flow = flow_with(Limits { payload: 10, ..Limits::default() });
    flow.client(get("/events")).server(EVENTS);
    for i in 0..50 {
        flow.server(chunk(&format!("id: {i}\nevent: tick\ndata: {i}\n\n")));
    }
    flow.server("0\r\n\r\n");
    let call = only(&flow);
    assert_eq!((call.int(f::SSE_EVENTS), call.text(f::SSE_LAST_ID)), (Some(50), "49".into()));
    assert_eq!(call.get(f::SSE_TYPES), Some(&crate::harness::Value::List(vec![b"tick".to_vec()])));
    assert_eq!(call.text(f::RESPONSE_BODY).len(), 10);
}
