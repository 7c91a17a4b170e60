//! `cargo xtask bench store`: what storing costs, and how long questions take beside DuckDB.
//!
//! A store is filled with made-up traffic (`crates/synth`) and asked a set of questions
//! (`crates/store/benches/questions.json`); DuckDB is asked the same in SQL over the same Parquet files, and the
//! answers are compared.

mod answers;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::process::Scratch;
use super::sample::{Sample, grouped};
use crate::args::{Args, UsageError};
use crate::product;
use crate::run::Run;
use answers::{Answers, agree};

/// Where the questions stand.
const QUESTIONS: &str = "crates/store/benches/questions.json";

/// What DuckDB is asked with.
const DUCK: &str = include_str!("duck.py");

/// The version of DuckDB (MIT licence) that is compared with.
const DUCKDB: &str = "duckdb==2.0.1";

/// Calls when nothing else is asked for.
const SIZES: &str = "1000000,10000000";

/// The goals: calls per second and core, milliseconds, bytes.
const INGEST: f64 = 300_000.0;
const FIRST_HUNDRED: f64 = 50.0;
const GROUP_BY: f64 = 500.0;
const MEMORY: f64 = (1u64 << 30) as f64;

pub(super) fn bench(root: &Path, mut args: Args) -> Result<()> {
    let rounds = super::number(&mut args, "--rounds", 5, 50)?;
    let sizes = args.value("--calls")?.unwrap_or_else(|| SIZES.to_owned());
    let sizes: Vec<u64> = sizes
        .split(',')
        .map(|n| {
            n.parse().map_err(|_| UsageError(format!("--calls takes numbers with commas, not `{sizes}`")))
        })
        .collect::<Result<_, UsageError>>()?;
    let kept = args.value("--dir")?.map(PathBuf::from);
    args.finish()?;
    super::need(&["python3", "dd"])?;
    let python = duckdb()?;
    let scratch = Scratch::new()?;
    let dir = kept.as_deref().unwrap_or_else(|| scratch.path());
    std::fs::create_dir_all(dir)?;
    super::print_conditions();

    let ingest = lines(&store(root, &["--do", "ingest", "--dir", &dir.display().to_string()])?)?;
    println!("\nIngest, processor time from a finished batch with bodies on, by core:\n");
    for (name, what) in [("sealed_per_s", "until it is durable"), ("merged_per_s", "and merged")] {
        let mut sample = Sample::default();
        ingest.iter().filter_map(|line| line[name].as_f64()).for_each(|n| sample.add(n));
        let met = if sample.median() >= INGEST { "goal met" } else { "goal missed" };
        println!(
            "{what:20} {:>9} calls/s ({:.2} of the goal: {met})",
            grouped(sample.median()),
            sample.median() / INGEST
        );
    }
    for calls in sizes {
        let dir = dir.join(calls.to_string());
        std::fs::create_dir_all(&dir)?;
        one(root, &python, &dir, calls, rounds)?;
        if kept.is_none() {
            std::fs::remove_dir_all(&dir)?;
        }
    }
    Ok(())
}

