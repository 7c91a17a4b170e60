use super::*;

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let mut flow = flow();
    flow.client([get("/1"), get("/2"), "HEAD /3 HTTP/1.1\r\n\r\n".into(), get("/4")].concat());
    flow.server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    flow.server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    clean(&flow);
    assert_eq!(summary(&flow), ["GET /1 200", "GET /2 500", "HEAD /3 200", "GET /4 404"]);
}

#[test]
fn interim_responses_are_passed_over() {
    let mut flow = flow();
    flow.at(10).client("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    flow.at(20).server("HTTP/1.1 100 Continue\r\n\r\n");
    flow.at(30).client("body");
    flow.at(40).server("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    flow.at(50).server("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    clean(&flow);
    assert_eq!(summary(&flow), ["PUT / 201"]);
    let call = only(&flow);
    assert_eq!((call.elapsed_us, call.ttlb_us), (Some(20), Some(40)));
    assert_eq!(call.text(f::REQUEST_BODY), "body");
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "link"), None);
}

#[test]
fn a_refused_expectation_spares_the_body() {
    let head = "PUT /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let refusal = "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n";
    let mut flow = flow();
    flow.client(head).server(refusal).client(get("/next")).server(OK);
    flow.client(head).server(refusal).client("body").client(get("/after")).server(OK);
    flow.client(head).server(refusal).close(Ending::Closed);
    clean(&flow);
    assert_eq!(summary(&flow), ["PUT /e 417", "GET /next 200", "PUT /e 417", "GET /after 200", "PUT /e 417"]);
    assert_eq!(flow.sink.calls[0].get(f::REQUEST_BODY), None);
    assert_eq!(flow.sink.calls[2].text(f::REQUEST_BODY), "body");
}

