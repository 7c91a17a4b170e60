//! Arbitrary bytes as a descriptor set, as what a server tells through reflection, and as messages
//! of a known and of a learned type: nothing may panic, and texts stay within the payload limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::{Harness, Recorder, Value};
use remora_dissect::{Limits, Schemas, http2};
use remora_model::Transport;

const SET: &[u8] = include_bytes!("../../crates/dissect/tests/corpus/http2/typed.set");
const ECHO: &str = "/remora.typed.Typed/Echo";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Header fields, none of them compressed.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |t: &str| [&[t.len() as u8], t.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A gRPC message.
fn message(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
    [&[0], &len[..], bytes].concat()
}

fn call(flow: &mut Harness, stream: u8, path: &str, bytes: &[u8]) {
    let kind = ("content-type", "application/grpc");
    let asked = [(":method", "POST"), (":scheme", "http"), (":path", path), kind];
    flow.client(frame(1, 4, stream, &block(&asked)));
    flow.client(frame(0, 1, stream, &message(bytes)));
    flow.server(frame(1, 4, stream, &block(&[(":status", "200"), kind])));
    flow.server(frame(0, 0, stream, &message(bytes)));
    flow.server(frame(1, 5, stream, &block(&[("grpc-status", "0")])));
}

fuzz_target!(|data: &[u8]| {
    let Some((&first, data)) = data.split_first() else { return };
    let given = if first & 1 == 0 { Schemas::parse(SET) } else { Schemas::parse(data) };
    let payload = 1 << (first >> 4);
    let limits = Limits { payload, schemas: given.unwrap_or_default(), ..Limits::default() };
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Recorder::default());
    flow.client(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    flow.server(frame(4, 0, 0, b""));
    // What the server tells: the bytes as an answer, and as a file in one.
    if data.len() < 1 << 14 {
        call(&mut flow, 1, REFLECTION, data);
        call(&mut flow, 3, ECHO, data);
        call(&mut flow, 5, "/a.S/Do", data);
    }
    for call in &flow.sink.calls {
        for value in call.fields.values() {
            assert!(!matches!(value, Value::Text(text) if text.len() > payload.max(256)));
        }
    }
});
