//! The store from outside: appends, seals, merges, retention, queries.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use remora_kfl::TimeRange;
use remora_model::{BatchSet, FlowState, Timestamp, field as f, row};
use remora_store::{Appended, Error, Order, Rank, Store, StoreConfig, TailBatch};

#[tokio::test]
async fn rows_are_visible_at_once_and_durable_after_a_seal() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    assert_eq!(store.append(&source(), 1, calls(1..=100)).await.unwrap(), Appended::New);
    assert_eq!(store.append(&source(), 1, calls(1..=100)).await.unwrap(), Appended::Duplicate);
    assert_eq!(all_ids(&store, query(""), 1000).await, (1..=100).rev().collect::<Vec<_>>());
    assert!(store.durable().borrow().is_empty());
    store.flush().await.unwrap();
    assert_eq!(store.durable().borrow().get(&source()), Some(&1));
    assert_eq!(all_ids(&store, query(""), 1000).await, (1..=100).rev().collect::<Vec<_>>());
    // A message without rows moves the watermark too.
    assert_eq!(store.append(&source(), 2, Vec::new()).await.unwrap(), Appended::New);
    store.flush().await.unwrap();
    assert_eq!(store.durable().borrow().get(&source()), Some(&2));
    assert!(matches!(Store::open(config(dir.path())), Err(Error::Locked(_))));
    store.close().await.unwrap();
    assert!(matches!(store.append(&source(), 3, Vec::new()).await, Err(Error::Closed)));

    let store = Store::open(config(dir.path())).unwrap();
    assert_eq!(store.received(&source()), Some(2));
    assert_eq!(store.append(&source(), 2, calls(1..=100)).await.unwrap(), Appended::Duplicate);
    assert_eq!(all_ids(&store, query(""), 1000).await.len(), 100);
    assert_eq!(store.metrics().duplicates, 1);
}

#[tokio::test]
async fn pages_cover_everything_once_in_both_orders_while_rows_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    for (seq, chunk) in (1..=1000i64).collect::<Vec<_>>().chunks(100).enumerate() {
        store.append(&source(), seq as u64 + 1, calls(chunk.iter().copied())).await.unwrap();
        if seq % 3 == 1 {
            store.flush().await.unwrap();
        }
    }
    let newest: Vec<i64> = (1..=1000).rev().collect();
    for limit in [7, 100, 999, 1000, 5000] {
        assert_eq!(all_ids(&store, query(""), limit).await, newest, "{limit}");
    }
    let oldest = remora_store::CallsQuery { order: Order::Oldest, ..query("") };
    assert_eq!(all_ids(&store, oldest.clone(), 77).await, (1..=1000).collect::<Vec<_>>());

    let mut q = query("status_code == 500");
    q.limit = 60;
    let first = store.calls(&q).await.unwrap();
    store.append(&source(), 100, calls(1001..=1100)).await.unwrap();
    q.cursor = first.next;
    let second = store.calls(&q).await.unwrap();
    let mut ids = ints(&first.rows, "id");
    ids.extend(ints(&second.rows, "id"));
    assert_eq!(ids, (1..=100).rev().map(|i| i * 10).collect::<Vec<_>>());
    assert!(second.next.is_none());

    // A cursor belongs to its query.
    let mut other = query("status_code == 200");
    other.limit = 1;
    other.cursor = store.calls(&query_limited("", 1)).await.unwrap().next;
    assert!(matches!(store.calls(&other).await, Err(Error::BadCursor(_))));
}

fn query_limited(text: &str, limit: usize) -> remora_store::CallsQuery {
    remora_store::CallsQuery { limit, ..query(text) }
}

