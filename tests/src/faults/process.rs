//! The product as a process.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::wait_until;

/// The product's binary, which `cargo xtask test` names in `REMORA_BIN`.
///
/// # Errors
/// When it is not named or not there.
pub fn binary() -> Result<PathBuf> {
    let path = std::env::var_os("REMORA_BIN").context("REMORA_BIN does not name the product's binary")?;
    let path = PathBuf::from(path);
    ensure!(path.is_file(), "{} is not there", path.display());
    Ok(path)
}

/// A running `remora`. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Where the log of this run begins: runs share a file.
    log_from: u64,
}

impl Process {
    /// Starts `remora` with these arguments; its stderr is appended to `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(args: &[String], log: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log)?;
        let log_from = file.metadata()?.len();
        let child = Command::new(binary()?)
            .args(args)
            .env_remove("REMORA_CONFIG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("remora cannot be started")?;
        Ok(Self { child, log: log.to_owned(), log_from })
    }

    /// What this run has logged.
    pub fn log(&self) -> String {
        let all = std::fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(0).min(all.len());
        String::from_utf8_lossy(&all[from..]).into_owned()
    }

    /// Waits until the log has `text`.
    ///
    /// # Errors
    /// When the process ends before, or the deadline passes.
    pub fn wait_for_log(&mut self, text: &str, deadline: Duration) -> Result<()> {
        let ended = wait_until(&format!("{text:?} in the log"), deadline, || {
            if self.log().contains(text) {
                return Ok(Ok(None));
            }
            let ended = self.child.try_wait()?;
            Ok(ended.map(Some).ok_or_else(|| tail(&self.log())))
        })?;
        match ended {
            None => Ok(()),
            Some(status) => bail!("remora ended with {status}: {}", tail(&self.log())),
        }
    }

    /// Sends a signal by name, for example `STOP`.
    ///
    /// # Errors
    /// When there is no such process any more.
    pub fn signal(&self, name: &str) -> Result<()> {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status()?;
        ensure!(kill.success(), "kill -{name} of remora: {kill}");
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn kill(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("remora had ended with {status}: {}", tail(&self.log()));
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        ensure!(status.signal() == Some(9), "killed, but it says {status}");
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// When it had ended before, or does not end.
    pub fn terminate(mut self, deadline: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            bail!("remora had ended with {status}: {}", tail(&self.log()));
        }
        self.signal("TERM")?;
        wait_until("the end after SIGTERM", deadline, || {
            Ok(self.child.try_wait()?.ok_or_else(|| tail(&self.log())))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
