//! Heads that are not whole.

use super::*;

const REQUEST: &str =
    "GET /cut?x=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\nX-Long: abcdefgh\r\n\r\n";
const RESPONSE: &str =
    "HTTP/1.1 503 Busy\r\nServer: nginx\r\nX-Long: abcdefgh\r\nContent-Length: 2\r\n\r\nno";

#[test]
fn what_was_shown_before_a_gap_is_reported() {
    let at = REQUEST.find("gh\r\n").unwrap();
    for split in [at, at - 3] {
        let mut flow = flow();
        flow.at(1_000).client(&REQUEST[..20]).at(1_500).client(&REQUEST[20..split]);
        flow.at(2_000).gap(Role::Client, 30).client(get("/next")).server(OK).server(OK);
        flow.close(Ending::Closed);
        assert_eq!(summary(&flow), ["GET /cut 200 gap", "GET /next 200"]);
        let call = &flow.sink.calls[0];
        assert_eq!((call.text(f::HOST), call.text(f::USER_AGENT)), ("shop.example".into(), "curl/8".into()));
        assert_eq!((call.ts, call.request_bytes), (1_000_000, Some(split as i64)));
        assert_eq!(call.entry(f::REQUEST_HEADERS, "x-long"), None);
    }
    let mut flow = flow();
    flow.client(get("/a")).at(3_000).server(&RESPONSE[..40]).gap(Role::Server, 60);
    flow.client(get("/b")).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /a 503 gap", "GET /b 200"]);
    assert!(flow.sink.calls[0].failed);
    assert_eq!(flow.sink.calls[0].entry(f::RESPONSE_HEADERS, "server").unwrap(), "nginx");
}

#[test]
fn what_was_shown_before_the_end_is_reported() {
    let mut flow = flow();
    flow.client(&REQUEST[..60]).close(Ending::Reset);
    assert_eq!(summary(&flow), ["GET /cut - reset"]);
    let mut flow = super::flow();
    flow.client(get("/a")).server(&RESPONSE[..40]).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /a 503 truncated"]);
    assert!(!flow.dissector().is_busy());
}

#[test]
fn a_start_line_that_is_not_whole_says_nothing() {
    let mut flow = flow();
    flow.client(&REQUEST[..15]).gap(Role::Client, 200).client(get("/next")).server(OK).close(Ending::Closed);
    assert_eq!(summary(&flow), ["GET /next 200"]);
}
