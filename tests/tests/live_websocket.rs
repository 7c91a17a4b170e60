//! Node against websocketd: every message of a WebSocket connection, compared with what the client
//! wrote down.
#![allow(clippy::print_stdout)]

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{objects, output, skipped, text, wait_for};
use serde_json::Value;

const MESSAGES: usize = 200;

/// websocketd that echoes lines. Dropping it ends it.
struct Echo(Child);

impl Echo {
    fn start(remora: &Remora, port: u16) -> Result<Self> {
        let log = std::fs::File::create(remora.dir().join("websocketd"))?;
        let mut command = Command::new("websocketd");
        command.arg("--address=127.0.0.1").arg(format!("--port={port}")).arg("cat");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let echo = Self(command.spawn().context("websocketd does not start")?);
        wait_for("websocketd listens", || {
            // proc_pid_net(5): state 0A is TCP_LISTEN.
            let sockets = std::fs::read_to_string("/proc/net/tcp")?;
            let address = format!("0100007F:{port:04X} 00000000:0000 0A");
            Ok(if sockets.contains(&address) { Ok(()) } else { Err(sockets) })
        })?;
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn every_message_is_seen() -> Result<()> {
    if skipped("every_message_is_seen", &["websocketd", "node"]) {
        return Ok(());
    }
    let port = free_port()?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    let echo = Echo::start(&remora, port)?;
    let (script, log) = (remora.dir().join("websocket.js"), remora.dir().join("messages"));
    std::fs::write(&script, include_str!("../programs/websocket.js"))?;
    let mut client = Command::new("node");
    client.args(["--experimental-websocket", "--no-warnings"]).arg(&script).arg(&log);
    output(client.arg(port.to_string()).arg(MESSAGES.to_string()))?;
    let said = objects(&std::fs::read_to_string(&log)?)?;

    let here = format!("ws && dst.port == {port}");
    let fields = "protocol,path,host,method,ws_opcode,ws_sender,ws_request,ws_response,ws_request_payload_data,\
        ws_response_payload_data,ws_request_payload_length,ws_response_payload_length,ws_frames,failed,incomplete,\
        src.process,dst.process";
    let rows = remora.wait_for_calls(&format!("{here} && ws_opcode == \"text\""), fields, 2 * MESSAGES)?;
    let messages: Vec<&Value> = said.iter().filter(|m| m.get("text").is_some()).collect();
    ensure!(rows.len() == messages.len(), "{} calls for {} messages", rows.len(), messages.len());
    for (row, message) in rows.iter().zip(&messages) {
        ensure!(row["ws_sender"] == message["sender"], "{row} for {message}");
        let by_client = message["sender"] == "client";
        let (data, length) = if by_client {
            ("ws_request_payload_data", "ws_request_payload_length")
        } else {
            ("ws_response_payload_data", "ws_response_payload_length")
        };
        let sent = text(message, "text");
        ensure!(text(row, data) == sent && row[length] == sent.len(), "{row} for {message}");
        ensure!(row["ws_request"] == by_client && row["ws_response"] == !by_client, "{row}");
        ensure!(row["path"] == "/lines" && row["host"] == "127.0.0.1" && row["method"] == "GET", "{row}");
        ensure!(row["failed"] == false && row["incomplete"].is_null(), "{row}");
        ensure!(row["src.process"] == "node" && row["dst.process"] == "websocketd", "{row}");
    }
    let close = format!("{here} && ws_opcode == \"close\"");
    let rows = remora.wait_for_calls(&close, "ws_close_code,ws_close_reason,ws_sender,failed", 1)?;
    ensure!(rows[0]["ws_close_code"] == 1000 && rows[0]["ws_close_reason"] == "done", "{rows:?}");
    ensure!(rows[0]["ws_sender"] == "client" && rows[0]["failed"] == false, "{rows:?}");
    let handshake = format!("http && !ws && dst.port == {port}");
    let rows = remora.wait_for_calls(&handshake, "status_code,path", 1)?;
    ensure!(rows[0]["status_code"] == 101 && rows[0]["path"] == "/lines", "{rows:?}");
    println!("{} messages agree", messages.len());
    drop(echo);
    remora.stop()
}
