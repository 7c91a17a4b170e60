//! What queries may take, what becomes of it when they are broken off, and that they do not disturb each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use common::*;
use remora_model::{BatchSet, Timestamp, field as f};
use remora_store::{Error, Store, StoreConfig};
use remora_synth::Traffic;

const CALLS: usize = 60_000;

/// A question whose answer takes longer than any test waits: two dozen slow patterns over all bodies.
fn heavy() -> remora_store::StatsQuery {
    let pattern = |n| format!(r#"response.body.matches("(?i)([a-z]+ ){{{n}}}z[a-z]*z")"#);
    stats_query(&(20..44).map(pattern).collect::<Vec<_>>().join(" || "), &[f::TRACE_ID])
}

/// A store with a shop's traffic, sealed.
async fn shop(config: StoreConfig) -> Store {
    let store = Store::open(config).unwrap();
    let mut traffic = Traffic::new(5, Timestamp(START));
    for seq in 1..=6 {
        let mut set = BatchSet::new("node-1");
        traffic.add(&mut set, CALLS / 6);
        store.append(&source(), seq, set.take().unwrap()).await.unwrap();
    }
    store.flush().await.unwrap();
    store
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn segments(dir: &std::path::Path) -> usize {
    let files = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    files.filter(|p| p.extension().is_some_and(|e| e == "parquet")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_broken_off_gives_back_its_place_and_its_files() {
    let dir = tempfile::tempdir().unwrap();
    // One query at a time, so that whoever comes next shows that the place is free.
    let config = StoreConfig { max_queries: 1, query_threads: 1, ..quiet(dir.path()) };
    let store = shop(config).await;
    for round in 1..=5 {
        let asked = tokio::spawn({
            let store = store.clone();
            async move { store.stats(&heavy()).await }
        });
        until(|| store.metrics().queries_running == 1).await;
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        assert_eq!(store.metrics().query_cancellations, round);
        assert_eq!(store.calls(&query("id == 7")).await.unwrap().rows.num_rows(), 1);
        until(|| store.metrics().queries_running == 0).await;
    }
    // A query's segments stay on disk until it ends; of one that was broken off nothing is left.
    store.close().await.unwrap();
    drop(store);
    let before = segments(dir.path());
    let config = StoreConfig { retention_bytes: 1, ..quiet(dir.path()) };
    let store = Store::open(config).unwrap();
    let asked = tokio::spawn({
        let store = store.clone();
        async move { store.stats(&heavy()).await }
    });
    until(|| store.metrics().queries_running == 1).await;
    asked.abort();
    store.append(&source(), 7, calls(0..10)).await.unwrap();
    store.flush().await.unwrap();
    until(|| store.metrics().segments == 0).await;
    until(|| segments(dir.path()) == 0).await;
    assert!(before > 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_counts_the_wait_for_a_turn_and_ends_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = shop(quiet(dir.path())).await;
    store.close().await.unwrap();
    drop(store);
    let config = StoreConfig {
        max_queries: 1,
        query_threads: 1,
        query_deadline: Duration::from_millis(2),
        ..quiet(dir.path())
    };
    let store = Store::open(config).unwrap();
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.stats(&heavy()).await.map(|_| ()) })
        })
        .collect();
    for asked in asked {
        let e = asked.await.unwrap().unwrap_err();
        assert!(matches!(e, Error::Deadline(_)), "{e}");
    }
    let m = store.metrics();
    assert_eq!((m.query_deadlines, m.query_failures), (6, 6));
    until(|| store.metrics().queries_running == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn greedy_queries_are_refused_and_others_go_on_and_so_does_ingest() {
    let dir = tempfile::tempdir().unwrap();
    // A group for each trace does not fit into a quarter of this; a page and a group for each protocol do.
    let config = StoreConfig {
        max_queries: 4,
        query_memory: 12 << 20,
        query_deadline: Duration::from_secs(600),
        ..quiet(dir.path())
    };
    let store = shop(config).await;
    let greedy: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let by = [f::TRACE_ID, f::SPAN_ID, f::URL, f::PATH];
                store.stats(&stats_query("http", &by)).await.map(|_| ())
            })
        })
        .collect();
    let modest: Vec<_> = (0..16)
        .map(|i| {
            let store = store.clone();
            tokio::spawn(async move {
                if i % 2 == 0 {
                    store.calls(&query("failed")).await.map(|p| p.rows.num_rows())
                } else {
                    store.stats(&stats_query("", &[f::PROTOCOL])).await.map(|s| s.rows.num_rows())
                }
            })
        })
        .collect();
    let ingest = tokio::spawn({
        let store = store.clone();
        async move {
            for seq in 0..50 {
                let first = 1_000_000 + seq as i64 * 10;
                store.append(&source(), 100 + seq, calls(first..first + 10)).await.unwrap();
                store.flush().await.unwrap();
            }
        }
    });
    for asked in modest {
        assert!(asked.await.unwrap().unwrap() >= 8);
    }
    for asked in greedy {
        let e = asked.await.unwrap().unwrap_err();
        assert!(matches!(e, Error::TooExpensive { .. }), "{e}");
    }
    ingest.await.unwrap();
    let m = store.metrics();
    assert_eq!((m.query_memory_refusals, m.queries), (8, 16));
    assert_eq!(store.durable().borrow().get(&source()), Some(&149));
    until(|| store.metrics().queries_running == 0).await;
}