#[tokio::test]
async fn a_single_call_has_everything_and_missing_ones_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig { retention_bytes: 1, ..quiet(dir.path()) }).unwrap();
    store.append(&source(), 1, calls(1..=10)).await.unwrap();
    let row = row::to_json(&store.call(7).await.unwrap(), 0);
    assert_eq!(row["id"], 7);
    assert_eq!(row["request.headers"]["cookie"], "session=7; lang=en");
    assert!(row["response.body"].as_str().unwrap().contains("\"item\":7"));
    assert!(!row.contains_key("dns_rcode"));
    assert!(matches!(store.call(99).await, Err(Error::NoSuchCall(99))));
    store.flush().await.unwrap();
    let mut metrics = store.metrics();
    while metrics.retired_segments == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        metrics = store.metrics();
    }
    assert_eq!((metrics.segments, metrics.retired_rows), (0, 10));
    let e = store.call(7).await.unwrap_err();
    assert!(matches!(e, Error::Deleted { id: 7, .. }), "{e}");
    assert!(matches!(store.call(99).await, Err(Error::NoSuchCall(99))));
    drop(store);
    let store = Store::open(quiet(dir.path())).unwrap();
    assert!(matches!(store.call(7).await, Err(Error::Deleted { id: 7, .. })));
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!files.iter().any(|f| f.to_string_lossy().ends_with(".parquet")), "{files:?}");
}

#[tokio::test]
async fn filters_reach_every_kind_of_column_sealed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let mut set = BatchSet::new("node-1");
    (1..=200).for_each(|id| http(&mut set, id));
    (201..=260).for_each(|id| dns(&mut set, id));
    store.append(&source(), 1, set.take().unwrap()).await.unwrap();
    let expected: &[(&str, usize)] = &[
        ("", 260),
        ("http", 200),
        ("dns", 60),
        ("redis", 0),
        ("http || dns", 260),
        ("tls", 50),
        ("capture_backend == \"ebpf\"", 260),
        ("path == \"/api/items/3\"", 4),
        ("path.startsWith(\"/api/items/4\")", 44),
        ("path.matches(\"items/1[0-3]$\")", 16),
        ("query_string[\"page\"] == \"3\"", 29),
        ("request.headers[\"host\"] == \"shop.example\"", 200),
        ("\"x-request-id\" in request.headers", 200),
        ("request.cookies[\"session\"] == \"7\"", 2),
        ("response.body.contains(\"\\\"item\\\":42,\")", 1),
        ("response.body.size() > 10 && status_code >= 500", 20),
        ("\"host3.example.com\" in dns_questions", 12),
        ("dns_answers.exists(a, a.endsWith(\".8\"))", 60),
        ("dns_answers.all(a, a.startsWith(\"10.9.\"))", 60),
        ("dns_request_length == 40", 60),
        ("status_code < 400", 240),
        ("!(status_code < 400)", 20),
        ("method == \"POST\" && elapsed_time > 100", 33),
        ("src.ip == \"10.0.0.1\" && dst.port == 80", 200),
        ("process_name == \"nginx\"", 100),
        ("remote_process_name == \"curl\"", 100),
        ("incomplete == \"no_response\"", 2),
        ("trace_id == \"00000000000000000000000000000040\"", 1),
        ("failed", 20),
        ("id in [5, 7, 9]", 3),
    ];
    for sealed in [false, true] {
        if sealed {
            store.flush().await.unwrap();
            assert_eq!(store.metrics().open_rows, 0);
        }
        for (text, count) in expected {
            let page = store.calls(&query(text)).await.unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(page.rows.num_rows(), *count, "{text} (sealed: {sealed})");
        }
    }
    // The protocol prunes the other protocol's segment.
    let page = store.calls(&query("dns")).await.unwrap();
    assert_eq!((page.cost.rows_scanned % 60, page.cost.rows_scanned > 0), (0, true));
    assert_eq!(store.count_estimate(&filter("dns"), TimeRange::default()).unwrap().max_rows, 60);
    assert_eq!(store.count_estimate(&filter("path == \"/x\""), TimeRange::default()).unwrap().max_rows, 200);
    let early = TimeRange { from: None, until: Some(Timestamp(START)) };
    assert_eq!(store.count_estimate(&filter(""), early).unwrap().max_rows, 0);
}

#[tokio::test]
async fn asked_fields_come_in_order_derived_and_late_ones_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    store.append(&source(), 1, calls(1..=3)).await.unwrap();
    let mut q = query("id == 2");
    q.fields = Some(vec![f::RESPONSE_BODY, f::PROCESS_NAME, f::QUERY_STRING, f::TLS, f::TS, f::TS]);
    let page = store.calls(&q).await.unwrap();
    let names: Vec<&str> = page.rows.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["response.body", "process_name", "query_string", "tls", "ts"]);
    let row = row::to_json(&page.rows, 0);
    assert_eq!(row["process_name"], "nginx");
    assert_eq!(row["query_string"]["id"], "2");
    q.fields = Some(vec![f::CONN_STATE]);
    assert!(matches!(store.calls(&q).await, Err(Error::UnknownField { .. })));
    // No rows still have columns.
    let mut none = query("id == 77");
    none.fields = Some(vec![f::PATH]);
    let page = store.calls(&none).await.unwrap();
    assert_eq!((page.rows.num_rows(), page.rows.num_columns()), (0, 1));
}

