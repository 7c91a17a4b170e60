//! `cargo xtask bench tls`: what a busy server with TLS pays for its plaintext being read.
//!
//! The probes run inside the server, so that its own time per request tells their price; what the
//! agent does with the plaintext is in the agent's. Remora without plaintext stands between nothing and
//! all of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use super::capture::micros_per_call;
use super::load::{BODY_BYTES, CONNECTIONS, Load, Server, body};
use super::process::{Scratch, free_port};
use super::sample::{Sample, grouped};
use super::watched::Watched;
use crate::args::Args;
use crate::run::{Run, is_root, which};

/// Seconds of load before the first turn, so that it does not pay for cold caches.
const WARM_UP: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Watcher {
    Nothing,
    Packets,
    Plaintext,
}

const WATCHERS: [Watcher; 3] = [Watcher::Nothing, Watcher::Packets, Watcher::Plaintext];

impl Watcher {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Packets => "--no-tls",
            Self::Plaintext => "remora",
        }
    }
}

/// What was found with one server.
#[derive(Default)]
struct Findings {
    per_second: [Sample; 3],
    /// Microseconds of the server's own CPU per call.
    server_cpu: [Sample; 3],
    /// Microseconds of Remora's CPU per call.
    own_cpu: [Sample; 3],
    memory: Sample,
    whole: Sample,
    lost: BTreeMap<String, i64>,
    not_whole: BTreeMap<String, u64>,
}

pub(super) fn bench(root: &Path, mut args: Args) -> Result<()> {
    let rounds = super::number(&mut args, "--rounds", 3, 50)?;
    let seconds = super::number(&mut args, "--seconds", 8, 600)?;
    args.finish()?;
    super::need(&["nginx", "wrk", "curl", "openssl"])?;
    let remora = super::remora(root)?;
    if !is_root() {
        let me = std::env::current_exe().context("cannot find this program")?;
        let words = ["bench", "tls", "--rounds", &rounds.to_string(), "--seconds", &seconds.to_string()];
        return Err(Run::new(me).args(words).env("REMORA_BIN", &remora).root().exec());
    }
    println!("tls: {rounds} rounds of {seconds} s each with nothing, Remora without plaintext and Remora");
    super::print_conditions();
    println!("load: wrk -t1 -c{CONNECTIONS}, HTTPS, keep-alive, {BODY_BYTES} bytes of JSON, loopback");
    let scratch = Scratch::new()?;
    certificate(scratch.path())?;
    let nginx = Server::start_tls(scratch.path())?;
    measure("nginx (OpenSSL, one process)", &nginx, [rounds, seconds], &remora, scratch.path())?;
    nginx.stop()?;
    if which("go").is_none() {
        println!("\nGo is not installed: no figures for crypto/tls");
        return Ok(());
    }
    let go = go(scratch.path())?;
    measure("Go (crypto/tls, GOMAXPROCS=1)", &go, [rounds, seconds], &remora, scratch.path())?;
    go.stop()
}

fn measure(
    what: &str,
    server: &Server,
    [rounds, seconds]: [u32; 2],
    remora: &Path,
    dir: &Path,
) -> Result<()> {
    server.load(WARM_UP)?;
    let mut findings = Findings::default();
    for round in 0..rounds as usize {
        // Everyone takes every place in the order.
        for place in 0..WATCHERS.len() {
            let watcher = WATCHERS[(round + place) % WATCHERS.len()];
            let load = turn(watcher, server, seconds, remora, dir, &mut findings)?;
            eprintln!(
                "  {what}, round {}: {:8} {} requests/s",
                round + 1,
                watcher.name(),
                grouped(load.per_second)
            );
        }
    }
    findings.print(what);
    Ok(())
}

