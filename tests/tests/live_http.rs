//! Thousands of HTTP calls by curl, Python and Node against nginx, Python and Node, on loopback
//! and between network namespaces, compared call by call with what clients and servers logged.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::{self, Server};
use remora_tests::e2e::{objects, output, skipped, text};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const FIELDS: &str = "id,method,path,status_code,request_bytes,response_bytes,response_body_size,\
    response.body,response_body_truncated,incomplete,elapsed_time,ttlb,src.process,dst.process,src.ip,dst.ip,\
    dst.port,capture_source";

/// Where a run's clients and servers are, and how a client writes the server's address.
struct Place<'a> {
    run: &'a str,
    client: Option<&'a str>,
    server: Option<&'a str>,
    address: &'a str,
}

#[test]
fn every_call_is_seen_as_its_server_logged_it() -> Result<()> {
    if skipped("every_call_is_seen_as_its_server_logged_it", &["nginx", "curl", "python3", "node", "ip"]) {
        return Ok(());
    }
    let (nginx, node, python) = (free_port()?, free_port()?, free_port()?);
    let ports: Vec<String> = [nginx, node, python].iter().map(|p| format!("--port={p}")).collect();
    let remora = Remora::start(&ports.iter().map(String::as_str).collect::<Vec<_>>())?;
    let pair = Pair::new()?;
    let (client, server) = (Some(pair.client.as_str()), Some(pair.server.as_str()));
    let places = [
        Place { run: "lo4", client: None, server: None, address: "127.0.0.1" },
        Place { run: "lo6", client: None, server: None, address: "::1" },
        Place { run: "ns4", client, server, address: Pair::SERVER_V4 },
        Place { run: "ns6", client, server, address: Pair::SERVER_V6 },
    ];
    let mut total = 0;
    for place in &places {
        total += compare(&remora, place, [nginx, node, python])
            .with_context(|| format!("{} ({})", place.run, place.address))?;
    }
    ensure!(total >= 3000, "only {total} calls were made");
    println!("{total} calls agree");
    remora.stop()
}

/// Makes a run's calls and compares them; gives their number.
fn compare(remora: &Remora, place: &Place<'_>, [nginx, node, python]: [u16; 3]) -> Result<usize> {
    let addresses = [place.address];
    let servers = [
        Server::nginx(place.server, &addresses, nginx)?,
        Server::node(place.server, &addresses, node)?,
        Server::python(place.server, &addresses, python)?,
    ];
    let said = load(remora, place, [nginx, node, python])?;
    let logged = {
        let mut calls = HashMap::new();
        for server in &servers {
            for call in server.log()? {
                let twice = calls.insert(key(&call), call);
                ensure!(twice.is_none(), "a server logged twice: {twice:?}");
            }
        }
        calls
    };
    ensure!(said.len() == logged.len(), "clients made {} calls, servers logged {}", said.len(), logged.len());

    let kfl = format!("http && path.contains(\"/{}-\")", place.run);
    remora.wait_for_calls(&kfl, FIELDS, said.len())?;
    // Whatever was made after all else is seen after all else of its connection; a call seen
    // twice would be there by then.
    let last = format!("/file/small/{}-the-last", place.run);
    let url = format!("http://{}{last}", authority(place.address, nginx));
    output(netns::command(place.client, "curl").args(["-sg", "-o", "/dev/null", &url]))?;
    remora.wait_for_calls(&format!("path == \"{last}\""), "id", 1)?;
    let mut seen: HashMap<String, Value> = HashMap::new();
    let mut wrong = String::new();
    for row in remora.calls(&kfl, FIELDS)? {
        if row["path"] == last {
            continue;
        }
        let key = key(&row);
        if !said.contains_key(&key) {
            writeln!(wrong, "nobody made {row}")?;
        }
        if let Some(first) = seen.insert(key, row) {
            writeln!(wrong, "seen twice: {first}")?;
        }
    }
    for (key, told) in &said {
        let Some(row) = seen.get(key) else {
            writeln!(wrong, "not seen: {told}")?;
            continue;
        };
        let served = logged.get(key).with_context(|| format!("no server logged {told}"))?;
        for (what, remoras, truth) in differences(row, told, served, place) {
            writeln!(wrong, "{key}: {what}: Remora {remoras}, truth {truth}")?;
        }
    }
    if !wrong.is_empty() {
        let count = wrong.lines().count();
        let first: Vec<&str> = wrong.lines().take(12).collect();
        let coverage = remora.get("status", &[("since", "all")])?["coverage"].take();
        anyhow::bail!("{count} of {} differ:\n{}\ncoverage: {coverage}", said.len(), first.join("\n"));
    }
    Ok(said.len())
}