/// Fills a store and asks it and DuckDB.
fn one(root: &Path, python: &Path, dir: &Path, calls: u64, rounds: u32) -> Result<()> {
    let path = dir.display().to_string();
    let filled = dir.join("filled.json");
    if !filled.exists() {
        let text = store(root, &["--do", "fill", "--dir", &path, "--calls", &calls.to_string()])?;
        std::fs::write(&filled, text)?;
    }
    let facts = lines(&std::fs::read_to_string(&filled)?)?;
    let fact = |name: &str| facts.first().and_then(|f| f[name].as_f64()).unwrap_or_default();
    println!("\n## {} calls\n", grouped(fact("calls")));
    println!("bytes per call on disk   {:.1}", fact("disk_bytes") / fact("calls"));
    println!(
        "of a capture file        {:.3} ({:.0} bytes per call, estimated by the traffic's maker)",
        fact("disk_bytes") / fact("wire_bytes"),
        fact("wire_bytes") / fact("calls")
    );
    println!("segments                 {:.0} after {:.0} merges", fact("segments"), fact("merges"));
    print_memory("memory while filling", fact("memory"));

    let (questions, rounds) = (root.join(QUESTIONS), rounds.to_string());
    let at = questions.display().to_string();
    let remora = Answers::read(&store(
        root,
        &["--do", "ask", "--dir", &path, "--questions", &at, "--rounds", &rounds],
    )?)?;
    let script = dir.join("duck.py");
    std::fs::write(&script, DUCK)?;
    let duck = Answers::read(&Run::new(python).arg(&script).args([&path, &at, &rounds]).output()?)?;
    print_memory("memory while asking", remora.memory);
    print_memory("DuckDB's", duck.memory);
    print(&remora, &duck)
}

fn print_memory(what: &str, bytes: f64) {
    let met = if bytes <= MEMORY { "below" } else { "ABOVE" };
    println!("{what:24} {:.0} MiB at most (VmHWM), {met} 1 GiB", bytes / f64::from(1 << 20));
}

fn print(remora: &Answers, duck: &Answers) -> Result<()> {
    println!(
        "\n| {:40} | {:>12} | {:>8} | {:>8} | {:>8} | {:>8} | {:>6} | {:>7} |",
        "question", "warm: DuckDB", "warm ms", "DuckDB's", "cold ms", "DuckDB's", "goal", "answers"
    );
    println!("|---|---:|---:|---:|---:|---:|---|---|");
    let mut differ = Vec::new();
    for (ours, theirs) in remora.all.iter().zip(&duck.all) {
        let goal = match ours.name.split([' ', ':']).next() {
            Some("newest" | "needle") => Some(FIRST_HUNDRED),
            Some("group") => Some(GROUP_BY),
            _ => None,
        };
        let goal = goal.map_or("-", |goal| if ours.warm.median() <= goal { "met" } else { "missed" });
        let same = ours.name == theirs.name && agree(&ours.answer, &theirs.answer);
        if !same {
            differ.push(ours.name.clone());
        }
        println!(
            "| {:40} | {:>12} | {:>8.1} | {:>8.1} | {:>8.1} | {:>8.1} | {goal:>6} | {:>7} |",
            ours.name,
            format!("x{:.2}", theirs.warm.median() / ours.warm.median().max(0.001)),
            ours.warm.median(),
            theirs.warm.median(),
            ours.cold,
            theirs.cold,
            if same { "same" } else { "DIFFER" },
        );
    }
    println!("\nwarm: DuckDB's median divided by Remora's, above 1 Remora is the faster one.");
    if differ.is_empty() { Ok(()) } else { bail!("the answers differ: {}", differ.join("; ")) }
}

/// Runs the store's part with these arguments; what it prints.
fn store(root: &Path, args: &[&str]) -> Result<String> {
    // All packages are named so that dependencies have the features that they were built with.
    let cargo = product::cargo(root).args(["bench", "--quiet", "--workspace", "--bench", "questions", "--"]);
    cargo.args(args).output()
}

fn lines(text: &str) -> Result<Vec<Value>> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))).collect()
}

/// The interpreter of an environment with DuckDB.
fn duckdb() -> Result<PathBuf> {
    let environment = product::cache_dir().join("python-bench");
    let python = environment.join("bin/python");
    let stamp = environment.join("requirements.txt");
    if !python.exists() || std::fs::read_to_string(&stamp).ok().as_deref() != Some(DUCKDB) {
        Run::new("python3").args(["-m", "venv", "--clear"]).arg(&environment).run()?;
        Run::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", DUCKDB])
            .run()?;
        // Last, so that what was interrupted is made again.
        std::fs::write(&stamp, DUCKDB).with_context(|| format!("{}", stamp.display()))?;
    }
    Ok(python)
}
