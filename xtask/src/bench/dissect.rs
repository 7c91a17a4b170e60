//! `cargo xtask bench dissect [FILE]`: the dissectors by protocol, alone and against tshark.
//!
//! Of each protocol the committed captures are multiplied into a large one, which three contestants
//! read on one core: the library alone (`crates/dissect/benches/protocols`), `remora dissect -o tsv`,
//! and tshark, which reads the beginning only because it takes long. HTTP has besides a capture that
//! is made here, of long connections.

mod contestant;
mod library;
mod made;
mod tshark;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::process::Scratch;
use super::sample::{Sample, grouped};
use crate::args::{Args, UsageError};
use crate::run::Run;
use contestant::Contestant;
use library::{Captures, Library};

/// Megabytes of each multiplied capture, and of the beginning that tshark reads.
const SIZES: [u32; 2] = [96, 8];

/// The same with `--quick`.
const QUICK: [u32; 2] = [16, 2];

/// What tshark reads at most of a capture that is not multiplied, in bytes: about ten seconds.
const TSHARK_LIMIT: u64 = 48_000_000;

/// How many times as fast as tshark every protocol is to be.
const GOAL: f64 = 50.0;

/// The name of the capture that is made here, in the table.
const LONG: &str = "http (long connections)";

/// What was measured of a protocol.
struct Row {
    protocol: String,
    library: Library,
    remora: Contestant,
    tshark: Option<Contestant>,
}

pub(super) fn bench(root: &Path, mut args: Args) -> Result<()> {
    let quick = args.flag("--quick");
    let rounds = super::number(&mut args, "--rounds", if quick { 1 } else { 3 }, 50)?;
    let wanted = args.value("--protocol")?;
    let files = args.positional()?;
    super::need(&["tshark", "taskset"])?;
    let remora = super::remora(root)?;
    let scratch = Scratch::new()?;
    let bench = Bench { root, remora, dir: scratch.path(), rounds, sizes: if quick { QUICK } else { SIZES } };

    println!("dissect: {rounds} rounds, every program on one core; rates are per second of its CPU time");
    super::print_conditions();
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    match files.as_slice() {
        [] => {
            let all = library::protocols(root)?;
            if let Some(unknown) = wanted.as_ref().filter(|name| !all.contains(name)) {
                let all = all.join(", ");
                bail!(UsageError(format!("there are no captures of `{unknown}`, but of: {all}")));
            }
            let chosen = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
            if chosen("http") && !quick {
                rows.push(bench.file(LONG, "http", &made::http()?)?);
            }
            for name in all.iter().filter(|name| chosen(name)) {
                // What was measured of the others is still worth its time.
                match bench.multiplied(name) {
                    Ok(row) => rows.push(row),
                    Err(error) => failed.push(format!("{name}: {error:#}")),
                }
            }
        }
        [file] => {
            let file = PathBuf::from(file).canonicalize().with_context(|| format!("cannot read {file}"))?;
            rows.push(bench.file("FILE", wanted.as_deref().unwrap_or("http"), &file)?);
        }
        _ => bail!(UsageError("bench dissect takes one file".into())),
    }
    print(&rows);
    if failed.is_empty() { Ok(()) } else { bail!("not measured:\n{}", failed.join("\n")) }
}

/// What all measurements of a run have in common.
struct Bench<'a> {
    root: &'a Path,
    remora: PathBuf,
    dir: &'a Path,
    rounds: u32,
    sizes: [u32; 2],
}

