//! curl against nginx over TLS, without keys: every handshake, what was agreed upon in it, and why one
//! failed.
#![allow(clippy::print_stdout)]

use std::process::Command;

use anyhow::{Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::servers::Server;
use remora_tests::e2e::{output, skipped};
use serde_json::json;

const FIELDS: &str = "tlsx_sni,tlsx_alpn,tlsx_alpn_offered,tlsx_version,tlsx_version_name,tlsx_versions,tlsx_cipher_suite,\
    tlsx_cipher_suite_name,tlsx_cipher_suites,tlsx_ja3,tlsx_ja3s,tlsx_ja4,tlsx_info,tlsx_summary,tls_info,tls_request_size,\
    tls_response_size,tls_total_size,tlsx_cert_subject,tlsx_cert_names,tlsx_cert_not_after,tlsx_cert_serial,tlsx_alert,\
    tlsx_alert_sender,tlsx_handshake_time,failed,incomplete,elapsed_time,src.process,dst.process";

/// curl that asks for `https://NAME:PORT/` at 127.0.0.1, with more arguments.
fn curl(name: &str, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-s", "--resolve", &format!("{name}:{port}:127.0.0.1")]);
    command.args(arguments).arg(format!("https://{name}:{port}/"));
    command
}

#[test]
fn every_handshake_is_seen() -> Result<()> {
    if skipped("every_handshake_is_seen", &["nginx", "curl", "openssl"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let server = Server::nginx_tls("127.0.0.1", port)?;
    let certificate = server.dir().join("certificate.pem");
    let trust = ["--cacert", &certificate.display().to_string()];
    let here = |name: &str| format!("tlsx && dst.port == {port} && tlsx_sni == \"{name}\"");
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-serial", "-in"]).arg(&certificate);
    let serial = output(&mut openssl)?.trim().trim_start_matches("serial=").to_lowercase();

    // What curl itself says was agreed upon.
    let said = output(curl("shop.example", port, &trust).args([
        "-v",
        "--tlsv1.3",
        "-o",
        "/dev/null",
        "--stderr",
        "-",
    ]))?;
    ensure!(said.contains("TLSv1.3"), "{said}");
    let rows = remora.wait_for_calls(&here("shop.example"), FIELDS, 1)?;
    let row = &rows[0];
    let suite = row["tlsx_cipher_suite_name"].as_str().unwrap_or_default();
    ensure!(!suite.is_empty() && said.contains(suite), "{suite} in {said}");
    ensure!(row["tlsx_version"] == 0x0304 && row["tlsx_version_name"] == "TLS 1.3", "{row}");
    ensure!(row["tlsx_alpn_offered"] == json!(["h2", "http/1.1"]) && row["tlsx_alpn"].is_null(), "{row}");
    ensure!(row["tlsx_ja4"].as_str().is_some_and(|f| f.starts_with("t13d") && f.contains("h2_")), "{row}");
    ensure!(
        ["tlsx_ja3", "tlsx_ja3s"].iter().all(|f| row[f].as_str().is_some_and(|f| f.len() == 32)),
        "{row}"
    );
    ensure!(
        row["tlsx_cert_subject"].is_null() && row["failed"] == false && row["incomplete"].is_null(),
        "{row}"
    );
    ensure!(row["tlsx_info"] == "ServerHello" && row["tlsx_summary"] == "shop.example", "{row}");
    ensure!(row["tls_info"] == format!("TLS 1.3, {suite}"), "{row}");
    let sizes =
        ["tls_request_size", "tls_response_size", "tls_total_size"].map(|f| row[f].as_i64().unwrap_or(0));
    ensure!(sizes[0] > 0 && sizes[1] > 0 && sizes[2] == sizes[0] + sizes[1], "{row}");
    ensure!(row["tlsx_handshake_time"].as_i64().is_some_and(|us| us > 0), "{row}");
    ensure!(row["src.process"] == "curl" && row["dst.process"] == "nginx", "{row}");

    // Up to TLS 1.2 the certificate is in clear.
    output(curl("old.example", port, &["-k", "--tls-max", "1.2"]).args(["-o", "/dev/null"]))?;
    let rows = remora.wait_for_calls(&here("old.example"), FIELDS, 1)?;
    let row = &rows[0];
    ensure!(row["tlsx_version"] == 0x0303 && row["tlsx_alpn"] == "h2", "{row}");
    ensure!(row["tlsx_cert_subject"] == "O=Example, CN=shop.example", "{row}");
    ensure!(row["tlsx_cert_names"] == json!(["shop.example"]), "{row}");
    ensure!(
        row["tlsx_cert_serial"]
            .as_str()
            .is_some_and(|s| s.trim_start_matches('0') == serial.trim_start_matches('0')),
        "{row}"
    );
    ensure!(row["tlsx_cert_not_after"].is_string() && row["failed"] == false, "{row}");

    // The client does not trust it.
    ensure!(!curl("doubt.example", port, &["--tls-max", "1.2"]).output()?.status.success(), "curl trusts it");
    let rows = remora.wait_for_calls(&format!("{} && failed", here("doubt.example")), FIELDS, 1)?;
    ensure!(rows[0]["tlsx_alert"] == "unknown_ca" && rows[0]["tlsx_alert_sender"] == "client", "{}", rows[0]);

    // They have no suite in common.
    let none = ["-k", "--tls-max", "1.2", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"];
    ensure!(!curl("none.example", port, &none).output()?.status.success(), "they agree");
    let rows = remora.wait_for_calls(&format!("{} && failed", here("none.example")), FIELDS, 1)?;
    let row = &rows[0];
    ensure!(row["tlsx_alert"] == "handshake_failure" && row["tlsx_alert_sender"] == "server", "{row}");
    ensure!(row["tlsx_info"] == "ClientHello" && row["tlsx_cipher_suite"].is_null(), "{row}");
    drop(server);
    remora.stop()
}
