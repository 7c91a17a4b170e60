//! Whole conversations, one rule at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use flate2::{Compress, Compression, FlushCompress};
use remora_model::{Transport, field as f};

use super::ENTRY;
use crate::harness::{Harness, Recorder};
use crate::{Ending, Limits, Problem, Role, http};

const ASK: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const PLAIN: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const DEFLATE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
const GRAPHQL: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";

/// A frame as `role` sends it: `first` is its first byte.
fn frame(role: Role, first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mask = if role == Role::Client { 0x80 } else { 0 };
    match payload.len() {
        n @ 0..126 => out.push(mask | n as u8),
        n @ 126..65_536 => {
            out.push(mask | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(mask | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    if role == Role::Client {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        out.extend(key);
        out.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    } else {
        out.extend(payload);
    }
    out
}

fn c(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(Role::Client, first, payload.as_ref())
}

fn s(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(Role::Server, first, payload.as_ref())
}

fn open_with(response: &str, limits: Limits) -> Harness {
    let mut flow = Harness::with(&http::ENTRY, Transport::Tcp, limits, Recorder::default());
    flow.at(1_000).client(ASK).at(2_000).server(response);
    flow
}

fn open() -> Harness {
    open_with(PLAIN, Limits::default())
}

/// Opcode, sender, payloads, and why it is not whole, of every call behind the handshake.
fn summary(flow: &Harness) -> Vec<String> {
    let of = |c: &crate::harness::Recorded| {
        let text = |id| c.text(id);
        let line = format!(
            "{} {} {}|{}|{}",
            text(f::WS_OPCODE),
            text(f::WS_SENDER),
            text(f::WS_REQUEST_PAYLOAD_DATA),
            text(f::WS_RESPONSE_PAYLOAD_DATA),
            c.incomplete.unwrap_or("")
        );
        line.trim_end_matches(['|', ' ']).to_owned()
    };
    flow.sink.calls.iter().filter(|c| c.get(f::WS_OPCODE).is_some()).map(of).collect()
}

fn clean(flow: &Harness) {
    assert!(flow.sink.problems.is_empty(), "{:?}", flow.sink.problems);
}

#[test]
fn a_message_is_a_call_with_the_names_of_its_handshake() {
    let mut flow = open();
    flow.at(3_000).client(c(0x81, "hello")).at(4_000).server(s(0x82, b"\x00\xff"));
    flow.close(Ending::Closed);
    clean(&flow);
    let [handshake, hello, answer] = flow.sink.calls.as_slice() else { panic!("{:?}", summary(&flow)) };
    assert_eq!((handshake.int(f::STATUS_CODE), handshake.incomplete), (Some(101), None));
    for (call, at) in [(hello, 3), (answer, 4)] {
        assert_eq!(call.ts, at * 1_000_000);
        assert_eq!((call.text(f::METHOD), call.text(f::PATH)), ("GET".into(), "/chat".into()));
        assert_eq!((call.text(f::URL), call.text(f::HOST)), ("/chat?room=1".into(), "shop.example".into()));
        assert_eq!(call.entry(f::REQUEST_HEADERS, "sec-websocket-version").unwrap(), "13");
        assert_eq!((call.int(f::WS_FRAMES), call.incomplete, call.failed), (Some(1), None, false));
    }
    assert_eq!((hello.request_bytes, hello.response_bytes), (Some(11), None));
    assert_eq!((hello.request_pos, answer.response_pos), (Some(ASK.len() as i64), Some(PLAIN.len() as i64)));
    assert_eq!((answer.request_bytes, answer.response_bytes), (None, Some(4)));
    assert_eq!(hello.int(f::WS_REQUEST_PAYLOAD_LENGTH), Some(5));
    assert_eq!(summary(&flow)[0], "text client hello");
}

#[test]
fn fragments_and_control_frames_interleave() {
    let mut flow = open();
    flow.client([c(0x01, "Hel"), c(0x89, "ping"), c(0x00, ""), c(0x80, "lo")].concat());
    flow.at(5_000).server([s(0x8a, "ping"), s(0x02, "a"), s(0x89, ""), s(0x80, "b")].concat());
    flow.at(6_000).client([c(0x8a, ""), c(0x8a, "nobody asked")].concat());
    flow.close(Ending::Closed);
    clean(&flow);
    assert_eq!(
        summary(&flow),
        [
            "text client Hello",
            "ping client ping|ping",
            "binary server |ab",
            "ping server",
            "pong client nobody asked",
        ]
    );
    assert_eq!(flow.sink.calls[1].int(f::WS_FRAMES), Some(3));
    let ping =
        flow.sink.calls.iter().find(|c| c.text(f::WS_SENDER) == "server" && c.text(f::WS_OPCODE) == "ping");
    assert_eq!(ping.map(|p| (p.ts, p.elapsed_us)), Some((5_000_000, Some(1_000))));
}

#[test]
fn closing_is_one_call() {
    for (code, failed, blamed) in [
        (1_000_u16, false, false),
        (1_001, false, false),
        (1_002, true, true),
        (1_011, true, false),
        (4_400, false, false),
    ] {
        let mut flow = open();
        let payload = [&code.to_be_bytes(), b"why".as_slice()].concat();
        flow.server(s(0x88, &payload)).client(c(0x88, code.to_be_bytes())).client(c(0x81, "too late"));
        flow.close(Ending::Closed);
        clean(&flow);
        let call = &flow.sink.calls[1];
        assert_eq!(
            (call.int(f::WS_CLOSE_CODE), call.text(f::WS_CLOSE_REASON)),
            (Some(i64::from(code)), "why".into())
        );
        assert_eq!((call.failed, call.client_error), (failed, blamed), "{code}");
        assert_eq!(flow.sink.calls.len(), 2);
    }
    let mut flow = open();
    flow.client(c(0x88, "")).client(c(0x89, "p")).close(Ending::Reset);
    assert_eq!(summary(&flow), ["close client ||reset"]);
    let mut flow = open();
    flow.client([c(0x89, "1"), c(0x89, "2"), c(0x89, "3")].concat())
        .server(s(0x8a, "2"))
        .close(Ending::Closed);
    assert_eq!(
        summary(&flow),
        ["ping client 1||no_response", "ping client 2|2", "ping client 3||no_response"]
    );
    assert!(!flow.dissector().is_busy());
}

fn deflate(state: &mut Compress, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1_024);
    state.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

#[test]
fn compressed_messages_refer_to_those_before() {
    let mut flow = open_with(DEFLATE, Limits::default());
    let mut client = Compress::new(Compression::best(), false);
    let mut server = Compress::new(Compression::best(), false);
    for i in 0..20 {
        let text = format!("message number {i} of many that are alike");
        let packed = deflate(&mut client, text.as_bytes());
        let (a, b) = packed.split_at(packed.len() / 2);
        flow.client([c(0x41, a), c(0x80, b)].concat());
        flow.server([s(0xc2, deflate(&mut server, text.as_bytes())), s(0x81, "plain")].concat());
    }
    flow.close(Ending::Closed);
    clean(&flow);
    let calls = summary(&flow);
    assert_eq!(calls.len(), 60);
    assert_eq!(calls[57], "text client message number 19 of many that are alike");
    assert_eq!(calls[58], "binary server |message number 19 of many that are alike");
    assert_eq!(calls[59], "text server |plain");
    assert!(flow.sink.calls[58].is(f::WS_COMPRESSED) && !flow.sink.calls[60].is(f::WS_COMPRESSED));
}

#[test]
fn large_messages_are_cut_and_the_rest_is_skipped() {
    let limits = Limits { payload: 10, ..Limits::default() };
    let mut flow = open_with(PLAIN, limits);
    flow.client(&c(0x82, vec![b'x'; 100_000])[..50]);
    assert_eq!(flow.skipping(Role::Client), 100_000 + 14 - 50);
    flow.client(vec![0; 100_000 - 36]).client(c(0x81, "next"));
    flow.close(Ending::Closed);
    assert_eq!(summary(&flow), ["binary client xxxxxxxxxx", "text client next"]);
    let call = &flow.sink.calls[1];
    assert_eq!((call.int(f::WS_REQUEST_PAYLOAD_LENGTH), call.request_bytes), (Some(100_000), Some(100_014)));
    assert!(call.is(f::WS_PAYLOAD_TRUNCATED));
    assert_eq!(flow.sink.problems[&Problem::PayloadLimit], (1, 99_990));
}

#[test]
fn gaps_take_no_more_than_what_they_touch() {
    let mut flow = open();
    let long = c(0x81, "a message that is long enough to be cut");
    flow.client(&long[..20]).gap(Role::Client, 10).client(&long[30..]).client(c(0x81, "after"));
    // A gap that reaches beyond its frame: the next frame is found again where it is certain.
    flow.client(&long[..20]).gap(Role::Client, 100).client(b"rest of something");
    flow.client(
        [
            c(0x81, "{\"found\":\"again one\"}"),
            c(0x81, "{\"found\":\"again two\"}"),
            c(0x81, "{\"three\":3}"),
        ]
        .concat(),
    );
    flow.close(Ending::Closed);
    assert_eq!(
        summary(&flow),
        [
            "text client a message that||gap",
            "text client after",
            "text client a message that||gap",
            "text client {\"found\":\"again one\"}",
            "text client {\"found\":\"again two\"}",
            "text client {\"three\":3}",
        ]
    );
}

#[test]
fn what_refers_to_lost_messages_is_reported_without_text() {
    let mut flow = open_with(DEFLATE, Limits::default());
    let mut server = Compress::new(Compression::best(), false);
    let texts = ["the first of the texts", "the second of the texts", "the third of the texts"];
    let frames: Vec<_> = texts.iter().map(|t| s(0xc1, deflate(&mut server, t.as_bytes()))).collect();
    flow.server(&frames[0])
        .server(&frames[1][..4])
        .gap(Role::Server, frames[1].len() as u64 - 4)
        .server(&frames[2]);
    let mut fresh = Compress::new(Compression::best(), false);
    flow.server(s(0xc1, deflate(&mut fresh, b"alone alone")));
    flow.close(Ending::Closed);
    assert_eq!(
        summary(&flow),
        [
            "text server |the first of the texts",
            "text server ||gap",
            "text server",
            "text server |alone alone"
        ]
    );
}

#[test]
fn rubbish_and_bombs_are_counted() {
    let mut flow = open();
    flow.client(b"\x83\x00\xff\xff\xff").server(s(0xc1, "x"));
    flow.close(Ending::Closed);
    assert_eq!(flow.sink.problems.keys().collect::<Vec<_>>(), [&Problem::Malformed]);
    assert_eq!(flow.sink.calls.len(), 1);
    let mut flow = open_with(DEFLATE, Limits::default());
    let bomb = deflate(&mut Compress::new(Compression::best(), false), &vec![0; 20 << 20]);
    flow.server(s(0xc1, bomb)).close(Ending::Closed);
    assert_eq!(flow.sink.problems[&Problem::BadEncoding].0, 1);
    assert_eq!(summary(&flow), ["text server"]);
    let mut flow = open_with(DEFLATE, Limits { message_bytes: 1_000, ..Limits::default() });
    flow.server(s(0xc1, vec![0xaa; 5_000])).server(s(0x81, "ok")).close(Ending::Closed);
    assert_eq!(flow.sink.problems[&Problem::MessageTooLarge].0, 1);
    assert_eq!(summary(&flow), ["text server", "text server |ok"]);
    assert!(flow.dissector().memory() < 64 << 10);
}

#[test]
fn frames_before_the_answer_wait_for_it() {
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    flow.client(ASK).client(c(0x81, "early")).server(PLAIN).client(c(0x81, "late")).close(Ending::Closed);
    assert_eq!(summary(&flow), ["text client early", "text client late"]);
    // Refused: HTTP goes on.
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    flow.client(ASK).server("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    flow.client("GET /next HTTP/1.1\r\n\r\n").server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(flow.sink.calls.len(), 2);
    clean(&flow);
}

#[test]
fn a_connection_is_joined_where_frames_leave_no_doubt() {
    let client =
        [c(0x81, "{\"type\":\"ping\"}"), c(0x81, "{\"type\":\"more\"}"), c(0x81, "{\"type\":\"end\"}")]
            .concat();
    let server =
        [s(0x81, "a text of the server"), s(0x81, "another of its texts"), s(0x81, "and the last of them")]
            .concat();
    for (role, bytes) in [(Role::Client, &client), (Role::Server, &server)] {
        assert_eq!((ENTRY.probe)(bytes, Transport::Tcp), crate::Verdict::Match(role));
        let joined = [b"the end of a frame".as_slice(), bytes].concat();
        assert_eq!((ENTRY.resync)(&joined, role), Some(18));
        assert_eq!((ENTRY.resync)(&joined, role.other()), None);
    }
    for other in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0; 3_000],
        &[0x81; 3_000],
        &[0x82, 0x00].repeat(2_000),
        b"\x00\x00\x00\x20\x00\x03\x00\x00\x00\x00\x00\x01\x00\x04test",
    ] {
        let verdict = (ENTRY.probe)(other, Transport::Tcp);
        assert!(
            !matches!(verdict, crate::Verdict::Match(_) | crate::Verdict::Likely(_)),
            "{verdict:?} {:?}",
            other.get(..9)
        );
    }
    let mut flow = Harness::new(&ENTRY, Transport::Tcp);
    flow.client(&client).server(&server).close(Ending::Closed);
    assert_eq!(summary(&flow).len(), 6);
    assert_eq!(flow.sink.calls[0].get(f::PATH), None);
}

#[test]
fn operations_of_graphql_are_calls() {
    let mut flow = open_with(GRAPHQL, Limits::default());
    flow.client(c(0x81, r#"{"type":"connection_init"}"#)).server(s(0x81, r#"{"type":"connection_ack"}"#));
    let ask = r#"{"id":"1","type":"subscribe","payload":{"query":"subscription Ticks { ticks }","operationName":"Ticks"}}"#;
    flow.at(10_000).client(c(0x81, ask));
    flow.client(c(0x81, r#"{"id":"2","type":"subscribe","payload":{"query":"{ bad }"}}"#));
    flow.at(11_000).server(s(0x81, r#"{"id":"1","type":"next","payload":{"data":{"ticks":1}}}"#));
    flow.server(s(0x81, r#"{"id":"2","type":"error","payload":[{"message":"no bad"}]}"#));
    flow.at(12_000).server(s(0x81, r#"{"id":"1","type":"next","payload":{"data":{"ticks":2}}}"#));
    flow.server(s(0x81, r#"{"id":"1","type":"complete"}"#));
    flow.client(c(0x81, r#"{"id":"3","type":"subscribe","payload":{"query":"subscription { x }"}}"#));
    assert!(flow.dissector().is_busy());
    flow.close(Ending::Closed);
    assert!(!flow.dissector().is_busy());
    clean(&flow);
    let calls: Vec<_> = flow.sink.calls.iter().filter(|c| c.get(f::GQL_RESULTS).is_some()).collect();
    let [bad, ticks, open] = calls.as_slice() else { panic!("{}", calls.len()) };
    assert_eq!((bad.failed, bad.int(f::GQL_RESULTS), bad.incomplete), (true, Some(0), None));
    assert_eq!((ticks.failed, ticks.int(f::GQL_RESULTS), ticks.elapsed_us), (false, Some(2), Some(1_000)));
    assert_eq!(
        (ticks.text(f::GQL_OPERATION), ticks.text(f::GQL_OPERATION_TYPE)),
        ("Ticks".into(), "subscription".into())
    );
    assert_eq!((ticks.text(f::PATH), ticks.text(f::REQUEST_BODY)), ("/chat".into(), ask.into()));
    assert_eq!(ticks.text(f::RESPONSE_BODY).lines().count(), 3);
    assert_eq!((open.incomplete, open.failed), (Some("truncated"), false));
}

#[test]
fn calls_do_not_depend_on_how_the_bytes_were_split() {
    let mut server = Compress::new(Compression::best(), false);
    let client =
        [c(0x81, "first"), c(0x01, "a"), c(0x89, "x"), c(0x80, vec![b'b'; 300]), c(0x88, [3, 232])].concat();
    let server = [
        s(0x8a, "x"),
        s(0xc1, deflate(&mut server, b"packed packed")),
        s(0x82, vec![7; 70_000]),
        s(0x88, [3, 232]),
    ]
    .concat();
    let run = |size: usize| {
        let mut flow = open_with(DEFLATE, Limits::default());
        client.chunks(size).for_each(|b| {
            flow.client(b);
        });
        server.chunks(size).for_each(|b| {
            flow.server(b);
        });
        flow.close(Ending::Closed);
        flow.sink
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.calls.len(), 7);
    for size in [1, 2, 3, 5, 7, 64, 1_000] {
        let split = run(size);
        assert_eq!(split.calls, whole.calls, "{size}");
        assert_eq!(split.problems, whole.problems, "{size}");
    }
}
