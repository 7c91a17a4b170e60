//! The packets behind calls, as tshark and Remora itself read them: all of the connections that match, and
//! nothing of the others.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::mcp::{Client, Style};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{objects, output, skipped, text, wait_for};
use serde_json::{Value, json};

fn curl(url: &str, arguments: &[&str]) -> Result<String> {
    output(Command::new("curl").args(["-s", "-k"]).args(arguments).arg(url))
}

/// What tshark says of these fields, a line for each frame that `filter` shows. A file that it has something to
/// remark on is an error.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut command = Command::new("tshark");
    command.args(["-Q", "-n", "-2", "-T", "fields", "-E", "occurrence=a", "-Y", filter, "-r"]).arg(file);
    for field in fields {
        command.args(["-e", field]);
    }
    let text = output(&mut command).with_context(|| file.display().to_string())?;
    Ok(text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// The ports from which the connections of a file to `port` were made.
fn clients(file: &Path, port: u16) -> Result<BTreeSet<String>> {
    let lines = tshark(file, &format!("tcp.dstport == {port}"), &["tcp.srcport"])?;
    Ok(lines.into_iter().flatten().collect())
}

fn ports(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["src.port"].to_string()).collect()
}

/// Writes an export to a file of this name.
fn export(remora: &Remora, name: &str, arguments: &[&str]) -> Result<std::path::PathBuf> {
    let file = remora.dir().join(name);
    let path = file.display().to_string();
    let done = remora.cli(&[&["export", "-w", &path][..], arguments].concat())?;
    ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(file)
}

#[test]
fn an_export_is_the_whole_connections_of_its_calls() -> Result<()> {
    if skipped("an_export_is_the_whole_connections_of_its_calls", &["nginx", "curl", "tshark", "tcpdump"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let server = Server::nginx(None, &["127.0.0.1"], free_port()?)?;
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.port);
    // Two requests on one connection, of which one fails: both belong to the export of what failed.
    curl(&url("/broken/1"), &[&url("/file/small/2")])?;
    curl(&url("/file/medium/3"), &[])?;
    curl(&url("/broken/4"), &[])?;
    let here = format!("http && dst.port == {}", server.port);
    let fields = "url,status_code,src.port,path";
    let all = remora.wait_for_calls(&here, fields, 4)?;
    let failed = format!("{here} && status_code >= 500");
    let broken = remora.calls(&failed, fields)?;
    ensure!(broken.len() == 2 && ports(&broken).len() == 2 && ports(&all).len() == 3, "{all:?}");

    let file = export(&remora, "failed.pcapng", &["--kfl", &failed])?;
    ensure!(clients(&file, server.port)? == ports(&broken), "{:?}", clients(&file, server.port)?);
    let others = tshark(&file, &format!("!(tcp.port == {})", server.port), &["frame.number"])?;
    ensure!(others.is_empty(), "packets of others: {others:?}");
    let answers = tshark(&file, "http.response", &["http.response.code"])?;
    ensure!(answers.concat().len() == 3, "{answers:?}");
    // What was read says so in its first packet.
    let comments = tshark(&file, "frame.comment", &["frame.comment"])?;
    ensure!(comments.len() == 2 && comments.concat().iter().all(|c| c.contains("nginx")), "{comments:?}");
    output(Command::new("tcpdump").args(["-n", "-r"]).arg(&file))?;
    output(Command::new("capinfos").arg(&file))?;

    // Remora reads its own export as it has read the traffic.
    let again = remora.cli(&["dissect", "-o", "ndjson", &file.display().to_string()])?;
    let again = objects(&String::from_utf8_lossy(&again.stdout))?;
    let said = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|r| format!("{} {} {}", r["src.port"], text(r, "path"), r["status_code"])).collect()
    };
    let whole: Vec<Value> =
        all.iter().filter(|r| ports(&broken).contains(&r["src.port"].to_string())).cloned().collect();
    ensure!(said(&again) == said(&whole), "{:?} is not {:?}", said(&again), said(&whole));

    // Headers alone: as many packets, and nothing in them.
    let bare = export(&remora, "bare.pcapng", &["--kfl", &failed, "--headers-only"])?;
    let count = |file: &Path| tshark(file, "tcp", &["frame.number"]).map(|lines| lines.len());
    ensure!(count(&bare)? == count(&file)?, "{} of {}", count(&bare)?, count(&file)?);
    ensure!(!std::fs::read(&bare)?.windows(7).any(|w| w == b"broken\n"), "payload in {}", bare.display());

    // A filter that cannot be, one that finds nothing, and a word that does not exist.
    for (arguments, says) in [
        (&["--kfl", "status_cod == 500"][..], "status_code"),
        (&["--kfl", "status_code == 599"][..], "not found"),
        (&["--tls", "maybe"][..], "maybe"),
    ] {
        let path = remora.dir().join("none.pcapng").display().to_string();
        let done = remora.cli(&[&["export", "-w", &path][..], arguments].concat())?;
        let error = String::from_utf8_lossy(&done.stderr);
        ensure!(error.to_lowercase().contains(says), "{arguments:?}: {}: {error}", done.status);
    }
    drop(server);
    remora.stop()
}