fn turn(
    watcher: Watcher,
    server: &Server,
    seconds: u32,
    remora: &Path,
    dir: &Path,
    findings: &mut Findings,
) -> Result<Load> {
    let options: Option<&[&str]> = match watcher {
        Watcher::Nothing => None,
        Watcher::Packets => Some(&["--no-tls"]),
        Watcher::Plaintext => Some(&[]),
    };
    let probe = || asked(server.probe_port);
    let watched = options.map(|o| Watched::start(remora, o, dir, server.probe_port, probe)).transpose()?;
    let before = (server.cpu_seconds()?, watched.as_ref().map(Watched::cpu_seconds).transpose()?);
    let load = server.load(seconds)?;
    let at = watcher as usize;
    let used = server.cpu_seconds()? - before.0;
    findings.server_cpu[at].add(micros_per_call(used, load.completed));
    findings.per_second[at].add(load.per_second);
    let Some(watched) = watched else { return Ok(load) };
    let stored = watched.drained(server.port)?;
    let used = watched.cpu_seconds()? - before.1.unwrap_or_default();
    findings.own_cpu[at].add(micros_per_call(used, load.completed));
    if watcher == Watcher::Plaintext {
        findings.memory.add(watched.peak_memory()?);
        let whole: u64 = stored.iter().filter(|kind| kind.is_whole()).map(|kind| kind.count).sum();
        findings.whole.add(whole as f64 / load.completed.max(1) as f64);
        for kind in stored.iter().filter(|kind| !kind.is_whole()) {
            *findings.not_whole.entry(kind.text()).or_default() += kind.count;
        }
        for (reason, count) in watched.losses()? {
            *findings.lost.entry(reason).or_default() += count;
        }
    }
    watched.stop()?;
    Ok(load)
}

/// Asks once over HTTPS, with a connection of its own.
fn asked(port: u16) -> bool {
    let url = format!("https://127.0.0.1:{port}/probe");
    Run::new("curl").args(["-sk", "-o", "/dev/null", "--max-time", "5", &url]).succeeds()
}

/// A certificate of its own making.
fn certificate(dir: &Path) -> Result<()> {
    let mut openssl = Run::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"])
        .command();
    let status = openssl.current_dir(dir).stderr(Stdio::null()).status().context("cannot run openssl")?;
    if !status.success() {
        bail!("openssl made no certificate");
    }
    Ok(())
}

/// The server in Go.
const PROGRAM: &str = r#"package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	body := os.Args[1]
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	}
	go http.ListenAndServeTLS("127.0.0.1:"+os.Args[3], "cert.pem", "key.pem", http.HandlerFunc(answer))
	panic(http.ListenAndServeTLS("127.0.0.1:"+os.Args[2], "cert.pem", "key.pem", http.HandlerFunc(answer)))
}
"#;

fn go(dir: &Path) -> Result<Server> {
    std::fs::write(dir.join("main.go"), PROGRAM)?;
    let mut build = Run::new("go").args(["build", "-o", "server", "main.go"]).command();
    let build = build.env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").current_dir(dir).output()?;
    if !build.status.success() {
        bail!("go build: {}", String::from_utf8_lossy(&build.stderr).trim());
    }
    let ports = [free_port()?, free_port()?];
    // It reads its certificate from the directory that it runs in.
    let run = Run::new(dir.join("server")).dir(dir).env("GOMAXPROCS", "1");
    let run = run.args([body(), ports[0].to_string(), ports[1].to_string()]);
    Server::run(&run, "go", dir, "https", ports)
}

impl Findings {
    fn print(&self, what: &str) {
        println!("\n{what}");
        println!(
            "          {:>11}  {:24} {:>22}  {:>22}",
            "requests/s", "kept (least to most)", "server us/call (ratio)", "remora us/call"
        );
        let (nothing, untouched) = (&self.per_second[0], &self.server_cpu[0]);
        for (at, watcher) in WATCHERS.into_iter().enumerate() {
            let (rate, cpu) = (&self.per_second[at], &self.server_cpu[at]);
            println!(
                "{:9} {:>11}  {:24} {:>22}  {:>22}",
                watcher.name(),
                grouped(rate.median()),
                rate.over(nothing).spread(2),
                format!("{:.2} ({:.2})", cpu.median(), cpu.over(untouched).median()),
                if watcher == Watcher::Nothing { String::new() } else { self.own_cpu[at].spread(2) },
            );
        }
        println!(
            "calls whole       {} of those that wrk completed have status 200 and nothing missing",
            self.whole.spread(4)
        );
        println!("memory            {:.0} MiB at most (VmHWM)", self.memory.max() / f64::from(1 << 20));
        for (kind, count) in &self.not_whole {
            println!("  not whole       {count} x {kind}");
        }
        for (reason, count) in &self.lost {
            println!("  lost            {count} x {reason}");
        }
    }
}
