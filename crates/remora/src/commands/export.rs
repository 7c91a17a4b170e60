//! `remora export`: packets of the past as a pcapng file.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use remora_kfl::Target;

use super::Usage;
use super::ask::check_filter;
use crate::cli::{ExportArgs, ExportTls};
use crate::client::Client;
use crate::output;

pub async fn run(args: ExportArgs) -> Result<()> {
    check_filter(&args.kfl, if args.flows { Target::Flows } else { Target::Calls })?;
    let to_stdout = args.write.as_os_str() == "-";
    if to_stdout && io::stdout().is_terminal() {
        return Err(
            Usage("this would write packets to the terminal: give -w FILE, or pipe it on".into()).into()
        );
    }
    let client = Client::new(&args.connection)?;
    let table = if args.flows { "flows" } else { "calls" };
    let parameters = [
        ("filter", args.kfl),
        ("table", table.to_owned()),
        ("since", args.window.since),
        ("until", args.window.until.unwrap_or_default()),
        ("headers_only", args.headers_only.to_string()),
        ("secrets", (args.tls == ExportTls::Keys).to_string()),
    ];
    let response = client.send("/api/v1/pcap", &parameters).await?;
    let connections = response.headers().get("remora-connections").and_then(|v| v.to_str().ok());
    let connections = connections.map_or_else(String::new, |n| match n {
        "all" => " (everything in the window)".to_owned(),
        "1" => " (1 connection)".to_owned(),
        n => format!(" ({n} connections)"),
    });
    if let Some(notes) = response.headers().get("remora-notes").and_then(|v| v.to_str().ok()) {
        output::remark(notes);
    }
    // Made only now: a refusal must not leave an empty file, or take an old one away.
    let mut out: Box<dyn Write> =
        if to_stdout { Box::new(io::stdout()) } else { Box::new(create(&args.write)?) };
    let mut body = response.bytes_stream();
    let mut written = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.context("the export broke off; what was written is incomplete")?;
        match out.write_all(&chunk) {
            // Wireshark was closed.
            Err(e) if to_stdout && e.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            done => done.with_context(|| format!("cannot write {}", args.write.display()))?,
        }
        written += chunk.len() as u64;
    }
    out.flush().with_context(|| format!("cannot write {}", args.write.display()))?;
    if !to_stdout {
        output::remark(&format!("{written} bytes in {}{connections}", args.write.display()));
    }
    Ok(())
}

/// Packets are for their owner only.
fn create(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}
