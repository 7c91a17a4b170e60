//! `cargo xtask bench dissect [FILE]`: `remora dissect` against tshark on the same file and core.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::load::{CONNECTIONS, Server};
use super::process::{Background, Scratch, children_cpu_seconds};
use super::sample::{Sample, grouped};
use crate::args::Args;
use crate::product;
use crate::run::{Run, is_root};

/// Packets of the capture that is made: about 150 MB.
const PACKETS: u32 = 600_000;

/// What tshark reads at most, in bytes: about ten seconds of its time per turn.
const TSHARK_LIMIT: u64 = 48_000_000;

/// The fields that tshark prints: what `remora dissect` prints of a call, as far as tshark has it.
const TSHARK_FIELDS: &[&str] = &[
    "frame.time_epoch",
    "ip.src",
    "tcp.srcport",
    "ip.dst",
    "tcp.dstport",
    "http.request.method",
    "http.host",
    "http.request.uri",
    "http.response.code",
    "http.time",
];

/// A program under measurement.
struct Contestant {
    name: &'static str,
    run: Run,
    /// What it reads.
    bytes: u64,
    /// Calls that it finds in that.
    calls: u64,
    megabytes: Sample,
    calls_per_second: Sample,
}

pub(super) fn bench(root: &Path, mut args: Args) -> Result<()> {
    let rounds = super::number(&mut args, "--rounds", 3, 50)?;
    let files = args.positional()?;
    super::need(&["tshark", "taskset"])?;
    let remora = super::remora(root)?;
    let file = match files.as_slice() {
        [] => made()?,
        [file] => PathBuf::from(file).canonicalize().with_context(|| format!("cannot read {file}"))?,
        _ => bail!(crate::args::UsageError("bench dissect takes one file".into())),
    };
    let scratch = Scratch::new()?;
    let bytes = file.metadata()?.len();
    let head = head_for_tshark(&file, bytes, scratch.path())?;
    let head_bytes = head.metadata()?.len();

    println!("dissect: {rounds} rounds, every program on one core; rates are per second of its CPU time");
    super::print_conditions();
    println!(
        "file: {} MB; tshark reads {}",
        grouped(bytes as f64 / 1e6),
        if head == file {
            "all of it".to_owned()
        } else {
            format!("its first {} MB only, because it takes long", grouped(head_bytes as f64 / 1e6))
        }
    );

    let dissect = |format: &str| Run::new(&remora).arg("dissect").arg(&file).args(["-o", format]);
    let mut tshark = Run::new("tshark").arg("-r").arg(&head).args(["-Y", "http", "-T", "fields"]);
    for field in TSHARK_FIELDS {
        tshark = tshark.args(["-e", field]);
    }
    // Calls are counted by what is printed: one line each of remora (TSV has a line of names), one
    // line per response of tshark.
    let status = TSHARK_FIELDS.iter().position(|field| *field == "http.response.code").unwrap_or(0);
    let responded = |line: &str| line.split('\t').nth(status).is_some_and(|code| !code.is_empty());
    let mut contestants = [
        Contestant::new("remora -o ndjson", dissect("ndjson"), bytes, |_| true)?,
        Contestant::new("remora -o tsv", dissect("tsv"), bytes, |_| true)?,
        Contestant::new("tshark -T fields", tshark, head_bytes, responded)?,
    ];
    contestants[1].calls = contestants[0].calls;
    for round in 1..=rounds {
        for contestant in &mut contestants {
            let wall = contestant.turn()?;
            eprintln!("  round {round}: {:17} {:.2} s", contestant.name, wall.as_secs_f64());
        }
    }
    print(&contestants);
    Ok(())
}

