//! A disk that is full.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::*;
use remora_store::{Condition, Error, SourceId, Store, StoreConfig};

const PER_MESSAGE: i64 = 10;

fn ids_of(seq: u64) -> std::ops::Range<i64> {
    let first = i64::try_from(seq).unwrap() * PER_MESSAGE;
    first..first + PER_MESSAGE
}

/// A file system of a few megabytes that ends with the test.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let option = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &option, "remora-store-test"])
            .arg(dir.path())
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_survived_shown_and_left_again() {
    let Some(disk) = SmallDisk::mount("2m") else {
        let mut err = std::io::stderr();
        _ = writeln!(err, "skipped: mounting a small file system needs root");
        return;
    };
    let path = disk.0.path();
    // Somebody else fills the disk.
    let filler = path.join("filler");
    let config = StoreConfig {
        seal_after: Duration::from_millis(20),
        seal_retry: Duration::from_millis(50),
        merge_fan_in: 1_000,
        disk_full_keep: 1 << 30,
        ..config(path)
    };
    let store = Store::open(config).unwrap();
    store.append(&source(), 1, calls(ids_of(1))).await.unwrap();
    store.flush().await.unwrap();
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);

    store.append(&source(), 2, calls(ids_of(2))).await.unwrap();
    let e = store.flush().await.unwrap_err();
    assert!(matches!(e, Error::SealFailed(_)), "{e}");
    let m = store.metrics();
    assert!(matches!(m.condition, Condition::DiskFull { .. }), "{:?}", m.condition);
    assert!(m.seal_failures > 0);
    // Still served, not yet acknowledged.
    assert_eq!(all_ids(&store, query(""), 100).await.len(), 2 * PER_MESSAGE as usize);
    assert_eq!(store.durable().borrow().get(&source()), Some(&1));

    std::fs::remove_file(&filler).unwrap();
    let mut durable = store.durable();
    durable.wait_for(|d| d.get(&source()) == Some(&2)).await.unwrap();
    while store.metrics().condition != Condition::Healthy {
        tokio::task::yield_now().await;
    }
    store.close().await.unwrap();
    drop(store);
    let store = Store::open(common::config(path)).unwrap();
    assert_eq!(all_ids(&store, query(""), 100).await.len(), 2 * PER_MESSAGE as usize);
    store.close().await.unwrap();
}

#[tokio::test]
async fn on_a_full_disk_the_oldest_rows_make_room() {
    let Some(disk) = SmallDisk::mount("3m") else {
        let mut err = std::io::stderr();
        _ = writeln!(err, "skipped: mounting a small file system needs root");
        return;
    };
    let config = StoreConfig {
        seal_after: Duration::from_millis(20),
        seal_retry: Duration::from_millis(20),
        merge_fan_in: 1_000,
        disk_full_keep: 100_000,
        ..config(disk.0.path())
    };
    let store = Store::open(config).unwrap();
    let other = SourceId::new("agent-2", "boot-1");
    let mut seq = 0;
    while store.metrics().disk_full_segments == 0 {
        seq += 1;
        let ids = seq * 1_000..(seq + 1) * 1_000;
        store.append(&other, seq as u64, calls(ids)).await.unwrap();
        store.flush().await.unwrap();
        assert!(seq < 1_000, "the disk never fills");
    }
    let m = store.metrics();
    assert_eq!(m.condition, Condition::Healthy);
    assert!(m.retired_rows > 0 && m.retired_rows < (seq as u64) * 1_000);
    let newest = all_ids(&store, query(""), 10_000).await;
    assert_eq!(newest.first(), Some(&((seq + 1) * 1_000 - 1)));
    assert_eq!(newest.len() as u64, seq as u64 * 1_000 - m.retired_rows);
    assert!(matches!(store.call(1_000).await, Err(Error::Deleted { .. })));
    store.close().await.unwrap();
}
