//! Measures the store: `cargo bench -p remora-store`. Prints one line for each measurement.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, TimestampNanosecondArray};
use common::*;
use remora_model::{
    BatchSet, Call, CallId, CaptureSource, FlowId, Protocol, Side, Sides, TableBatch, Timestamp, Transport,
    ValueRef, field as f,
};
use remora_store::{Rank, Store, StoreConfig};

const ROWS: i64 = 2_000_000;
const MESSAGE: i64 = 1_000;

fn main() {
    // `cargo test` runs benches without this flag, to see that they build.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(run());
}

async fn run() {
    if !std::env::args().any(|a| a == "--queries") {
        one_service().await;
    }
    if std::env::args().any(|a| a == "--ingest") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store =
        Store::open(StoreConfig { query_deadline: Duration::from_secs(300), ..config(dir.path()) }).unwrap();
    let (mut building, mut appending) = (Duration::ZERO, Duration::ZERO);
    let started = Instant::now();
    for seq in 1..=ROWS / MESSAGE {
        let start = Instant::now();
        let message = calls((seq - 1) * MESSAGE..seq * MESSAGE);
        building += start.elapsed();
        let start = Instant::now();
        store.append(&source(), seq as u64, message).await.unwrap();
        appending += start.elapsed();
    }
    store.flush().await.unwrap();
    let wall = started.elapsed().as_secs_f64();
    let m = store.metrics();
    let rows = ROWS as f64;
    println!("rows built            {:>10.0} rows/s", rows / building.as_secs_f64());
    println!(
        "append alone          {:>10.0} rows/s (waiting for the seal included)",
        rows / appending.as_secs_f64()
    );
    println!("build, append, durable{:>10.0} rows/s", rows / wall);
    println!(
        "seal                  {:>10.0} rows/s, {} seals, {:.1} bytes/row on disk",
        rows / (m.seal_micros as f64 / 1e6),
        m.seals,
        m.sealed_bytes as f64 / rows
    );
    measure(&store, "before merging").await;
    // Merging has ended when it finds nothing for a while.
    let mut last = (0, Instant::now());
    while last.1.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if store.metrics().merges != last.0 {
            last = (store.metrics().merges, Instant::now());
        }
    }
    let m = store.metrics();
    println!(
        "merge                 {:>10.0} rows/s, {} merges, {} rows rewritten, {:.1} bytes/row, {} segments left",
        m.merged_rows as f64 / (m.merge_micros as f64 / 1e6),
        m.merges,
        m.merged_rows,
        m.segment_bytes as f64 / rows,
        m.segments
    );
    measure(&store, "after merging").await;
    store.close().await.unwrap();
}

/// What a load generator on one service makes: rows that differ in times and positions only, from
/// two shards. What is measured is the processor time from the finished batch to the segment.
async fn one_service() {
    const BATCH: i64 = 8_192;
    const BATCHES: i64 = 160;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(config(dir.path())).unwrap();
    let shards = [served(0, BATCH), served(1, BATCH)];
    let started = cpu();
    for seq in 0..BATCHES {
        let template = &shards[(seq % 2) as usize];
        let message = vec![renumbered(template, seq * BATCH)];
        let taken = store.append(&source(), seq as u64 + 1, message).await;
        taken.unwrap_or_else(|e| panic!("{e}: {:?}", store.metrics().condition));
    }
    store.flush().await.unwrap();
    let sealed = cpu();
    let rows = (BATCH * BATCHES) as f64;
    let per_row = |d: Duration| d.as_secs_f64() * 1e6 / rows;
    let m = store.metrics();
    println!(
        "append and seal       {:>10.3} us of CPU per row, {} seals, {:.1} bytes/row, {} bytes/row in memory",
        per_row(sealed - started),
        m.seals,
        m.sealed_bytes as f64 / rows,
        m.appended_bytes / m.appended_rows
    );
    let mut last = (0, Instant::now());
    while last.1.elapsed() < Duration::from_secs(6) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if store.metrics().merges != last.0 {
            last = (store.metrics().merges, Instant::now());
        }
    }
    let m = store.metrics();
    println!(
        "merge                 {:>10.3} us of CPU per row, {} merges, {:.1} bytes/row, {} segments left",
        per_row(cpu() - sealed),
        m.merges,
        m.segment_bytes as f64 / rows,
        m.segments
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default());
    store.close().await.unwrap();
}

