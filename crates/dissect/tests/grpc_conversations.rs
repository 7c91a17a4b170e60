//! gRPC and gRPC-Web calls, one rule at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/http2.rs"]
mod wire;

use std::io::Write;

use remora_dissect::harness::{Harness, Recorded, Recorder};
use remora_dissect::{Ending, Limits, Problem, Role, http, http2};
use remora_model::{FieldId, Transport, field as f};
use wire::*;

const OK: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];

fn flow_with(limits: Limits) -> Harness {
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Recorder::default());
    flow.client(hello()).server(settings());
    flow
}

/// One call on stream 1: the client's messages, the server's, and the trailers.
fn call(extra: &[(&str, &str)], sent: &[&[u8]], got: &[&[u8]], trailers: &[(&str, &str)]) -> Harness {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow_with(Limits::default());
    flow.client(c.headers(1, 0, &[rpc("/shop.v1.Cart/Add"), extra.to_vec()].concat()));
    sent.iter().for_each(|m| _ = flow.client(frame(DATA, 0, 1, m)));
    flow.client(frame(DATA, END_STREAM, 1, b""));
    let coding: Vec<_> = extra.iter().copied().filter(|(name, _)| *name == "grpc-encoding").collect();
    flow.server(s.headers(1, 0, &[OK.to_vec(), coding].concat()));
    got.iter().for_each(|m| _ = flow.server(frame(DATA, 0, 1, m)));
    flow.server(s.headers(1, END_STREAM, trailers));
    flow
}

fn only(flow: &Harness) -> &Recorded {
    assert_eq!(flow.sink.calls.len(), 1, "{:?}", flow.sink.calls);
    &flow.sink.calls[0]
}

fn texts(call: &Recorded, expected: &[(FieldId, &str)]) {
    for (id, text) in expected {
        assert_eq!(&call.text(*id), text, "{}", id.def().name);
    }
}

#[test]
fn a_call_has_its_fields() {
    let flow = call(
        &[("grpc-timeout", "1500m")],
        &[&message(0, b"\x0a\x05apple\x10\x07")],
        &[&message(0, b"\x08\x01")],
        &[("grpc-status", "0")],
    );
    let call = only(&flow);
    texts(
        call,
        &[
            (f::GRPC_SERVICE, "shop.v1.Cart"),
            (f::GRPC_METHOD, "Add"),
            (f::GRPC_STATUS_NAME, "OK"),
            (f::GRPC_KIND, "unary"),
            (f::REQUEST_BODY, "1: \"apple\" 2: 7"),
            (f::RESPONSE_BODY, "1: 1"),
            (f::CONTENT_TYPE, "application/grpc"),
            (f::PATH, "/shop.v1.Cart/Add"),
        ],
    );
    let numbers = [f::GRPC_STATUS, f::GRPC_TIMEOUT, f::GRPC_REQUEST_MESSAGES, f::GRPC_RESPONSE_MESSAGES];
    assert_eq!(numbers.map(|id| call.int(id)), [Some(0), Some(1_500_000), Some(1), Some(1)]);
    assert_eq!((call.failed, call.incomplete, call.int(f::STATUS_CODE)), (false, None, Some(200)));
    for name in call.fields.keys() {
        let def = f::by_name(name).unwrap();
        assert!(def.applies_to(remora_model::Protocol::Grpc) && def.storage.is_column(), "{name}");
    }
}

#[test]
fn a_status_other_than_zero_is_a_failure() {
    for (code, name, blames) in [("5", "NOT_FOUND", true), ("14", "UNAVAILABLE", false), ("99", "", false)] {
        let flow = call(&[], &[], &[], &[("grpc-status", code), ("grpc-message", "no%20such%20%E2%82%AC")]);
        let call = only(&flow);
        assert_eq!((call.failed, call.client_error), (true, blames));
        texts(
            call,
            &[(f::GRPC_STATUS_NAME, name), (f::GRPC_MESSAGE, "no such \u{20ac}"), (f::GRPC_KIND, "unary")],
        );
    }
    // Trailers alone.
    let mut flow = flow_with(Limits::default());
    flow.client(Encoder::default().headers(1, END_STREAM, &rpc("/a.B/C")));
    let fields = [OK, &[("grpc-status", "16")]].concat();
    flow.server(Encoder::default().headers(1, END_STREAM, &fields));
    assert_eq!((only(&flow).failed, only(&flow).int(f::GRPC_STATUS)), (true, Some(16)));
    // What stands before the server answers in HTTP.
    let mut flow = flow_with(Limits::default());
    flow.client(Encoder::default().headers(1, END_STREAM, &rpc("/a.B/C")));
    flow.server(Encoder::default().headers(1, 0, &[(":status", "503"), ("content-type", "text/plain")]));
    flow.server(frame(DATA, END_STREAM, 1, b"no upstream"));
    assert_eq!((only(&flow).failed, only(&flow).int(f::GRPC_STATUS)), (true, None));
    texts(only(&flow), &[(f::RESPONSE_BODY, "no upstream"), (f::GRPC_SERVICE, "a.B")]);
}