#[tokio::test]
async fn flows_show_their_newest_row_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let mut set = BatchSet::new("node-1");
    for id in 1..=50 {
        flow(&mut set, id, id, FlowState::Open);
    }
    store.append(&source(), 1, set.take().unwrap()).await.unwrap();
    store.flush().await.unwrap();
    for id in 1..=20 {
        flow(&mut set, id, 100 + id, FlowState::Closed);
    }
    store.append(&source(), 2, set.take().unwrap()).await.unwrap();
    let mut other = BatchSet::new("node-2");
    flow(&mut other, 1, 7, FlowState::Open);
    store.append(&source(), 3, other.take().unwrap()).await.unwrap();

    let ids = |q: remora_store::FlowsQuery| {
        let store = store.clone();
        async move { ints(&store.flows(&q).await.unwrap().rows, "flow_id") }
    };
    let closed: Vec<i64> = (1..=20).rev().collect();
    assert_eq!(ids(flows_query("conn_state == \"closed\"")).await, closed);
    assert_eq!(ids(flows_query("conn_state == \"open\" && node_name == \"node-1\"")).await.len(), 30);
    assert_eq!(ids(flows_query("flow")).await.len(), 51);
    // In a window before the flows closed they were open.
    let mut early = flows_query("conn_state == \"open\"");
    early.window.until = Some(Timestamp(START + 60 * SECOND));
    assert_eq!(ids(early).await.len(), 51);
    let (mut q, mut seen) = (flows_query(""), Vec::new());
    q.limit = 9;
    loop {
        let page = store.flows(&q).await.unwrap();
        seen.extend(ints(&page.rows, "flow_id"));
        match page.next {
            Some(c) => q.cursor = Some(c),
            None => break,
        }
    }
    assert_eq!(seen.len(), 51);
    assert_eq!(seen[..20], closed);
}

#[tokio::test]
async fn statistics_are_right() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    for seq in 0..10 {
        store.append(&source(), seq + 1, calls((0..1000).map(|i| seq as i64 * 1000 + i))).await.unwrap();
        if seq % 4 == 0 {
            store.flush().await.unwrap();
        }
    }
    let all = store.stats(&stats_query("http", &[])).await.unwrap();
    let r = row::to_json(&all.rows, 0);
    assert_eq!((r["count"].as_i64(), r["failed"].as_i64()), (Some(10_000), Some(1_000)));
    assert_eq!(r["error_rate"], 0.1);
    assert_eq!(r["request_bytes"], 3_000_000);
    assert_eq!((r["elapsed_min"].as_i64(), r["elapsed_max"].as_i64()), (Some(0), Some(999)));
    let percentiles =
        ["elapsed_min", "elapsed_p50", "elapsed_p90", "elapsed_p95", "elapsed_p99", "elapsed_max"];
    assert!(percentiles.map(|p| r[p].as_i64().unwrap()).is_sorted());
    let one = store.stats(&stats_query("elapsed_time == 997", &[])).await.unwrap();
    let one = row::to_json(&one.rows, 0);
    assert!(percentiles.iter().all(|p| one[*p] == 997), "percentiles lie between the least and the most");
    let rate = r["rate"].as_f64().unwrap();
    assert!((rate - 1000.0).abs() < 1.0, "{rate}");
    for (name, p) in
        [("elapsed_p50", 499.0), ("elapsed_p90", 899.0), ("elapsed_p95", 949.0), ("elapsed_p99", 989.0)]
    {
        let v = r[name].as_f64().unwrap();
        assert!((v - p).abs() <= p * remora_store::Stats::PERCENTILE_ERROR + 1.0, "{name} is {v}");
    }
    let by_path = store.stats(&stats_query("", &[f::PATH, f::METHOD])).await.unwrap();
    assert_eq!(by_path.rows.num_rows(), 100);
    assert_eq!(ints(&by_path.rows, "count").iter().sum::<i64>(), 10_000);
    let mut top = stats_query("", &[f::PATH]);
    (top.limit, top.rank) = (5, Rank::ErrorRate);
    let top = store.stats(&top).await.unwrap();
    assert!(top.more_groups);
    assert_eq!(row::to_json(&top.rows, 4)["error_rate"], 1.0);
    let mut timed = stats_query("", &[]);
    (timed.bucket, timed.rank) = (Some(Duration::from_secs(1)), Rank::Key);
    let timed = store.stats(&timed).await.unwrap();
    assert_eq!(ints(&timed.rows, "count"), [1000; 10]);
    assert_eq!(row::to_json(&timed.rows, 0)["bucket"], Timestamp(START).to_rfc3339());
    let failed = store.stats(&stats_query("", &[f::FAILED])).await.unwrap();
    let r = row::to_json(&failed.rows, 0);
    assert_eq!((r["failed"].as_bool(), r["failed_total"].as_i64()), (Some(false), Some(0)));
    let nothing = store.stats(&stats_query("path == \"/none\"", &[])).await.unwrap();
    assert_eq!(row::to_json(&nothing.rows, 0)["count"], 0);
    let map = store.stats(&stats_query("", &[f::REQUEST_HEADERS])).await;
    assert!(matches!(map, Err(Error::UnsupportedField { .. })));
}

