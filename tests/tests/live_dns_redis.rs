//! dig against dnsmasq and redis-cli against redis-server: every question and every command.
#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::netns::{self, Pair};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{output, skipped, text, wait_for};
use serde_json::{Value, json};

/// A question, its type, the response code and the answers in `dns_answers`.
const QUESTIONS: &[(&str, &str, &str, &[&str])] = &[
    ("www.e2e.example", "A", "NOERROR", &["192.0.2.80"]),
    ("www.e2e.example", "AAAA", "NOERROR", &["2001:db8::80"]),
    ("alias.e2e.example", "CNAME", "NOERROR", &["real.e2e.example"]),
    ("alias.e2e.example", "A", "NOERROR", &["real.e2e.example", "192.0.2.81"]),
    ("text.e2e.example", "TXT", "NOERROR", &["some text"]),
    ("mail.e2e.example", "MX", "NOERROR", &["real.e2e.example"]),
    ("nobody.e2e.example", "A", "NXDOMAIN", &[]),
];

#[test]
fn every_dns_question_is_seen() -> Result<()> {
    if skipped("every_dns_question_is_seen", &["dig", "dnsmasq", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let places = [
        (None, None, "127.0.0.1"),
        (Some(pair.client.as_str()), Some(pair.server.as_str()), Pair::SERVER_V4),
        (Some(pair.client.as_str()), Some(pair.server.as_str()), Pair::SERVER_V6),
    ];
    for (client, server, address) in places {
        let _server = Server::dnsmasq(server, &[address], port)?;
        for transport in ["udp", "tcp"] {
            for (name, kind, _, _) in QUESTIONS {
                let mut dig = netns::command(client, "dig");
                dig.args([&format!("@{address}"), "-p", &port.to_string(), "+tries=1", "+time=20"]);
                dig.arg(if transport == "tcp" { "+tcp" } else { "+notcp" });
                output(dig.args([name, kind]))?;
            }
            questions_agree(&remora, port, address, transport)
                .with_context(|| format!("{transport} to {address}"))?;
        }
    }
    remora.stop()
}

fn questions_agree(remora: &Remora, port: u16, address: &str, transport: &str) -> Result<()> {
    let kfl = format!("dns && dst.port == {port} && dst.ip == \"{address}\" && transport == \"{transport}\"");
    let fields = "dns_questions,dns_question_types,dns_answers,dns_rcode,dns_flags,dns_request,dns_response,\
        dns_request_length,dns_response_length,src.process,dst.process,elapsed_time,failed,incomplete";
    let rows = remora.wait_for_calls(&kfl, fields, QUESTIONS.len())?;
    ensure!(rows.len() == QUESTIONS.len(), "{} rows for {} questions", rows.len(), QUESTIONS.len());
    for (row, (name, kind, rcode, answers)) in rows.iter().zip(QUESTIONS) {
        ensure!(row["dns_questions"] == json!([name]), "{name}: {row}");
        ensure!(row["dns_question_types"] == json!([kind]), "{kind}: {row}");
        ensure!(row["dns_rcode"] == *rcode, "{rcode}: {row}");
        let got = row["dns_answers"].as_array().map_or(&[][..], Vec::as_slice);
        ensure!(got.len() == answers.len(), "{answers:?}: {row}");
        let same = got.iter().zip(*answers).all(|(g, a)| g.as_str().is_some_and(|g| g.contains(a)));
        ensure!(same, "{answers:?}: {row}");
        ensure!(row["failed"] == (*rcode != "NOERROR"), "{row}");
        ensure!(row["dns_request"] == true && row["dns_response"] == true, "{row}");
        ensure!(row["incomplete"].is_null(), "{row}");
        ensure!(row["elapsed_time"].as_i64().is_some_and(|us| us >= 0), "{row}");
        // dig may be gone before its name is looked up, and a thread of another name asks for it.
        ensure!(row["src.process"] == "dig", "{row}");
        ensure!(row["dst.process"] == "dnsmasq", "{row}");
    }
    Ok(())
}

#[test]
fn every_redis_command_is_seen() -> Result<()> {
    if skipped("every_redis_command_is_seen", &["redis-cli", "redis-server", "ip"]) {
        return Ok(());
    }
    let pair = Pair::new()?;
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let places = [
        (None, None, "127.0.0.1"),
        (Some(pair.client.as_str()), Some(pair.server.as_str()), Pair::SERVER_V4),
        (Some(pair.client.as_str()), Some(pair.server.as_str()), Pair::SERVER_V6),
    ];
    for (client, server, address) in places {
        let _server = Server::redis(server, &[address], port)?;
        commands_agree(&remora, client, address, port).with_context(|| address.to_owned())?;
    }
    remora.stop()
}

/// What one `redis-cli` sends on one connection, and what comes back: verb, key, type, text.
const COMMANDS: &[(&str, &str, &str, &str, &str)] = &[
    ("SET greeting hello", "SET", "greeting", "simple", "OK"),
    ("GET greeting", "GET", "greeting", "bulk", "hello"),
    ("GET nothing", "GET", "nothing", "null", ""),
    ("INCR counter", "INCR", "counter", "int", "1"),
    ("LPUSH list a b c", "LPUSH", "list", "int", "3"),
    ("LRANGE list 0 -1", "LRANGE", "list", "array", "c"),
    ("INCR greeting", "INCR", "greeting", "error", ""),
    ("NOSUCH command", "NOSUCH", "", "error", ""),
    ("PING", "PING", "", "simple", "PONG"),
];

fn commands_agree(remora: &Remora, client: Option<&str>, address: &str, port: u16) -> Result<()> {
    let port = port.to_string();
    let cli = || {
        let mut command = netns::command(client, "redis-cli");
        command.args(["-h", address, "-p", &port]);
        command
    };
    let mut session = cli().stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut input = session.stdin.take().context("no input")?;
    for (line, ..) in COMMANDS {
        writeln!(input, "{line}")?;
    }
    drop(input);
    ensure!(session.wait()?.success(), "redis-cli failed");
    let here = format!("redis && dst.ip == \"{address}\" && dst.port == {port}");
    let fields = "redis_type,redis_key,redis_reply,redis_reply_type,redis_error,redis_request_size,\
        redis_response_size,src.process,dst.process,failed,incomplete";
    let known = format!("{here} && !(redis_type in [\"COMMAND\", \"COMMAND DOCS\", \"HELLO\"])");
    let rows = remora.wait_for_calls(&known, fields, COMMANDS.len())?;
    ensure!(rows.len() == COMMANDS.len(), "{} rows: {rows:?}", rows.len());
    for (row, (line, verb, key, kind, reply)) in rows.iter().zip(COMMANDS) {
        ensure!(row["redis_type"] == *verb, "{line}: {row}");
        ensure!(key.is_empty() || text(row, "redis_key") == *key, "{line}: {row}");
        ensure!(row["redis_reply_type"] == *kind, "{line}: {row}");
        ensure!(text(row, "redis_reply").contains(reply), "{line}: {row}");
        ensure!(row["failed"] == (*kind == "error"), "{line}: {row}");
        ensure!((*kind == "error") != text(row, "redis_error").is_empty(), "{line}: {row}");
        ensure!(row["incomplete"].is_null(), "{line}: {row}");
        ensure!(row["src.process"] == "redis-cli" && row["dst.process"] == "redis-server", "{line}: {row}");
    }

    // A thousand commands in few segments: redis-cli --pipe sends without waiting.
    let mut pipe = cli().arg("--pipe").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let mut input = pipe.stdin.take().context("no input")?;
    for n in 0..1000 {
        write!(input, "*3\r\n$3\r\nSET\r\n$8\r\npipe{n:04}\r\n$4\r\n{n:04}\r\n")?;
    }
    drop(input);
    ensure!(pipe.wait()?.success(), "redis-cli --pipe failed");
    let piped = format!("{here} && redis_key.startsWith(\"pipe\")");
    let rows = remora.wait_for_calls(&piped, fields, 1000)?;
    let mut keys: Vec<&str> = rows.iter().map(|row| text(row, "redis_key")).collect();
    keys.sort_unstable();
    keys.dedup();
    ensure!(rows.len() == 1000 && keys.len() == 1000, "{} rows, {} keys", rows.len(), keys.len());
    ensure!(
        rows.iter().all(|row| row["redis_reply"] == "OK" && row["incomplete"].is_null()),
        "not all are OK"
    );

    published_messages_are_seen(remora, &cli, &here)
}

fn published_messages_are_seen(
    remora: &Remora,
    cli: &dyn Fn() -> std::process::Command,
    here: &str,
) -> Result<()> {
    let mut subscriber = cli().args(["SUBSCRIBE", "news"]).stdout(Stdio::null()).spawn()?;
    let pushed = wait_for("the subscriber listens", || {
        let receivers = output(cli().args(["PUBLISH", "news", "extra"]))?;
        Ok(if receivers.trim() == "1" { Ok(()) } else { Err(receivers) })
    })
    .and_then(|()| {
        let rows =
            remora.wait_for_calls(&format!("{here} && redis_reply.contains(\"extra\")"), "redis_type", 1)?;
        ensure!(
            rows.iter().any(|row: &Value| text(row, "redis_type").eq_ignore_ascii_case("message")),
            "{rows:?}"
        );
        let rows =
            remora.wait_for_calls(&format!("{here} && redis_type == \"SUBSCRIBE\""), "redis_key", 1)?;
        ensure!(rows.iter().all(|row| row["redis_key"] == "news"), "{rows:?}");
        Ok(())
    });
    _ = subscriber.kill();
    _ = subscriber.wait();
    pushed
}
