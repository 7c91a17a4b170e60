//! HTTP/2 and gRPC conversations, one rule at a time.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/http2.rs"]
mod wire;

use remora_dissect::harness::{Harness, Recorded, Recorder};
use remora_dissect::{Ending, Limits, Problem, Role, http, http2};
use remora_model::{Transport, field as f};
use wire::*;

fn flow() -> Harness {
    let mut flow = Harness::new(&http2::ENTRY, Transport::Tcp);
    flow.client(hello()).server(settings());
    flow
}

fn flow_with(limits: Limits) -> Harness {
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Recorder::default());
    flow.client(hello()).server(settings());
    flow
}

/// Method, path, status and reason for not being whole, of every call.
fn summary(flow: &Harness) -> Vec<String> {
    let or_dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let line = |c: &Recorded| {
        let status = c.int(f::STATUS_CODE).map_or("-".into(), |s| s.to_string());
        let (method, path) = (or_dash(c.text(f::METHOD)), or_dash(c.text(f::PATH)));
        format!("{method} {path} {status} {}", c.incomplete.unwrap_or("")).trim_end().to_owned()
    };
    flow.sink.calls.iter().map(line).collect()
}

fn only(flow: &Harness) -> &Recorded {
    assert_eq!(flow.sink.calls.len(), 1, "{:?}", summary(flow));
    &flow.sink.calls[0]
}

fn count(flow: &Harness, problem: Problem) -> u64 {
    flow.sink.problems.get(&problem).map_or(0, |p| p.0)
}

#[test]
fn a_call_has_its_fields() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    let mut fields = get("/a/b?c=d");
    fields[0].1 = "POST";
    fields.extend([
        ("user-agent", "curl/8"),
        ("content-type", "application/json"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ]);
    let request = c.headers(1, 0, &fields);
    flow.at(1_000).client(&request);
    flow.at(1_500).client(frame(DATA, END_STREAM | PADDED, 1, b"\x03{\"a\":1}PPP"));
    let response = s.headers(
        1,
        0,
        &[(":status", "503"), ("content-type", "Text/HTML; charset=utf-8"), ("x-a", "1"), ("x-a", "2")],
    );
    flow.at(2_000).server(&response).server(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 1, 0]));
    flow.at(2_500).server(frame(DATA, 0, 1, b"<h1>")).server(frame(PING, 0, 0, &[0; 8]));
    flow.at(2_700).server(frame(DATA, END_STREAM, 1, b"\n"));
    assert!(flow.sink.problems.is_empty() && !flow.dissector().is_busy());
    let call = only(&flow);
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us), (1_000_000, Some(500), Some(1_700)));
    assert_eq!((call.failed, call.client_error, call.incomplete), (true, false, None));
    assert_eq!(
        (call.request_pos, call.response_pos),
        (Some(hello().len() as i64), Some(settings().len() as i64))
    );
    assert_eq!(call.request_bytes, Some(request.len() as i64 + 9 + 11));
    assert_eq!(call.response_bytes, Some(response.len() as i64 + 9 + 4 + 9 + 1));
    for (id, text) in [
        (f::METHOD, "POST"),
        (f::URL, "/a/b?c=d"),
        (f::PATH, "/a/b"),
        (f::HTTP_VERSION, "HTTP/2"),
        (f::HOST, "shop.example"),
        (f::USER_AGENT, "curl/8"),
        (f::CONTENT_TYPE, "text/html"),
        (f::REQUEST_BODY, "{\"a\":1}"),
        (f::RESPONSE_BODY, "<h1>\n"),
    ] {
        assert_eq!(call.text(id), text);
    }
    for (id, n) in [
        (f::STATUS_CODE, 503),
        (f::HTTP2_STREAM, 1),
        (f::REQUEST_HEADERS_SIZE, request.len() as i64 - 9),
        (f::REQUEST_BODY_SIZE, 7),
        (f::RESPONSE_HEADERS_SIZE, response.len() as i64 - 9),
        (f::RESPONSE_BODY_SIZE, 5),
    ] {
        assert_eq!(call.int(id), Some(n), "{}", id.def().name);
    }
    assert_eq!(call.entry(f::REQUEST_HEADERS, ":authority"), Some("shop.example:8080".into()));
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "x-a"), Some("1, 2".into()));
    assert!(!call.is(f::REQUEST_BODY_TRUNCATED) && !call.is(f::RESPONSE_BODY_TRUNCATED));
}

