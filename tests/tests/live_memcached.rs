//! The programs of libmemcached and lines by hand against memcached: every command, in the text and
//! in the binary protocol.
#![allow(clippy::print_stdout)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{output, skipped, text};
use serde_json::json;
use tempfile::TempDir;

const FIELDS: &str = "memcached_protocol,memcached_command,memcached_key,memcached_keys,memcached_status,\
    memcached_hits,memcached_misses,memcached_error,memcached_request_body,memcached_response_body,\
    memcached_request_size,memcached_response_size,src.process,dst.process,failed,client_error,incomplete";

#[test]
fn every_memcached_command_is_seen() -> Result<()> {
    if skipped("every_memcached_command_is_seen", &["memcached", "memccp", "memccat", "memcrm", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let places = [
        (None, None, "127.0.0.1"),
        (Some(pair.client.as_str()), Some(pair.server.as_str()), Pair::SERVER_V4),
    ];
    for (client, server, address) in places {
        let _server = Server::memcached(server, address, port)?;
        for protocol in ["text", "binary"] {
            programs_agree(&remora, client, address, port, protocol)
                .with_context(|| format!("{protocol} to {address}"))?;
        }
    }
    let _server = Server::memcached(None, "127.0.0.1", port)?;
    lines_agree(&remora, port)?;
    remora.stop()
}

/// What the programs ask for, by their names, and what they print.
fn programs_agree(
    remora: &Remora,
    client: Option<&str>,
    address: &str,
    port: u16,
    protocol: &str,
) -> Result<()> {
    let dir = TempDir::with_prefix("remora-memccp-")?;
    let key = format!("greeting-{protocol}");
    std::fs::write(dir.path().join(&key), "hello from a file")?;
    let run = |program: &str, argument: &str| {
        let mut command = netns::command(client, program);
        command.arg(format!("--servers={address}:{port}"));
        if protocol == "binary" {
            command.arg("--binary");
        }
        command.arg(argument);
        output(&mut command)
    };
    run("memccp", dir.path().join(&key).to_str().context("a path that is no text")?)?;
    ensure!(run("memccat", &key)?.contains("hello from a file"), "memccat printed something else");
    run("memcrm", &key)?;
    let here = format!(
        "memcached && dst.ip == \"{address}\" && dst.port == {port} && memcached_protocol == \"{protocol}\" \
         && memcached_key == \"{key}\""
    );
    let rows = remora.wait_for_calls(&here, FIELDS, 3)?;
    ensure!(rows.len() == 3, "{} rows: {rows:?}", rows.len());
    for (row, program) in rows.iter().zip(["memccp", "memccat", "memcrm"]) {
        ensure!(row["src.process"] == program && row["dst.process"] == "memcached", "{row}");
        ensure!(row["failed"] == false && row["incomplete"].is_null(), "{row}");
    }
    ensure!(text(&rows[0], "memcached_command") == "set", "{}", rows[0]);
    // In the text protocol the first value of a connection may be a name and a password.
    let stored = if protocol == "text" { "" } else { "hello from a file" };
    ensure!(text(&rows[0], "memcached_request_body") == stored, "{}", rows[0]);
    ensure!(text(&rows[1], "memcached_command").starts_with("get"), "{}", rows[1]);
    ensure!(rows[1]["memcached_hits"] == 1 && rows[1]["memcached_misses"] == 0, "{}", rows[1]);
    let value = json!({ key.as_str(): "hello from a file" }).to_string();
    ensure!(text(&rows[1], "memcached_response_body") == value, "{}", rows[1]);
    ensure!(text(&rows[2], "memcached_command") == "delete", "{}", rows[2]);
    Ok(())
}

/// Lines, what ends their answers, the command, its status, and whether it failed.
const LINES: &[(&str, &str, &str, &str, bool)] = &[
    ("set a 5 60 3\r\nabc\r\n", "STORED\r\n", "set", "STORED", false),
    ("add a 0 0 1\r\nx\r\n", "NOT_STORED\r\n", "add", "NOT_STORED", false),
    ("get a b\r\n", "END\r\n", "get", "VALUE", false),
    ("get b\r\n", "END\r\n", "get", "END", false),
    ("incr a 1\r\n", "value\r\n", "incr", "CLIENT_ERROR", true),
    ("mg a v k\r\n", "abc\r\n", "mg", "VA", false),
    ("ms c 1 q\r\n1\r\nmg d v q\r\nmn\r\n", "MN\r\n", "mn", "MN", false),
    ("delete c noreply\r\nversion\r\n", "\r\n", "version", "VERSION", false),
    ("touch a 10\r\n", "TOUCHED\r\n", "touch", "TOUCHED", false),
    ("nonsense\r\n", "ERROR\r\n", "nonsense", "ERROR", true),
];

fn lines_agree(remora: &Remora, port: u16) -> Result<()> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    for (line, end, ..) in LINES {
        connection.write_all(line.as_bytes())?;
        let mut answer = Vec::new();
        let mut piece = [0; 4096];
        while !answer.ends_with(end.as_bytes()) {
            let n = connection.read(&mut piece)?;
            ensure!(n > 0, "{line:?}: closed");
            answer.extend_from_slice(&piece[..n]);
        }
    }
    let from = connection.local_addr()?.port();
    drop(connection);
    let here = format!("memcached && dst.port == {port} && src.port == {from}");
    // Two quiet commands and one without an answer come beside those of the table.
    let rows = remora.wait_for_calls(&here, FIELDS, LINES.len() + 3)?;
    ensure!(rows.len() == LINES.len() + 3, "{} rows: {rows:?}", rows.len());
    ensure!(rows.iter().all(|r| r["incomplete"].is_null()), "{rows:?}");
    for (line, _, command, status, failed) in LINES {
        let found = rows.iter().any(|row| {
            text(row, "memcached_command") == *command
                && text(row, "memcached_status") == *status
                && row["failed"] == *failed
        });
        ensure!(found, "{line:?}: {rows:?}");
    }
    Ok(())
}
