//! What the end-to-end tests share: Remora as a process, its answers through REST, the command
//! line and MCP, network namespaces, and real servers whose own logs are the truth.

pub mod brokers;
pub mod mcp;
pub mod netns;
pub mod python;
pub mod recorder;
pub mod remora;
pub mod servers;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Longest wait for a condition that a loaded machine may be slow to reach.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(25);

/// Waits until `look` gives something.
///
/// # Errors
/// After [`PATIENCE`]; the message has `what` and what `look` said last.
pub fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Result<std::result::Result<T, String>>,
) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let why = match look() {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(why)) => why,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("{what}: not within {} s; last seen: {why}", PATIENCE.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Says on the test's output why it does not run, if something that it needs is not there:
/// root, the product's binary, or one of `programs`.
#[must_use]
#[expect(clippy::print_stdout, reason = "the test runner reads this line")]
pub fn skipped(name: &str, programs: &[&str]) -> bool {
    let reason = if !is_root() {
        "capturing needs root".to_owned()
    } else if let Err(error) = remora::binary() {
        format!("{error:#}")
    } else if let Some(missing) = programs.iter().find(|p| !installed(p)) {
        format!("{missing} is not installed")
    } else {
        return false;
    };
    println!("SKIPPED: {name}: {reason}");
    true
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain([("/usr/sbin").into()]).any(|dir| dir.join(program).is_file())
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
/// When it fails; the message has its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(
        done.status.success(),
        "{command:?}: {}: {}",
        done.status,
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// One JSON object per line.
///
/// # Errors
/// When a line is none.
pub fn objects(text: &str) -> Result<Vec<Value>> {
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// A text member of an object, empty where it is not there.
pub fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}
