//! gRPC with server reflection: messages are shown without names until the server was asked to
//! describe them, and with names from then on.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{objects, output, skipped, text};

const FIELDS: &str = "protocol,grpc_service,grpc_method,grpc_status,grpc_kind,request.body,response.body,failed,\
    incomplete,src.process,dst.process";
const ROUNDS: usize = 20;

/// What `grpc-reflect.js` serves, as protoc describes it.
const SET: &[u8] = include_bytes!("../../crates/dissect/tests/corpus/http2/typed.set");

#[test]
fn what_a_server_tells_of_its_messages_names_them() -> Result<()> {
    if skipped("what_a_server_tells_of_its_messages_names_them", &["node"]) {
        return Ok(());
    }
    let port = free_port()?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    let (program, set) = (remora.dir().join("grpc-reflect.js"), remora.dir().join("typed.set"));
    std::fs::write(&program, include_str!("../programs/grpc-reflect.js"))?;
    std::fs::write(&set, SET)?;
    let mut node = Command::new("node");
    node.arg(program).arg(port.to_string()).arg(set).arg(ROUNDS.to_string());
    let made = objects(&output(&mut node)?)?;
    ensure!(made.len() == 2 * ROUNDS, "{} calls were made", made.len());

    let rows = remora.wait_for_calls(&format!("grpc && dst.port == {port}"), FIELDS, made.len() + 1)?;
    ensure!(rows.len() == made.len() + 1, "{} rows for {} calls", rows.len(), made.len());
    let mut bodies = BTreeMap::<&str, usize>::new();
    for row in &rows {
        ensure!(row["grpc_status"] == 0 && row["failed"] == false && row["incomplete"].is_null(), "{row}");
        if row["grpc_method"] == "ServerReflectionInfo" {
            continue;
        }
        ensure!(row["grpc_service"] == "remora.typed.Typed" && row["grpc_method"] == "Echo", "{row}");
        ensure!(row["request.body"] == row["response.body"] && row["grpc_kind"] == "unary", "{row}");
        *bodies.entry(text(row, "request.body")).or_default() += 1;
    }
    for call in &made {
        let body = text(call, "body");
        ensure!(bodies.get(body) == Some(&1), "{body} was not seen once: {bodies:?}");
    }
    remora.stop()
}
