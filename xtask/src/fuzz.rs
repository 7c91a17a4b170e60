//! `cargo xtask fuzz`: runs the targets in fuzz/ one after the other and sums up.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::args::{Args, UsageError};
use crate::product;
use crate::run::{Run, which};

/// How long a target runs when the user does not say.
const SECONDS: u64 = 60;

pub(crate) fn fuzz(root: &Path, mut args: Args) -> Result<ExitCode> {
    let seconds = match args.value("--seconds")? {
        Some(text) => {
            text.parse().map_err(|_| UsageError(format!("--seconds needs a whole number, not `{text}`")))?
        }
        None => SECONDS,
    };
    let wanted = args.positional()?;
    let all = targets(root)?;
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        let all = all.join(", ");
        return Err(UsageError(format!("there is no fuzz target `{unknown}`; there are: {all}")).into());
    }
    if which("cargo-fuzz").is_none() {
        Run::new("cargo").args(["install", "cargo-fuzz", "--locked"]).env_remove("CARGO_TARGET_DIR").run()?;
    }

    let chosen: Vec<&String> = all.iter().filter(|name| wanted.is_empty() || wanted.contains(name)).collect();
    let mut failed = Vec::new();
    for target in &chosen {
        let began = Instant::now();
        let clean = run_target(root, target, seconds)?;
        let verdict = if clean { "clean" } else { "FAILED" };
        println!("fuzz {target}: {verdict} after {} s", began.elapsed().as_secs());
        if !clean {
            failed.push(target.as_str());
        }
    }
    println!("{} targets clean, {} failed", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("inputs that fail are in fuzz/artifacts: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// The names of the targets: one file each in fuzz/fuzz_targets.
fn targets(root: &Path) -> Result<Vec<String>> {
    let dir = root.join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn run_target(root: &Path, target: &str, seconds: u64) -> Result<bool> {
    // What is found goes to the first directory; committed inputs are only read.
    let found = format!("fuzz/corpus/{target}");
    std::fs::create_dir_all(root.join(&found)).with_context(|| format!("cannot make {found}"))?;
    let seeds = format!("fuzz/seeds/{target}");
    let seeds = root.join(&seeds).is_dir().then_some(seeds);
    // The sanitizer is an unstable option that the pinned toolchain also has.
    product::cargo(root)
        .args(["fuzz", "run", target, &found])
        .args(seeds.as_deref())
        .args(["--", &format!("-max_total_time={seconds}"), "-print_final_stats=1", "-rss_limit_mb=2048"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", product::target_dir().join("fuzz"))
        .status()
}
