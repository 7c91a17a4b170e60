//! Segments on disk: merging, and what happens to them from outside.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use remora_model::{Table, field as f, row};
use remora_store::{Store, StoreConfig};

#[tokio::test]
async fn small_segments_are_merged_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { merge_fan_in: 4, merge_cpu_percent: 100, ..quiet(dir.path()) };
    let store = Store::open(config).unwrap();
    for seq in 0..16 {
        store.append(&source(), seq + 1, calls((0..50).map(|i| seq as i64 * 50 + i))).await.unwrap();
        store.flush().await.unwrap();
    }
    while store.metrics().segments > 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let m = store.metrics();
    assert_eq!((m.merges, m.merged_rows, m.segment_rows), (5, 1600, 800));
    assert_eq!(all_ids(&store, query(""), 90).await, (0..800).rev().collect::<Vec<_>>());
    drop(store);
    let store = Store::open(quiet(dir.path())).unwrap();
    assert_eq!(store.metrics().orphans_removed, 0);
    assert_eq!(store.boundaries()[0].table, Table::Calls);
    assert_eq!(store.boundaries()[0].rows, 800);
}

#[tokio::test]
async fn damaged_missing_and_orphaned_files_are_survived_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    for seq in 0..4 {
        store.append(&source(), seq + 1, calls((0..50).map(|i| seq as i64 * 50 + i))).await.unwrap();
        store.flush().await.unwrap();
    }
    drop(store);
    let mut files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 4);
    std::fs::remove_file(&files[0]).unwrap();
    let bytes = std::fs::read(&files[1]).unwrap();
    std::fs::write(&files[1], &bytes[..bytes.len() / 2]).unwrap();
    let mut wrong = std::fs::read(&files[2]).unwrap();
    let end = wrong.len();
    wrong[end - 40..].fill(0xff);
    std::fs::write(&files[2], wrong).unwrap();
    std::fs::write(dir.path().join("calls-http-0000099999.parquet"), b"left by a crash").unwrap();
    std::fs::write(dir.path().join("calls-http-0000099998.parquet.tmp"), b"left by a crash").unwrap();
    std::fs::write(dir.path().join("notes.txt"), b"not ours").unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let m = store.metrics();
    assert_eq!((m.missing_segments, m.damaged_segments, m.orphans_removed, m.lost_rows), (1, 2, 2, 150));
    assert_eq!(all_ids(&store, query(""), 90).await, (150..200).rev().collect::<Vec<_>>());
    assert!(dir.path().join("notes.txt").exists());
    // The next commit forgets the lost ones.
    store.append(&source(), 5, calls(200..210)).await.unwrap();
    store.close().await.unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    assert_eq!((store.metrics().missing_segments, store.metrics().segment_rows), (0, 60));
}

#[tokio::test]
async fn a_damaged_manifest_costs_nothing_and_an_old_copy_destroys_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let (manifest, copy) = (dir.path().join("manifest.json"), dir.path().join("manifest.copy.json"));
    let mut old = Vec::new();
    for seq in 0..3 {
        store.append(&source(), seq + 1, calls((0..50).map(|i| seq as i64 * 50 + i))).await.unwrap();
        store.flush().await.unwrap();
        if seq == 1 {
            old = std::fs::read(&copy).unwrap();
        }
    }
    drop(store);
    std::fs::write(&manifest, b"{").unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let m = store.metrics();
    assert_eq!((m.manifest_fallbacks, m.lost_rows, m.damaged_segments), (1, 0, 0));
    assert_eq!(store.received(&source()), Some(3));
    assert_eq!(all_ids(&store, query(""), 90).await, (0..150).rev().collect::<Vec<_>>());
    drop(store);
    // A crash before the copy, and the manifest damaged on top of it: the last segment has no owner.
    std::fs::write(&manifest, b"{").unwrap();
    std::fs::write(&copy, old).unwrap();
    let store = Store::open(quiet(dir.path())).unwrap();
    let m = store.metrics();
    assert_eq!((m.manifest_fallbacks, m.lost_rows, m.damaged_segments, m.orphans_removed), (1, 50, 1, 0));
    assert_eq!(store.received(&source()), Some(2));
    assert_eq!(all_ids(&store, query(""), 90).await, (0..100).rev().collect::<Vec<_>>());
    let kept = std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok);
    assert_eq!(kept.filter(|e| e.path().extension().is_some_and(|e| e == "damaged")).count(), 1);
}

#[tokio::test]
async fn merged_row_groups_answer_as_unsealed_rows_do() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config =
        StoreConfig { merge_fan_in: 4, merge_cpu_percent: 100, row_group_rows: 64, ..quiet(dir.path()) };
    let store = Store::open(config).unwrap();
    let unsealed = Store::open(quiet(other.path())).unwrap();
    for seq in 0..16i64 {
        // Every other segment is large enough to be copied.
        let rows = if seq % 2 == 0 { 100 } else { 10 };
        let ids = seq * 100..seq * 100 + rows;
        for store in [&store, &unsealed] {
            store.append(&source(), seq as u64 + 1, calls(ids.clone())).await.unwrap();
        }
        store.flush().await.unwrap();
    }
    while store.metrics().merges < 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(store.metrics().segment_rows, 880);
    for filter in [
        "",
        "status_code == 500",
        "path == \"/api/items/7\"",
        "trace_id == \"000000000000000000000000000002be\"",
        "request.headers[\"cookie\"].startsWith(\"session=3;\")",
        "response.body.contains(\"\\\"item\\\":1204,\")",
        "incomplete == \"no_response\"",
    ] {
        let mut q = query(filter);
        q.fields = Some(vec![f::ID, f::URL, f::DST_PROCESS, f::REQUEST_HEADERS, f::RESPONSE_BODY]);
        let (merged, wanted) = (store.calls(&q).await.unwrap().rows, unsealed.calls(&q).await.unwrap().rows);
        let rows = |b: &arrow::array::RecordBatch| -> Vec<_> {
            (0..b.num_rows()).map(|i| serde_json::Value::from(row::to_json(b, i))).collect()
        };
        assert!(wanted.num_rows() > 0, "{filter}");
        assert_eq!(rows(&merged), rows(&wanted), "{filter}");
    }
}
