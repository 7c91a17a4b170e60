//! Rows to put into a store.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use remora_kfl::{Filter, Target, TimeRange};
use remora_model::{
    BatchSet, Call, CallId, CaptureSource, CoverageRow, Endpoint, FlowId, FlowRow, FlowState, Incomplete,
    Protocol, Side, Sides, TableBatch, Timestamp, Transport, ValueRef, field as f, row,
};
use remora_store::{CallsQuery, FlowsQuery, Order, Rank, SourceId, StatsQuery, Store, StoreConfig};

/// When the tests' traffic begins: recent, so that retention by age keeps it.
pub const START: i64 = 1_795_000_000_000_000_000;

pub const SECOND: i64 = 1_000_000_000;

pub fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        retention_age: Duration::from_secs(100 * 365 * 24 * 3600),
        query_threads: 2,
        ..StoreConfig::new(dir)
    }
}

/// A store that seals only when it is told to.
pub fn quiet(dir: &Path) -> StoreConfig {
    StoreConfig { seal_after: Duration::from_secs(3600), ..config(dir) }
}

pub fn source() -> SourceId {
    SourceId::new("agent-1", "boot-1")
}

pub fn endpoint(last: u8, port: u16) -> Endpoint {
    Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port }
}

/// An HTTP call whose values all follow from its number.
pub fn http(set: &mut BatchSet, id: i64) {
    let path = format!("/api/items/{}", id % 50);
    let url = format!("{path}?id={id}&page={}", id % 7);
    let status = if id % 10 == 0 { 500 } else { 200 };
    let body = format!("{{\"item\":{id},\"text\":\"some body that is not too short to compress\"}}");
    let trace = format!("{id:032x}");
    let text = |s: &'static str| ValueRef::Text(s.as_bytes());
    let cookie = format!("session={}; lang=en", id % 100);
    let request: [(&[u8], &[u8]); 3] =
        [(b"host", b"shop.example"), (b"cookie", cookie.as_bytes()), (b"x-request-id", trace.as_bytes())];
    let response: [(&[u8], &[u8]); 2] = [(b"content-type", b"application/json"), (b"server", b"nginx")];
    let fields = [
        (f::METHOD, text(if id % 3 == 0 { "POST" } else { "GET" })),
        (f::URL, ValueRef::Text(url.as_bytes())),
        (f::PATH, ValueRef::Text(path.as_bytes())),
        (f::HOST, text("shop.example")),
        (f::HTTP_VERSION, text("HTTP/1.1")),
        (f::STATUS_CODE, ValueRef::Int(status)),
        (f::REQUEST_HEADERS, ValueRef::Map(&request)),
        (f::RESPONSE_HEADERS, ValueRef::Map(&response)),
        (f::RESPONSE_BODY, ValueRef::Text(body.as_bytes())),
        (f::CONTENT_TYPE, text("application/json")),
        (f::TRACE_ID, ValueRef::Text(trace.as_bytes())),
    ];
    let call = Call {
        protocol: Protocol::Http,
        transport: Transport::Tcp,
        flow: FlowId(id / 10 + 1),
        client: endpoint(1, 40_000),
        server: endpoint(2, 80),
        ts: Timestamp(START + id * 1_000_000),
        elapsed_us: Some(id % 1_000),
        ttlb_us: Some(id % 1_000 + 5),
        request_bytes: Some(300),
        response_bytes: Some(500),
        request_pos: Some(0),
        response_pos: Some(0),
        failed: status >= 500,
        client_error: false,
        incomplete: (id % 97 == 0).then_some(Incomplete::NoResponse),
        tls: false,
        source: if id % 4 == 0 { CaptureSource::EbpfTls } else { CaptureSource::Ebpf },
        fields: &fields,
    };
    let sides = Sides {
        src: Side { process: Some("curl"), pid: Some(1), ..Side::default() },
        dst: Side { process: (id % 2 == 0).then_some("nginx"), ..Side::default() },
    };
    set.call(CallId(id), &call, &sides);
}

