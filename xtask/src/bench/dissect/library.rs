//! The library by itself: `cargo bench -p remora-dissect --bench protocols`, which also multiplies
//! the captures that the programs read.

use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::product;

/// What the library measured of a protocol.
#[derive(Debug, Default)]
pub(super) struct Library {
    pub(super) bytes: u64,
    pub(super) connections: u64,
    pub(super) calls: u64,
    pub(super) head_calls: u64,
    pub(super) mb_per_s: f64,
    pub(super) calls_per_s: f64,
    pub(super) allocations_per_call: f64,
    pub(super) peak_bytes: u64,
    /// `tcp:PORT` or `udp:PORT` of each server.
    pub(super) ports: Vec<String>,
}

/// Runs the benchmark with these arguments; what it prints.
fn run(root: &Path, args: &[&str]) -> Result<String> {
    let cargo =
        product::cargo(root).args(["bench", "--quiet", "-p", "remora-dissect", "--bench", "protocols"]);
    cargo.arg("--").args(args).output()
}

/// The protocols that have captures.
pub(super) fn protocols(root: &Path) -> Result<Vec<String>> {
    Ok(run(root, &["--list"])?.lines().map(str::to_owned).collect())
}

/// Measures one protocol and leaves its captures in `dir`; or measures with `file` instead of those
/// that are committed.
pub(super) fn measure(
    root: &Path,
    protocol: &str,
    sizes: [u32; 2],
    rounds: u32,
    captures: Captures<'_>,
) -> Result<Library> {
    let [mb, head] = sizes.map(|n| n.to_string());
    let rounds = rounds.to_string();
    let mut args = vec!["--protocol", protocol, "--mb", &mb, "--head-mb", &head, "--rounds", &rounds];
    let path;
    match captures {
        Captures::Committed { write_to } => {
            path = write_to.display().to_string();
            args.extend(["--write", &path]);
        }
        Captures::File(file) => {
            path = file.display().to_string();
            args.extend(["--file", &path]);
        }
    }
    parse(&run(root, &args)?).with_context(|| format!("no figures for {protocol}"))
}

/// What is measured with.
pub(super) enum Captures<'a> {
    /// The committed ones, multiplied, which are written to a directory.
    Committed { write_to: &'a Path },
    /// One of the user's.
    File(&'a Path),
}

/// Reads a line of names and a line of values.
fn parse(text: &str) -> Result<Library> {
    let mut lines = text.lines();
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { bail!("nothing was printed") };
    let values: Vec<&str> = values.split('\t').collect();
    let text = |name: &str| {
        let at = names.split('\t').position(|n| n == name);
        at.and_then(|at| values.get(at).copied()).with_context(|| format!("there is no {name}"))
    };
    let number = |name: &str| Ok::<f64, anyhow::Error>(text(name)?.parse()?);
    let count = |name: &str| Ok::<u64, anyhow::Error>(text(name)?.parse()?);
    let ports = text("ports")?.split(',').filter(|port| port.len() > 4);
    Ok(Library {
        bytes: count("bytes")?,
        connections: count("connections")?,
        calls: count("calls")?,
        head_calls: count("head_calls")?,
        mb_per_s: number("mb_per_s")?,
        calls_per_s: number("calls_per_s")?,
        allocations_per_call: number("allocations_per_call")?,
        peak_bytes: count("peak_bytes")?,
        ports: ports.take(32).map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::parse;

    #[test]
    fn values_are_found_by_their_names() {
        let names = "protocol\tcalls\tbytes\tconnections\thead_calls\tmb_per_s\tcalls_per_s\tallocations_per_call\tpeak_bytes\tports";
        let library = parse(&format!("{names}\nx\t7\t5\t1\t2\t1.5\t9\t0.25\t100\ttcp:80,udp:53\n")).unwrap();
        assert_eq!((library.calls, library.bytes, library.ports.len()), (7, 5, 2));
        assert!(parse(names).is_err());
        assert!(parse("protocol\tcalls\nx\t7\n").is_err());
    }
}
