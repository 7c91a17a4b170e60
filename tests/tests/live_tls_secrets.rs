//! What `remora up` makes of TLS besides calls: a key log with which tshark decrypts the same packets, and
//! the word about connections that nobody has read.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use remora_tests::e2e::recorder::Recorder;
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{output, skipped, text, wait_for};
use serde_json::Value;

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

fn opaque(remora: &Remora) -> Result<Value> {
    Ok(remora.get("status", &[("since", "all")])?["coverage"]["opaque"].clone())
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

#[test]
fn connections_that_nobody_reads_are_told() -> Result<()> {
    if skipped("connections_that_nobody_reads_are_told", PROGRAMS) {
        return Ok(());
    }
    let port = free_port()?;
    let remora = Remora::start(&[&format!("--port={port}"), "--no-tls"])?;
    let _server = Server::nginx_tls("127.0.0.1", port)?;
    ensure!(opaque(&remora)?.is_null(), "nothing was sent yet");
    let file = remora.dir().join("traffic.pcap");
    let recorder = Recorder::start(None, "lo", 0, &file, &[port])?;
    for i in 0..5 {
        ask(port, &format!("/{i}"), &["--http1.1"])?;
    }
    let hello = "tls.handshake.type == 1";
    wait_for("tcpdump has all", || {
        let streams = tshark(&file, None, hello, &["tcp.stream"])?.len();
        let ends = tshark(&file, None, "tcp.flags.fin == 1", &["tcp.stream"])?.len();
        // A FIN may be sent again.
        Ok(if streams == 5 && ends >= 10 { Ok(()) } else { Err(format!("{streams} {ends}")) })
    })?;
    let streams: BTreeSet<String> = tshark(&file, None, hello, &["tcp.stream"])?.into_iter().collect();
    wait_for("the answer tells as many connections and bytes as tshark sees", || {
        // The last acknowledgements come after the last FIN.
        let lengths = tshark(&file, None, "ip", &["ip.len"])?;
        let bytes = lengths.iter().filter_map(|n| n.parse::<u64>().ok()).sum::<u64>();
        let told = opaque(&remora)?;
        let same = told["connections"] == streams.len() && told["bytes"] == bytes;
        Ok(if same { Ok(()) } else { Err(format!("{told}, tshark: {} and {bytes}", streams.len())) })
    })?;
    let status = remora.get("status", &[("since", "all")])?;
    let summary = text(&status["coverage"], "summary");
    ensure!(summary.contains("5 TLS connections were not read in plaintext"), "{summary}");
    ensure!(
        status["coverage"]["opaque"]["examples"][0].as_str().is_some_and(|e| e.contains(&port.to_string()))
    );
    recorder.stop()?;
    remora.stop()
}
