//! A program under measurement.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::bench::process::children_cpu_seconds;
use crate::bench::sample::Sample;
use crate::run::Run;

/// A program under measurement.
pub(super) struct Contestant {
    run: Run,
    /// What it reads.
    bytes: u64,
    /// Calls that it finds in that.
    pub(super) calls: u64,
    pub(super) megabytes: Sample,
    pub(super) calls_per_second: Sample,
}

impl Contestant {
    /// Runs the program once to count the calls that it finds, which also warms the file's pages.
    /// `calls_in` says how many are in a line that it prints.
    pub(super) fn new(run: Run, bytes: u64, calls_in: impl Fn(&str) -> u64) -> Result<Self> {
        let run = on_one_core(&run);
        let mut command = run.command();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut calls = 0;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            calls += calls_in(&String::from_utf8_lossy(&line));
            line.clear();
        }
        if !child.wait()?.success() {
            bail!("`{}` failed", run.line());
        }
        Ok(Self { run, bytes, calls, megabytes: Sample::default(), calls_per_second: Sample::default() })
    }

    /// Measures the program once; how long it took by the clock.
    pub(super) fn turn(&mut self) -> Result<Duration> {
        let (began, before) = (Instant::now(), children_cpu_seconds()?);
        let mut command = self.run.command();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            bail!("`{}` failed", self.run.line());
        }
        // The clock's time would count what else the machine does against the program.
        let cpu = (children_cpu_seconds()? - before).max(0.01);
        self.megabytes.add(self.bytes as f64 / 1e6 / cpu);
        self.calls_per_second.add(self.calls as f64 / cpu);
        Ok(began.elapsed())
    }
}

fn on_one_core(run: &Run) -> Run {
    let core = std::thread::available_parallelism().map_or(0, |n| n.get() - 1);
    Run::new("taskset").args(["-c", &core.to_string(), "sh", "-c", &format!("exec {}", run.line())])
}