impl Bench<'_> {
    /// Measures with the committed captures of a protocol.
    fn multiplied(&self, protocol: &str) -> Result<Row> {
        let captures = Captures::Committed { write_to: self.dir };
        let library = library::measure(self.root, protocol, self.sizes, self.rounds, captures)?;
        let [file, head] = ["", "-head"].map(|end| self.dir.join(format!("{protocol}{end}.pcap")));
        let row = self.compare(protocol, protocol, library, &file, &head)?;
        // There are many of them, and they are large.
        std::fs::remove_file(&file)?;
        std::fs::remove_file(&head)?;
        Ok(row)
    }

    /// Measures with one capture as it is.
    fn file(&self, name: &str, protocol: &str, file: &Path) -> Result<Row> {
        let library = library::measure(self.root, protocol, self.sizes, self.rounds, Captures::File(file))?;
        let head = head_for_tshark(file, self.dir)?;
        self.compare(name, protocol, library, file, &head)
    }

    /// Lets the programs take turns.
    fn compare(&self, name: &str, protocol: &str, library: Library, file: &Path, head: &Path) -> Result<Row> {
        let dissect = Run::new(&self.remora).arg("dissect").arg(file).args(["-o", "tsv"]);
        let mut remora = Contestant::new(dissect, file.metadata()?.len(), |_| 0)?;
        // A text may hold line ends, so that lines are not counted.
        remora.calls = library.calls;
        let mut tshark = match tshark::asked(protocol) {
            Some(asked) => {
                let run = asked.run(head, &library.ports);
                Some(Contestant::new(run, head.metadata()?.len(), |line| asked.calls_in(line))?)
            }
            None => None,
        };
        for round in 1..=self.rounds {
            let turn = |name: &str, contestant: &mut Contestant| {
                let took = contestant.turn()?;
                eprintln!("  {protocol} round {round}: {name} {:.2} s", took.as_secs_f64());
                Ok::<(), anyhow::Error>(())
            };
            turn("remora", &mut remora)?;
            if let Some(tshark) = &mut tshark {
                turn("tshark", tshark)?;
            }
        }
        Ok(Row { protocol: name.to_owned(), library, remora, tshark })
    }
}

fn print(rows: &[Row]) {
    println!("\nThe library alone (packets in memory, calls counted):\n");
    println!(
        "| {:23} | {:>5} | {:>9} | {:>11} | {:>7} | {:>11} | {:>16} | {:>8} |",
        "protocol", "MB", "calls", "connections", "MB/s", "calls/s", "allocations/call", "peak MB"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for Row { protocol, library: l, .. } in rows {
        println!(
            "| {protocol:23} | {:>5.0} | {:>9} | {:>11} | {:>7.0} | {:>11} | {:>16.3} | {:>8.1} |",
            l.bytes as f64 / 1e6,
            grouped(l.calls as f64),
            grouped(l.connections as f64),
            l.mb_per_s,
            grouped(l.calls_per_s),
            l.allocations_per_call,
            l.peak_bytes as f64 / 1e6,
        );
    }
    println!("\n`remora dissect -o tsv` against `tshark -T fields`, medians with the least and the most:\n");
    println!(
        "| {:23} | {:>7} | {:>11} | {:>24} | {:>24} | {:>13} | {:>9} |",
        "protocol", "MB/s", "calls/s", "times tshark by bytes", "by calls", "calls of both", "goal met"
    );
    println!("|---|---:|---:|---:|---:|---:|---|");
    for row in rows {
        let r = &row.remora;
        let (bytes, calls, both, goal) = match &row.tshark {
            None => ("-".to_owned(), "-".to_owned(), "-".to_owned(), "no tshark".to_owned()),
            Some(t) => {
                let ratio = r.megabytes.over(&t.megabytes);
                // Without calls of its own, as when it counts frames that are none, there is no ratio.
                let calls = if t.calls == 0 {
                    Sample::default()
                } else {
                    r.calls_per_second.over(&t.calls_per_second)
                };
                let goal = if ratio.median() >= GOAL { "yes" } else { "no" };
                (
                    ratio.spread(0),
                    calls.spread(0),
                    format!("{}/{}", row.library.head_calls, t.calls),
                    goal.to_owned(),
                )
            }
        };
        println!(
            "| {:23} | {:>7.0} | {:>11} | {bytes:>24} | {calls:>24} | {both:>13} | {goal:>9} |",
            row.protocol,
            r.megabytes.median(),
            grouped(r.calls_per_second.median()),
        );
    }
    println!(
        "\nGoal: {GOAL} times tshark by bytes. Calls of both: in the beginning that tshark reads, Remora's and"
    );
    println!("what tshark shows of the field by which it is counted, which is not always one per call.");
}

/// `file`, or a copy of its beginning when tshark would take too long for all of it.
fn head_for_tshark(file: &Path, dir: &Path) -> Result<PathBuf> {
    let bytes = file.metadata()?.len();
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
