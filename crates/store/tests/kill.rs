//! A process that is killed (SIGKILL) at random moments while it ingests, seals, merges and deletes.
//!
//! `REMORA_STORE_KILLS` sets how often, `REMORA_STORE_KILL_SEED` which moments are drawn.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::*;
use remora_kfl::TimeRange;
use remora_model::{BatchSet, FlowState, TableBatch, field as f};
use remora_store::{Appended, Error, SourceId, SqlQuery, Store, StoreConfig};

/// Tells a copy of this test binary to be the process that is killed, and where it stores.
const CHILD: &str = "REMORA_STORE_KILL_DIR";
/// Bytes that its retention leaves.
const KEEP: &str = "REMORA_STORE_KILL_KEEP";
/// Kills when nothing else is asked for.
const KILLS: u64 = 60;
/// After so many kills a directory is exchanged for an empty one, so that looking at it stays quick.
const LIFE: u64 = 20;
/// Bytes that retention leaves in the directory that is short of room.
const FEW: u64 = 150_000;
/// Unsealed bytes that the process may hold: what a kill can cost.
const BUDGET: usize = 1 << 20;
const HTTP: i64 = 10;
const DNS: i64 = 5;

/// Seals, merges and deletes all the time, so that every kill hits something.
fn busy(dir: &Path, keep: u64) -> StoreConfig {
    StoreConfig {
        seal_after: Duration::from_millis(1),
        merge_fan_in: 3,
        merge_cpu_percent: 100,
        row_group_rows: 64,
        memory_budget: BUDGET,
        retention_bytes: keep,
        ..config(dir)
    }
}

fn sources() -> [SourceId; 2] {
    ["agent-1", "agent-2"].map(|agent| SourceId::new(agent, "boot-1"))
}

/// Number of a message of one of the two sources, among those of both.
fn number(source: usize, seq: u64) -> i64 {
    seq as i64 * 2 + source as i64
}

/// Ids of the calls of a message.
fn ids_of(source: usize, seq: u64) -> std::ops::Range<i64> {
    let first = number(source, seq) * 100;
    first..first + HTTP + DNS
}

/// Calls of two protocols, a flow and a row of coverage.
fn message(source: usize, seq: u64) -> Vec<TableBatch> {
    let mut set = BatchSet::new("node-1");
    for (at, id) in (0..).zip(ids_of(source, seq)) {
        if at < HTTP { http(&mut set, id) } else { dns(&mut set, id) }
    }
    let number = number(source, seq);
    flow(&mut set, number, number, FlowState::Open);
    coverage(&mut set, number, "packets", 1);
    set.take().unwrap()
}

/// Appends without end, from where the store says that it stands, and tells what it took and what is
/// durable. The parent reads the latter as a promise.
#[test]
fn child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let keep = std::env::var(KEEP).unwrap().parse().unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").unwrap();
        out.flush().unwrap();
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(busy(Path::new(&dir), keep)).unwrap();
        let mut durable = store.durable();
        tokio::spawn(async move {
            while durable.changed().await.is_ok() {
                let marks = durable.borrow_and_update().clone();
                let [a, b] = sources().map(|s| marks.get(&s).copied().unwrap_or(0));
                say(format!("durable {a} {b}"));
            }
        });
        let mut seqs = sources().map(|s| store.received(&s).unwrap_or(0));
        for at in (0..2).cycle() {
            seqs[at] += 1;
            let took = store.append(&sources()[at], seqs[at], message(at, seqs[at])).await;
            assert_eq!(took.unwrap(), Appended::New);
            say(format!("appended {} {}", seqs[0], seqs[1]));
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
    });
}

/// What the process said: the last of each kind of line that came whole.
fn last_said(text: &str, word: &str) -> Option<[u64; 2]> {
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().rev().find_map(|line| {
        let mut numbers = line.split_once(word)?.1.split_whitespace().map(|n| n.parse().ok());
        Some([numbers.next()??, numbers.next()??])
    })
}

/// When the process is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So long after it was started: before and while the store is opened, as a rule.
    Started(Duration),
    /// So long after it has said something for the n-th time, however fast the machine is.
    Said(u64, Duration),
}

/// Runs the process and kills it at that moment; what it said.
fn killed_at(moment: Moment, dir: &Path, keep: u64) -> String {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, dir)
        .env(KEEP, keep.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
    let mut said = Vec::new();
    let after = match moment {
        Moment::Started(after) => after,
        Moment::Said(times, after) => {
            let (mut lines, mut part) = (0, [0; 256]);
            while lines < times {
                let n = out.read(&mut part).unwrap();
                if n == 0 {
                    // It ended by itself, which is noticed below.
                    break;
                }
                said.extend_from_slice(&part[..n]);
                lines += part[..n].iter().filter(|b| **b == b'\n').count() as u64;
            }
            after
        }
    };
    std::thread::sleep(after);
    process.kill().unwrap();
    let status = process.wait().unwrap();
    let mut errors = String::new();
    err.read_to_string(&mut errors).unwrap();
    assert_eq!(status.signal(), Some(9), "it ended by itself: {errors}");
    out.read_to_end(&mut said).unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What was found over all kills.
#[derive(Debug, Default)]
struct Found {
    lost_messages: u64,
    most_lost: u64,
    orphans: u64,
    deleted_ids: usize,
    without_a_word: u64,
}

#[tokio::test]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged_and_doubles_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let kills: u64 = number("REMORA_STORE_KILLS").unwrap_or(KILLS);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    let seed = number("REMORA_STORE_KILL_SEED").unwrap_or(clock);
    let mut random = Random(seed);
    let roomy = [false, true];
    let mut dirs = roomy.map(|_| tempfile::tempdir().unwrap());
    let mut found = Found::default();
    for turn in 0..kills {
        let at = (turn % 2) as usize;
        if turn / 2 % LIFE == LIFE - 1 {
            dirs[at] = tempfile::tempdir().unwrap();
        }
        let keep = if roomy[at] { u64::MAX } else { FEW };
        let moment = match random.below(4) {
            0 => Moment::Started(Duration::from_micros(random.below(30_000))),
            _ => Moment::Said(1 + random.below(60), Duration::from_micros(random.below(6_000))),
        };
        let said = killed_at(moment, dirs[at].path(), keep);
        let what = format!("seed {seed}, kill {turn} at {moment:?}");
        check(dirs[at].path(), roomy[at], &said, &what, &mut found).await;
    }
    assert!(kills < KILLS || found.deleted_ids > 0, "retention never deleted anything: {found:?}");
    _ = writeln!(std::io::stderr(), "{kills} kills: {found:?}");
}

