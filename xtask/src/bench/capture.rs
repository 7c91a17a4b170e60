//! `cargo xtask bench capture`: what a busy service pays for being watched, and what is seen of it.
//!
//! nginx and wrk use all of two cores. Whatever watches them takes its share of the machine, and
//! the requests per second that are left tell its whole price: in the kernel, in softirqs that no
//! process is charged for, and in user space.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::http::get;
use super::load::{BODY_BYTES, CONNECTIONS, Load, Server};
use super::process::{Background, Scratch};
use super::sample::{Sample, grouped};
use super::watched::{START, Watched};
use crate::args::Args;
use crate::run::{Run, is_root};

/// Seconds of load before the first turn, so that it does not pay for cold caches.
const WARM_UP: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watcher {
    Nothing,
    Tcpdump,
    Remora,
}

const WATCHERS: [Watcher; 3] = [Watcher::Nothing, Watcher::Tcpdump, Watcher::Remora];

/// What was found over all turns.
#[derive(Default)]
struct Findings {
    per_second: [Sample; 3],
    tcpdump_seen: Sample,
    tcpdump_cpu: Sample,
    whole: Sample,
    cpu: Sample,
    memory: Sample,
    stored: u64,
    completed: u64,
    lost: BTreeMap<String, i64>,
    not_whole: BTreeMap<String, u64>,
}

pub(super) fn bench(root: &Path, mut args: Args) -> Result<()> {
    let rounds = super::number(&mut args, "--rounds", 3, 50)?;
    let seconds = super::number(&mut args, "--seconds", 8, 600)?;
    args.finish()?;
    super::need(&["nginx", "wrk", "tcpdump"])?;
    let remora = super::remora(root)?;
    if !is_root() {
        return Err(again_as_root(&remora, rounds, seconds)?);
    }
    println!("capture: {rounds} rounds of {seconds} s each with nothing, tcpdump and Remora");
    super::print_conditions();
    println!(
        "load: wrk -t1 -c{CONNECTIONS}, keep-alive, {BODY_BYTES} bytes of JSON from nginx with 1 worker, loopback"
    );

    let scratch = Scratch::new()?;
    let server = Server::start(scratch.path())?;
    server.load(WARM_UP)?;
    let mut findings = Findings::default();
    for round in 0..rounds as usize {
        // Everyone takes every place in the order.
        for place in 0..WATCHERS.len() {
            let watcher = WATCHERS[(round + place) % WATCHERS.len()];
            let load = match watcher {
                Watcher::Nothing => server.load(seconds)?,
                Watcher::Tcpdump => under_tcpdump(&server, seconds, scratch.path(), &mut findings)?,
                Watcher::Remora => under_remora(&server, seconds, &remora, scratch.path(), &mut findings)?,
            };
            eprintln!("  round {}: {:8} {} requests/s", round + 1, watcher.name(), grouped(load.per_second));
            findings.per_second[watcher as usize].add(load.per_second);
        }
    }
    server.stop()?;
    findings.print();
    Ok(())
}

impl Watcher {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Tcpdump => "tcpdump",
            Self::Remora => "remora",
        }
    }
}

/// Becomes the same benchmark under sudo: capturing takes root, building must not.
fn again_as_root(remora: &Path, rounds: u32, seconds: u32) -> Result<anyhow::Error> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let words = ["bench", "capture", "--rounds", &rounds.to_string(), "--seconds", &seconds.to_string()];
    Ok(Run::new(me).args(words).env("REMORA_BIN", remora).root().exec())
}

fn under_tcpdump(server: &Server, seconds: u32, dir: &Path, findings: &mut Findings) -> Result<Load> {
    let run = Run::new("tcpdump").args(["-s0", "-w", "/dev/null", "-i", "lo"]);
    let mut tcpdump = Background::start(&run, "tcpdump", dir)?;
    tcpdump.wait_until(START, |tcpdump| tcpdump.log().contains("listening on"))?;
    let before = tcpdump.cpu_seconds()?;
    let load = server.load(seconds)?;
    findings.tcpdump_cpu.add(micros_per_call(tcpdump.cpu_seconds()? - before, load.completed));
    let words = tcpdump.stop()?;
    if let (Some(received), Some(dropped)) =
        (count(&words, "packets received by filter"), count(&words, "packets dropped by kernel"))
    {
        findings.tcpdump_seen.add(1.0 - dropped / received.max(1.0));
    }
    Ok(load)
}

