//! The same traffic seen live, by `remora dissect` on a tcpdump file, and by tshark on that file.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::recorder::Recorder;
use remora_tests::e2e::remora::{Remora, binary, free_port};
use remora_tests::e2e::servers::{self, Server};
use remora_tests::e2e::{objects, output, skipped, text, wait_for};
use serde_json::Value;

const FIELDS: &str = "method,url,path,status_code,request_bytes,response_bytes,response_body_size,\
    request_body_size,incomplete,dns_questions,dns_rcode,dns_question_types";

#[test]
fn live_capture_dissect_and_tshark_agree() -> Result<()> {
    let programs = ["nginx", "node", "python3", "curl", "dig", "dnsmasq", "tcpdump", "tshark"];
    if skipped("live_capture_dissect_and_tshark_agree", &programs) {
        return Ok(());
    }
    let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
    let [nginx, node, python, dns] = ports;
    let options: Vec<String> = ports.iter().map(|p| format!("--port={p}")).collect();
    let remora = Remora::start(&options.iter().map(String::as_str).collect::<Vec<_>>())?;
    let here = ["127.0.0.1"];
    let _servers = [
        Server::nginx(None, &here, nginx)?,
        Server::node(None, &here, node)?,
        Server::python(None, &here, python)?,
        Server::dnsmasq(None, &here, dns)?,
    ];
    let file = remora.dir().join("traffic.pcap");
    let recorder = Recorder::start(None, "lo", 0, &file, &ports)?;

    let script = servers::program(remora.dir(), "load.py")?;
    let [n, o, p] = [nginx, node, python].map(|p| p.to_string());
    let arguments = ["127.0.0.1", &n, &o, &p, "same", "200"];
    let made = objects(&output(Command::new("python3").arg(script).args(arguments))?)?.len();
    let questions = ["www", "alias", "text", "nobody", "mail"];
    for name in questions {
        let name = format!("{name}.e2e.example");
        output(Command::new("dig").args(["@127.0.0.1", "-p", &dns.to_string(), &name, "A", "+tries=1"]))?;
    }
    let http = remora.wait_for_calls("http && path.contains(\"/same-\")", FIELDS, made)?;
    let dns_kfl = format!("dns && dst.port == {dns}");
    let named = remora.wait_for_calls(&dns_kfl, FIELDS, questions.len())?;
    let dissect = || -> Result<Vec<Value>> {
        let mut command = Command::new(binary()?);
        command.arg("dissect").arg(&file).args(["-o", "ndjson", "--fields", FIELDS]);
        objects(&output(command.env_remove("REMORA_CONFIG"))?)
    };
    // tcpdump writes what it has captured before its end only if it is given the time.
    wait_for("the file of tcpdump has every call", || {
        let calls = dissect()?.len();
        let all = http.len() + named.len();
        Ok(if calls >= all { Ok(()) } else { Err(format!("{calls} of {all}")) })
    })?;
    recorder.stop()?;
    ensure!(http.len() == made && named.len() == questions.len(), "{} {}", http.len(), named.len());

    let live = sorted(http.iter().chain(&named).map(describe));
    same("the live capture and the file", &live, &sorted(dissect()?.iter().map(describe)))?;

    let requests = sorted(http.iter().map(|row| format!("{} {}", text(row, "method"), text(row, "url"))));
    let answers = sorted(http.iter().map(|row| row["status_code"].to_string()));
    let decode = format!("tcp.port=={n},http");
    let decodes = [decode.as_str(), &format!("tcp.port=={o},http"), &format!("tcp.port=={p},http")];
    let as_dns = format!("udp.port=={dns},dns");
    let tshark = |filter: &str, fields: &[&str]| -> Result<Vec<String>> {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&file).args(["-n", "-Y", filter, "-T", "fields", "-E", "aggregator=|"]);
        for decode in decodes.iter().copied().chain([as_dns.as_str()]) {
            command.args(["-d", decode]);
        }
        for field in fields {
            command.args(["-e", field]);
        }
        // A segment with several messages is one line whose fields are lists.
        let lines = output(&mut command)?;
        let mut all = Vec::new();
        for line in lines.lines() {
            let columns: Vec<Vec<&str>> = line.split('\t').map(|c| c.split('|').collect()).collect();
            let messages = columns.first().map_or(0, Vec::len);
            for at in 0..messages {
                let row: Vec<&str> = columns.iter().filter_map(|c| c.get(at).copied()).collect();
                ensure!(row.len() == columns.len(), "tshark: {line}");
                all.push(row.join(" "));
            }
        }
        Ok(sorted(all))
    };
    same(
        "tshark's requests",
        &requests,
        &tshark("http.request", &["http.request.method", "http.request.uri"])?,
    )?;
    same("tshark's answers", &answers, &tshark("http.response", &["http.response.code"])?)?;
    let names = sorted(named.iter().map(|row| {
        let code = if row["dns_rcode"] == "NXDOMAIN" { 3 } else { 0 };
        format!("{} {code}", row["dns_questions"][0].as_str().unwrap_or_default())
    }));
    let tsharks = tshark("dns.flags.response == 1", &["dns.qry.name", "dns.flags.rcode"])?;
    same("tshark's DNS answers", &names, &tsharks)?;
    println!("{made} HTTP calls and {} DNS calls agree", named.len());
    remora.stop()
}

