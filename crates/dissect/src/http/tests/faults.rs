use super::*;

#[test]
fn a_gap_in_a_body_of_known_length_only_marks_it() {
    let mut flow = flow();
    flow.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    flow.gap(Role::Server, 4).server("xyz").client(get("/2")).server(OK);
    clean(&flow);
    assert_eq!(summary(&flow), ["GET / 200 gap", "GET /2 200"]);
    let call = &flow.sink.calls[0];
    assert_eq!((call.text(f::RESPONSE_BODY), call.int(f::RESPONSE_BODY_SIZE)), ("abc".into(), Some(10)));
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED));
    assert!(call.ttlb_us.is_some());
}

#[test]
fn a_gap_over_the_end_of_a_body_looks_for_the_next_message() {
    let mut flow = flow();
    flow.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    flow.gap(Role::Server, 20).server("tent-Length: 4\r\n\r\nabcd");
    flow.client(get("/2")).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET / 200 gap", "GET /2 200"]);
    assert_eq!(flow.sink.calls[0].int(f::RESPONSE_BODY_SIZE), Some(10));
    assert_eq!(flow.sink.calls[0].response_bytes, Some(49));
    assert_eq!(flow.sink.problems[&Problem::Unsynced], (1, 22));
}

#[test]
fn a_gap_inside_a_chunk_only_marks_the_body() {
    let mut flow = flow();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    flow.client(get("/")).server(format!("{head}a\r\nabc")).gap(Role::Server, 4).server("xyz\r\n0\r\n\r\n");
    flow.client(get("/2")).server(format!("{head}3\r\nabc\r\n")).gap(Role::Server, 4).server("\r\n0\r\n\r\n");
    flow.client(get("/3")).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET / 200 gap", "GET /2 200 gap", "GET /3 200"]);
    assert_eq!(flow.sink.calls[0].int(f::RESPONSE_BODY_SIZE), Some(10));
}

#[test]
fn a_gap_in_skipped_bytes_is_noted() {
    let mut flow = flow_with(Limits { payload: 4, ..Limits::default() });
    flow.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcdef");
    flow.gap(Role::Server, 50).server([b'x'; 44]).client(get("/2")).server(OK);
    assert_eq!(summary(&flow), ["GET / 200 gap", "GET /2 200"]);
    assert_eq!(flow.sink.calls[0].int(f::RESPONSE_BODY_SIZE), Some(100));
}

#[test]
fn sizes_are_exact_when_the_end_comes_in_skipped_bytes() {
    let mut flow = flow_with(Limits { payload: 4, ..Limits::default() });
    flow.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabcdef").server([b'x'; 44]);
    flow.close(Ending::Reset);
    assert_eq!(summary(&flow), ["GET / 200 reset"]);
    assert_eq!(only(&flow).int(f::RESPONSE_BODY_SIZE), Some(50));
    assert_eq!(only(&flow).response_bytes, Some(40 + 50));
}

#[test]
fn a_lost_response_does_not_shift_the_others() {
    let mut flow = flow();
    flow.at(1).client(get("/1")).at(2).gap(Role::Server, OK.len() as u64);
    flow.at(3).client(get("/2")).at(4).server(OK).at(5).client(get("/3")).at(6).server(OK);
    assert_eq!(summary(&flow), ["GET /1 - gap", "GET /2 200", "GET /3 200"]);

    // With pipelining nobody knows which response was lost.
    let mut flow = super::flow();
    flow.at(1).client([get("/1"), get("/2")].concat()).at(2).gap(Role::Server, OK.len() as u64);
    flow.at(4).server(OK).at(5).client(get("/3")).at(6).server(OK);
    assert_eq!(summary(&flow), ["GET /1 - gap", "GET /2 - gap", "-  200 no_request", "GET /3 200"]);
}

#[test]
fn a_lost_request_does_not_shift_the_others() {
    let mut flow = flow();
    flow.at(1).client("GET /1 HT").at(2).gap(Role::Client, 30).server(OK);
    flow.at(3).client(get("/2")).at(4).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow), ["-  200 no_request", "GET /2 200"]);
}

#[test]
fn a_message_in_a_body_behind_a_gap_does_not_shift_the_others() {
    let upload = "POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n";
    let mut flow = flow();
    flow.at(1).client(upload).gap(Role::Client, 40).client(get("/no")).client("\r\n0\r\n\r\n");
    flow.at(2).server(OK).at(3).client(get("/2")).at(4).server(OK).at(5).client(get("/3")).at(6).server(OK);
    assert_eq!(summary(&flow), ["POST /1 200 gap", "GET /no - gap", "GET /2 200", "GET /3 200"]);
}