/// Opens what the killed process left and asks everything of it.
async fn check(dir: &Path, roomy: bool, said: &str, what: &str, found: &mut Found) {
    // Changes nothing, so that what is there can be counted.
    let still = StoreConfig { merge_fan_in: 1_000_000, ..quiet(dir) };
    let store = Store::open(still.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let m = store.metrics();
    let lost = (m.missing_segments, m.damaged_segments, m.manifest_fallbacks, m.lost_rows);
    assert_eq!(lost, (0, 0, 0, 0), "{what}");
    found.orphans += m.orphans_removed;

    // What was promised is there; what was taken and not promised is lost up to the budget, and the
    // watermark tells the sender from where on.
    let kept = sources().map(|s| store.received(&s).unwrap_or(0));
    match (last_said(said, "durable "), last_said(said, "appended ")) {
        (promised, Some(taken)) => {
            let promised = promised.unwrap_or_default();
            assert!(kept[0] >= promised[0] && kept[1] >= promised[1], "{what}: {promised:?} > {kept:?}");
            // A message may be durable before its sender hears that it was taken.
            let lost = taken[0].saturating_sub(kept[0]) + taken[1].saturating_sub(kept[1]);
            assert!(lost as usize * smallest_message() <= BUDGET, "{what}: {lost} messages are lost");
            found.lost_messages += lost;
            found.most_lost = found.most_lost.max(lost);
        }
        _ => found.without_a_word += 1,
    }

    // Every row of what is kept is there once, or retention says that it deleted it.
    let mut ids = all_ids(&store, query(""), 10_000).await;
    assert!(ids.is_sorted_by(|a, b| a > b), "{what}: a call is there twice or out of order");
    ids.reverse();
    let wanted: BTreeSet<i64> =
        (0..2).flat_map(|s| (1..=kept[s]).flat_map(move |seq| ids_of(s, seq))).collect();
    if roomy {
        assert_eq!(ids.len(), wanted.len(), "{what}");
    }
    let there: BTreeSet<i64> = ids.iter().copied().collect();
    assert!(there.is_subset(&wanted), "{what}: calls of messages that are not durable");
    let missing: Vec<i64> = wanted.difference(&there).copied().collect();
    for id in missing.iter().step_by(missing.len() / 6 + 1) {
        let e = store.call(*id).await.expect_err("it is not there");
        assert!(matches!(e, Error::Deleted { .. }), "{what}: {id} is missing: {e}");
    }
    found.deleted_ids += missing.len();

    // No query fails.
    let all = store.stats(&stats_query("", &[])).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(ints(&all.rows, "count"), [ids.len() as i64], "{what}");
    let messages = (kept[0] + kept[1]) as i64;
    let flows = SqlQuery {
        text: "SELECT count(*) AS n FROM flows".into(),
        window: TimeRange::default(),
        filters: Vec::new(),
        limit: 10,
        mask: false,
    };
    let flows = ints(&store.sql(&flows).await.unwrap_or_else(|e| panic!("{what}: {e}")).rows, "n")[0];
    let coverage = store.coverage(TimeRange::default()).await.unwrap_or_else(|e| panic!("{what}: {e}"));
    let coverage: i64 = coverage.totals.iter().map(|t| t.count).sum();
    if roomy {
        assert_eq!((flows, coverage), (messages, messages), "{what}");
    } else {
        assert!(flows <= messages && coverage <= messages, "{what}");
    }
    for text in
        ["http && status_code == 500", "dns", "trace_id == \"07\"", "response.body.contains(\"item\")"]
    {
        store.calls(&query(text)).await.unwrap_or_else(|e| panic!("{what}: {text}: {e}"));
        store.stats(&stats_query(text, &[f::PATH])).await.unwrap_or_else(|e| panic!("{what}: {text}: {e}"));
    }

    // Nothing lies about that nobody knows of.
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".parquet") {
            files += 1;
            bytes += entry.metadata().unwrap().len();
        } else {
            let known = ["lock", "manifest.json", "manifest.copy.json"];
            assert!(known.contains(&name.as_str()), "{what}: {name} was left behind");
        }
    }
    assert_eq!((files, bytes), (m.segments, m.segment_bytes), "{what}");
    drop(store);
}

/// Bytes that the smallest message takes in memory.
fn smallest_message() -> usize {
    static BYTES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BYTES.get_or_init(|| {
        let size = |b: &TableBatch| -> usize {
            b.batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap()).sum()
        };
        message(0, 1).iter().map(size).sum()
    })
}