/// Runs the clients. Gives what they say of each call.
fn load(
    remora: &Remora,
    place: &Place<'_>,
    [nginx, node, python]: [u16; 3],
) -> Result<HashMap<String, Value>> {
    let mut told = String::new();
    let (nginx, node, python) = (nginx.to_string(), node.to_string(), python.to_string());
    let script = servers::program(remora.dir(), "load.py")?;
    let arguments = [place.address, &nginx, &node, &python, place.run, "400"];
    told += &output(netns::command(place.client, "python3").arg(script).args(arguments))?;
    let script = servers::program(remora.dir(), "load.js")?;
    let arguments = [place.address, &nginx, &node, place.run, "240"];
    told += &output(netns::command(place.client, "node").arg(script).args(arguments))?;
    let mut calls = HashMap::new();
    for call in objects(&told)? {
        let twice = calls.insert(key(&call), call);
        ensure!(twice.is_none(), "a client made twice: {twice:?}");
    }
    // curl keeps its connection through all of them.
    let url =
        format!("http://{}/file/medium/{}-curl-[1-100]", authority(place.address, nginx.parse()?), place.run);
    let format = "%{url_effective} %{http_code} %{size_download}\\n";
    let mut curl = netns::command(place.client, "curl");
    let lines = output(curl.args(["-s", "-o", "/dev/null", "-w", format, &url]))?;
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [url, status, size] = words[..] else { anyhow::bail!("curl says {line}") };
        let path = url.find("/file/").and_then(|at| url.get(at..)).context("a URL without path")?;
        let call = json!({"method": "GET", "path": path, "status": status.parse::<i64>()?,
                          "size": size.parse::<i64>()?});
        calls.insert(key(&call), call);
    }
    Ok(calls)
}

/// Where Remora differs from what the client says and the server logged.
fn differences(
    row: &Value,
    told: &Value,
    served: &Value,
    place: &Place<'_>,
) -> Vec<(&'static str, String, String)> {
    let mut wrong = Vec::new();
    let mut equal = |what, remoras: &Value, truth: &Value| {
        if remoras != truth {
            wrong.push((what, remoras.to_string(), truth.to_string()));
        }
    };
    equal("incomplete", &row["incomplete"], &Value::Null);
    equal("status", &row["status_code"], &told["status"]);
    equal("status by the server", &row["status_code"], &served["status"]);
    equal("body size", &json!(row["response_body_size"].as_i64().unwrap_or(0)), &told["size"]);
    // nginx counts what it sent and read; Node and Python do not.
    if served["bytes"].is_i64() {
        equal("bytes sent", &row["response_bytes"], &served["bytes"]);
        // nginx does not count a body that it discards.
        let read = served["request_bytes"].as_i64().unwrap_or(0) + told["sent"].as_i64().unwrap_or(0);
        equal("request bytes", &row["request_bytes"], &json!(read));
    }
    equal("server's address", &row["dst.ip"], &json!(place.address));
    let server = if served["bytes"].is_i64() { "nginx" } else { text(row, "dst.process") };
    equal("server's process", &row["dst.process"], &json!(server));
    let truncated = row["response_body_truncated"] == true;
    equal("truncated", &json!(truncated), &json!(text(row, "path").starts_with("/file/large/")));
    if !truncated && told["sha"].is_string() {
        let hash = Sha256::digest(text(row, "response.body").as_bytes());
        let hash = hash.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        equal("body's hash", &json!(hash), &told["sha"]);
    }
    let elapsed = row["elapsed_time"].as_i64().unwrap_or(-1);
    let last = row["ttlb"].as_i64().unwrap_or(-1);
    if elapsed < 0 || last < elapsed {
        wrong.push((
            "latency",
            format!("{elapsed} us to the first byte, {last} to the last"),
            "in order".into(),
        ));
    }
    // The client's clock starts before its first byte leaves and stops after the last one came;
    // the clocks differ in resolution only.
    if let Some(us) = told["us"].as_i64().filter(|us| last > us + 1_000) {
        wrong.push(("latency", last.to_string(), format!("at most {us} us by the client's clock")));
    }
    // The server answered this long after it had the request.
    if let Some(waited) = served["waited"].as_i64().filter(|waited| elapsed + 1_000 < *waited) {
        wrong.push(("latency", elapsed.to_string(), format!("at least {waited} us by the server's clock")));
    }
    wrong
}

fn key(call: &Value) -> String {
    format!("{} {}", text(call, "method"), text(call, "path"))
}

fn authority(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[test]
fn owners_are_named() -> Result<()> {
    if skipped("owners_are_named", &["curl", "python3", "node", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let (node, python) = (free_port()?, free_port()?);
    let remora = Remora::start(&[])?;
    let _python = Server::python(None, &["127.0.0.1"], python)?;
    let _node = Server::node(Some(&pair.server), &[Pair::SERVER_V4], node)?;
    let local = format!("http://127.0.0.1:{python}/close/owned");
    output(Command::new("curl").args(["-s", &local]))?;
    let remote = format!("http://{}:{node}/echo/owned", Pair::SERVER_V4);
    output(netns::command(Some(&pair.client), "curl").args(["-s", "-d", "x", &remote]))?;
    for (port, server) in [(python, "python3"), (node, "node")] {
        let kfl = format!("dst.port == {port} && path.endsWith(\"/owned\")");
        let fields = "src.process,dst.process,src.name,dst.name,capture_source";
        let rows = remora.wait_for_calls(&kfl, fields, 1)?;
        let row = rows.first().context("no call")?;
        let of_server = text(row, "dst.process");
        ensure!(row["src.process"] == "curl", "{row}");
        // Interpreters may be started under a name with a version.
        ensure!(of_server.starts_with(server.trim_end_matches('3')), "{row}");
        ensure!(row["capture_source"] == "ebpf", "{row}");
    }
    remora.stop()
}
