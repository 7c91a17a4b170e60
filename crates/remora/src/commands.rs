//! One module for each subcommand.

mod ask;
mod capture;
mod demo;
mod dissect;
mod export;
mod kfl;
mod mcp;
mod mcp_config;
mod serve;
mod status;

use anyhow::Result;
use thiserror::Error;

use crate::cli::Command;

/// A use of the command line that its parser cannot catch. Exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Runs a subcommand.
pub async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(args) => serve::up(args).await,
        Command::Agent(args) => serve::agent(args).await,
        Command::Hub(args) => serve::hub(args).await,
        Command::Mcp(args) => mcp::bridge(args).await,
        Command::Dissect(args) => dissect::run(args).await,
        Command::Calls(args) => ask::calls(args).await,
        Command::Call(args) => ask::call(args).await,
        Command::Flows(args) => ask::flows(args).await,
        Command::Stats(args) => ask::stats(args).await,
        Command::Map(args) => ask::map(args).await,
        Command::Compare(args) => ask::compare(args).await,
        Command::Analyze(args) => ask::analyze(args).await,
        Command::Sql(args) => ask::sql(args).await,
        Command::Export(args) => export::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Kfl(command) => kfl::run(command),
        Command::McpConfig(args) => mcp_config::run(args),
        Command::DemoTraffic { role, ports } => demo::run(&role, &ports),
    }
}
