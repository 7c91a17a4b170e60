//! HTTP and what travels in it.

use remora_dissect::harness::Harness;
use remora_dissect::{Limits, http, http2};
use remora_model::Transport;

use crate::counting::{ALLOCATIONS, Count};
use crate::messages::{CHUNKED, REQUEST, WITH_LENGTH};
use crate::wire;

#[test]
fn http_does_not_allocate_once_the_buffers_are_there() {
    let mut flow = Harness::with(&http::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let pipelined = [REQUEST; 3].concat();
    let round = |flow: &mut Harness<Count>| {
        flow.client(REQUEST).server(WITH_LENGTH);
        flow.client(REQUEST).server(CHUNKED);
        flow.client(&pipelined).server(WITH_LENGTH).server(CHUNKED).server(WITH_LENGTH);
    };
    // Spare messages take turns, until the buffers of each are large enough.
    (0..10).for_each(|_| round(&mut flow));
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        round(&mut flow);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 550);
}

/// By the reader that `ws::ENTRY` joins a connection with.
#[test]
fn web_socket_does_not_allocate_once_the_buffers_are_there() {
    const ASK: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    const ACCEPT: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let mut flow = Harness::with(&http::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(ASK).server(ACCEPT);
    let mut round = || {
        flow.client(b"\x81\x85\x01\x02\x03\x04ignoh\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b\x89\x80\0\0\0\0");
        // Compressed: RFC 7692 section 7.2.3.1.
        flow.server(b"\x8a\x00\x82\x03abc\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
    };
    // The history of compressed messages grows to its window.
    (0..10_000).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 1 + 5 * 10_100);
}

#[test]
fn http2_does_not_allocate_once_the_buffers_are_there() {
    use wire::{DATA, END_STREAM, Encoder, frame, get, hello, message, rpc, settings};
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(hello()).server(settings());
    // Three streams at a time, one of them of gRPC; written before allocations are counted.
    let more = |mut fields: Vec<(&'static str, &'static str)>| {
        fields.extend([("user-agent", "curl/8.5.0"), ("cookie", "session=0123456789abcdef")]);
        fields
    };
    let ok =
        [(":status", "200"), ("content-type", "application/grpc"), ("server", "nginx"), ("date", "today")];
    let rounds: Vec<[Vec<u8>; 3]> = (0..120)
        .map(|n| {
            let id = |i: u32| 6 * n + 2 * i + 1;
            let requests = [
                c.headers(id(0), END_STREAM, &more(get("/api/items?page=2"))),
                c.headers(id(1), END_STREAM, &more(get("/other"))),
                c.headers(id(2), 0, &more(rpc("/shop.Cart/Add"))),
                frame(DATA, END_STREAM, id(2), &message(0, b"\x0a\x05apple\x10\x07")),
            ];
            let first = [
                s.headers(id(2), 0, &ok),
                frame(DATA, 0, id(2), &message(0, b"\x08\x01")),
                s.headers(id(0), 0, &[ok[0], ok[2], ok[3]]),
                frame(DATA, END_STREAM, id(0), b"{\"items\":[1,2,3]}"),
            ];
            let second = [
                s.headers(id(2), END_STREAM, &[("grpc-status", "0"), ("grpc-message", "")]),
                s.headers(id(1), END_STREAM, &[ok[0]]),
            ];
            [requests.concat(), first.concat(), second.concat()]
        })
        .collect();
    let play = |flow: &mut Harness<Count>, round: &[Vec<u8>; 3]| {
        flow.client(&round[0]).server(&round[1]).server(&round[2]);
    };
    rounds[..20].iter().for_each(|r| play(&mut flow, r));
    let before = ALLOCATIONS.get();
    rounds[20..].iter().for_each(|r| play(&mut flow, r));
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 360);
}

#[test]
fn messages_with_a_schema_are_shown_without_allocations() {
    use wire::{DATA, END_STREAM, Encoder, frame, hello, message, rpc, settings};
    const SET: &[u8] = include_bytes!("../corpus/http2/typed.set");
    // A string, a nested message, packed numbers, a map, a time, an enum, bytes; and out of order.
    const KINDS: &[u8] =
        b"\x72\x02hi\x8a\x01\x03\x0a\x01a\x92\x01\x02\x01\x02\xb2\x01\x08\x0a\x01k\x12\x03\x0a\x01v\
        \xf2\x01\x02\x08\x01\x80\x01\x01\x7a\x02\xff\x00\x09\0\0\0\0\0\0\xf0\x3f";
    let (mut c, mut s) = (Encoder::default(), Encoder::default());
    let limits = Limits { schemas: remora_dissect::Schemas::parse(SET).unwrap(), ..Limits::default() };
    let mut flow = Harness::with(&http2::ENTRY, Transport::Tcp, limits, Count::default());
    flow.client(hello()).server(settings());
    let rounds: Vec<[Vec<u8>; 2]> = (0..120)
        .map(|n| {
            let id = 2 * n + 1;
            let asked = [
                c.headers(id, 0, &rpc("/remora.typed.Typed/Echo")),
                frame(DATA, END_STREAM, id, &message(0, KINDS)),
            ];
            let answered = [
                s.headers(id, 0, &[(":status", "200"), ("content-type", "application/grpc")]),
                frame(DATA, 0, id, &message(0, KINDS)),
                s.headers(id, END_STREAM, &[("grpc-status", "0")]),
            ];
            [asked.concat(), answered.concat()]
        })
        .collect();
    let play = |flow: &mut Harness<Count>, round: &[Vec<u8>; 2]| {
        flow.client(&round[0]).server(&round[1]);
    };
    rounds[..20].iter().for_each(|r| play(&mut flow, r));
    let before = ALLOCATIONS.get();
    rounds[20..].iter().for_each(|r| play(&mut flow, r));
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 120);
}