pub fn dns(set: &mut BatchSet, id: i64) {
    let name = format!("host{}.example.com", id % 5);
    let fields = [
        (f::DNS_QUESTIONS, ValueRef::List(&[name.as_bytes()])),
        (f::DNS_ANSWERS, ValueRef::List(&[b"10.9.8.7", b"10.9.8.8"])),
        (f::DNS_RCODE, ValueRef::str("NOERROR")),
        (f::STATUS_CODE, ValueRef::Int(0)),
    ];
    let call = Call {
        protocol: Protocol::Dns,
        transport: Transport::Udp,
        flow: FlowId(1_000_000 + id),
        client: endpoint(1, 50_000),
        server: endpoint(53, 53),
        ts: Timestamp(START + id * 1_000_000),
        elapsed_us: Some(100),
        ttlb_us: Some(100),
        request_bytes: Some(40),
        response_bytes: Some(80),
        request_pos: None,
        response_pos: None,
        failed: false,
        client_error: false,
        incomplete: None,
        tls: false,
        source: CaptureSource::Ebpf,
        fields: &fields,
    };
    set.call(CallId(id), &call, &Sides::default());
}

pub fn flow(set: &mut BatchSet, flow: i64, at: i64, state: FlowState) {
    set.flow(
        &FlowRow {
            flow: FlowId(flow),
            transport: Transport::Tcp,
            client: endpoint(1, 40_000),
            server: endpoint(2, 80),
            first_seen: Timestamp(START),
            last_seen: Timestamp(START + at * SECOND),
            state,
            close_reason: None,
            client_packets: at,
            client_bytes: 100 * at,
            server_packets: at,
            server_bytes: 200 * at,
            handshake_rtt_us: Some(150),
            retransmits: 0,
            client_tcp_flags: 27,
            server_tcp_flags: 27,
            missing_bytes: 0,
            l7: &["http"],
            source: CaptureSource::Ebpf,
        },
        &Sides::default(),
    );
}

pub fn coverage(set: &mut BatchSet, at: i64, reason: &str, count: i64) {
    set.coverage(&CoverageRow {
        ts: Timestamp(START + at * SECOND),
        interval_ms: 1_000,
        stage: "captured",
        reason,
        count,
        bytes: count * 100,
    });
}

/// HTTP calls of these numbers in one message.
pub fn calls(ids: impl IntoIterator<Item = i64>) -> Vec<TableBatch> {
    let mut set = BatchSet::new("node-1");
    ids.into_iter().for_each(|id| http(&mut set, id));
    set.take().unwrap()
}

pub fn filter(text: &str) -> Filter {
    remora_kfl::compile(text, Target::Calls, Timestamp(START)).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

pub fn flow_filter(text: &str) -> Filter {
    remora_kfl::compile(text, Target::Flows, Timestamp(START)).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

pub fn query(text: &str) -> CallsQuery {
    CallsQuery {
        filter: filter(text),
        window: TimeRange::default(),
        as_of: Timestamp(START),
        limit: 1_000,
        cursor: None,
        fields: None,
        order: Order::Newest,
    }
}

pub fn flows_query(text: &str) -> FlowsQuery {
    FlowsQuery {
        filter: flow_filter(text),
        window: TimeRange::default(),
        as_of: Timestamp(START),
        limit: 100,
        cursor: None,
        fields: None,
    }
}

pub fn stats_query(text: &str, group_by: &[remora_model::FieldId]) -> StatsQuery {
    StatsQuery {
        filter: filter(text),
        window: TimeRange::default(),
        group_by: group_by.to_vec(),
        limit: 100,
        rank: Rank::Count,
        bucket: None,
    }
}

/// The values of an int column.
pub fn ints(batch: &RecordBatch, name: &str) -> Vec<i64> {
    let column = batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    (0..batch.num_rows()).map(|i| row::value(column.as_ref(), i).and_then(|v| v.as_i64()).unwrap()).collect()
}

/// All ids that match, through pages of `limit`.
pub async fn all_ids(store: &Store, mut query: CallsQuery, limit: usize) -> Vec<i64> {
    query.limit = limit;
    query.fields = Some(vec![f::ID]);
    let mut ids = Vec::new();
    loop {
        let page = store.calls(&query).await.unwrap();
        ids.extend(ints(&page.rows, "id"));
        match page.next {
            Some(c) => query.cursor = Some(c.to_string().parse().unwrap()),
            None => return ids,
        }
    }
}
