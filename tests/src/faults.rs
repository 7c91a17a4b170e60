//! What the tests of faults need: a hub and an agent as processes that can be killed, stopped and
//! started again on the same directories, a load whose every call is known, and the comparison of
//! what was made with what the hub has.

pub mod answer;
pub mod load;
pub mod process;
pub mod rig;
pub mod seed;
pub mod tally;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `look` gives something. Fails after `deadline`, with what `look` said last.
///
/// # Errors
/// When the deadline passes; `what` names the condition.
pub fn wait_until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<std::result::Result<T, String>>,
) -> Result<T> {
    let until = Instant::now() + deadline;
    loop {
        let why = match look() {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(why)) => why,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= until {
            bail!("{what}: not within {} s; last seen: {why}", deadline.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// Why tests with live capture cannot run here, if they cannot.
pub fn cannot_run() -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    if !root {
        return Some("capturing needs root".to_owned());
    }
    match process::binary() {
        Ok(_) => None,
        Err(error) => Some(format!("{error:#}")),
    }
}
