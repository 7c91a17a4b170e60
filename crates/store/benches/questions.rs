//! The store's part of `cargo xtask bench store`: fills a store with made-up traffic and asks it a set of
//! questions (`questions.json`), which xtask asks DuckDB as well. Prints JSON, a line for each thing measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use remora_kfl::{Target, TimeRange};
use remora_model::{BatchSet, TableBatch, Timestamp, field as f, row};
use remora_store::{CallsQuery, Order, Rank, SourceId, SqlQuery, StatsQuery, Store, StoreConfig};
use remora_synth::Traffic;
use serde_json::{Value, json};

/// When the traffic begins: a fixed instant, so that runs can be compared.
const START: Timestamp = Timestamp(1_795_000_000_000_000_000);

/// Calls of one message, as an agent sends them.
const MESSAGE: usize = 8_192;

/// Columns of a page.
const COLUMNS: [remora_model::FieldId; 9] = [
    f::ID,
    f::TS,
    f::SRC_NAME,
    f::DST_NAME,
    f::PROTOCOL,
    f::ELAPSED_TIME,
    f::FAILED,
    f::REQUEST_BYTES,
    f::RESPONSE_BYTES,
];

fn main() {
    // `cargo test` runs benches without this flag, to see that they build.
    let args: Vec<String> = std::env::args().collect();
    if !args.iter().any(|a| a == "--bench") {
        return;
    }
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1)).cloned();
    let number = |name: &str, default: u64| value(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let dir = PathBuf::from(value("--dir").unwrap_or_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match value("--do").as_deref() {
            Some("ingest") => ingest(&dir, number("--calls", 200_000) as usize).await,
            Some("fill") => fill(&dir, number("--calls", 1_000_000) as usize, number("--seed", 1)).await,
            Some("ask") => ask(&dir, Path::new(&value("--questions").unwrap()), number("--rounds", 5)).await,
            _ => println!("--do ingest, fill or ask, --dir DIR"),
        }
    });
}

/// The defaults, but nothing is deleted.
fn config(dir: &Path) -> StoreConfig {
    StoreConfig {
        retention_bytes: u64::MAX,
        retention_age: Duration::from_secs(100 * 365 * 24 * 3600),
        query_deadline: Duration::from_secs(300),
        ..StoreConfig::new(dir.join("store"))
    }
}

fn source() -> SourceId {
    SourceId::new("agent-1", "boot-1")
}

/// Processor time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // Fields 14 and 15 of proc_pid_stat(5), in ticks of a hundredth of a second.
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// The most memory that this process had resident, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or(0) * 1024
}

fn message(traffic: &mut Traffic, calls: usize) -> Vec<TableBatch> {
    let mut set = BatchSet::new("node-1");
    traffic.add(&mut set, calls);
    set.take().unwrap()
}

/// Waits until nothing was merged for a while.
async fn merged(store: &Store) {
    let mut last = (0, Instant::now());
    while last.1.elapsed() < Duration::from_secs(4) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let merges = store.metrics().merges;
        if merges != last.0 {
            last = (merges, Instant::now());
        }
    }
}

/// Processor time from finished batches to segments, and to merged ones.
async fn ingest(dir: &Path, calls: usize) {
    let mut traffic = Traffic::new(1, START);
    let messages: Vec<_> = (0..calls.div_ceil(MESSAGE)).map(|_| message(&mut traffic, MESSAGE)).collect();
    for round in 0..3 {
        let dir = dir.join(format!("ingest-{round}"));
        let store = Store::open(config(&dir)).unwrap();
        let before = cpu();
        for (seq, message) in (1..).zip(&messages) {
            store.append(&source(), seq, message.clone()).await.unwrap();
        }
        store.flush().await.unwrap();
        let sealed = cpu();
        merged(&store).await;
        let rows = (messages.len() * MESSAGE) as f64;
        println!(
            "{}",
            json!({"sealed_per_s": rows / (sealed - before), "merged_per_s": rows / (cpu() - before)})
        );
        store.close().await.unwrap();
        std::fs::remove_dir_all(dir).unwrap();
    }
}

async fn fill(dir: &Path, calls: usize, seed: u64) {
    let store = Store::open(StoreConfig { merge_cpu_percent: 100, ..config(dir) }).unwrap();
    let mut traffic = Traffic::new(seed, START);
    let started = Instant::now();
    for seq in 1..=calls.div_ceil(MESSAGE) {
        let rest = calls - (seq - 1) * MESSAGE;
        let message = message(&mut traffic, rest.min(MESSAGE));
        store.append(&source(), seq as u64, message).await.unwrap();
    }
    store.flush().await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    merged(&store).await;
    let m = store.metrics();
    let needles = needles(&store, &traffic).await;
    std::fs::write(dir.join("needles.json"), needles.to_string()).unwrap();
    let filled = json!({
        "calls": traffic.calls(),
        "seconds": seconds,
        "wire_bytes": traffic.wire_bytes(),
        "disk_bytes": m.segment_bytes,
        "sealed_bytes": m.sealed_bytes,
        "segments": m.segments,
        "merges": m.merges,
        "memory": peak_memory(),
    });
    println!("{filled}");
    store.close().await.unwrap();
}