#[test]
fn a_head_request_that_was_lost_costs_no_other_response() {
    let mut flow = flow();
    flow.at(1).client("HEAD / HT").gap(Role::Client, 4).client(get("/no"));
    flow.at(2).server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").at(3).client(get("/2"));
    flow.at(4).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow)[1], "GET /2 200");
}

#[test]
fn joins_in_the_middle_of_bodies() {
    let mut flow = flow();
    flow.gap(Role::Client, 1).gap(Role::Server, 1);
    flow.client("of an upload}").client(get("/1"));
    flow.server("rest of HTTP/1 body").server(OK);
    assert_eq!(summary(&flow), ["GET /1 200"]);
    assert_eq!(flow.sink.problems[&Problem::Unsynced], (2, 13 + 19));
}

#[test]
fn garbage_is_counted_and_passed_over() {
    let mut flow = flow();
    flow.client("\0\u{1}\u{2} garbage")
        .client(get("/1"))
        .server("\0garbage")
        .server(OK)
        .close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /1 200"]);
    assert_eq!(count(&flow, Problem::Malformed), 2);
    assert_eq!(flow.sink.problems[&Problem::Malformed].1, 11 + 8);
}

#[test]
fn contradicting_heads_are_counted_and_read_by_the_standard() {
    // Transfer-Encoding overrides Content-Length.
    let mut flow = flow();
    flow.client("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    flow.client(get("/2")).server([OK; 2].concat());
    assert_eq!(summary(&flow), ["POST / 200", "GET /2 200"]);
    assert_eq!(count(&flow, Problem::Malformed), 1);

    // Lengths that differ: the end cannot be known.
    let mut flow = super::flow();
    flow.client("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").client(get("/2"));
    flow.server("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n").server(OK);
    assert_eq!(summary(&flow), ["POST / 400 truncated", "GET /2 200"]);

    // A request whose last coding is not chunked has no end that could be found.
    let mut flow = super::flow();
    flow.client("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n")
        .client(get("/2"))
        .server([OK; 2].concat());
    assert_eq!(summary(&flow), ["POST / 200 truncated", "GET /2 200"]);
}

#[test]
fn broken_chunks_end_the_message() {
    let mut flow = flow();
    flow.client(get("/"))
        .server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n");
    flow.client(get("/2")).server(OK);
    assert_eq!(summary(&flow), ["GET / 200 truncated", "GET /2 200"]);
    assert_eq!(flow.sink.calls[0].text(f::RESPONSE_BODY), "abc");
    assert_eq!(count(&flow, Problem::Malformed), 1);
}

#[test]
fn oversized_heads_are_given_up() {
    let limits = Limits { message_bytes: 2_000, ..Limits::default() };
    let mut flow = flow_with(limits.clone());
    flow.client("GET /huge HTTP/1.1\r\n");
    for _ in 0..300 {
        flow.client("X-Filler: 0123456789\r\n");
    }
    flow.client("\r\n").client(get("/2")).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /2 200"]);
    assert!(count(&flow, Problem::MessageTooLarge) > 0);
}

#[test]
fn blank_lines_bare_line_feeds_and_folds() {
    let mut flow = flow();
    flow.client("\r\n\r\nGET /1 HTTP/1.1\nHost: a\nX-F: one\n two\n\n\r\nGET /2 HTTP/1.1\r\n\r\n");
    flow.server("HTTP/1.1 200 OK\nContent-Length: 2\n\nok\r\nHTTP/1.1 200\r\nTransfer-Encoding: chunked\n\n1\nx\n0\n\n");
    clean(&flow);
    assert_eq!(summary(&flow), ["GET /1 200", "GET /2 200"]);
    assert_eq!(flow.sink.calls[0].entry(f::REQUEST_HEADERS, "x-f"), Some("one  two".into()));
    assert_eq!(flow.sink.calls[0].request_pos, Some(4));
}

#[test]
fn two_responses_to_a_request_that_has_not_ended() {
    let mut flow = flow();
    flow.client("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc").server([OK; 2].concat());
    flow.client("1234567").client(get("/2")).server(OK);
    assert_eq!(summary(&flow), ["POST / 200 truncated", "-  200 no_request", "GET /2 200"]);
}