#[test]
fn streams_are_answered_in_any_order_with_interim_responses_and_trailers() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    for (stream, path) in [(1, "/a"), (3, "/b"), (5, "/c")] {
        flow.client(c.headers(stream, END_STREAM, &get(path)));
    }
    flow.server(s.headers(5, 0, &[(":status", "103"), ("link", "</x>")]));
    flow.server(s.headers(5, 0, &[(":status", "205")])).server(s.headers(1, 0, &[(":status", "201")]));
    flow.server(frame(DATA, 0, 5, b"five")).server(frame(DATA, 0, 1, b"one"));
    flow.server(s.headers(3, END_STREAM, &[(":status", "203")]));
    flow.server(s.headers(5, END_STREAM, &[("x-sum", "5")])).server(frame(DATA, END_STREAM, 1, b""));
    assert_eq!(summary(&flow), ["GET /b 203", "GET /c 205", "GET /a 201"]);
    let call = &flow.sink.calls[1];
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "x-sum"), Some("5".into()));
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "link"), None);
    assert_eq!((call.text(f::RESPONSE_BODY), flow.sink.problems.len()), ("five".into(), 0));
}

#[test]
fn a_header_block_may_take_many_frames() {
    let mut flow = flow();
    let block = Encoder::default().block(&get("/long"), |_| How::Added);
    let with_priority = [&[3, 0, 0, 0, 0, 7], &block[..4], &[0; 3]].concat();
    flow.client(frame(HEADERS, PADDED | PRIORITY | END_STREAM, 1, &with_priority));
    block[4..].chunks(5).for_each(|part| {
        flow.client(frame(CONTINUATION, 0, 1, part));
    });
    flow.client(frame(CONTINUATION, END_HEADERS, 1, b""));
    assert!(flow.dissector().is_busy());
    flow.server(Encoder::default().headers(1, END_STREAM, &[(":status", "200")]));
    assert_eq!(summary(&flow), ["GET /long 200"]);
    let frames = 2 + block[4..].chunks(5).count() as i64;
    assert_eq!(only(&flow).request_bytes, Some(block.len() as i64 + 9 + 9 * frames));
    assert_eq!(only(&flow).int(f::REQUEST_HEADERS_SIZE), Some(block.len() as i64));
}

#[test]
fn content_is_decoded_like_that_of_http_1() {
    use std::io::Write;
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(b"squeezed").unwrap();
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    flow.client(c.headers(1, END_STREAM, &get("/z")));
    flow.server(s.headers(1, 0, &[(":status", "200"), ("content-encoding", "gzip")]));
    flow.server(frame(DATA, END_STREAM, 1, &gz.finish().unwrap()));
    assert_eq!(only(&flow).text(f::RESPONSE_BODY), "squeezed");
}

#[test]
fn a_reset_says_who_gave_up_and_why() {
    for (role, code, failed, name) in [
        (Role::Client, 8, false, "CANCEL"),
        (Role::Server, 2, true, "INTERNAL_ERROR"),
        (Role::Server, 7, true, "REFUSED_STREAM"),
        (Role::Server, 99, true, "UNKNOWN"),
    ] {
        let (mut c, mut s) = (Encoder::default(), Encoder::default());
        let mut flow = flow();
        flow.client(c.headers(1, END_STREAM, &get("/a"))).client(c.headers(3, 0, &get("/b")));
        flow.server(s.headers(1, 0, &[(":status", "200")])).server(frame(DATA, 0, 1, b"half"));
        flow.send(role, &frame(RST_STREAM, 0, 1, &[0, 0, 0, code]))
            .send(role, &frame(RST_STREAM, 0, 3, &[0, 0, 0, code]));
        // What was under way when the reset came makes no call of its own.
        flow.server(frame(DATA, END_STREAM, 1, b"late")).server(s.headers(
            3,
            END_STREAM,
            &[(":status", "200")],
        ));
        assert_eq!(summary(&flow), ["GET /a 200 reset", "GET /b - reset"]);
        for call in &flow.sink.calls {
            assert_eq!((call.failed, call.text(f::HTTP2_ERROR)), (failed, name.into()));
        }
        assert!(!flow.dissector().is_busy());
    }
}

