//! Programs that run beside a measurement: stopped at its end however it ends, and weighed.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::run::Run;

/// Time for a program to end by itself once it was asked to.
const GRACE: Duration = Duration::from_secs(15);

/// Unit of the times in /proc/PID/stat: USER_HZ is 100 on every architecture that Remora runs on
/// (include/asm-generic/param.h).
const TICKS_PER_SECOND: f64 = 100.0;

/// A program in the background. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Background {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Background {
    /// Starts a program; what it says goes to a file in `dir`, which [`Background::log`] reads.
    pub(super) fn start(run: &Run, name: &str, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = run.command();
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot run `{}`", run.line()))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until `ready` holds; fails when the program ends before, or after `patience`.
    pub(super) fn wait_until(&mut self, patience: Duration, ready: impl Fn(&Self) -> bool) -> Result<()> {
        let began = Instant::now();
        while !ready(self) {
            if self.has_ended()? {
                bail!("{} ended: {}", self.name, self.log().trim());
            }
            if began.elapsed() > patience {
                bail!("{} is not ready after {patience:?}: {}", self.name, self.log().trim());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Asks it to end, waits, and returns what it said.
    pub(super) fn stop(mut self) -> Result<String> {
        self.end()?;
        Ok(self.log())
    }

    fn end(&mut self) -> Result<()> {
        if self.has_ended()? {
            return Ok(());
        }
        // SIGTERM: tcpdump prints its counts, nginx and Remora leave in order. SIGINT would be
        // ignored by what a shell has started in the background.
        let asked = Run::new("kill").args(["-TERM", &self.pid().to_string()]).succeeds();
        let began = Instant::now();
        while asked && began.elapsed() < GRACE {
            if self.has_ended()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Seconds of CPU used so far by all its threads, in user and in kernel mode.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        cpu_ticks(&stat, 14).map(|ticks| ticks / TICKS_PER_SECOND).context("cannot read /proc/PID/stat")
    }

    /// The most memory that it had resident at any time, in bytes.
    pub(super) fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        kib.map(|kib| kib * 1024.0).context("no VmHWM in /proc/PID/status")
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Nothing more can be done about a program that cannot be ended.
        let _ = self.end();
    }
}

/// Seconds of CPU used by the children of this process that have ended and were waited for.
pub(super) fn children_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    cpu_ticks(&stat, 16).map(|ticks| ticks / TICKS_PER_SECOND).context("cannot read /proc/self/stat")
}

/// The sum of field `first` and the one after it, counted from 1 as in proc_pid_stat(5): 14 and 15
/// are the process' own user and system time, 16 and 17 those of its children.
fn cpu_ticks(stat: &str, first: usize) -> Option<f64> {
    // The second field is the name in parentheses, which may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let user: f64 = fields.get(first.checked_sub(3)?)?.parse().ok()?;
    let system: f64 = fields.get(first.checked_sub(2)?)?.parse().ok()?;
    Some(user + system)
}

/// A directory for one run. Dropping it removes it with everything in it.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("remora-bench-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the directory for temporary files, where the system clears up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port on loopback that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 30 12 20 0 1 0 100";
        assert_eq!(cpu_ticks(stat, 14), Some(200.0));
        assert_eq!(cpu_ticks(stat, 16), Some(42.0));
        assert_eq!(cpu_ticks("7 (x) S 1", 14), None);
    }

    #[test]
    fn a_program_is_weighed_and_ended() {
        let scratch = Scratch::new().unwrap();
        let script = "trap 'echo bye; exit' TERM; echo hi; while :; do sleep 0.01; done";
        let run = Run::new("sh").args(["-c", script]);
        let mut sh = Background::start(&run, "sh", scratch.path()).unwrap();
        sh.wait_until(GRACE, |sh| sh.log() == "hi\n").unwrap();
        assert!(sh.peak_memory().unwrap() > 0.0);
        assert!(sh.cpu_seconds().unwrap() >= 0.0);
        assert_eq!(sh.stop().unwrap(), "hi\nbye\n");
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_its_words() {
        let scratch = Scratch::new().unwrap();
        let run = Run::new("sh").args(["-c", "echo no way >&2"]);
        let mut sh = Background::start(&run, "early", scratch.path()).unwrap();
        let error = sh.wait_until(GRACE, |_| false).unwrap_err();
        assert_eq!(error.to_string(), "early ended: no way");
    }
}
