//! Building the workspace's test binaries, and running one of them under watch.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::libtest::Libtest;
use super::report::Outcome;
use crate::run::Run;
use crate::{product, python};

/// How many lines of a failing binary's output are kept, from its end.
const KEPT_LINES: usize = 2000;

/// A compiled test target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binary {
    /// The package's name.
    pub(crate) package: String,
    /// The target's name and kind (`lib`, `bin`, `test`).
    target: String,
    kind: String,
    executable: PathBuf,
    /// The package's directory, where cargo runs its tests too.
    dir: PathBuf,
}

/// Compiles the workspace's tests: all of them, or the integration tests of these names.
pub(crate) fn build(root: &Path, only: &[&str]) -> Result<Vec<Binary>> {
    let cargo = product::cargo(root).args([
        "test",
        "--release",
        "--workspace",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    let cargo = cargo.args(only.iter().flat_map(|name| ["--test", name]));
    eprintln!("+ {}", cargo.line());
    let mut child = cargo.command().stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let mut binaries = Vec::new();
    for line in BufReader::new(stdout).lines() {
        binaries.extend(artifact(&line?));
    }
    if !child.wait()?.success() {
        bail!("the tests do not compile");
    }
    binaries.sort_by(|a, b| (&a.package, &a.kind, &a.target).cmp(&(&b.package, &b.kind, &b.target)));
    Ok(binaries)
}

/// The test binary that a line of cargo's JSON output announces, if it does.
fn artifact(line: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let manifest = Path::new(message["manifest_path"].as_str()?);
    // `path+file:///dir#name@0.1.0`, or `path+file:///dir/name#0.1.0` when both names agree.
    let id = message["package_id"].as_str()?;
    let (path, fragment) = id.rsplit_once('#')?;
    let package = match fragment.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next()?,
    };
    Some(Binary {
        package: package.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        kind: message["target"]["kind"][0].as_str()?.to_owned(),
        executable,
        dir: manifest.parent()?.to_owned(),
    })
}

/// The seed of the property tests. What lands must not depend on luck, so here they always draw
/// the same cases; `cargo test` draws others each time, and the fuzz targets are for the rest.
const PROPTEST_SEED: &str = "PROPTEST_RNG_SEED";

impl Binary {
    /// `remora-dissect lib`, `remora-tests test capture`.
    pub(crate) fn title(&self) -> String {
        match self.kind.as_str() {
            "test" => format!("{} {}", self.package, self.target),
            kind => format!("{} ({kind})", self.package),
        }
    }

    /// The target's name.
    pub(crate) fn name(&self) -> &str {
        &self.target
    }

    /// The compiled file.
    pub(crate) fn executable(&self) -> &Path {
        &self.executable
    }

    /// Whether its tests use the real kernel: the end-to-end tests, which drive the binary, and
    /// the agent's integration tests.
    pub(crate) fn is_live(&self) -> bool {
        self.package == "remora-tests" || (self.package == "remora-agent" && self.kind == "test")
    }

    /// Runs the tests whose name contains `filter`.
    pub(crate) fn run(&self, filter: Option<&str>, options: &[&str], limit: Duration) -> Outcome {
        let mut run = Run::new(&self.executable).args(filter).arg("--show-output").args(options);
        run = run
            .dir(&self.dir)
            .env("CARGO_MANIFEST_DIR", &self.dir)
            .env("CARGO_TARGET_DIR", product::target_dir())
            .env("REMORA_BIN", product::binary())
            .env("REMORA_PYTHON", python::interpreter());
        if std::env::var_os(PROPTEST_SEED).is_none() {
            run = run.env(PROPTEST_SEED, "1");
        }
        if self.is_live() {
            run = run.root();
        }
        run_harness(&run, &self.title(), limit)
    }

    /// Counts every test that would have run as skipped.
    pub(crate) fn skip(&self, filter: Option<&str>, reason: &str) -> Outcome {
        let list = Run::new(&self.executable).args(filter).args(["--list", "--format", "terse"]).output();
        let mut outcome = Outcome::default();
        match list {
            Ok(list) => {
                let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
                outcome.skipped.extend(names.map(|name| (name.to_owned(), reason.to_owned())));
            }
            Err(error) => outcome.add(Outcome::failure(&self.title(), &format!("{error:#}"))),
        }
        outcome
    }
}

/// Runs a test harness, prints its verdicts as they come, and counts them. A program that fails
/// without a failed test, or runs longer than `limit`, is one failure more.
pub(crate) fn run_harness(run: &Run, title: &str, limit: Duration) -> Outcome {
    match watch(run, limit) {
        Ok((outcome, None)) => outcome,
        Ok((mut outcome, Some(fault))) => {
            outcome.add(Outcome::failure(title, &fault));
            outcome
        }
        Err(error) => Outcome::failure(title, &format!("{error:#}")),
    }
}

fn watch(run: &Run, limit: Duration) -> Result<(Outcome, Option<String>)> {
    let mut command = run.command();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run `{}`", run.line()))?;
    let (sender, lines) = mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
        child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
    ];
    for pipe in pipes.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { return };
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);

    let deadline = Instant::now() + limit;
    let mut libtest = Libtest::default();
    let mut kept = VecDeque::new();
    let mut hung = false;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if libtest.line(&line) {
                    println!("{line}");
                } else {
                    kept.push_back(line);
                    if kept.len() > KEPT_LINES {
                        kept.pop_front();
                    }
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                hung = true;
                child.kill()?;
                break;
            }
        }
    }
    let status = child.wait()?;
    let finished = libtest.finished();
    let outcome = libtest.outcome();
    let fault = if hung {
        Some(format!("still running after {} s, killed", limit.as_secs()))
    } else if status.success() {
        (!finished).then(|| "ended without a result line of the test harness".to_owned())
    } else {
        (!finished || outcome.failed.is_empty()).then(|| format!("ended with {status}"))
    };
    if fault.is_some() || !outcome.failed.is_empty() {
        for line in kept {
            println!("    {line}");
        }
    }
    Ok((outcome, fault))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::{artifact, run_harness};
    use crate::run::Run;

    fn harness(script: &str) -> super::Outcome {
        run_harness(&Run::new("sh").args(["-c", script]), "t", Duration::from_secs(60))
    }

    #[test]
    fn cargo_announces_test_binaries() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///r/crates/kfl#remora-kfl@0.1.0",
            "manifest_path":"/r/crates/kfl/Cargo.toml","target":{"kind":["lib"],"name":"remora_kfl"},
            "profile":{"test":true},"executable":"/t/remora_kfl-1"}"#;
        let binary = artifact(line).unwrap();
        assert_eq!(binary.package, "remora-kfl");
        assert_eq!(binary.title(), "remora-kfl (lib)");
        let same_name = line.replace("kfl#remora-kfl@0.1.0", "xtask#0.1.0").replace("\"lib\"", "\"test\"");
        assert_eq!(artifact(&same_name).unwrap().title(), "xtask remora_kfl");
        assert_eq!(artifact(&line.replace("\"test\":true", "\"test\":false")), None);
        assert_eq!(artifact("warning: something"), None);
    }

    #[test]
    fn a_crash_and_a_silent_end_are_failures() {
        let good = "echo 'test a ... ok'; echo 'test result: ok. 1 passed'";
        assert_eq!(harness(good).summary(), "1 passed, 0 failed, 0 skipped");
        assert_eq!(harness(&format!("{good}; exit 1")).summary(), "1 passed, 1 failed, 0 skipped");
        assert_eq!(harness("echo 'test a ... ok'; kill -9 $$").summary(), "1 passed, 1 failed, 0 skipped");
        assert_eq!(harness("true").summary(), "0 passed, 1 failed, 0 skipped");
        let failing = "echo 'test a ... FAILED'; echo 'test result: FAILED. 0 passed'; exit 101";
        assert_eq!(harness(failing).summary(), "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_hung_harness_is_killed() {
        let outcome = run_harness(&Run::new("sleep").arg("600"), "t", Duration::from_millis(10));
        assert_eq!(outcome.summary(), "0 passed, 1 failed, 0 skipped");
        assert!(outcome.failed[0].1.contains("killed"));
    }
}
