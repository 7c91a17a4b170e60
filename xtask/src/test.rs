//! `cargo xtask test`: every layer of tests, one line at the end.
//!
//! The workspace's tests are compiled once with the product's profile and then run binary by
//! binary, so that one that hangs or aborts does not hide the others. A test that cannot run on
//! this machine prints `SKIPPED: name: reason`; it is counted as skipped, never as passed.

mod binaries;
mod kernels;
mod libtest;
mod report;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::args::{Args, UsageError};
use crate::run::{self, Run};
use crate::{ebpf, lint, product, setup, tidy};
use binaries::Binary;
use report::{Outcome, Report};

/// After this long a test binary is taken for hung and killed.
const LIMIT: Duration = Duration::from_secs(20 * 60);

pub(crate) fn test(root: &Path, mut args: Args) -> Result<ExitCode> {
    let quick = args.flag("--quick");
    let layer = args.value("--layer")?;
    if let Some(other) = layer.as_ref().filter(|layer| *layer != "kernels") {
        return Err(UsageError(format!("--layer knows `kernels` alone, not `{other}`")).into());
    }
    if quick && layer.is_some() {
        return Err(UsageError("--quick leaves out what --layer asks for".into()).into());
    }
    let words = args.positional()?;
    if words.len() > 1 {
        return Err(UsageError(format!("one filter at most, not also `{}`", words[1])).into());
    }
    let filter = words.first().map(String::as_str);

    setup::setup(root, !quick)?;
    let mut report = Report::new();
    if layer.is_some() {
        setup::guests()?;
        if report.layer("ebpf", || step("the eBPF object builds", ebpf::build(root).map(drop)))? {
            let binaries = build(root, &mut report, kernels::TESTS)?;
            kernels::layers(&mut report, &binaries, filter)?;
        }
        return report.finish();
    }
    if filter.is_none() {
        report.layer("tidy", || tidy_layer(root))?;
    }
    if !report.layer("ebpf", || step("the eBPF object builds", ebpf::build(root).map(drop)))? {
        // Nothing that contains the object can be built.
        return report.finish();
    }
    if filter.is_none() && !quick {
        // The links in the documentation are `cargo xtask lint`'s affair: they break nothing.
        report.layer("lint", || step("clippy", lint::clippy(root).run()))?;
        report.layer("fuzz targets", || step("clippy", lint::fuzz_targets(root).run()))?;
    }
    let binaries = build(root, &mut report, &[])?;
    for binary in binaries.iter().filter(|binary| !binary.is_live()) {
        report.layer(&binary.title(), || binary.run(filter, &[], LIMIT))?;
    }
    if !quick {
        report.layer("doc tests", || doc_tests(root, filter))?;
        for binary in binaries.iter().filter(|binary| binary.is_live()) {
            report.layer(&binary.title(), || live(binary, filter))?;
        }
        if filter.is_none() {
            report.layer("kernels", || kernels::skipped(kernels::OPT_IN))?;
        }
    } else if filter.is_none() {
        println!("left out by --quick: lint, documentation tests, live tests");
    }
    report.finish()
}

/// Builds the product and the tests, all or only some; gives none where that fails.
fn build(root: &Path, report: &mut Report, only: &[&str]) -> Result<Vec<Binary>> {
    let mut binaries = Vec::new();
    report.layer("build", || match product::build(root).and_then(|_| binaries::build(root, only)) {
        Ok(built) => {
            binaries = built;
            Outcome::default()
        }
        Err(error) => Outcome::failure("the workspace's tests build", &format!("{error:#}")),
    })?;
    Ok(binaries)
}

fn step(name: &str, result: Result<()>) -> Outcome {
    match result {
        Ok(()) => Outcome::success(),
        Err(error) => Outcome::failure(name, &format!("{error:#}")),
    }
}

fn tidy_layer(root: &Path) -> Outcome {
    let mut outcome = Outcome::default();
    for (check, problems) in tidy::check(root) {
        if problems.is_empty() {
            outcome.add(Outcome::success());
        } else {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            outcome.add(Outcome::failure(check, &lines.join("\n")));
        }
    }
    outcome
}

fn doc_tests(root: &Path, filter: Option<&str>) -> Outcome {
    let cargo = product::cargo(root).args(["test", "--release", "--workspace", "--doc", "--no-fail-fast"]);
    let cargo = cargo.arg("--").args(filter);
    binaries::run_harness(&cargo, "doc tests", LIMIT)
}

/// Live tests load eBPF programs, make network namespaces and look at everything the host sends:
/// they run as root, and one at a time.
fn live(binary: &Binary, filter: Option<&str>) -> Outcome {
    if !run::is_root() && !Run::new("sudo").args(["-n", "true"]).succeeds() {
        return binary.skip(filter, "needs root, or sudo without a password");
    }
    binary.run(filter, &["--test-threads=1"], LIMIT)
}
