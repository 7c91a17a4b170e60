//! Logs go to stderr; stdout carries results only.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// What is logged unless told otherwise; every request to MCP is not worth three lines.
const DEFAULT: &str = "info,rmcp=warn";

/// Starts logging. A level that cannot be read is reported and the default is used.
pub fn start(format: LogFormat, level: Option<&str>) {
    let (filter, bad) = match EnvFilter::try_new(level.unwrap_or(DEFAULT)) {
        Ok(filter) => (filter, None),
        Err(e) => (EnvFilter::new(DEFAULT), Some(e)),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).compact().init();
        }
        LogFormat::Json => builder.json().init(),
    }
    if let Some(e) = bad {
        tracing::warn!("cannot read the log level: {e}");
    }
}
