//! HTTP/2 and gRPC streams, twenty at a time on one connection, compared one by one with what client
//! and server logged. Needs a binary that dissects HTTP/2.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::{self, Server};
use remora_tests::e2e::{objects, output, skipped, text};
use serde_json::{Value, json};

const FIELDS: &str = "id,protocol,http_version,method,path,status_code,request.headers,request_body_size,\
    response_body_size,http2_stream,http2_error,grpc_service,grpc_method,grpc_status,grpc_status_name,\
    grpc_message,grpc_kind,grpc_timeout,grpc_request_messages,grpc_response_messages,request.body,failed,\
    client_error,incomplete,elapsed_time,src.process,dst.process";
const ROUNDS: usize = 25;
/// What `http2-load.js` does in a round.
const CALLS: usize = 20;

#[test]
fn every_stream_is_seen_as_client_and_server_logged_it() -> Result<()> {
    if skipped("every_stream_is_seen_as_client_and_server_logged_it", &["node", "ip"]) {
        return Ok(());
    }
    let port = free_port()?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    let pair = Pair::new()?;
    let (client, server) = (Some(pair.client.as_str()), Some(pair.server.as_str()));
    for (client, server, address) in [
        (None, None, "127.0.0.1"),
        (None, None, "::1"),
        (client, server, Pair::SERVER_V4),
        (client, server, Pair::SERVER_V6),
    ] {
        compare(&remora, client, server, address, port).with_context(|| address.to_owned())?;
    }
    remora.stop()
}

fn compare(
    remora: &Remora,
    client: Option<&str>,
    server: Option<&str>,
    address: &str,
    port: u16,
) -> Result<()> {
    let server = Server::http2(server, &[address], port)?;
    let program = servers::program(server.dir(), "http2-load.js")?;
    let mut load = netns::command(client, "node");
    load.arg(program).args([&port.to_string(), address, &ROUNDS.to_string()]);
    let made = objects(&output(&mut load)?)?;
    ensure!(made.len() == ROUNDS * CALLS, "{} calls were made", made.len());

    let kfl = format!("http && dst.port == {port} && dst.ip == \"{address}\"");
    let rows = remora.wait_for_calls(&kfl, FIELDS, made.len())?;
    ensure!(rows.len() == made.len(), "{} rows for {} calls", rows.len(), made.len());
    let received: HashMap<String, Value> = server
        .log()?
        .into_iter()
        .filter(|c| c["grpc"].is_null())
        .map(|c| (text(&c, "path").to_owned(), c))
        .collect();
    // Paths of gRPC are the same in every round: those are counted.
    let (mut plain, mut rpc) = (HashMap::new(), HashMap::<String, Vec<&Value>>::new());
    for row in &rows {
        ensure!(row["http_version"] == "HTTP/2" && row["src.process"] == "node", "{row}");
        match text(row, "protocol") {
            "grpc" => rpc.entry(text(row, "grpc_method").to_owned()).or_default().push(row),
            _ => ensure!(plain.insert(text(row, "path").to_owned(), row).is_none(), "twice: {row}"),
        }
    }
    for call in made.iter().filter(|c| c["grpc"].is_null()) {
        let path = text(call, "path");
        let row = plain.get(path).with_context(|| format!("{path} was not seen"))?;
        let id = path.rsplit('/').next().unwrap_or_default();
        let own = row["request.headers"]["x-id"].as_str();
        ensure!(own.is_none_or(|own| own == id), "headers of another request: {row}");
        ensure!(row["status_code"] == call["status"], "{call}: {row}");
        if call["cancelled"] == true {
            ensure!(row["incomplete"] == "reset" && row["http2_error"] == "CANCEL", "{row}");
            ensure!(row["failed"] == false, "{row}");
            continue;
        }
        let logged = received.get(path).with_context(|| format!("the server did not log {path}"))?;
        ensure!(row["incomplete"].is_null(), "{row}");
        ensure!(row["method"] == logged["method"], "{logged}: {row}");
        ensure!(row["request_body_size"] == logged["received"], "{logged}: {row}");
        ensure!(row["response_body_size"] == call["received"], "{call}: {row}");
        ensure!(row["failed"] == json!(call["status"] == 503), "{row}");
        ensure!(row["client_error"] == json!(call["status"] == 404), "{row}");
        ensure!(row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{row}");
    }
    for (method, status, kind, sent, answered) in [
        ("Get", 0, "unary", 1, 1),
        ("List", 0, "server_stream", 1, 5),
        ("Put", 0, "client_stream", 3, 1),
        ("Fail", 5, "unary", 1, 0),
    ] {
        let rows = rpc.get(method).with_context(|| format!("{method} was not seen"))?;
        ensure!(rows.len() == ROUNDS, "{} of {method}", rows.len());
        for row in rows {
            ensure!(row["grpc_service"] == "shop.Shop" && row["grpc_status"] == status, "{row}");
            ensure!(row["grpc_kind"] == kind && row["grpc_timeout"] == 20_000_000, "{row}");
            ensure!(row["grpc_request_messages"] == sent, "{row}");
            ensure!(row["grpc_response_messages"] == answered, "{row}");
            ensure!(row["request.body"] == vec!["1: 1"; sent].join("\n"), "{row}");
            ensure!(row["failed"] == json!(status != 0) && row["incomplete"].is_null(), "{row}");
            let failure = (text(row, "grpc_status_name"), text(row, "grpc_message"));
            ensure!(status == 0 || failure == ("NOT_FOUND", "no such item"), "{row}");
        }
    }
    Ok(())
}
