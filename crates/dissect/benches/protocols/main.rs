//! How fast the library is by protocol, without a file to read and without anything to print: the
//! committed captures of each protocol, multiplied, through an engine into a sink that counts.
//!
//! `cargo bench -p remora-dissect --bench protocols -- [--protocol NAME] [--mb N] [--rounds N] [--write DIR] [--file FILE]`
//!
//! Prints a line of tab-separated values per protocol, under a line of their names, for
//! `cargo xtask bench dissect` to read. `--write` leaves each capture in DIR: `NAME.pcap`, and
//! its beginning of at most `--head-mb` megabytes in `NAME-head.pcap`. `--file` measures with a
//! capture as it is. Asserts nothing about time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod counting;
mod multiply;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use multiply::{Capture, protocols};
use remora_dissect::{Engine, FlowIds, Limits, Problem, Sink};
use remora_model::{Call, CaptureSource, FlowRow, Transport};

/// The names of the values in each line.
const COLUMNS: &[&str] = &[
    "protocol",
    "bytes",
    "packets",
    "connections",
    "calls",
    "head_calls",
    "mb_per_s",
    "calls_per_s",
    "allocations_per_call",
    "peak_bytes",
    "losses",
    "ports",
];

/// Counts what comes.
#[derive(Default)]
struct Count {
    calls: u64,
    losses: u64,
}

impl Sink for Count {
    fn call(&mut self, call: &Call<'_>) {
        black_box(call.fields);
        self.calls += 1;
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, _: u64) {
        self.losses += u64::from(problem.is_loss());
    }
}

/// Where the servers listen, so that others can be told what is spoken there.
#[derive(Default)]
struct Ports(BTreeSet<(&'static str, u16)>);

impl Sink for Ports {
    fn call(&mut self, call: &Call<'_>) {
        if matches!(call.transport, Transport::Tcp | Transport::Udp) {
            self.0.insert((call.transport.name(), call.server.port));
        }
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, _: Problem, _: u64) {}
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut bench, mut wanted, mut write, mut file) = (false, None, None, None);
    let (mut megabytes, mut head, mut rounds) = (64_usize, 8_usize, 3_u32);
    while let Some(arg) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
        match arg.as_str() {
            "--bench" => bench = true,
            "--protocol" => wanted = Some(value()),
            "--file" => file = Some(PathBuf::from(value())),
            "--write" => write = Some(PathBuf::from(value())),
            "--mb" => megabytes = value().parse().expect("--mb takes a number"),
            "--head-mb" => head = value().parse().expect("--head-mb takes a number"),
            "--rounds" => rounds = value().parse().expect("--rounds takes a number"),
            "--list" => return protocols().keys().for_each(|name| println!("{name}")),
            other => panic!("unknown option {other}"),
        }
    }
    // `cargo test` runs benches without this flag, to see that they build.
    if !bench {
        return;
    }
    println!("{}", COLUMNS.join("\t"));
    if let Some(file) = file {
        // As it is, under the name that was given.
        let capture = Capture::multiplied(&[file], 1, 1);
        let mut ports = Ports::default();
        capture.run(&mut engine(), &mut ports);
        return measure(wanted.as_deref().unwrap_or("file"), &capture, &ports.0, rounds);
    }
    for (name, files) in protocols() {
        if wanted.as_ref().is_some_and(|w| *w != name) {
            continue;
        }
        let once = Capture::multiplied(&files, 1, 1);
        let mut ports = Ports::default();
        once.run(&mut engine(), &mut ports);
        let capture = Capture::multiplied(&files, megabytes * 1_000_000, head * 1_000_000);
        if let Some(dir) = &write {
            capture.write(dir, &name);
        }
        measure(&name, &capture, &ports.0, rounds);
    }
}

fn engine() -> Engine {
    Engine::new(Limits::default(), CaptureSource::File, FlowIds::new(1, 1))
}

fn measure(name: &str, capture: &Capture, ports: &BTreeSet<(&str, u16)>, rounds: u32) {
    // A round of its own for what counting costs.
    let mut count = Count::default();
    let counted = counting::during(|| capture.run(&mut engine(), &mut count));
    let mut head = Count::default();
    capture.run_head(&mut engine(), &mut head);
    let mut seconds = Vec::new();
    for _ in 0..rounds {
        let (mut engine, mut again) = (engine(), Count::default());
        let (wall, before) = (Instant::now(), cpu_seconds());
        capture.run(&mut engine, &mut again);
        let taken = cpu_seconds().zip(before).map(|(now, before)| now - before);
        seconds.push(taken.unwrap_or_else(|| wall.elapsed().as_secs_f64()));
        assert_eq!(again.calls, count.calls, "the same bytes give the same calls");
    }
    seconds.sort_by(f64::total_cmp);
    let taken = seconds[seconds.len() / 2].max(1e-9);
    let ports: Vec<String> = ports.iter().map(|(transport, port)| format!("{transport}:{port}")).collect();
    println!(
        "{name}\t{}\t{}\t{}\t{}\t{}\t{:.1}\t{:.0}\t{:.3}\t{}\t{}\t{}",
        capture.bytes(),
        capture.packets(),
        capture.connections(),
        count.calls,
        head.calls,
        capture.bytes() as f64 / 1e6 / taken,
        count.calls as f64 / taken,
        counted.allocations as f64 / count.calls.max(1) as f64,
        counted.peak_bytes,
        count.losses,
        ports.join(",")
    );
}

/// Seconds that this thread has had a CPU: others on the machine do not count. `None` where the
/// kernel does not tell (CONFIG_SCHED_INFO).
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
