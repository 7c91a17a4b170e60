//! The key log of `remora up`: with it tshark decrypts the same packets.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use remora_tests::e2e::recorder::Recorder;
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{output, skipped, text, wait_for};

const PROGRAMS: &[&str] = &["nginx", "curl", "openssl", "tcpdump", "tshark"];

fn ask(port: u16, path: &str, arguments: &[&str]) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["-skf", "-o", "/dev/null"]).args(arguments).arg(format!("https://127.0.0.1:{port}{path}"));
    output(&mut curl).map(drop)
}

/// A line of tshark for each packet that the filter lets pass.
fn tshark(file: &Path, keys: Option<&Path>, filter: &str, fields: &[&str]) -> Result<Vec<String>> {
    let mut command = Command::new("tshark");
    if let Some(keys) = keys {
        command.arg("-o").arg(format!("tls.keylog_file:{}", keys.display()));
    }
    command.arg("-r").arg(file).args(["-n", "-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    Ok(output(&mut command)?.lines().map(str::to_owned).collect())
}

#[test]
fn a_key_log_decrypts_what_tcpdump_has_recorded() -> Result<()> {
    if skipped("a_key_log_decrypts_what_tcpdump_has_recorded", PROGRAMS) {
        return Ok(());
    }
    let port = free_port()?;
    let keys = tempfile::tempdir()?;
    let keys = keys.path().join("keys");
    let log = format!("--tls-keylog={}", keys.display());
    let remora = Remora::start(&[&format!("--port={port}"), &log])?;
    let _server = Server::nginx_tls("127.0.0.1", port)?;
    // The server is looked at for a moment before it is read.
    let here = format!("http && tls && dst.port == {port}");
    wait_for("nginx is read", || {
        ask(port, "/early", &["--http1.1"])?;
        let rows =
            remora.calls(&format!("{here} && path == \"/early\" && dst.process == \"nginx\""), "path")?;
        Ok(if rows.is_empty() { Err("no call".to_owned()) } else { Ok(()) })
    })?;
    let file = remora.dir().join("traffic.pcap");
    let recorder = Recorder::start(None, "lo", 0, &file, &[port])?;
    let mut wanted = BTreeSet::new();
    for (i, arguments) in [
        &["--http1.1"][..],
        &["--http1.1", "--tls-max", "1.2"],
        &["--http2"],
        &["--http2", "--tls-max", "1.2"],
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/keyed-{i}");
        ask(port, &path, arguments)?;
        wanted.insert(path);
    }
    let rows =
        remora.wait_for_calls(&format!("{here} && path.startsWith(\"/keyed-\")"), "path", wanted.len())?;
    ensure!(rows.len() == wanted.len(), "{rows:?}");
    let told: BTreeSet<String> = rows.iter().map(|row| text(row, "path").to_owned()).collect();
    ensure!(told == wanted, "{told:?}");
    wait_for("tshark decrypts all of it", || {
        let fields = ["http.request.uri", "http2.headers.path"];
        let lines = tshark(&file, Some(&keys), "http.request || http2.headers.path", &fields)?;
        let seen: BTreeSet<String> = lines.iter().map(|line| line.trim().to_owned()).collect();
        Ok(if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) })
    })?;
    let without = tshark(&file, None, "http || http2", &["frame.number"])?;
    ensure!(without.is_empty(), "it is decrypted without keys: {without:?}");
    recorder.stop()?;
    remora.stop()
}
