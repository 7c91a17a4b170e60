//! aioquic against itself: each QUIC handshake, of both versions, and one that found no common protocol.
#![allow(clippy::print_stdout)]

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{objects, output, python};
use serde_json::{Value, json};

const PROGRAM: &str = include_str!("../programs/quic.py");

const FIELDS: &str = "transport,tlsx_sni,tlsx_alpn_offered,tlsx_version_name,tlsx_cipher_suite_name,tlsx_ja4,tlsx_ja3,\
    tlsx_quic_version,tlsx_quic_retry,tlsx_alert,tlsx_alert_sender,tlsx_info,failed,incomplete,elapsed_time";

#[test]
fn every_quic_handshake_is_seen() -> Result<()> {
    if python::skipped("every_quic_handshake_is_seen", &["openssl"]) {
        return Ok(());
    }
    let port = free_port()?;
    let remora = Remora::start(&[])?;
    let dir = remora.dir();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| dir.join(name).display().to_string());
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=shop.example",
    ]);
    output(openssl.args(["-keyout", &key, "-out", &certificate]))?;
    let server = python::server(PROGRAM, &["serve", &port.to_string(), &certificate, &key], port)?;
    std::fs::write(dir.join("quic.py"), PROGRAM)?;
    let ask = |name: &str, version: &str, alpn: &[&str]| -> Result<Value> {
        let mut client = python::command(dir, "quic.py");
        client.args(["ask", &port.to_string(), name, version]).args(alpn);
        objects(&output(&mut client)?)?.pop().context("the client said nothing")
    };
    for (name, version, alpn, marker) in
        [("one.example", "1", &["h3"][..], "q13d"), ("two.example", "2", &["h3", "hq-interop"], "q13d")]
    {
        let said = ask(name, version, alpn)?;
        ensure!(said["alpn"] == "h3", "{name}: {said}");
        let filter = format!("tlsx && dst.port == {port} && tlsx_sni == \"{name}\"");
        let rows = remora.wait_for_calls(&filter, FIELDS, 1)?;
        let row = &rows[0];
        ensure!(rows.len() == 1 && row["transport"] == "udp", "{rows:?}");
        ensure!(row["tlsx_quic_version"] == version && row["tlsx_quic_retry"] == false, "{row}");
        ensure!(row["tlsx_alpn_offered"] == json!(alpn) && row["tlsx_version_name"] == "TLS 1.3", "{row}");
        ensure!(row["tlsx_ja4"].as_str().is_some_and(|j| j.starts_with(marker)), "{row}");
        ensure!(row["tlsx_info"] == "ServerHello" && row["failed"] == false, "{row}");
        ensure!(row["incomplete"].is_null(), "{row}");
    }
    let said = ask("none.example", "1", &["nothing"])?;
    // CRYPTO_ERROR (RFC 9001 section 4.8) with TLS' alert 120, no_application_protocol.
    ensure!(said["error"] == 0x100 + 120, "{said}");
    let filter = format!("tlsx && dst.port == {port} && tlsx_sni == \"none.example\"");
    let rows = remora.wait_for_calls(&filter, FIELDS, 1)?;
    ensure!(rows[0]["failed"] == true && rows[0]["tlsx_alert"] == "no_application_protocol", "{rows:?}");
    ensure!(rows[0]["tlsx_alert_sender"] == "server", "{rows:?}");
    drop(server);
    remora.stop()
}