#[test]
fn an_export_of_https_needs_nothing_else_to_be_read() -> Result<()> {
    if skipped("an_export_of_https_needs_nothing_else_to_be_read", &["nginx", "curl", "openssl", "tshark"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let server = Server::nginx_tls("127.0.0.1", port)?;
    let here = format!("http && tls && dst.port == {port}");
    // Connections that began before the probes were in place have no secrets: others follow.
    let mut letters = 0;
    let (read, file) = wait_for("an export that tshark decrypts", || {
        letters += 1;
        curl(&format!("https://127.0.0.1:{port}/letter/{letters}"), &["--http1.1"])?;
        let rows = remora.calls(&here, "path")?;
        let Some(path) = rows.last().map(|row| text(row, "path").to_owned()) else {
            return Ok(Err("none is read".to_owned()));
        };
        let read = format!("{here} && path == \"{path}\"");
        let file = export(&remora, "keys.pcapng", &["--kfl", &read])?;
        let shown = tshark(&file, "http.request", &["http.request.uri"])?.concat();
        Ok(if shown == [path] { Ok((read, file)) } else { Err(format!("tshark shows {shown:?}")) })
    })?;
    ensure!(clients(&file, port)?.len() == 1, "more than the connection of {read}");
    let closed = export(&remora, "closed.pcapng", &["--kfl", &read, "--tls", "none"])?;
    ensure!(tshark(&closed, "http", &["frame.number"])?.is_empty(), "decrypted without secrets");
    ensure!(!tshark(&closed, "tls", &["frame.number"])?.is_empty(), "no TLS");

    // An assistant gets the way, and whoever has the way the same file.
    let mut client = Client::connect(&remora, Style::Json)?;
    let answer = client.tool("export_pcap", &json!({"filter": read}))?;
    let way = &answer["structuredContent"];
    ensure!(text(way, "command").starts_with("remora export --since "), "{answer}");
    ensure!(way["connections"].as_u64().is_some_and(|n| n >= 1), "{answer}");
    let fetched = remora.dir().join("fetched.pcapng");
    let head = curl(
        &format!("{}{}", remora.url(), text(way, "path")),
        &["-D", "-", "-o", &fetched.display().to_string()],
    )?;
    ensure!(head.contains("application/x-pcapng") && head.contains("remora-connections: "), "{head}");
    ensure!(clients(&fetched, port)? == clients(&file, port)?, "{head}");
    ensure!(!tshark(&fetched, "http.request", &["frame.number"])?.is_empty(), "not decrypted");
    let (status, body) = remora.request("/api/v1/pcap?secrets=maybe")?;
    ensure!(status == 400 && body.contains("secrets"), "{status}: {body}");
    drop(server);
    remora.stop()
}
