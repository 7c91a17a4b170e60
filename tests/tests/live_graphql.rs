//! httpx and websockets against strawberry-graphql: every operation, what it asked for and how it
//! ended, compared with what the client was answered.
#![allow(clippy::print_stdout)]

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::python;
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{objects, output, text};
use serde_json::{Value, json};

/// The programs that the captures were recorded with.
const SHOP: &str = include_str!("../../crates/dissect/tests/corpus/gql/shop.py");
const ASK: &str = include_str!("../../crates/dissect/tests/corpus/gql/ask.py");

const FIELDS: &str = "protocol,gql_operation,gql_operation_type,gql_query,gql_errors,gql_fields,gql_variables,gql_batch,\
    gqlv1,gqlv2,method,path,status_code,request.body,response.body,failed,incomplete,ws_opcode,src.process,dst.process";

/// What the client was answered: it writes down every answer.
fn ask(remora: &Remora, kind: &str, port: u16) -> Result<Vec<Value>> {
    std::fs::write(remora.dir().join("ask.py"), ASK)?;
    objects(&output(python::command(remora.dir(), "ask.py").args([kind, &port.to_string()]))?)
}

#[test]
fn every_operation_is_seen() -> Result<()> {
    if python::skipped("every_operation_is_seen", &[]) {
        return Ok(());
    }
    let port = free_port()?;
    let program = format!("{SHOP}\n\nimport uvicorn\nuvicorn.run(app, port={port}, access_log=False)\n");
    let server = python::server(&program, &[], port)?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    over_http(&remora, port)?;
    over_websocket(&remora, port)?;
    drop(server);
    remora.stop()
}

fn over_http(remora: &Remora, port: u16) -> Result<()> {
    let answers = ask(remora, "http", port)?;
    let rows = remora.wait_for_calls(&format!("http && dst.port == {port}"), FIELDS, answers.len())?;
    ensure!(rows.len() == answers.len(), "{} calls for {} answers", rows.len(), answers.len());
    for (row, answer) in rows.iter().zip(&answers) {
        ensure!(row["status_code"] == answer["status"], "{row} for {answer}");
        ensure!(text(row, "response.body") == text(answer, "body"), "{row} for {answer}");
        let errors = answer["errors"].as_array().context("a list")?;
        let ours = row["gql_errors"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(row["protocol"] != "gql" || ours == errors.as_slice(), "{row} for {answer}");
        if row["protocol"] == "gql" {
            let refused = answer["status"].as_i64().is_some_and(|s| s >= 500);
            ensure!(row["failed"] == (refused || !errors.is_empty()), "{row} for {answer}");
        }
        ensure!(row["incomplete"].is_null() && row["path"] == "/graphql", "{row}");
    }
    let told = |i: usize, field: &str| rows[i][field].clone();
    ensure!(told(0, "gql_operation") == "Get" && told(0, "gql_operation_type") == "query", "{}", rows[0]);
    ensure!(told(0, "gql_fields") == json!(["item", "count"]), "{}", rows[0]);
    ensure!(told(0, "gql_variables") == "{\"id\":7}", "{}", rows[0]);
    ensure!(told(1, "failed") == true && told(1, "status_code") == 200, "errors in a 200: {}", rows[1]);
    ensure!(told(2, "gql_operation_type") == "mutation" && told(2, "gql_operation") == "Add", "{}", rows[2]);
    ensure!(told(5, "method") == "GET" && told(5, "gql_fields") == json!(["count"]), "{}", rows[5]);
    // The last one has nothing of GraphQL but its path.
    let last = rows.last().context("some")?;
    ensure!(last["protocol"] == "http", "{last}");
    println!("{} operations agree", rows.len());
    Ok(())
}

/// Over WebSocket an operation is one call, from its start to its end, beside the messages themselves.
fn over_websocket(remora: &Remora, port: u16) -> Result<()> {
    let said = ask(remora, "socket", port)?;
    let filter = format!("protocol == \"gql\" && dst.port == {port} && ws_subprotocol != null");
    for (protocol, result) in [("graphql-transport-ws", "next"), ("graphql-ws", "data")] {
        let filter = format!("{filter} && ws_subprotocol == \"{protocol}\"");
        let fields = "gql_operation,gql_operation_type,gql_fields,gql_errors,gql_results,response.body,failed,incomplete";
        let rows = remora.wait_for_calls(&filter, fields, 4)?;
        ensure!(rows.len() == 4, "{rows:?}");
        for (id, name) in [("a", "Two"), ("b", "Five"), ("c", "One"), ("d", "Wrong")] {
            let row = rows.iter().find(|r| r["gql_operation"] == name).with_context(|| name.to_owned())?;
            let got: Vec<&Value> =
                said.iter().filter(|m| m["protocol"] == protocol && m["id"] == id).collect();
            let results = got.iter().filter(|m| m["type"] == result).count();
            ensure!(row["gql_results"] == results, "{row}: {results} results");
            for message in &got {
                let payload = message["payload"].to_string();
                let body = objects(text(row, "response.body"))?;
                ensure!(
                    message["payload"].is_null() || body.iter().any(|b| b["payload"] == message["payload"]),
                    "{payload} is not in {row}"
                );
            }
            let kind = if name == "One" { "query" } else { "subscription" };
            ensure!(row["gql_operation_type"] == kind && row["incomplete"].is_null(), "{row}");
            let failed = got.iter().any(|m| m["type"] == "error" || m["payload"]["errors"].is_array());
            ensure!(row["failed"] == failed, "{row} for {got:?}");
        }
    }
    println!("operations over WebSocket agree");
    Ok(())
}