impl Contestant {
    /// Runs the program once to count the calls that it finds, which also warms the file's pages.
    fn new(name: &'static str, run: Run, bytes: u64, is_call: impl Fn(&str) -> bool) -> Result<Self> {
        let run = on_one_core(&run);
        let mut command = run.command();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut calls = 0;
        let mut lines = BufReader::new(child.stdout.take().context("a pipe was asked for")?);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            calls += u64::from(is_call(&String::from_utf8_lossy(&line)));
            line.clear();
        }
        if !child.wait()?.success() {
            bail!("`{}` failed", run.line());
        }
        Ok(Self {
            name,
            run,
            bytes,
            calls,
            megabytes: Sample::default(),
            calls_per_second: Sample::default(),
        })
    }

    /// Measures the program once; how long it took by the clock.
    fn turn(&mut self) -> Result<Duration> {
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

fn print(contestants: &[Contestant; 3]) {
    println!("\n{:17} {:>8} {:>24} {:>12}", "", "calls", "MB/s per core", "calls/s");
    for c in contestants {
        println!(
            "{:17} {:>8} {:>24} {:>12}",
            c.name,
            c.calls,
            c.megabytes.spread(1),
            grouped(c.calls_per_second.median())
        );
    }
    let [ndjson, tsv, tshark] = contestants;
    for c in [ndjson, tsv] {
        println!(
            "{} is {} times as fast as tshark by bytes, {} times by calls",
            c.name,
            c.megabytes.over(&tshark.megabytes).spread(1),
            c.calls_per_second.over(&tshark.calls_per_second).spread(1)
        );
    }
}

/// `file`, or a copy of its beginning when tshark would take too long for all of it.
fn head_for_tshark(file: &Path, bytes: u64, dir: &Path) -> Result<PathBuf> {
    if bytes <= TSHARK_LIMIT {
        return Ok(file.to_owned());
    }
    super::need(&["capinfos", "editcap"])?;
    let counted = Run::new("capinfos").args(["-T", "-r", "-M", "-c"]).arg(file).output()?;
    let packets: u64 = counted
        .trim()
        .rsplit('\t')
        .next()
        .and_then(|count| count.parse().ok())
        .with_context(|| format!("cannot read what capinfos says: {counted}"))?;
    let first = u128::from(packets) * u128::from(TSHARK_LIMIT) / u128::from(bytes);
    let head = dir.join("head.pcap");
    Run::new("editcap").arg("-r").arg(file).arg(&head).arg(format!("1-{}", first.max(1))).output()?;
    Ok(head)
}

/// The capture that is made once and kept beside the builds: nginx and wrk, through tcpdump.
fn made() -> Result<PathBuf> {
    let dir = product::target_dir().join("bench");
    let file = dir.join(format!("http-{PACKETS}.pcap"));
    if file.exists() {
        return Ok(file);
    }
    super::need(&["nginx", "wrk", "tcpdump"])?;
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let scratch = Scratch::new()?;
    let server = Server::start(scratch.path())?;
    let part = dir.join(format!("http-{PACKETS}.pcap.part"));
    // A large buffer (-B, KiB), so that the file has no holes; as the user, who owns the directory.
    let mut tcpdump = Run::new("tcpdump").args(["-s0", "-i", "lo", "-B", "131072", "-w"]).arg(&part);
    if is_root() {
        tcpdump = tcpdump.args(["-Z", "root"]);
    }
    let filter = format!("tcp port {}", server.port);
    let run = tcpdump.args(["-c", &PACKETS.to_string(), &filter]).root();
    eprintln!("making a capture of {PACKETS} packets (wrk -c{CONNECTIONS} and nginx on loopback)");
    eprintln!("+ {}", run.line());
    let mut tcpdump = Background::start(&run, "tcpdump", scratch.path())?;
    tcpdump.wait_until(Duration::from_secs(30), |tcpdump| tcpdump.log().contains("listening on"))?;
    let load = server.load_in_background(60, scratch.path())?;
    let began = Instant::now();
    while !tcpdump.has_ended()? {
        if began.elapsed() > Duration::from_secs(60) {
            bail!("tcpdump has not seen {PACKETS} packets in a minute: {}", tcpdump.log().trim());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(load);
    server.stop()?;
    eprintln!("{}", tcpdump.stop()?.trim());
    File::open(&part).with_context(|| format!("cannot read {}", part.display()))?;
    std::fs::rename(&part, &file)?;
    Ok(file)
}