#[test]
fn a_response_may_come_before_the_request_has_ended() {
    let mut flow = flow();
    flow.at(1).client("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
    flow.at(2).server("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert!(flow.sink.calls.is_empty());
    flow.at(3).client("67890").client(get("/2")).server(OK);
    clean(&flow);
    assert_eq!(summary(&flow), ["POST / 413", "GET /2 200"]);
    assert_eq!(flow.sink.calls[0].elapsed_us, Some(0));

    let mut flow = super::flow();
    flow.client("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n12345");
    flow.server("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    flow.end(Role::Server, Ending::Closed);
    assert!(flow.sink.calls.is_empty());
    flow.end(Role::Client, Ending::Closed);
    assert_eq!(summary(&flow), ["POST / 413 truncated"]);
}

#[test]
fn upgrades_and_tunnels_end_http() {
    for (request, response) in [
        (
            "GET /raw HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\n\r\n",
        ),
        ("CONNECT a:443 HTTP/1.1\r\n\r\n", "HTTP/1.1 200 Connected\r\nContent-Length: 5\r\n\r\n"),
    ] {
        let mut flow = flow();
        flow.client(request).server(format!("{response}\x01\x02\x03"));
        assert!(flow.handed_over());
        flow.close(Ending::Closed);
        clean(&flow);
        assert_eq!(flow.sink.calls.len(), 1);
        assert_eq!(only(&flow).incomplete, None);

        // A client that does not wait.
        let mut flow = super::flow();
        flow.client(request).client("\x16\x03\x01").server(response).close(Ending::Closed);
        clean(&flow);
        assert_eq!(flow.sink.calls.len(), 1);

        // A server that does not want to.
        let mut flow = super::flow();
        flow.client(request)
            .server("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
            .client(get("/2"))
            .server(OK);
        clean(&flow);
        assert_eq!(summary(&flow)[1], "GET /2 200");
    }
}

#[test]
fn requests_without_a_response() {
    for (how, incomplete) in
        [(Ending::Closed, "no_response"), (Ending::Reset, "reset"), (Ending::Lost, "no_response")]
    {
        let mut flow = flow();
        flow.client(get("/1")).client(get("/2")).close(how);
        assert_eq!(summary(&flow), [format!("GET /1 - {incomplete}"), format!("GET /2 - {incomplete}")]);
        assert_eq!(flow.sink.calls[0].elapsed_us, None);
        clean(&flow);
    }
    // The server closed before the request was sent.
    let mut flow = flow();
    flow.end(Role::Server, Ending::Closed).client(get("/late"));
    assert_eq!(summary(&flow), ["GET /late - no_response"]);
}

#[test]
fn a_half_closed_client_gets_its_response() {
    let mut flow = flow();
    flow.client(get("/")).end(Role::Client, Ending::Closed).server(OK);
    assert_eq!(summary(&flow), ["GET / 200"]);
}

#[test]
fn responses_without_a_request() {
    let mut flow = flow();
    flow.at(5).server(OK).server(OK).at(9).client(get("/")).server(OK);
    clean(&flow);
    assert_eq!(summary(&flow), ["-  200 no_request", "-  200 no_request", "GET / 200"]);
    let call = &flow.sink.calls[0];
    assert_eq!((call.ts, call.elapsed_us, call.ttlb_us, call.request_bytes), (5_000, None, None, None));
    assert_eq!(call.text(f::HTTP_VERSION), "HTTP/1.1");
}

#[test]
fn an_unseen_head_request_does_not_swallow_the_next_response() {
    let mut flow = flow();
    flow.server("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").client(get("/")).server(OK);
    clean(&flow);
    assert_eq!(summary(&flow), ["-  200 no_request", "GET / 200"]);
}

#[test]
fn the_queue_is_bounded() {
    let mut flow = flow_with(Limits { pending: 2, ..Limits::default() });
    flow.client((1..=4).map(|i| get(&format!("/{i}"))).collect::<String>());
    assert_eq!(summary(&flow), ["GET /3 - no_response", "GET /4 - no_response"]);
    assert_eq!(count(&flow, Problem::TooManyPending), 2);
    flow.server(OK).client(get("/5"));
    // The responses to /3 and /4 come before the one to /5.
    flow.server([OK; 4].concat());
    assert_eq!(
        summary(&flow)[2..],
        ["GET /1 200", "GET /2 200", "-  200 no_request", "-  200 no_request", "GET /5 200"]
    );
}

#[test]
fn a_request_shown_after_its_response_does_not_shift_the_others() {
    // The client's stream waited for a hole to be filled.
    let mut flow = flow();
    flow.at(20).server(OK);
    flow.at(10).client(get("/answered"));
    flow.at(30).client(get("/2")).at(40).server(OK);
    assert_eq!(summary(&flow), ["-  200 no_request", "GET /answered - gap", "GET /2 200"]);
}

#[test]
fn partial_messages_at_the_end() {
    for (how, incomplete) in
        [(Ending::Closed, "truncated"), (Ending::Reset, "reset"), (Ending::Lost, "truncated")]
    {
        let mut flow = flow();
        flow.client(get("/")).server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").close(how);
        assert_eq!(summary(&flow), [format!("GET / 200 {incomplete}")]);
        assert_eq!(only(&flow).text(f::RESPONSE_BODY), "abc");
        assert!(only(&flow).is(f::RESPONSE_BODY_TRUNCATED));

        let mut flow = super::flow();
        flow.client("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").close(how);
        assert_eq!(summary(&flow), [format!("POST / - {incomplete}")]);

        let mut flow = super::flow();
        flow.client(get("/")).server("HTTP/1.1 200 OK\r\nConte").close(how);
        assert_eq!(summary(&flow), [format!("GET / 200 {incomplete}")]);
        clean(&flow);

        let mut flow = super::flow();
        flow.client(get("/")).server("HTTP/1.1 20").close(how);
        assert_eq!(summary(&flow), [format!("GET / - {incomplete}")]);
        assert_eq!(count(&flow, Problem::Malformed), 1);

        let mut flow = super::flow();
        flow.client(get("/"))
            .server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .close(how);
        assert_eq!(summary(&flow), [format!("GET / 200 {incomplete}")]);
    }
}
