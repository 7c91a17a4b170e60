//! `cargo xtask bench NAME`: measurements that compare Remora with other tools on the same machine.
//!
//! A time alone says little about a program and much about the machine. So every benchmark runs
//! Remora and what it is compared with in turns, in one run, and prints ratios of medians.

mod capture;
mod dissect;
mod http;
mod load;
mod process;
mod sample;
mod store;
mod tls;
mod watched;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::args::{Args, UsageError};
use crate::run::which;
use crate::{ebpf, product};

/// A benchmark: what it is called, what it measures, and the function that runs it with the
/// words after its name.
struct Bench {
    name: &'static str,
    measures: &'static str,
    run: fn(&Path, Args) -> Result<()>,
}

/// Every benchmark, in the order in which `cargo xtask bench` lists them.
const BENCHES: &[Bench] = &[
    Bench {
        name: "capture",
        measures: "nginx + wrk under nothing, tcpdump and Remora: throughput kept, CPU per call, memory, calls whole",
        run: capture::bench,
    },
    Bench {
        name: "dissect",
        measures: "every protocol, or [FILE]: the library alone, remora dissect and tshark: MB/s, calls/s, allocations per call",
        run: dissect::bench,
    },
    Bench {
        name: "store",
        measures: "made-up traffic: calls/s per core, bytes per call, 20 questions to the store and to DuckDB over the same files",
        run: store::bench,
    },
    Bench {
        name: "tls",
        measures: "nginx and Go over HTTPS + wrk under nothing, Remora without and with plaintext: throughput kept, CPU per call",
        run: tls::bench,
    },
];

const OPTIONS: &str = "\
Options:
  --rounds N     turns of each contestant (default 3)
  --seconds N    length of a turn of `capture` and `tls` (default 8)
  --protocol P   the one protocol that `dissect` measures
  --quick        `dissect` in one round with small captures
  --calls N,N    calls that `store` is asked over (default 1000000,10000000; of 10 million 3 GB of disk)
  --dir DIR      where `store` keeps them and finds them again

REMORA_BIN names a binary to measure instead of building one.";

pub(crate) fn bench(root: &Path, args: Args) -> Result<()> {
    let mut words = args.verbatim().into_iter();
    let Some(name) = words.next() else {
        for bench in BENCHES {
            println!("{:10} {}", bench.name, bench.measures);
        }
        println!("\n{OPTIONS}");
        return Ok(());
    };
    let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
    match BENCHES.iter().find(|bench| bench.name == name) {
        Some(bench) => (bench.run)(root, Args::new(words)),
        None => Err(UsageError(format!("there is no benchmark `{name}`, but [{}]", names.join(", "))).into()),
    }
}

/// Takes `--name N` out of `args`; a number from 1 to `most`.
fn number(args: &mut Args, name: &str, default: u32, most: u32) -> Result<u32> {
    let Some(text) = args.value(name)? else { return Ok(default) };
    match text.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        _ => Err(UsageError(format!("{name} takes a number from 1 to {most}, not `{text}`")).into()),
    }
}

/// The binary under measurement: `REMORA_BIN`, or the release binary, built when it is not current.
fn remora(root: &Path) -> Result<PathBuf> {
    if let Some(file) = std::env::var_os("REMORA_BIN").filter(|value| !value.is_empty()) {
        let file = PathBuf::from(file);
        return file.canonicalize().with_context(|| format!("REMORA_BIN: {}", file.display()));
    }
    ebpf::build(root)?;
    product::build(root)
}

/// Fails unless all `programs` are installed.
fn need(programs: &[&str]) -> Result<()> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| which(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    bail!("{} missing: run `cargo xtask setup --tests`, or install by hand", missing.join(" and "))
}

/// Prints what the figures depend on.
fn print_conditions() {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    println!(
        "machine: {cores} CPUs ({}), Linux {}, load average {} before the first turn",
        model.map_or("model unknown", |(_, name)| name),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    );
    let watching = watchers();
    if !watching.is_empty() {
        println!("note: {} already running here: every figure pays for that as well", watching.join(", "));
    }
}

/// Programs that capture on this machine beside the benchmark.
fn watchers() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    let names = names.map(|name| name.trim().to_owned());
    names.filter(|name| ["remora", "tcpdump", "dumpcap", "tshark"].contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn options_are_numbers_within_bounds() {
        let args = |line: &str| Args::new(line.split_whitespace().map(str::to_owned));
        assert_eq!(number(&mut args("--rounds 5"), "--rounds", 3, 50).unwrap(), 5);
        assert_eq!(number(&mut args(""), "--rounds", 3, 50).unwrap(), 3);
        for bad in ["--rounds 0", "--rounds 51", "--rounds x", "--rounds"] {
            assert!(number(&mut args(bad), "--rounds", 3, 50).unwrap_err().is::<UsageError>(), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(need(&["sh"]).is_ok());
        let error = need(&["sh", "no-such-program-anywhere"]).unwrap_err().to_string();
        assert!(error.starts_with("no-such-program-anywhere missing"), "{error}");
    }
}
