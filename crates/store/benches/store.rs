//! Measures the store: `cargo bench -p remora-store`. Prints one line for each measurement.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::*;
use remora_model::field as f;
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