#[test]
fn a_server_that_has_answered_may_stop_the_request() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    flow.client(c.headers(1, 0, &get("/up"))).client(frame(DATA, 0, 1, b"part"));
    flow.server(s.headers(1, END_STREAM, &[(":status", "413")]));
    assert!(flow.sink.calls.is_empty());
    flow.server(frame(RST_STREAM, 0, 1, &[0; 4])).client(frame(DATA, END_STREAM, 1, b"late"));
    assert_eq!(summary(&flow), ["GET /up 413"]);
    assert!(only(&flow).is(f::REQUEST_BODY_TRUNCATED) && only(&flow).client_error);
}

#[test]
fn a_client_that_has_counted_the_answer_need_not_wait_for_its_end() {
    for (length, resets, expected) in [
        ("4", true, "GET /a 200"),
        ("5", true, "GET /a 200 reset"),
        ("4", false, "GET /a 200"),
        ("5", false, "GET /a 200 truncated"),
    ] {
        let (mut c, mut s) = (Encoder::default(), Encoder::default());
        let mut flow = flow();
        flow.client(c.headers(1, END_STREAM, &get("/a")));
        flow.server(s.headers(1, 0, &[(":status", "200"), ("content-length", length)]));
        flow.server(frame(DATA, 0, 1, b"full"));
        if resets {
            flow.client(frame(RST_STREAM, 0, 1, &[0, 0, 0, 5])).server(frame(DATA, END_STREAM, 1, b""));
        } else {
            flow.close(Ending::Closed);
        }
        assert_eq!(summary(&flow), [expected]);
        assert_eq!(only(&flow).failed, length == "5" && resets);
        assert!(!flow.dissector().is_busy());
    }
}

#[test]
fn what_goaway_leaves_out_was_not_answered() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    for (stream, path) in [(1, "/a"), (3, "/b"), (5, "/c")] {
        flow.client(c.headers(stream, END_STREAM, &get(path)));
    }
    flow.server(frame(GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\x0btoo many"));
    assert_eq!(summary(&flow), ["GET /c - no_response"]);
    assert_eq!(only(&flow).text(f::HTTP2_ERROR), "ENHANCE_YOUR_CALM");
    flow.server(s.headers(1, END_STREAM, &[(":status", "200")])).close(Ending::Closed);
    assert_eq!(summary(&flow)[1..], ["GET /a 200", "GET /b - no_response"]);
    assert_eq!(flow.sink.calls[1].text(f::HTTP2_ERROR), "");
    assert_eq!(flow.sink.calls[2].text(f::HTTP2_ERROR), "ENHANCE_YOUR_CALM");
}

#[test]
fn a_promise_is_a_request_that_the_server_sends() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    flow.client(c.headers(1, END_STREAM, &get("/page")));
    let promise = [&2_u32.to_be_bytes(), s.block(&get("/style.css"), |_| How::Indexed).as_slice()].concat();
    flow.server(frame(PUSH_PROMISE, END_HEADERS, 1, &promise));
    flow.server(s.headers(2, 0, &[(":status", "200")])).server(frame(DATA, END_STREAM, 2, b"css"));
    flow.server(s.headers(1, END_STREAM, &[(":status", "200")]));
    assert_eq!(summary(&flow), ["GET /style.css 200", "GET /page 200"]);
    let call = &flow.sink.calls[0];
    assert!(call.is(f::HTTP2_PUSHED) && call.request_pos.is_none());
}