/// What a side of a connection has sent: packets, IP bytes, union of the TCP flags.
type Sent = (u64, u64, u64);

/// What tshark says of the connections in a file: both sides by the client's port, and how many
/// segments it takes for repeated.
fn conversations(file: &Path, server: u16) -> Result<BTreeMap<u64, ([Sent; 2], u64)>> {
    // Nothing comes out of order between two ends of one host but what is repeated.
    let repeated = ["retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order"];
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-Y", "tcp", "-T", "fields"]);
    for field in ["frame.len", "tcp.srcport", "tcp.dstport", "tcp.flags"] {
        command.args(["-e", field]);
    }
    for kind in repeated {
        command.args(["-e", &format!("tcp.analysis.{kind}")]);
    }
    let mut all = BTreeMap::new();
    for line in output(&mut command)?.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [len, from, to, flags, repeated @ ..] = &columns[..] else { anyhow::bail!("tshark: {line}") };
        let (from, to): (u64, u64) = (from.parse()?, to.parse()?);
        let (client, side) = if from == u64::from(server) { (to, 1) } else { (from, 0) };
        let (sent, repetitions): &mut ([Sent; 2], u64) = all.entry(client).or_default();
        // An Ethernet header precedes the IP header.
        sent[side].0 += 1;
        sent[side].1 += len.parse::<u64>()? - 14;
        sent[side].2 |= u64::from_str_radix(flags.trim_start_matches("0x"), 16)?;
        *repetitions += u64::from(repeated.iter().any(|r| !r.is_empty()));
    }
    Ok(all)
}

/// What differs between two counts of a side, if they do not agree. Capture sees packets as the socket
/// hands them over; those longer than 64 KiB are cut before they reach the interface, and each part
/// gets a header of its own instead of the `jumbo` option that IPv6 has for the length.
fn difference(ours: Sent, theirs: Sent, header: u64, jumbo: u64) -> Option<String> {
    let cuts = theirs.0.checked_sub(ours.0);
    let longer = theirs.1.checked_sub(ours.1);
    let possible = |cuts: u64| cuts * (header - jumbo)..=cuts * header;
    let agree =
        cuts.zip(longer).is_some_and(|(cuts, longer)| possible(cuts).contains(&longer)) && ours.2 == theirs.2;
    (!agree).then(|| format!("{ours:?}, but tshark {theirs:?}"))
}