#[test]
fn kinds_are_told_by_the_number_of_messages() {
    let m = message(0, b"\x08\x01");
    let pair = [m.clone(), m.clone()].concat();
    let (one, two): (&[&[u8]], &[&[u8]]) = (&[&m], &[&pair, &m]);
    for (sent, got, kind, body) in [
        (one, one, "unary", "1: 1"),
        (two, one, "client_stream", "1: 1\n1: 1\n1: 1"),
        (one, two, "server_stream", "1: 1"),
        (two, two, "bidi_stream", "1: 1\n1: 1\n1: 1"),
    ] {
        let flow = call(&[], sent, got, &[("grpc-status", "0")]);
        texts(only(&flow), &[(f::GRPC_KIND, kind), (f::REQUEST_BODY, body)]);
    }
}

#[test]
fn compressed_messages_are_inflated() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"\x0a\x05apple").unwrap();
    let packed = message(1, &gz.finish().unwrap());
    let plain = message(0, b"\x10\x02");
    let flow = call(&[("grpc-encoding", "gzip")], &[&packed, &plain], &[&packed], &[("grpc-status", "0")]);
    let expected = [
        (f::REQUEST_BODY, "1: \"apple\"\n2: 2"),
        (f::RESPONSE_BODY, "1: \"apple\""),
        (f::GRPC_ENCODING, "gzip"),
    ];
    texts(only(&flow), &expected);
    assert!(flow.sink.problems.is_empty());
    // A coding that is broken or not known.
    let flow = call(&[("grpc-encoding", "snappy")], &[&packed, &plain], &[], &[("grpc-status", "0")]);
    texts(only(&flow), &[(f::REQUEST_BODY, "\n2: 2")]);
    assert!(only(&flow).is(f::REQUEST_BODY_TRUNCATED));
    assert_eq!(flow.sink.problems.keys().collect::<Vec<_>>(), [&Problem::BadEncoding]);
}

#[test]
fn messages_are_counted_beyond_what_is_kept() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow_with(Limits { payload: 64, ..Limits::default() });
    flow.client(c.headers(1, END_STREAM, &rpc("/a.B/C")));
    flow.server(s.headers(1, 0, OK));
    let body: Vec<u8> =
        (0..50).flat_map(|_| message(0, &[&b"\x0a\xe8\x07"[..], &[b'x'; 1_000]].concat())).collect();
    let mut skipped = 0;
    for part in body.chunks(700) {
        let data = frame(DATA, 0, 1, part);
        for piece in data.chunks(90) {
            skipped = skipped.max(flow.skipping(Role::Server));
            flow.server(piece);
        }
    }
    flow.server(s.headers(1, END_STREAM, &[("grpc-status", "0")]));
    let call = only(&flow);
    assert_eq!(
        (call.int(f::GRPC_RESPONSE_MESSAGES), call.text(f::GRPC_KIND)),
        (Some(50), "server_stream".into())
    );
    assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(body.len() as i64));
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED) && skipped > 500, "{skipped}");
}

#[test]
fn expansion_is_bounded() {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(&vec![0; 10 << 20]).unwrap();
    let bomb = message(1, &gz.finish().unwrap());
    let mut noise = vec![0x0a, 0x80, 0x80, 0x04];
    noise.extend([0xff; 0x10000]);
    let bodies: [Vec<&[u8]>; 2] = [vec![&bomb; 4], vec![&noise]];
    for sent in bodies {
        let flow = call(&[("grpc-encoding", "gzip")], &sent, &[], &[("grpc-status", "0")]);
        assert!(only(&flow).text(f::REQUEST_BODY).len() <= 64 << 10);
    }
}

