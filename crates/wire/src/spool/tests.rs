#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use bytes::Bytes;
use remora_model::Table;

use super::*;
use crate::proto;

fn batch(payload: usize) -> Encoded {
    let mut rows = Rows::default();
    rows.add(Table::Calls, 2);
    let table =
        proto::Table { table: "calls".to_owned(), ipc: Bytes::from(vec![7; payload]), ..Default::default() };
    Encoded { tables: vec![table], rows, handed: Vec::new() }
}

fn config(dir: &std::path::Path, memory: usize, disk: u64) -> SpoolConfig {
    SpoolConfig { dir: Some(dir.to_owned()), memory_bytes: memory, disk_bytes: disk }
}

fn read_all(spool: &Spool) -> Vec<u64> {
    let mut seen = Vec::new();
    let mut at = 0;
    while let Some(held) = spool.next_after(at) {
        at = held.seq;
        seen.push(at);
    }
    seen
}

#[test]
fn what_exceeds_memory_goes_to_disk_and_comes_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path(), 10_000, 1 << 20));
    let seqs: Vec<u64> = (0..100).map(|_| spool.append_encoded(batch(1_000))).collect();
    let stats = spool.stats();
    assert!(stats.memory_bytes <= 10_000 && stats.disk_batches > 80, "{stats:?}");
    assert_eq!(read_all(&spool), seqs);
    assert_eq!(spool.next_after(seqs[41]).unwrap().batch.rows.of(Table::Calls), 2);
    spool.acknowledge(seqs[99]);
    assert!(spool.is_empty());
    assert_eq!((spool.stats().dropped_batches, spool.stats().disk_errors), (0, 0));
}

#[test]
fn rows_to_hand_over_are_encoded_for_the_disk_only() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 20_000, 1 << 20);
    let spool = Spool::open(&config);
    let mut encoder = crate::Encoder::new(crate::EncodeLimits::default(), crate::Form::Handed);
    for id in 1..=20 {
        spool.append(&mut encoder, &crate::testing::tables(id, 1, 3_000));
    }
    let (mut ids, mut at, mut handed) = (Vec::new(), 0, 0);
    while let Some(held) = spool.next_after(at) {
        at = held.seq;
        handed += usize::from(!held.batch.handed.is_empty());
        for table in held.batch.encoded_tables().unwrap() {
            let decoded = crate::codec::decode(&table, &crate::Limits::default()).unwrap();
            ids.extend(crate::testing::call_ids(&decoded.table));
        }
    }
    assert_eq!(ids, (1..=20).collect::<Vec<_>>());
    assert!(handed > 0 && handed < 20, "{handed} in memory");
    spool.close();
    drop(spool);
    assert_eq!(read_all(&Spool::open(&config)).len(), 20);
}

#[test]
fn it_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = Spool::open(&config(dir.path(), 1 << 20, 1 << 20));
    let mut seqs: Vec<u64> = (0..10).map(|_| first.append_encoded(batch(100))).collect();
    first.acknowledge(seqs[3]);
    let id = first.id();
    first.close();
    drop(first);
    let second = Spool::open(&config(dir.path(), 1 << 20, 1 << 20));
    assert_eq!(second.id(), id);
    assert_eq!(second.first_seq(), seqs[4]);
    seqs.extend((0..5).map(|_| second.append_encoded(batch(100))));
    assert_eq!(read_all(&second), seqs[4..]);
    assert_eq!(holes(seqs[9], seqs[10]), 0);
}

#[test]
fn numbers_of_a_run_that_died_are_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let first = Spool::open(&config(dir.path(), 1 << 20, 1 << 20));
    let lost = first.append_encoded(batch(100));
    drop(first);
    let second = Spool::open(&config(dir.path(), 1 << 20, 1 << 20));
    assert!(second.append_encoded(batch(100)) > lost + 1);
}

