//! What must hold for the captures of every protocol, whatever the protocol: nothing panics, a
//! capture may begin anywhere, and what a network does to segments changes nothing or leaves
//! something out, but makes nothing up.
//!
//! A new protocol is covered as soon as its captures lie below `tests/corpus`. The environment
//! variable `REMORA_CORPUS` names a directory with more captures, `REMORA_CAPTURE` chooses those
//! whose path contains it, `REMORA_STRICT` shows what is known to be wrong as well, and
//! `PROPTEST_RNG_SEED` draws other cases.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/capture.rs"]
mod capture;
#[path = "support/mutate.rs"]
mod mutate;
#[path = "support/stated.rs"]
mod stated;
mod support;

use std::path::Path;

use capture::{Packet, read, run, without_repetitions};
use mutate::{Random, lose, reorder, repeat, split};
use remora_dissect::Limits;
use stated::{Stated, Statements, Whole, same};
use support::packets;

/// Packets of a capture that a property looks at, all runs together: what bounds the time.
const BUDGET: usize = if cfg!(debug_assertions) { 20_000 } else { 100_000 };

fn calls<'a>(packets: impl IntoIterator<Item = &'a Packet>) -> Vec<Stated> {
    let mut found = Statements::default();
    // Many small pieces must find room behind a hole that the capture has of its own.
    run(packets, Limits { segments: 1 << 20, unknown_entries: false, ..Limits::default() }, &mut found);
    found.calls
}

/// Captures of which more cannot be asked, and why. All else must hold for them, and a capture that is not
/// named here must not do the like.
const SPLIT_WRONG: &[(&str, &str)] = &[(
    "http2/grpc-server-stream.pcap",
    "HTTP/2 behind a hole that the capture has: the first frames that leave no doubt are believed. Which ones \
     these are depends on how much has arrived, because what follows them may speak against them. To be the \
     same for every split the search would have to stop at what is certain for the moment, and be wrong more \
     often, or wait for the end of the connection",
)];

/// Runs `check` over every capture. What it says is wrong is collected, so that one run shows all.
fn for_each_capture(known: &[(&str, &str)], check: impl Fn(Vec<Packet>, &mut Random) -> Result<(), String>) {
    let wanted = std::env::var("REMORA_CAPTURE").unwrap_or_default();
    let seed: u64 = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0);
    let strict = std::env::var_os("REMORA_STRICT").is_some();
    let mut wrong = Vec::new();
    for path in capture::all().iter().filter(|p| p.to_string_lossy().contains(&wanted)) {
        let packets = read(&std::fs::read(path).unwrap());
        let mut random = Random(seed ^ packets.len() as u64);
        if let Err(what) = check(packets, &mut random)
            && (strict || !known.iter().any(|(name, _)| path.ends_with(name)))
        {
            wrong.push(format!("{}: {what}", short(path)));
        }
    }
    assert!(wrong.is_empty(), "{} captures\n{}", wrong.len(), wrong.join("\n"));
}

fn short(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|p| p.to_string_lossy()).collect();
    parts[parts.len().saturating_sub(3)..].join("/")
}

/// How often a property can be tried on a capture, at most `most` times.
fn rounds(packets: &[Packet], most: usize) -> usize {
    (BUDGET / packets.len().max(1)).clamp(1, most)
}

/// Whole, and with budgets so small that each of them is reached.
#[test]
fn nothing_panics() {
    for_each_capture(&[], |packets, _| {
        let small = Limits {
            payload: 16,
            message_bytes: 512,
            detect_bytes: 64,
            flows: 4,
            flow_bytes: 1 << 10,
            total_bytes: 16 << 10,
            segments: 2,
            pending: 2,
            header_list: 64,
            header_table: 64,
            ..Limits::default()
        };
        for limits in [Limits::default(), small] {
            run(&packets, limits, &mut Statements::default());
        }
        Ok(())
    });
}

/// A call of a capture that begins later is one of the whole capture, or a part of one.
#[test]
fn a_capture_may_begin_at_every_packet() {
    for_each_capture(&[], |packets, _| {
        let packets = without_repetitions(&packets);
        let all = calls(&packets);
        let whole = Whole::new(&all);
        let most = (2 * BUDGET / packets.len().max(1)).max(20);
        let step = packets.len().div_ceil(most).max(1);
        for from in (1..packets.len()).step_by(step) {
            if let Some(why) = whole.invented(&calls(&packets[from..])) {
                return Err(format!("from packet {} on: {why}", from + 1));
            }
        }
        Ok(())
    });
}

#[test]
fn any_split_gives_the_same_calls() {
    for_each_capture(SPLIT_WRONG, |packets, random| {
        let all = calls(&packets);
        for round in 0..rounds(&packets, 12) {
            let most = [1, 2, 3, 5, 8, 16, 40, 100, 300, 600, 1_000, 4_000][round % 12];
            // Byte by byte only where there are few.
            let bytes: usize = packets.iter().map(|p| p.bytes.len()).sum();
            let most = most.max(bytes / BUDGET);
            if let Some(why) = same(&calls(&split(&packets, most, random)), &all, true) {
                return Err(format!("in pieces of at most {most} bytes: {why}"));
            }
        }
        Ok(())
    });
}

#[test]
fn repeated_segments_change_nothing() {
    for_each_capture(&[], |packets, random| {
        let all = calls(&packets);
        for _ in 0..rounds(&packets, 8) {
            if let Some(why) = same(&calls(&repeat(&packets, 30, random)), &all, true) {
                return Err(why);
            }
        }
        Ok(())
    });
}

#[test]
fn reordered_segments_give_the_same_calls_at_other_times() {
    for_each_capture(&[], |packets, random| {
        let packets = without_repetitions(&packets);
        let all = calls(&packets);
        for _ in 0..rounds(&packets, 8) {
            let pieces = split(&packets, 1 + random.below(700), random);
            if let Some(why) = same(&calls(&reorder(&pieces, 6, random)), &all, false) {
                return Err(why);
            }
        }
        Ok(())
    });
}

/// Calls found in spite of losses are calls that were there, or parts of them.
#[test]
fn losses_make_nothing_up() {
    for_each_capture(&[], |packets, random| {
        let packets = without_repetitions(&packets);
        let all = calls(&packets);
        let whole = Whole::new(&all);
        for round in 0..rounds(&packets, 24) {
            let percent = [1, 3, 10, 30][round % 4];
            if let Some(why) = whole.invented(&calls(&lose(&packets, percent, random))) {
                return Err(format!("without {percent} % of the packets: {why}"));
            }
        }
        Ok(())
    });
}