/// Connections of several kinds, among them one whose body is left out in the kernel: each packet
/// is counted, once.
#[test]
fn flows_count_what_tshark_counts() -> Result<()> {
    if skipped("flows_count_what_tshark_counts", &["nginx", "curl", "ip", "tcpdump", "tshark"]) {
        return Ok(());
    }
    let port = free_port()?;
    let remora = Remora::start(&[&format!("--port={port}")])?;
    let pair = Pair::new()?;
    let (client, server) = (Some(pair.client.as_str()), Some(pair.server.as_str()));
    let mut compared = 0;
    for (place, client, server, interface, address) in [
        ("lo4", None, None, "lo", "127.0.0.1"),
        ("lo6", None, None, "lo", "::1"),
        ("ns4", client, server, pair.client.as_str(), Pair::SERVER_V4),
        ("ns6", client, server, pair.client.as_str(), Pair::SERVER_V6),
    ] {
        let _nginx = Server::nginx(server, &[address], port)?;
        let file = remora.dir().join(format!("{place}.pcap"));
        let recorder = Recorder::start(client, interface, 128, &file, &[port])?;
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let base = format!("http://{host}:{port}/file");
        // The local port and the microseconds that connecting took by curl's clock.
        let mut connected = BTreeMap::new();
        let mut curl = |arguments: &[&str]| -> Result<()> {
            let mut command = netns::command(client, "curl");
            command.args(["-sg", "-o", "/dev/null", "-w", "%{local_port} %{time_connect}\\n"]);
            let said = output(command.args(arguments))?;
            let (local, time) = said.lines().next().and_then(|l| l.split_once(' ')).context("curl")?;
            connected.insert(local.parse::<u64>()?, time.parse::<f64>()? * 1e6);
            Ok(())
        };
        curl(&[&format!("{base}/small/{place}")])?;
        curl(&[&format!("{base}/medium/{place}-[1-20]")])?;
        curl(&[&format!("{base}/large/{place}")])?;
        curl(&[&format!("{base}/huge/{place}")])?;

        // The last acknowledgement of a connection may come after the row that says it is closed;
        // then the row is written again before the flow is forgotten.
        let kfl = format!("tcp && dst.port == {port} && dst.ip == \"{address}\" && conn_state == \"closed\"");
        let fields = "src.port,src.packets,src.bytes,src.tcp_flags,dst.packets,dst.bytes,dst.tcp_flags,\
            tcp_rtt_us,tcp_retransmits,close_reason,missing_bytes";
        // IP header, TCP header, timestamps; a hop-by-hop header with one option (RFC 2675).
        let (ip, jumbo) = if address.contains(':') { (40, 8) } else { (20, 0) };
        let header = ip + 20 + 12;
        let rows = wait_for("flow rows like tshark's", || {
            let answer = remora.get("flows", &[("kfl", &kfl), ("since", "all"), ("fields", fields)])?;
            let rows = answer["rows"].as_array().cloned().unwrap_or_default();
            if rows.len() < connected.len() {
                return Ok(Err(format!("{} closed flows", rows.len())));
            }
            // tcpdump may be behind; then the file ends in the middle of a packet, or too early.
            let truth = conversations(&file, port)?;
            for row in &rows {
                let number = |name: &str| row[name].as_u64().unwrap_or_default();
                let (sent, repeated) = truth.get(&number("src.port")).context("an unknown connection")?;
                let [asks, answers] = ["src", "dst"].map(|side| {
                    let of = |what: &str| number(&format!("{side}.{what}"));
                    (of("packets"), of("bytes"), of("tcp_flags"))
                });
                if asks != sent[0] {
                    return Ok(Err(format!("the client: {asks:?}, but tshark {:?}", sent[0])));
                }
                if let Some(difference) = difference(answers, sent[1], header, jumbo) {
                    return Ok(Err(format!("the server: {difference}")));
                }
                let repetitions = number("tcp_retransmits");
                // tshark also counts what tcpdump wrote in another order than it was sent in, when
                // a connection moves to another CPU.
                if repetitions > *repeated {
                    return Ok(Err(format!("{repetitions} repetitions, but tshark {repeated}")));
                }
            }
            Ok(Ok(rows))
        })
        .with_context(|| place.to_owned())?;
        ensure!(rows.len() == connected.len(), "{place}: {rows:?}");
        for row in &rows {
            let took = row["src.port"].as_u64().and_then(|port| connected.get(&port)).context("whose?")?;
            // Both ends of the handshake lie within curl's call of connect.
            let rtt = row["tcp_rtt_us"].as_f64().with_context(|| format!("no round trip in {row}"))?;
            ensure!(rtt <= *took, "{place}: {row}, but curl took {took} us to connect");
            ensure!(row["missing_bytes"] == 0 && row["close_reason"] == "fin", "{place}: {row}");
        }
        recorder.stop()?;
        ensure!(rows.iter().any(|row| row["dst.bytes"].as_u64() > Some(1 << 30)), "{place}: {rows:?}");
        compared += rows.len();
    }
    println!("{compared} flows agree");
    remora.stop()
}

/// A call without what differs by nature: ids, times and processes.
fn describe(row: &Value) -> String {
    let fields = FIELDS.split(',').map(|field| match &row[field.trim()] {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    });
    fields.collect::<Vec<_>>().join(" ")
}

fn sorted(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = all.into_iter().collect();
    all.sort_unstable();
    all
}

fn same(what: &str, ours: &[String], theirs: &[String]) -> Result<()> {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|t| those.binary_search(t).is_err()).take(5).cloned().collect()
    };
    ensure!(
        ours == theirs,
        "{what}: {} and {} differ; only the first: {:#?}; only the second: {:#?}",
        ours.len(),
        theirs.len(),
        only(ours, theirs),
        only(theirs, ours)
    );
    ours.first().context("nothing was compared")?;
    Ok(())
}