#[tokio::test]
async fn coverage_sums_and_shows_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let mut set = BatchSet::new("node-1");
    for at in (1..=10).chain(15..=20) {
        coverage(&mut set, at, "packets", 10);
        coverage(&mut set, at, "ring_full", 1);
    }
    store.append(&source(), 1, set.take().unwrap()).await.unwrap();
    store.flush().await.unwrap();
    let c = store.coverage(TimeRange::default()).await.unwrap();
    let sums: Vec<_> = c.totals.iter().map(|t| (t.reason.as_str(), t.count, t.bytes)).collect();
    assert_eq!(sums, [("packets", 160, 16_000), ("ring_full", 16, 1_600)]);
    let spans: Vec<_> =
        c.intervals.iter().map(|i| ((i.from.0 - START) / SECOND, (i.until.0 - START) / SECOND)).collect();
    assert_eq!(spans, [(0, 10), (14, 20)]);
    let at = |s: i64| Some(Timestamp(START + s * SECOND));
    let c = store.coverage(TimeRange { from: at(3), until: at(5) }).await.unwrap();
    assert_eq!((c.totals[0].count, c.intervals.len()), (20, 1));
    assert_eq!(c.intervals[0].until, at(5).unwrap());
}

#[tokio::test]
async fn values_are_counted_and_lists_by_element() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let mut set = BatchSet::new("node-1");
    (0..90).for_each(|id| http(&mut set, id));
    (90..100).for_each(|id| dns(&mut set, id));
    store.append(&source(), 1, set.take().unwrap()).await.unwrap();
    let values = |field| {
        let store = store.clone();
        async move {
            let v = store.field_values(field, TimeRange::default(), 3).await.unwrap();
            v.into_iter().map(|v| (v.value.to_string(), v.count)).collect::<Vec<_>>()
        }
    };
    assert_eq!(values(f::METHOD).await, [("\"GET\"".into(), 60), ("\"POST\"".into(), 30)]);
    assert_eq!(values(f::STATUS_CODE).await, [("200".into(), 81), ("0".into(), 10), ("500".into(), 9)]);
    assert_eq!(values(f::DNS_ANSWERS).await, [("\"10.9.8.7\"".into(), 10), ("\"10.9.8.8\"".into(), 10)]);
    let late = store.field_values(f::RESPONSE_BODY, TimeRange::default(), 3).await;
    assert!(matches!(late, Err(Error::UnsupportedField { .. })));
}

