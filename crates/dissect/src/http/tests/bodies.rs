use super::*;

#[test]
fn chunked_with_extensions_and_trailers() {
    let mut flow = flow();
    flow.client(get("/"));
    flow.server(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nX-A: 1\r\n\r\n\
         5;ext=\"a;b\"\r\nhello\r\n0006\r\n world\r\n0\r\nX-Sum: abc\r\nx-a: 2\r\n\r\n",
    );
    flow.client(get("/2")).server(OK);
    clean(&flow);
    assert_eq!(summary(&flow), ["GET / 200", "GET /2 200"]);
    let call = &flow.sink.calls[0];
    assert_eq!(call.text(f::RESPONSE_BODY), "hello world");
    assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(11));
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "x-sum"), Some("abc".into()));
    assert_eq!(call.entry(f::RESPONSE_HEADERS, "x-a"), Some("1, 2".into()));
    assert_eq!(call.response_bytes, Some(130));
}

#[test]
fn bodies_that_the_connection_ends() {
    for (how, incomplete) in
        [(Ending::Closed, None), (Ending::Reset, Some("reset")), (Ending::Lost, Some("truncated"))]
    {
        let mut flow = flow();
        flow.client(get("/")).server("HTTP/1.0 200 OK\r\n\r\nhello ").server("world").close(how);
        let call = only(&flow);
        assert_eq!(call.incomplete, incomplete);
        assert_eq!(call.text(f::RESPONSE_BODY), "hello world");
        assert_eq!(call.is(f::RESPONSE_BODY_TRUNCATED), incomplete.is_some());
        assert_eq!(call.ttlb_us.is_some(), incomplete.is_none());
    }
}

#[test]
fn responses_without_bodies() {
    let mut flow = flow();
    flow.client("HEAD /h HTTP/1.1\r\n\r\n").server("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    flow.client("HEAD /t HTTP/1.1\r\n\r\n").server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    flow.client(get("/n")).server("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    flow.client(get("/m")).server("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n");
    flow.client(get("/z")).server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    flow.client(get("/b")).server(OK);
    clean(&flow);
    assert_eq!(
        summary(&flow),
        ["HEAD /h 200", "HEAD /t 200", "GET /n 204", "GET /m 304", "GET /z 200", "GET /b 200"]
    );
    assert_eq!(flow.sink.calls[0].int(f::RESPONSE_BODY_SIZE), Some(0));
    assert!(flow.sink.calls[0].get(f::RESPONSE_BODY).is_none());
}

#[test]
fn large_bodies_are_not_wanted_and_cost_no_memory() {
    let mut flow = flow();
    let size = 1_u64 << 30;
    flow.client(get("/big")).server(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
    flow.server(vec![b'a'; 100_000]);
    assert_eq!(flow.skipping(Role::Server), size - 100_000);
    let piece = vec![b'b'; 1 << 20];
    while flow.skipping(Role::Server) > piece.len() as u64 {
        flow.at(50).server(&piece);
        assert!(flow.dissector().memory() < 256 << 10);
    }
    let last = usize::try_from(flow.skipping(Role::Server)).unwrap();
    flow.at(99).server(&piece[..last]);
    flow.client(get("/next")).server(OK);
    assert_eq!(summary(&flow), ["GET /big 200", "GET /next 200"]);
    let call = &flow.sink.calls[0];
    assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(1 << 30));
    assert_eq!(call.text(f::RESPONSE_BODY).len(), 64 << 10);
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED) && call.incomplete.is_none());
    assert_eq!(call.ttlb_us, Some(99));
    assert_eq!(call.response_bytes, Some((1 << 30) + call.int(f::RESPONSE_HEADERS_SIZE).unwrap()));
    assert_eq!(flow.sink.problems[&Problem::PayloadLimit], (1, size - (64 << 10)));
}

#[test]
fn large_chunks_are_not_wanted() {
    let mut flow = flow_with(Limits { payload: 10, ..Limits::default() });
    flow.client(get("/")).server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    flow.server("8\r\n12345678\r\n1000\r\nabcdef");
    assert_eq!(flow.skipping(Role::Server), 0x1000 - 6);
    flow.server(vec![b'x'; 0x1000 - 6]).server("\r\n0\r\n\r\n").client(get("/2")).server(OK);
    assert_eq!(summary(&flow), ["GET / 200", "GET /2 200"]);
    let call = &flow.sink.calls[0];
    assert_eq!(call.text(f::RESPONSE_BODY), "12345678ab");
    assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(0x1008));
    assert!(call.is(f::RESPONSE_BODY_TRUNCATED));
}

#[test]
fn a_body_of_exactly_the_limit_is_whole() {
    let mut flow = flow_with(Limits { payload: 2, ..Limits::default() });
    flow.client(get("/")).server(OK);
    clean(&flow);
    assert!(!only(&flow).is(f::RESPONSE_BODY_TRUNCATED));
}

#[test]
fn encoded_bodies_are_decoded() {
    let gz = {
        use std::io::Write;
        let mut e = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        e.write_all(b"hello gzip").unwrap();
        e.finish().unwrap()
    };
    let mut flow = flow();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\nContent-Length: {}\r\n\r\n", gz.len());
    flow.client(get("/c")).server([head.as_bytes(), &gz].concat());
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n{:x}\r\n", gz.len());
    flow.client(get("/t")).server([head.as_bytes(), &gz, b"\r\n0\r\n\r\n"].concat());
    clean(&flow);
    for call in &flow.sink.calls {
        assert_eq!(call.text(f::RESPONSE_BODY), "hello gzip");
        assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(gz.len() as i64));
        assert!(!call.is(f::RESPONSE_BODY_TRUNCATED));
    }
    let request =
        format!("POST /r HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", gz.len());
    flow.client([request.as_bytes(), &gz].concat()).server(OK);
    assert_eq!(flow.sink.calls[2].text(f::REQUEST_BODY), "hello gzip");
}

#[test]
fn broken_encodings_keep_the_raw_bytes() {
    let mut flow = flow();
    flow.client(get("/"))
        .server("HTTP/1.1 200 OK\r\nContent-Encoding: br, made-up\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(only(&flow).text(f::RESPONSE_BODY), "abc");
    assert_eq!(count(&flow, Problem::BadEncoding), 1);
}

#[test]
fn hostile_lengths_allocate_nothing() {
    for body in [
        format!("Content-Length: {}\r\n\r\n", i64::MAX),
        "Transfer-Encoding: chunked\r\n\r\n7ffffffffffffff\r\n".to_owned(),
    ] {
        let mut flow = flow();
        flow.client(get("/")).server(format!("HTTP/1.1 200 OK\r\n{body}abc"));
        assert!(flow.dissector().memory() < 64 << 10);
        flow.close(Ending::Closed);
        assert_eq!(summary(&flow), ["GET / 200 truncated"]);
        assert_eq!(only(&flow).int(f::RESPONSE_BODY_SIZE), Some(3));
    }
}
