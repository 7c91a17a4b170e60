//! `remora`: captures, dissects, indexes and answers. One binary for every role.

#![allow(unreachable_pub, reason = "a binary has no API; `pub` here means that other modules use it")]

mod cli;
mod client;
mod commands;
mod config;
mod logging;
mod output;

use std::process::ExitCode;

use anyhow::Error;

/// Exit codes: 0 done, 1 failed, 2 usage (contract of the command line).
const FAILED: u8 = 1;
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match config::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(e) => e.exit(),
    };
    logging::start(arguments.log_format, arguments.log_level.as_deref());
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            let code = if e.is::<commands::Usage>() { USAGE } else { FAILED };
            output::error(&e);
            ExitCode::from(code)
        }
    }
}

fn run(arguments: cli::Arguments) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(commands::run(arguments.command));
    // A blocked read of stdin must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    outcome
}

/// The reader of our output went away, as `head` does: nothing is wrong.
fn broken_pipe(e: &Error) -> bool {
    e.chain().any(|c| {
        c.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