/// Values of calls in the middle that the questions ask for.
async fn needles(store: &Store, traffic: &Traffic) -> Value {
    let third = START.plus(Duration::from_nanos((traffic.now().0 - START.0) as u64 / 3));
    let first = async |text: &str| {
        let query = CallsQuery {
            window: TimeRange { from: Some(third), until: None },
            fields: Some(vec![
                f::ID,
                f::TRACE_ID,
                f::PATH,
                f::REQUEST_HEADERS,
                f::RESPONSE_BODY,
                f::REDIS_KEY,
            ]),
            order: Order::Oldest,
            limit: 1,
            ..page(text)
        };
        row::to_json(&store.calls(&query).await.unwrap().rows, 0)
    };
    let order = first("http && dst.name == \"orders\" && status_code < 300").await;
    let redis = first("redis && redis_key.startsWith(\"session:\")").await;
    let body = order["response.body"].as_str().unwrap();
    json!({
        "id": order["id"].to_string(),
        "trace": order["trace_id"],
        "path": order["path"],
        "request": order["request.headers"]["x-request-id"],
        "number": body.split(',').next(),
        "key": redis["redis_key"],
        // Ten minutes, or half of it all.
        "from": third.0.to_string(),
        "until": (third.0 + 600_000_000_000.min((traffic.now().0 - START.0) / 2)).to_string(),
    })
}

fn page(kfl: &str) -> CallsQuery {
    let filter = remora_kfl::compile(kfl, Target::Calls, START).unwrap_or_else(|e| panic!("{kfl}: {e:?}"));
    CallsQuery {
        filter,
        window: TimeRange::default(),
        as_of: START,
        limit: 100,
        cursor: None,
        fields: Some(COLUMNS.to_vec()),
        order: Order::Newest,
    }
}

/// What the store answers, in the form in which answers are compared.
async fn answer(store: &Store, question: &Value, needles: &Value) -> Value {
    let mut kfl = question["kfl"].as_str().unwrap_or_default().to_owned();
    for (name, value) in needles.as_object().unwrap() {
        let value = value.as_str().unwrap();
        kfl = kfl.replace(&format!("{{{name}}}"), &value.replace('"', "\\\""));
    }
    let at = |name: &str| Some(Timestamp(needles[name].as_str().unwrap().parse().unwrap()));
    let window = match question["window"].as_bool() {
        Some(true) => TimeRange { from: at("from"), until: at("until") },
        _ => TimeRange::default(),
    };
    match question["ask"].as_str().unwrap() {
        "page" => {
            let rows = store.calls(&CallsQuery { window, ..page(&kfl) }).await.unwrap().rows;
            (0..rows.num_rows()).map(|i| row::to_json(&rows, i)["id"].clone()).collect()
        }
        "stats" => {
            let by = question["by"].as_array().unwrap().iter();
            let query = StatsQuery {
                filter: page(&kfl).filter,
                window,
                group_by: by.map(|name| f::by_name(name.as_str().unwrap()).unwrap().id).collect(),
                limit: question["limit"].as_u64().unwrap_or(10_000) as usize,
                rank: Rank::Count,
                bucket: question["bucket"].as_u64().map(Duration::from_secs),
            };
            let rows = store.stats(&query).await.unwrap().rows;
            let measures =
                ["count", "failed", "request_bytes", "response_bytes", "elapsed_min", "elapsed_max"];
            let row = |i| {
                let row = row::to_json(&rows, i);
                measures.map(|m| row.get(&format!("{m}_total")).unwrap_or(&row[m]).clone()).to_vec()
            };
            (0..rows.num_rows()).map(row).collect::<Vec<_>>().into()
        }
        _ => {
            let text = question["sql"].as_str().unwrap().to_owned();
            let query = SqlQuery { text, window, filters: Vec::new(), limit: 1_000, mask: false };
            let rows = store.sql(&query).await.unwrap().rows;
            let row = |i| row::to_json(&rows, i).into_iter().map(|(_, v)| v).collect::<Vec<_>>();
            (0..rows.num_rows()).map(row).collect::<Vec<_>>().into()
        }
    }
}

/// Drops what the system keeps of the files in memory.
fn evict(dir: &Path) {
    let script = "for f in \"$1\"/*.parquet; do dd if=\"$f\" iflag=nocache count=0 status=none; done";
    let store = dir.join("store");
    assert!(Command::new("sh").args(["-c", script, "sh"]).arg(store).status().unwrap().success());
}

async fn ask(dir: &Path, questions: &Path, rounds: u64) {
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let (questions, needles) = (read(questions), read(&dir.join("needles.json")));
    // Merging would disturb.
    let config = StoreConfig { merge_fan_in: usize::MAX, ..config(dir) };
    for question in questions.as_array().unwrap() {
        let store = Store::open(config.clone()).unwrap();
        evict(dir);
        let start = Instant::now();
        let answered = answer(&store, question, &needles).await;
        let cold = start.elapsed().as_secs_f64() * 1e3;
        let mut warm = Vec::new();
        for _ in 0..rounds {
            let start = Instant::now();
            answer(&store, question, &needles).await;
            warm.push(start.elapsed().as_secs_f64() * 1e3);
        }
        println!("{}", json!({"name": question["name"], "cold": cold, "warm": warm, "answer": answered}));
        store.close().await.unwrap();
    }
    println!("{}", json!({"memory": peak_memory()}));
}
