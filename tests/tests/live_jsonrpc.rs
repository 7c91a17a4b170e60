//! JSON-RPC, server-sent events and MCP by their own libraries: methods, targets, errors and events.
#![allow(clippy::print_stdout)]

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::python;
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{objects, output, text};
use serde_json::{Value, json};

/// The programs that the captures were recorded with.
const SERVE: &str = include_str!("../../crates/dissect/tests/corpus/jsonrpc/serve.py");
const ASK: &str = include_str!("../../crates/dissect/tests/corpus/jsonrpc/ask.py");

const FIELDS: &str = "protocol,jsonrpc_method,jsonrpc_id,jsonrpc_target,jsonrpc_error_code,jsonrpc_error,jsonrpc_batch,\
    sse_events,sse_types,sse_last_id,method,path,status_code,response.body,failed,incomplete";

fn ask(remora: &Remora, kind: &str, port: u16) -> Result<Vec<Value>> {
    std::fs::write(remora.dir().join("ask.py"), ASK)?;
    objects(&output(python::command(remora.dir(), "ask.py").args([kind, &port.to_string()]))?)
}

#[test]
fn every_call_and_every_event_is_seen() -> Result<()> {
    if python::skipped("every_call_and_every_event_is_seen", &[]) {
        return Ok(());
    }
    let port = free_port()?;
    let server = python::server(SERVE, &["plain", &port.to_string()], port)?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    let answers = ask(&remora, "plain", port)?;
    let rows = remora.wait_for_calls(&format!("http && dst.port == {port}"), FIELDS, answers.len())?;
    ensure!(rows.len() == answers.len(), "{} calls for {} answers", rows.len(), answers.len());
    for (row, answer) in rows.iter().zip(&answers) {
        ensure!(
            row["status_code"] == answer["status"] && row["path"] == answer["path"],
            "{row} for {answer}"
        );
        ensure!(text(row, "response.body") == text(answer, "body"), "{row} for {answer}");
        ensure!(row["incomplete"].is_null(), "{row}");
        let error = serde_json::from_str::<Value>(text(answer, "body")).unwrap_or_default()["error"].clone();
        if error.is_object() {
            ensure!(row["jsonrpc_error_code"] == error["code"], "{row} for {answer}");
            ensure!(row["jsonrpc_error"] == error["message"] && row["failed"] == true, "{row} for {answer}");
        }
    }
    ensure!(rows[0]["jsonrpc_method"] == "sum" && rows[0]["jsonrpc_id"] == "1", "{}", rows[0]);
    ensure!(rows[2]["jsonrpc_method"] == "notify" && rows[2]["jsonrpc_id"].is_null(), "{}", rows[2]);
    ensure!(rows[3]["jsonrpc_batch"] == 3 && rows[3]["failed"] == true, "{}", rows[3]);
    let events = rows.last().context("some")?;
    ensure!(events["sse_events"] == 6 && events["sse_last_id"] == "4", "{events}");
    ensure!(events["sse_types"] == json!(["tock", "tick", "message"]), "{events}");
    drop(server);
    println!("{} calls agree", rows.len());
    remora.stop()
}

#[test]
fn an_assistants_calls_are_seen() -> Result<()> {
    if python::skipped("an_assistants_calls_are_seen", &[]) {
        return Ok(());
    }
    let port = free_port()?;
    let server = python::server(SERVE, &["mcp", &port.to_string()], port)?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    std::fs::write(remora.dir().join("ask.py"), ASK)?;
    output(python::command(remora.dir(), "ask.py").args(["mcp", &port.to_string()]))?;
    let called = format!("http && dst.port == {port} && jsonrpc_method == \"tools/call\"");
    let rows = remora.wait_for_calls(&called, FIELDS, 2)?;
    ensure!(rows[0]["jsonrpc_target"] == "add" && rows[0]["failed"] == false, "{}", rows[0]);
    ensure!(rows[1]["jsonrpc_target"] == "fail" && rows[1]["failed"] == true, "{}", rows[1]);
    ensure!(text(&rows[1], "jsonrpc_error").contains("out of stock"), "{}", rows[1]);
    let read = format!("http && dst.port == {port} && jsonrpc_method == \"resources/read\"");
    let rows = remora.wait_for_calls(&read, FIELDS, 2)?;
    ensure!(rows[0]["jsonrpc_target"] == "shop://stock" && rows[0]["failed"] == false, "{}", rows[0]);
    ensure!(rows[1]["jsonrpc_target"] == "shop://nothing" && rows[1]["failed"] == true, "{}", rows[1]);
    drop(server);
    remora.stop()
}