#[test]
fn a_torn_or_corrupt_end_costs_no_more_than_itself() {
    for damage in ["torn", "garbage", "flipped"] {
        let dir = tempfile::tempdir().unwrap();
        let first = Spool::open(&config(dir.path(), 1 << 20, 1 << 20));
        let seqs: Vec<u64> = (0..10).map(|_| first.append_encoded(batch(100))).collect();
        first.close();
        drop(first);
        let path = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path());
        let path = path.into_iter().find(|p| p.extension().is_some_and(|e| e == "seg")).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let kept = match damage {
            "torn" => {
                bytes.truncate(bytes.len() - 5);
                9
            }
            "garbage" => {
                bytes.extend_from_slice(&[0xff; 100]);
                10
            }
            _ => {
                let at = bytes.len() / 10 * 7 + 60;
                bytes[at] ^= 1;
                7
            }
        };
        fs::write(&path, bytes).unwrap();
        let second = Spool::open(&config(dir.path(), 1 << 20, 1 << 20));
        assert_eq!(read_all(&second), seqs[..kept], "{damage}");
        let more = second.append_encoded(batch(100));
        assert_eq!(second.next_after(seqs[kept - 1]).unwrap().seq, more);
    }
}

#[test]
fn damage_while_open_is_counted_and_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path(), 1_000, 1 << 20));
    let seqs: Vec<u64> = (0..10).map(|_| spool.append_encoded(batch(500))).collect();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "seg") {
            OpenOptions::new().write(true).truncate(true).open(&path).unwrap().write_all(b"gone").unwrap();
        }
    }
    let left = read_all(&spool);
    assert!(!left.is_empty() && left.len() < seqs.len());
    assert_eq!(left.last(), seqs.last());
    assert!(spool.stats().disk_errors > 0);
}

#[test]
fn a_full_disk_budget_gives_up_the_oldest_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path(), 2_000, 20_000));
    let seqs: Vec<u64> = (0..100).map(|_| spool.append_encoded(batch(1_000))).collect();
    let left = read_all(&spool);
    assert!(!left.is_empty());
    assert_eq!(left, seqs[100 - left.len()..]);
    let stats = spool.stats();
    assert!(stats.disk_bytes <= 20_000, "{stats:?}");
    assert_eq!(stats.dropped_batches, 100 - left.len() as u64);
    assert_eq!(stats.dropped_rows.of(Table::Calls), 2 * stats.dropped_batches);
    assert_eq!(spool.first_seq(), left[0]);
}

#[test]
fn without_a_usable_disk_it_lives_in_memory_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    let spool = Spool::open(&config(&file.join("below"), 5_000, 1 << 20));
    let seqs: Vec<u64> = (0..20).map(|_| spool.append_encoded(batch(1_000))).collect();
    let left = read_all(&spool);
    assert_eq!(left, seqs[20 - left.len()..]);
    let stats = spool.stats();
    assert!(stats.last_disk_error.is_some() && stats.memory_bytes <= 5_000);
    assert_eq!(stats.dropped_batches, 20 - left.len() as u64);
}

#[test]
fn a_disk_that_fails_later_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("spool");
    let spool = Spool::open(&config(&inside, 2_000, 1 << 20));
    fs::remove_dir_all(&inside).unwrap();
    let seqs: Vec<u64> = (0..20).map(|_| spool.append_encoded(batch(1_000))).collect();
    assert_eq!(read_all(&spool).last(), seqs.last());
    let stats = spool.stats();
    assert!(stats.disk_errors > 0 && stats.dropped_batches > 0, "{stats:?}");
}

#[test]
fn one_directory_serves_one_agent() {
    let dir = tempfile::tempdir().unwrap();
    let first = Spool::open(&config(dir.path(), 1_000, 1 << 20));
    let second = Spool::open(&config(dir.path(), 1_000, 1 << 20));
    assert_ne!(first.id(), second.id());
    assert!(second.stats().last_disk_error.unwrap().contains("in use"));
}

#[test]
fn a_spool_put_back_to_an_older_state_goes_on_above_what_the_hub_has() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(&config(dir.path(), 1_000, 1 << 20));
    let far = (9 << COUNT_BITS) + 77;
    spool.pass(far);
    assert!(spool.append_encoded(batch(1)) > far);
    drop(spool);
    let again = Spool::open(&config(dir.path(), 1_000, 1 << 20));
    assert!(again.next_seq() > (10 << COUNT_BITS));
}

#[test]
fn holes_are_counted_within_one_opening() {
    let of = |epoch: u64, n: u64| (epoch << COUNT_BITS) + n;
    assert_eq!(holes(0, of(1, 1)), 0);
    assert_eq!(holes(of(1, 5), of(1, 6)), 0);
    assert_eq!(holes(of(1, 5), of(1, 9)), 3);
    assert_eq!(holes(of(1, 5), of(2, 3)), 2);
}