/// Rows of one shard.
fn served(shard: i64, rows: i64) -> TableBatch {
    let text = |s: &'static str| ValueRef::Text(s.as_bytes());
    let request: [(&[u8], &[u8]); 1] = [(b"host", b"127.0.0.1:8080")];
    let response: [(&[u8], &[u8]); 5] = [
        (b"server", b"nginx/1.22.1"),
        (b"date", b"Sat, 21 Nov 2026 06:45:59 GMT"),
        (b"content-type", b"application/json"),
        (b"content-length", b"150"),
        (b"connection", b"keep-alive"),
    ];
    let body = format!("{{\"id\":4711,\"name\":\"remora\",\"note\":\"{}\"}}", "x".repeat(110));
    let fields = [
        (f::METHOD, text("GET")),
        (f::URL, text("/bench?n=1")),
        (f::PATH, text("/bench")),
        (f::HOST, text("127.0.0.1")),
        (f::HTTP_VERSION, text("HTTP/1.1")),
        (f::STATUS_CODE, ValueRef::Int(200)),
        (f::REQUEST_HEADERS, ValueRef::Map(&request)),
        (f::RESPONSE_HEADERS, ValueRef::Map(&response)),
        (f::RESPONSE_BODY, ValueRef::Text(body.as_bytes())),
        (f::REQUEST_HEADERS_SIZE, ValueRef::Int(50)),
        (f::REQUEST_BODY_SIZE, ValueRef::Int(0)),
        (f::RESPONSE_HEADERS_SIZE, ValueRef::Int(155)),
        (f::RESPONSE_BODY_SIZE, ValueRef::Int(150)),
        (f::REQUEST_BODY_TRUNCATED, ValueRef::Bool(false)),
        (f::RESPONSE_BODY_TRUNCATED, ValueRef::Bool(false)),
        (f::CONTENT_TYPE, text("application/json")),
    ];
    let cgroup = Some("/system.slice/nginx.service");
    let sides = Sides {
        src: Side { process: Some("wrk"), pid: Some(4_711), cgroup, ..Side::default() },
        dst: Side { process: Some("nginx"), pid: Some(815), cgroup, ..Side::default() },
    };
    let mut set = BatchSet::new("node-1");
    for i in 0..rows {
        let connection = (i * 7 + i / 5) % 16 * 2 + shard;
        let elapsed = 80 + (i * 7_919) % 211;
        let call = Call {
            protocol: Protocol::Http,
            transport: Transport::Tcp,
            flow: FlowId(connection + 1),
            client: endpoint(1, 40_000 + connection as u16),
            server: endpoint(2, 80),
            ts: Timestamp(0),
            elapsed_us: Some(elapsed),
            ttlb_us: Some(elapsed),
            request_bytes: Some(50),
            response_bytes: Some(305),
            request_pos: Some(i / 16 * 50),
            response_pos: Some(i / 16 * 305),
            failed: false,
            client_error: false,
            incomplete: None,
            tls: false,
            source: CaptureSource::Ebpf,
            fields: &fields,
        };
        set.call(CallId(i), &call, &sides);
    }
    set.take().unwrap().remove(0)
}

/// The same rows with other ids and times.
fn renumbered(of: &TableBatch, first: i64) -> TableBatch {
    let rows = of.batch.num_rows() as i64;
    let schema = of.batch.schema();
    let mut columns = of.batch.columns().to_vec();
    let ids = Int64Array::from_iter_values(first..first + rows);
    let ts =
        TimestampNanosecondArray::from_iter_values((first..first + rows).map(|i| START + i * 8_700 + i % 97));
    columns[schema.index_of("id").unwrap()] = Arc::new(ids);
    columns[schema.index_of("ts").unwrap()] = Arc::new(ts);
    TableBatch { batch: RecordBatch::try_new(schema, columns).unwrap(), ..of.clone() }
}

/// Processor time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of a hundredth of a second.
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

async fn measure(store: &Store, when: &str) {
    println!("-- {when}: {} segments", store.metrics().segments);
    let page = |text: &str| {
        let mut q = query(text);
        q.limit = 50;
        q
    };
    for (name, text) in [
        ("newest 50, no filter", ""),
        ("newest 50, status 500", "status_code == 500 && path == \"/api/items/20\""),
        ("newest 50, rare trace", "trace_id == \"0000000000000000000000000000002a\""),
        ("newest 50, body text", "response.body.contains(\"\\\"item\\\":777,\")"),
        ("newest 50, header", "request.headers[\"x-request-id\"] == \"000000000000000000000000000f4240\""),
        ("newest 50, nothing", "path == \"/nowhere\""),
    ] {
        let q = page(text);
        report(name, 3, async || store.calls(&q).await.unwrap().cost.bytes_scanned).await;
    }
    let by_path = remora_store::StatsQuery { rank: Rank::Count, ..stats_query("", &[f::PATH]) };
    report("stats by path", 3, async || store.stats(&by_path).await.unwrap().cost.bytes_scanned).await;
    let failed = stats_query("status_code >= 500", &[f::METHOD]);
    report("stats of failures", 3, async || store.stats(&failed).await.unwrap().cost.bytes_scanned).await;
    report("one call by id", 3, async || store.call(1_234_567).await.unwrap().num_rows() as u64).await;
}

async fn report(name: &str, times: u32, run: impl AsyncFn() -> u64) {
    let (mut best, mut result) = (Duration::MAX, 0);
    for _ in 0..times {
        let start = Instant::now();
        result = run().await;
        best = best.min(start.elapsed());
    }
    println!("{name:<22}{:>8.1} ms  ({result} bytes or rows)", best.as_secs_f64() * 1e3);
}