/// The number in front of `what` among tcpdump's last words.
fn count(words: &str, what: &str) -> Option<f64> {
    words.lines().find_map(|line| line.strip_suffix(what)?.trim().parse().ok())
}

pub(super) fn micros_per_call(cpu_seconds: f64, calls: u64) -> f64 {
    cpu_seconds * 1e6 / calls.max(1) as f64
}

fn under_remora(
    server: &Server,
    seconds: u32,
    remora: &Path,
    dir: &Path,
    findings: &mut Findings,
) -> Result<Load> {
    let probe = || get(server.probe_port, "/probe", &[]).is_ok();
    let remora = Watched::start(remora, &[], dir, server.probe_port, probe)?;
    let before = remora.cpu_seconds()?;
    let load = server.load(seconds)?;
    let stored = remora.drained(server.port)?;
    // With what it does after the load has ended: those calls are to be paid for as well.
    findings.cpu.add(micros_per_call(remora.cpu_seconds()? - before, load.completed));
    findings.memory.add(remora.peak_memory()?);
    let whole: u64 = stored.iter().filter(|kind| kind.is_whole()).map(|kind| kind.count).sum();
    findings.whole.add(whole as f64 / load.completed.max(1) as f64);
    findings.completed += load.completed;
    findings.stored += stored.iter().map(|kind| kind.count).sum::<u64>();
    for kind in stored.iter().filter(|kind| !kind.is_whole()) {
        *findings.not_whole.entry(kind.text()).or_default() += kind.count;
    }
    for (reason, count) in remora.losses()? {
        *findings.lost.entry(reason).or_default() += count;
    }
    remora.stop()?;
    Ok(load)
}

impl Findings {
    fn print(&self) {
        let [nothing, tcpdump, remora] = &self.per_second;
        println!("\n          {:>11}  throughput kept (least to most)", "requests/s");
        for (name, sample) in WATCHERS.map(Watcher::name).iter().zip(&self.per_second) {
            println!("{name:9} {:>11}  {}", grouped(sample.median()), sample.over(nothing).spread(2));
        }
        println!("remora keeps {} of what tcpdump keeps", remora.over(tcpdump).spread(2));
        println!(
            "\ncalls whole       {} of those that wrk completed have status 200 and nothing missing; \
             tcpdump saw {} of the packets",
            self.whole.spread(4),
            self.tcpdump_seen.spread(4)
        );
        println!(
            "CPU per call      {} us of remora, {:.2} of it per us of tcpdump's {}",
            self.cpu.spread(2),
            self.cpu.median() / self.tcpdump_cpu.median().max(0.01),
            self.tcpdump_cpu.spread(2),
        );
        println!(
            "                  (as the kernel charges processes, by ticks: work in softirqs is in nobody's figure)"
        );
        println!("memory            {} MiB at most (VmHWM)", {
            let mut mib = Sample::default();
            self.memory.values().iter().for_each(|bytes| mib.add(bytes / f64::from(1 << 20)));
            mib.spread(0)
        });
        println!(
            "stored            {} calls of {} that wrk completed; wrk leaves up to {CONNECTIONS} unfinished per turn",
            grouped(self.stored as f64),
            grouped(self.completed as f64)
        );
        for (kind, count) in &self.not_whole {
            println!("  not whole       {count} x {kind}");
        }
        for (reason, count) in &self.lost {
            println!("  lost            {count} x {reason}");
        }
        if self.lost.is_empty() {
            println!("  lost            nothing, as far as Remora's counters say");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_words_of_tcpdump_are_read() {
        let words = "tcpdump: listening on lo\n90 packets captured\n100 packets received by filter\n10 packets dropped by kernel\n";
        assert_eq!(count(words, "packets received by filter"), Some(100.0));
        assert_eq!(count(words, "packets dropped by kernel"), Some(10.0));
        assert_eq!(count("", "packets dropped by kernel"), None);
    }
}
