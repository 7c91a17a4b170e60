//! Arbitrary bodies of a request and its response, as JSON, forms, uploads, documents and streams
//! of events: GraphQL, JSON-RPC and events are looked for in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, http};
use remora_model::Transport;

const TYPES: [&str; 4] = [
    "application/json",
    "application/graphql",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
];

fuzz_target!(|data: &[u8]| {
    // The kinds of both bodies, where they part, and the bodies.
    let Some((&[kind, part], bodies)) = data.split_first_chunk::<2>() else { return };
    let (request, response) = bodies.split_at(usize::from(part).min(bodies.len()));
    let answer = if kind & 4 == 0 { "application/json" } else { "text/event-stream" };
    let limits = Limits { payload: 1 << (kind >> 4), ..Limits::default() };
    let mut flow = Harness::with(&http::ENTRY, Transport::Tcp, limits, Recorder::default());
    let head = format!(
        "POST /graphql HTTP/1.1\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        TYPES[usize::from(kind & 3)],
        request.len()
    );
    flow.client(head).client(request);
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {answer}\r\nContent-Length: {}\r\n\r\n", response.len());
    flow.server(head).server(response).close(Ending::Closed);
    assert_eq!(flow.sink.calls.len(), 1);
});