#[test]
fn the_end_of_a_connection_cuts_what_is_open() {
    for (how, expected) in [
        (Ending::Closed, ["GET /a 200 truncated", "GET /b - no_response", "GET /c - truncated"]),
        (Ending::Lost, ["GET /a 200 truncated", "GET /b - no_response", "GET /c - truncated"]),
        (Ending::Reset, ["GET /a 200 reset", "GET /b - reset", "GET /c - reset"]),
    ] {
        let (mut c, mut s) = (Encoder::default(), Encoder::default());
        let mut flow = flow();
        flow.client(c.headers(1, END_STREAM, &get("/a"))).client(c.headers(3, END_STREAM, &get("/b")));
        flow.client(c.headers(5, 0, &get("/c"))).client(frame(DATA, 0, 5, b"half"));
        flow.server(s.headers(1, 0, &[(":status", "200")]));
        flow.close(how);
        assert_eq!(summary(&flow), expected);
        assert!(!flow.dissector().is_busy());
    }
}

#[test]
fn large_content_is_skipped_and_counted() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow_with(Limits { payload: 100, ..Limits::default() });
    flow.client(c.headers(1, END_STREAM, &get("/big")));
    flow.server(s.headers(1, 0, &[(":status", "200")]));
    let data = frame(DATA, END_STREAM, 1, &[b'x'; 10_000]);
    flow.server(&data[..1_000]);
    assert_eq!(flow.skipping(Role::Server), data.len() as u64 - 1_000);
    flow.gap(Role::Server, 4_000).at(50).server(&data[5_000..]);
    let call = only(&flow);
    assert_eq!((call.text(f::RESPONSE_BODY), call.incomplete), ("x".repeat(100), Some("gap")));
    assert_eq!((call.int(f::RESPONSE_BODY_SIZE), call.ttlb_us), (Some(10_000), Some(50)));
    assert_eq!(count(&flow, Problem::PayloadLimit), 1);
}

#[test]
fn streams_are_bounded() {
    let mut c = Encoder::default();
    let mut flow = flow_with(Limits { pending: 3, ..Limits::default() });
    for i in 0..5 {
        flow.client(c.headers(1 + 2 * i, END_STREAM, &get("/")));
    }
    assert_eq!(summary(&flow), ["GET / - no_response", "GET / - no_response"]);
    assert_eq!(count(&flow, Problem::TooManyPending), 2);
    flow.server(Encoder::default().headers(1, END_STREAM, &[(":status", "200")]));
    assert_eq!(flow.sink.calls.len(), 2, "what was reported is not reported again");
}

#[test]
fn header_lists_are_bounded() {
    let limits = || Limits { header_list: 1_000, ..Limits::default() };
    // Too many frames of one block.
    let mut flow = flow_with(limits());
    let fields = [get("/a"), vec![("x", "y"); 3]].concat();
    let block = Encoder::default().block(&fields, |_| How::Literal);
    flow.client(frame(HEADERS, 0, 1, &block));
    for _ in 0..100 {
        flow.client(frame(CONTINUATION, 0, 1, &[0x82; 100]));
        assert!(flow.dissector().memory() < 20_000);
    }
    flow.client(frame(CONTINUATION, END_HEADERS, 1, b""));
    assert_eq!(count(&flow, Problem::MessageTooLarge), 1);
    // One frame that is too large, which goes past without being held.
    let large = frame(HEADERS, END_HEADERS, 3, &[0x82; 5_000]);
    flow.client(&large[..100]);
    assert!(flow.skipping(Role::Client) > 0);
    flow.client(&large[100..]).client(Encoder::default().headers(5, END_STREAM, &get("/b")));
    flow.server(Encoder::default().headers(5, END_STREAM, &[(":status", "200")]));
    assert_eq!(summary(&flow), ["GET /b 200"]);
    // A small block that stands for a large list.
    let (mut c, mut flow) = (Encoder::default(), flow_with(limits()));
    let long = "v".repeat(400);
    flow.client(c.headers(1, END_STREAM, &[get("/c"), vec![("x-long", &long)]].concat()));
    flow.client(c.headers(3, END_STREAM, &[get("/d"), vec![("x-long", long.as_str()); 500]].concat()));
    assert_eq!(count(&flow, Problem::MessageTooLarge), 1);
    flow.close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /c - no_response", "GET /d - no_response"]);
}

