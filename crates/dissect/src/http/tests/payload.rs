//! Which bodies are kept.

use super::*;

fn policy(rules: &str) -> Harness {
    flow_with(Limits { bodies: rules.parse().unwrap(), ..Limits::default() })
}

fn image(len: usize) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {len}\r\n\r\n")
}

#[test]
fn dropped_bodies_are_skipped() {
    let mut flow = policy("image/*=drop");
    flow.client(get("/a")).server(format!("{}xx", image(1_000)));
    assert_eq!(flow.skipping(Role::Server), 998);
    flow.server(vec![b'x'; 998]);
    let call = only(&flow);
    assert_eq!((call.get(f::RESPONSE_BODY), call.int(f::RESPONSE_BODY_SIZE)), (None, Some(1_000)));
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED) && call.incomplete.is_none());
    assert_eq!(flow.sink.problems[&Problem::BodyPolicy], (1, 1_000));
    flow.client(get("/b")).server(OK);
    assert_eq!(flow.sink.calls[1].text(f::RESPONSE_BODY), "ok");
}

#[test]
fn digests_are_of_the_whole_body() {
    // Of "abc": FIPS 180-2 appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let mut flow = policy("image/*=hash,*=drop");
    flow.client(get("/a")).server(format!("{}a", image(3))).server("bc");
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n";
    flow.client(get("/b")).server(chunked);
    flow.client(get("/c")).server(image(0));
    flow.client(get("/d")).server(format!("{}a", image(3))).gap(Role::Server, 2);
    flow.client(get("/e")).server(OK);
    flow.close(Ending::Closed);
    let digests: Vec<_> = flow.sink.calls.iter().map(|c| c.text(f::RESPONSE_BODY_SHA256)).collect();
    assert_eq!(digests, [abc, abc, "", "", ""]);
    assert!(flow.sink.calls.iter().all(|c| c.get(f::RESPONSE_BODY).is_none()));
    // More than the payload limit is hashed all the same, and looked at to its end.
    let limits = Limits { payload: 1, bodies: "*=hash".parse().unwrap(), ..Limits::default() };
    let mut flow = flow_with(limits);
    flow.client("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na").client("bc").server(OK);
    assert_eq!(only(&flow).text(f::REQUEST_BODY_SHA256), abc);
}
