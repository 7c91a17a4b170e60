//! Programs in Python, run by the interpreter that has what `tests/requirements.txt` names.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use super::servers::Server;

/// The interpreter, which `cargo xtask test` names in `REMORA_PYTHON`.
fn interpreter() -> Option<PathBuf> {
    let path = std::env::var_os("REMORA_PYTHON").map(PathBuf::from)?;
    path.is_file().then_some(path)
}

/// Says on the test's output why it does not run, if the interpreter is not there or anything that
/// [`skipped`](super::skipped) looks for.
#[must_use]
#[expect(clippy::print_stdout, reason = "the test runner reads this line")]
pub fn skipped(name: &str, programs: &[&str]) -> bool {
    if interpreter().is_none() {
        println!("SKIPPED: {name}: REMORA_PYTHON does not name a Python with tests/requirements.txt");
        return true;
    }
    super::skipped(name, programs)
}

/// A program to be run in a directory, which Python searches for modules too.
pub fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(interpreter().unwrap_or_else(|| "python3".into()));
    command.current_dir(dir).env("PYTHONUNBUFFERED", "1").arg(program);
    command
}

/// A server, from the text of its program, once it listens.
///
/// # Errors
/// When it does not start.
pub fn server(program: &str, arguments: &[&str], port: u16) -> Result<Server> {
    let dir = TempDir::with_prefix("remora-python-")?;
    std::fs::write(dir.path().join("server.py"), program)?;
    let mut command = command(dir.path(), "server.py");
    command.args(arguments);
    Server::start(command, dir, port)
}
