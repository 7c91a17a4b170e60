//! A connection with small messages costs no allocation per call, whatever the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, unsafe_code)]

mod support;
#[path = "support/http2.rs"]
mod wire;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::harness::Harness;
use remora_dissect::{
    Limits, Problem, Sink, amqp, cassandra, dns, http, http2, icmp, kafka, memcached, mongodb, mqtt, mysql,
    nats, postgresql, redis,
};
use remora_model::{BatchSet, Call, CallId, CaptureSource, Endpoint, FlowRow, Sides, Timestamp, Transport};
use support::packets::{ACK, SYN, client, server, tcp};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every request is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn call(&mut self, call: &Call<'_>) {
        assert!(call.incomplete.is_none() && call.fields.len() >= 3);
        self.0 += 1;
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, _: u64) {
        panic!("{problem:?}");
    }
}

const REQUEST: &[u8] =
    b"GET /api/items?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: */*\r\nCookie: session=0123456789abcdef\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
const WITH_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 04:40:49 GMT\r\n\
    Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\n{\"items\":[1,2,3]";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nTransfer-Encoding: chunked\r\n\r\n\
    8\r\n{\"items\"\r\n8\r\n:[1,2,3]\r\n0\r\n\r\n";

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
fn dns_does_not_allocate_once_the_buffers_are_there() {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\0\0\x01\0\x01";
    let mut response = b"\x12\x34\x81\x80\0\x01\0\x02\0\0\0\0\x03www\x07example\0\0\x01\0\x01".to_vec();
    response.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10");
    response.extend(b"\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01");
    let mut flow = Harness::with(&dns::ENTRY, Transport::Udp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(query).server(&response);
    };
    (0..10).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 110);
}

#[test]
fn icmp_does_not_allocate_once_the_buffers_are_there() {
    let echo = |kind: u8, seq: u8| [kind, 0, 0, 0, 0, 7, 0, seq, 1, 2, 3, 4];
    // Port unreachable, with the datagram that caused it.
    let mut error =
        vec![3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 1, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    error.extend_from_slice(&[0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    let mut flow = Harness::with(&icmp::ENTRY, Transport::Icmp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(echo(8, 1)).client(echo(8, 2)).server(echo(0, 2)).server(echo(0, 1)).server(&error);
    };
    (0..10).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 330);
}

#[test]
fn redis_does_not_allocate_once_the_buffers_are_there() {
    const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$9\r\nsession:1\r\n";
    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$9\r\nsession:1\r\n$5\r\nvalue\r\n";
    let pipelined = [GET, SET, GET].concat();
    let mut flow = Harness::with(&redis::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(SET).server(b"+OK\r\n").client(GET).server(b"$5\r\nvalue\r\n");
        flow.client(&pipelined).server(b"$5\r\nvalue\r\n+OK\r\n*2\r\n:1\r\n$3\r\na b\r\n");
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 600);
}

#[test]
fn kafka_does_not_allocate_once_the_buffers_are_there() {
    let request = |key: u8, version: u8, id: u8, body: &[u8]| {
        let head = [0, key, 0, version, 0, 0, 0, id, 0, 4, b't', b'e', b's', b't'];
        [&(head.len() as u32 + body.len() as u32).to_be_bytes()[..], &head, body].concat()
    };
    let response =
        |id: u8, body: &[u8]| [&(4 + body.len() as u32).to_be_bytes()[..], &[0, 0, 0, id], body].concat();
    // Produce with one batch of one record, and Heartbeat twice in one segment.
    let mut batch = [0; 61];
    batch[11] = 49 + 9;
    batch[16] = 2;
    batch[60] = 1;
    let record = [&batch[..], b"\x10\0\0\0\x02k\x02v\0"].concat();
    let mut produce = b"\xff\xff\0\x01\0\0\x03\xe8\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0".to_vec();
    produce.extend((record.len() as u32).to_be_bytes());
    produce.extend(&record);
    let produce = request(0, 3, 1, &produce);
    let produced = response(
        1,
        b"\0\0\0\x01\0\x06orders\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
    );
    let beat = |id| request(12, 0, id, b"\0\x01g\0\0\0\x01\0\x01m");
    let beats = [beat(2), beat(3)].concat();
    let mut flow = Harness::with(&kafka::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let beaten = [response(2, b"\0\0"), response(3, b"\0\0")];
    let mut round = || {
        flow.client(&produce).server(&produced);
        flow.client(&beats).server(&beaten[0]).server(&beaten[1]);
    };
    // The spare requests take turns, until the buffers of each are large enough.
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 420);
}

#[test]
fn mongodb_does_not_allocate_once_the_buffers_are_there() {
    let frame = |id: i32, to: i32, doc: &[u8]| {
        let len = 16 + 5 + doc.len() as i32;
        let head: Vec<u8> = [len, id, to, 2013, 0].into_iter().flat_map(i32::to_le_bytes).collect();
        [&head[..], b"\0", doc].concat()
    };
    let find = b"\x2a\0\0\0\x02find\0\x06\0\0\0users\0\x02$db\0\x05\0\0\0shop\0\x10n\0\x05\0\0\0\0";
    let found = b"\x15\0\0\0\x01ok\0\0\0\0\0\0\0\xf0\x3f\x0an\0\0";
    let (find, found) = (fit(find), fit(found));
    let mut flow = Harness::with(&mongodb::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let two = [frame(1, 0, &find), frame(2, 0, &find)].concat();
    let (first, second) = (frame(11, 1, &found), frame(12, 2, &found));
    let mut round = || {
        flow.client(&two).server(&first).server(&second);
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 280);
}

/// A document with its length in front.
fn fit(document: &[u8]) -> Vec<u8> {
    let mut out = document.to_vec();
    let len = out.len() as i32;
    out[..4].copy_from_slice(&len.to_le_bytes());
    out
}

#[test]
fn memcached_does_not_allocate_once_the_buffers_are_there() {
    let mut flow = Harness::with(&memcached::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(b"set session:1 0 60 5\r\nvalue\r\n").server(b"STORED\r\n");
        flow.client(b"get session:1 session:2\r\nincr n 1\r\n");
        flow.server(b"VALUE session:1 0 5\r\nvalue\r\nEND\r\n5\r\n");
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 360);
}

#[test]
fn cassandra_does_not_allocate_once_the_buffers_are_there() {
    let envelope = |version: u8, stream: u8, opcode: u8, body: &[u8]| {
        [&[version, 0, 0, stream, opcode, 0, 0, 0, body.len() as u8][..], body].concat()
    };
    let query = |stream| envelope(4, stream, 7, b"\0\0\0\x0fSELECT a FROM b\0\x01\0");
    let rows = |stream| {
        let head = b"\0\0\0\x02\0\0\0\x01\0\0\0\x02\0\x02ks\0\x01t\0\x01c\0\x0d\0\x01d\0\x09\0\0\0\x01";
        envelope(0x84, stream, 8, &[&head[..], b"\0\0\0\x02ab\0\0\0\x04\0\0\0\x07"].concat())
    };
    let mut flow = Harness::with(&cassandra::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let (two, first, second) = ([query(1), query(2)].concat(), rows(2), rows(1));
    let mut round = || {
        flow.client(&two).server(&first).server(&second);
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 280);
}

/// Packets of keep-alive connections, each with the pieces of its messages one after the other.
struct Connections {
    packets: Vec<Vec<u8>>,
    now: i64,
}

impl Connections {
    const COUNT: u16 = 40;

    fn open(engine: &mut Engine, sink: &mut dyn Sink) -> Self {
        for n in 0..Self::COUNT {
            let from = Endpoint { port: 20_000 + n, ..client() };
            for p in [tcp(from, server(), 0, 0, SYN, b""), tcp(server(), from, 0, 1, SYN | ACK, b"")] {
                engine.packet(Timestamp(1_000_000_000), &p, p.len() as u32, sink);
            }
        }
        Self { packets: Vec::new(), now: 1_000_000_000 }
    }

    /// The packets of the `round`th call on every connection: each message in two pieces on every
    /// other connection, an acknowledgement of its own behind it.
    fn prepare(&mut self, round: u32) {
        self.packets.clear();
        let lens = [REQUEST.len() as u32, WITH_LENGTH.len() as u32];
        let [up, down] = lens.map(|len| 1 + round * len);
        for n in 0..Self::COUNT {
            let from = Endpoint { port: 20_000 + n, ..client() };
            let cut = if n % 2 == 0 { 0 } else { 40 };
            for (from, to, seq, ack, message) in
                [(from, server(), up, down, REQUEST), (server(), from, down, up + lens[0], WITH_LENGTH)]
            {
                let (a, b) = message.split_at(cut);
                if cut > 0 {
                    self.packets.push(tcp(from, to, seq, ack, ACK, a));
                }
                self.packets.push(tcp(from, to, seq + cut as u32, ack, ACK, b));
                self.packets.push(tcp(to, from, ack, seq + message.len() as u32, ACK, b""));
            }
        }
    }

    fn send(&mut self, engine: &mut Engine, sink: &mut dyn Sink) {
        for p in &self.packets {
            self.now += 10_000;
            engine.packet(Timestamp(self.now), p, p.len() as u32, sink);
        }
    }
}

#[test]
fn the_engine_does_not_allocate_per_packet() {
    let mut engine = Engine::new(Limits::default(), CaptureSource::Ebpf, FlowIds::new(1, 1));
    let mut count = Count::default();
    let mut connections = Connections::open(&mut engine, &mut count);
    let mut allocations = 0;
    for round in 0..50 {
        connections.prepare(round);
        let before = ALLOCATIONS.get();
        connections.send(&mut engine, &mut count);
        if round >= 10 {
            allocations += ALLOCATIONS.get() - before;
        }
    }
    assert_eq!(count.0, 50 * u64::from(Connections::COUNT));
    assert_eq!(allocations, 0);
}

/// Makes rows as the agent does, without owners.
struct Rows {
    set: BatchSet,
    calls: i64,
}

impl Sink for Rows {
    fn call(&mut self, call: &Call<'_>) {
        self.calls += 1;
        self.set.call(CallId(self.calls), call, &Sides::default());
    }
    fn flow(&mut self, row: &FlowRow<'_>) {
        self.set.flow(row, &Sides::default());
    }
    fn problem(&mut self, problem: Problem, _: u64) {
        panic!("{problem:?}");
    }
}

#[test]
fn rows_allocate_per_batch_and_not_per_call() {
    let mut engine = Engine::new(Limits::default(), CaptureSource::Ebpf, FlowIds::new(1, 1));
    let mut rows = Rows { set: BatchSet::new("n1"), calls: 0 };
    let mut connections = Connections::open(&mut engine, &mut rows);
    const BATCH: u32 = 50;
    let mut each = Vec::new();
    for batch in 0..4 {
        let mut allocations = 0;
        for round in 0..BATCH {
            connections.prepare(batch * BATCH + round);
            let before = ALLOCATIONS.get();
            connections.send(&mut engine, &mut rows);
            allocations += ALLOCATIONS.get() - before;
        }
        rows.set.take().unwrap();
        each.push(allocations);
    }
    assert_eq!(rows.calls, 4 * i64::from(BATCH) * i64::from(Connections::COUNT));
    // The first batch finds out how much room there must be. The others make room once for each
    // vector of a column that has values.
    assert!(each[1..].iter().all(|&n| n <= 120), "{each:?} allocations for {BATCH} calls x 40");
    assert!(each[1] < each[0], "{each:?}");
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
    const SET: &[u8] = include_bytes!("corpus/http2/typed.set");
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

#[test]
fn postgresql_does_not_allocate_once_the_buffers_are_there() {
    const SIMPLE: &[u8] = b"Q\0\0\0\x1bSELECT name FROM t;   \0";
    const ANSWER: &[u8] = b"T\0\0\0\x1d\0\x01name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0\
        D\0\0\0\x0d\0\x01\0\0\0\x03abcC\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    const EXTENDED: &[u8] = b"P\0\0\0\x16\0SELECT $1::int\0\0\0B\0\0\0\x11\0\0\0\0\0\x01\0\0\0\x017\0\0\
        E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
    const BOUND: &[u8] =
        b"1\0\0\0\x042\0\0\0\x04D\0\0\0\x0b\0\x01\0\0\0\x017C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I";
    let mut flow = Harness::with(&postgresql::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(b"\0\0\0\x20\0\x03\0\0user\0ada\0database\0shop\0\0".as_slice());
    flow.server(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
    let mut round = || {
        flow.client(SIMPLE).server(ANSWER).client(EXTENDED).server(BOUND);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 241);
}

#[test]
fn mysql_does_not_allocate_once_the_buffers_are_there() {
    const QUERY: &[u8] = b"\x13\0\0\0\x03SELECT name FROM t";
    const ANSWER: &[u8] =
        b"\x01\0\0\x01\x01\x1a\0\0\x02\x03def\0\0\0\x04name\0\x0c\x21\0\x04\0\0\0\xfd\0\0\0\0\0\
        \x05\0\0\x03\xfe\0\0\x02\0\x04\0\0\x04\x03abc\x05\0\0\x05\xfe\0\0\x02\0";
    const PING: &[u8] = b"\x01\0\0\0\x0e";
    const OK: &[u8] = b"\x07\0\0\x01\0\0\0\x02\0\0\0";
    let mut flow = Harness::with(&mysql::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(QUERY).server(ANSWER).client(PING).server(OK).client(PING).server(OK);
    };
    (0..20).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    // The last call of a connection that was joined in the middle waits to be certain.
    assert!((300..=360).contains(&flow.sink.0), "{}", flow.sink.0);
}

#[test]
fn amqp_does_not_allocate_once_the_buffers_are_there() {
    const GET: &[u8] = b"\x01\0\x01\0\0\0\x0c\0\x3c\0\x46\0\0\x04jobs\0\xce";
    const GOT: &[u8] = b"\x01\0\x01\0\0\0\x1a\0\x3c\0\x47\0\0\0\0\0\0\0\x01\0\x06orders\x01k\0\0\0\x02\xce\
        \x02\0\x01\0\0\0\x19\0\x3c\0\0\0\0\0\0\0\0\0\x02\x80\0\x0atext/plain\xce\
        \x03\0\x01\0\0\0\x02hi\xce";
    const PUBLISH: &[u8] = b"\x01\0\x01\0\0\0\x10\0\x3c\0\x28\0\0\x06orders\x01k\0\xce\
        \x02\0\x01\0\0\0\x23\0\x3c\0\0\0\0\0\0\0\0\0\x02\x20\0\0\0\0\x11\x05traceS\0\0\0\x06abc123\xce\
        \x03\0\x01\0\0\0\x02hi\xce";
    const ACK: &[u8] = b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0\xce";
    let mut flow = Harness::with(&amqp::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    let mut round = || {
        flow.client(GET).server(GOT).client(PUBLISH).client(ACK);
        flow.client(PUBLISH).client(PUBLISH);
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 700);
}

#[test]
fn mqtt_does_not_allocate_once_the_buffers_are_there() {
    const CONNECT: &[u8] = b"\x10\x11\0\x04MQTT\x05\x02\0\x3c\0\0\x04test";
    let mut flow = Harness::with(&mqtt::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(CONNECT).server(b"\x20\x03\0\0\0");
    let mut round = || {
        flow.client(b"\x30\x0e\0\x03a/b\x06\x26\0\x01k\0\x00hi").client(b"\x32\x0a\0\x03a/b\0\x01\0hi");
        flow.server(b"\x40\x02\0\x01").client(b"\xc0\0").server(b"\xd0\0");
        flow.client(b"\x34\x0a\0\x03a/b\0\x02\0hi").server(b"\x50\x02\0\x02");
        flow.client(b"\x62\x02\0\x02").server(b"\x70\x02\0\x02");
        flow.client(b"\x82\x0c\0\x03\0\0\x06sensor\x01").server(b"\x90\x04\0\x03\0\x01");
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 701);
}

#[test]
fn nats_does_not_allocate_once_the_buffers_are_there() {
    let mut flow = Harness::with(&nats::ENTRY, Transport::Tcp, Limits::default(), Count::default());
    flow.client(b"CONNECT {\"verbose\":false,\"name\":\"shop\"}\r\nSUB _INBOX.> 1\r\n");
    let mut round = || {
        flow.client(b"PUB orders _INBOX.1 2\r\nhi\r\n").server(b"MSG _INBOX.1 1 5\r\nhello\r\n");
        flow.client(b"HPUB news 22 24\r\nNATS/1.0\r\nBar: Baz\r\n\r\nhi\r\n")
            .server(b"MSG news 2 2\r\nhi\r\n");
        flow.server(b"MSG bills 3 _INBOX.2 2\r\nhi\r\n").client(b"PUB _INBOX.2 2\r\nhi\r\n");
    };
    (0..40).for_each(|_| round());
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| round());
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(flow.sink.0, 562);
}