#[test]
fn frames_that_cannot_be_are_passed_over() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    flow.client(c.headers(1, END_STREAM, &get("/a")));
    // DATA on stream 0, then nothing that is a frame.
    flow.client(frame(DATA, 0, 0, b"x")).client([0xaa; 30]);
    flow.client(Encoder::default().headers(3, END_STREAM, &[get("/b"), vec![("user-agent", "x")]].concat()));
    flow.server(s.headers(1, END_STREAM, &[(":status", "200")])).server(s.headers(
        3,
        END_STREAM,
        &[(":status", "200")],
    ));
    assert_eq!(summary(&flow), ["GET /a 200", "GET /b 200"]);
    assert_eq!(flow.sink.problems.keys().collect::<Vec<_>>(), [&Problem::Malformed]);
    // A frame between those of a header block.
    flow.client(frame(HEADERS, 0, 5, &[0x82])).client(frame(PING, 0, 0, &[0; 8]));
    flow.client(frame(CONTINUATION, END_HEADERS, 5, &[0x84]));
    flow.client(frame(HEADERS, END_HEADERS, 7, &[0x80]));
    assert_eq!(count(&flow, Problem::Malformed), 4);
    flow.close(Ending::Closed);
    assert!(!flow.dissector().is_busy());
}

#[test]
fn an_upgrade_from_http_1_is_answered_on_stream_1() {
    let request = "GET /old HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    for early in [false, true] {
        let (mut c, mut s) = (Encoder::default(), Encoder::default());
        let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
        flow.client(request);
        if early {
            // The capture shows the client's preface before the server's answer.
            flow.client(hello()).server([switch.as_bytes(), &settings()].concat());
        } else {
            flow.server([switch.as_bytes(), &settings()].concat()).client(hello());
        }
        flow.client(c.headers(3, END_STREAM, &get("/new")));
        flow.server(s.headers(1, END_STREAM, &[(":status", "200")])).server(s.headers(
            3,
            END_STREAM,
            &[(":status", "204")],
        ));
        assert_eq!(summary(&flow), ["GET /old 200", "GET /new 204"], "early {early}");
        let versions: Vec<_> = flow.sink.calls.iter().map(|c| c.text(f::HTTP_VERSION)).collect();
        assert_eq!(versions, ["HTTP/1.1", "HTTP/2"]);
        assert!(flow.sink.problems.is_empty() && !flow.dissector().is_busy());
        flow.close(Ending::Closed);
        assert_eq!(flow.sink.calls.len(), 2);
    }
    // The request was not seen.
    let mut s = Encoder::default();
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    flow.server([switch.as_bytes(), &settings()].concat()).client(hello());
    flow.server(s.headers(1, END_STREAM, &[(":status", "200")])).close(Ending::Closed);
    assert_eq!(summary(&flow), ["- - 200 no_request"]);
    // The server does not want to.
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    flow.client(request).server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(summary(&flow), ["GET /old 200"]);
    // It never answers.
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    flow.client(request).client(hello()).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /old - no_response"]);
    assert!(!flow.dissector().is_busy());
}

#[test]
fn a_request_that_is_shown_after_its_response_belongs_to_it() {
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = flow();
    flow.server(s.headers(1, END_STREAM, &[(":status", "200")]));
    assert!(flow.sink.calls.is_empty());
    flow.client(c.headers(1, END_STREAM, &get("/a")));
    assert_eq!(summary(&flow), ["GET /a 200"]);
    // One that never comes: the next request tells, or time.
    flow.server(s.headers(3, END_STREAM, &[(":status", "203")])).client(c.headers(5, END_STREAM, &get("/c")));
    assert_eq!(summary(&flow)[1..], ["- - 203 no_request"]);
    flow.server(s.headers(7, END_STREAM, &[(":status", "207")])).at(3_600_000_000).tick();
    assert_eq!(summary(&flow)[2..], ["- - 207 no_request"]);
}