#[test]
fn a_call_without_its_end_keeps_what_is_known() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow_with(Limits::default());
    flow.client(c.headers(1, END_STREAM, &rpc("/a.B/Watch")));
    flow.server(s.headers(1, 0, OK)).server(frame(DATA, 0, 1, &message(0, b"\x08\x01"))).server(frame(
        DATA,
        0,
        1,
        &message(0, b"\x08"),
    ));
    flow.client(frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    let call = only(&flow);
    assert_eq!((call.incomplete, call.failed, call.int(f::GRPC_STATUS)), (Some("reset"), false, None));
    texts(
        call,
        &[(f::HTTP2_ERROR, "CANCEL"), (f::GRPC_KIND, "server_stream"), (f::RESPONSE_BODY, "1: 1\n\"\\010\"")],
    );
}

#[test]
fn json_and_other_codecs_are_text() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow_with(Limits::default());
    let mut fields = rpc("/a.B/C");
    fields[4].1 = "application/grpc+json";
    flow.client(c.headers(1, 0, &fields)).client(frame(DATA, END_STREAM, 1, &message(0, b"{\"a\":1}")));
    flow.server(s.headers(1, END_STREAM, &[OK, &[("grpc-status", "0")]].concat()));
    texts(only(&flow), &[(f::REQUEST_BODY, "{\"a\":1}")]);
}

#[test]
fn grpc_web_has_its_trailers_in_the_body() {
    let trailers = message(0x80, b"grpc-status:7\r\ngrpc-message:not%20yours\r\n");
    let body = [message(0, b"\x08\x05"), trailers].concat();
    let expected: &[_] = &[
        (f::GRPC_METHOD, "C"),
        (f::GRPC_STATUS_NAME, "PERMISSION_DENIED"),
        (f::GRPC_MESSAGE, "not yours"),
        (f::REQUEST_BODY, "1: 5"),
        (f::RESPONSE_BODY, "1: 5"),
        (f::GRPC_KIND, "unary"),
    ];
    // Over HTTP/2.
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow_with(Limits::default());
    let mut fields = rpc("/a.B/C");
    fields[4].1 = "application/grpc-web+proto";
    flow.client(c.headers(1, 0, &fields)).client(frame(DATA, END_STREAM, 1, &message(0, b"\x08\x05")));
    flow.server(s.headers(1, 0, &[(":status", "200"), ("content-type", "application/grpc-web+proto")]));
    flow.server(frame(DATA, END_STREAM, 1, &body));
    texts(only(&flow), expected);
    assert_eq!(only(&flow).int(f::GRPC_STATUS), Some(7));
    // Over HTTP/1, and in base64 as browsers send it.
    for (text, request, response) in [
        ("", message(0, b"\x08\x05"), body.clone()),
        (
            "-text",
            b"AAAAAAIIBQ==".to_vec(),
            b"AAAAAAIIBQ==gAAAACpncnBjLXN0YXR1czo3DQpncnBjLW1lc3NhZ2U6bm90JTIweW91cnMNCg==".to_vec(),
        ),
    ] {
        let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
        let kind = format!("Content-Type: application/grpc-web{text}+proto");
        flow.client(format!("POST /a.B/C HTTP/1.1\r\n{kind}\r\nContent-Length: {}\r\n\r\n", request.len()))
            .client(&request);
        flow.server(format!("HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {}\r\n\r\n", response.len()))
            .server(&response);
        texts(only(&flow), expected);
        assert_eq!((only(&flow).failed, only(&flow).text(f::HTTP_VERSION)), (true, "HTTP/1.1".into()));
    }
}

#[test]
fn the_end_of_the_connection_leaves_no_status() {
    let mut flow = flow_with(Limits::default());
    flow.client(Encoder::default().headers(1, END_STREAM, &rpc("/a.B/C"))).close(Ending::Lost);
    let call = only(&flow);
    assert_eq!((call.incomplete, call.failed, call.int(f::GRPC_STATUS)), (Some("no_response"), false, None));
    texts(call, &[(f::GRPC_KIND, "")]);
}