#[tokio::test]
async fn followers_see_what_matches_and_hear_what_they_missed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig { tail_batches: 4, ..quiet(dir.path()) }).unwrap();
    store.append(&source(), 1, calls(0..10)).await.unwrap();
    let mut tail = store.tail(&filter("status_code == 500")).unwrap();
    store.append(&source(), 2, calls(10..30)).await.unwrap();
    match tail.next().await {
        Some(TailBatch::Rows(rows)) => assert_eq!(ints(&rows, "id"), [10, 20]),
        other => panic!("{other:?}"),
    }
    for i in 0..10 {
        store.append(&source(), 3 + i, calls((0..10).map(|n| 100 + i as i64 * 10 + n))).await.unwrap();
    }
    match tail.next().await {
        Some(TailBatch::Missed(n)) => assert_eq!(n, 60),
        other => panic!("{other:?}"),
    }
    match tail.next().await {
        Some(TailBatch::Rows(rows)) => assert_eq!(ints(&rows, "id"), [160]),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.metrics().tail_missed_rows, 60);
    store.close().await.unwrap();
    while let Some(t) = tail.next().await {
        assert!(matches!(t, TailBatch::Rows(_)));
    }
}

#[tokio::test]
async fn a_full_memory_budget_pushes_back() {
    let dir = tempfile::tempdir().unwrap();
    let small =
        StoreConfig { memory_budget: 200_000, append_wait: Duration::from_millis(50), ..quiet(dir.path()) };
    let store = Store::open(small).unwrap();
    let mut seq = 0;
    let e = loop {
        seq += 1;
        match store.append(&source(), seq, calls((0..100).map(|i| seq as i64 * 100 + i))).await {
            Ok(a) => assert_eq!(a, Appended::New),
            Err(e) => break e,
        }
        assert!(seq < 100, "the budget does not hold");
    };
    assert!(matches!(e, Error::Overloaded { .. }), "{e}");
    let m = store.metrics();
    assert_eq!((m.append_waits, m.append_refusals), (1, 1));
    assert!(m.open_bytes <= 200_000);
    store.flush().await.unwrap();
    // What was refused was not taken, and can be sent again.
    assert_eq!(store.append(&source(), seq, calls(0..100)).await.unwrap(), Appended::New);
    let huge = store.append(&source(), seq + 1, calls(0..5_000)).await;
    assert!(matches!(huge, Err(Error::BatchTooLarge { .. })));
}

#[tokio::test]
async fn queries_end_at_their_deadline_and_their_memory() {
    let dir = tempfile::tempdir().unwrap();
    let tight = StoreConfig { query_memory: 200_000, max_queries: 1, ..quiet(dir.path()) };
    let store = Store::open(tight).unwrap();
    store.append(&source(), 1, calls(0..20_000)).await.unwrap();
    let e = store.stats(&stats_query("", &[f::TRACE_ID])).await.unwrap_err();
    assert!(matches!(e, Error::TooExpensive { .. }), "{e}");
    assert!(e.to_string().contains("narrow"), "{e}");
    drop(store);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreConfig { query_deadline: Duration::ZERO, ..quiet(dir.path()) }).unwrap();
    store.append(&source(), 1, calls(0..1_000)).await.unwrap();
    // Reading a file takes some time, however little.
    store.flush().await.unwrap();
    let e = store.calls(&query("")).await.unwrap_err();
    assert!(matches!(e, Error::Deadline(_)), "{e}");
    assert_eq!((store.metrics().query_deadlines, store.metrics().query_failures), (1, 1));
}

#[tokio::test]
async fn queries_go_on_while_segments_are_merged_and_deleted_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        seal_after: Duration::from_millis(1),
        merge_fan_in: 2,
        merge_cpu_percent: 100,
        retention_bytes: 400_000,
        ..config(dir.path())
    };
    let store = Store::open(config).unwrap();
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seq = 0;
            while store.metrics().retired_segments < 20 {
                seq += 1;
                store.append(&source(), seq, calls((0..200).map(|i| seq as i64 * 200 + i))).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    };
    while !writer.is_finished() {
        let page = store.calls(&query_limited("failed", 50)).await.unwrap();
        let ids = ints(&page.rows, "id");
        assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
        store.stats(&stats_query("", &[f::METHOD])).await.unwrap();
    }
    writer.await.unwrap();
    assert!(store.metrics().merges > 0);
    store.close().await.unwrap();
    let e = store.calls(&query("")).await.unwrap_err();
    assert!(matches!(e, Error::Closed), "{e}");
}
