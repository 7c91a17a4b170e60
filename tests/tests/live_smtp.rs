//! smtplib against a small server in Python: every command, the message, and no password.
#![allow(clippy::print_stdout)]

use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{objects, output, skipped, text, wait_for};
use serde_json::{Value, json};

/// A server that takes mail for everybody but `nobody`, and lets nobody in; the first argument is its
/// port. Of Python's own libraries, because those that speak SMTP are not in every release.
const SERVER: &str = r#"
import socketserver, sys

class Mail(socketserver.StreamRequestHandler):
    def say(self, *lines):
        for i, line in enumerate(lines):
            code, text = line.split(" ", 1)
            self.wfile.write(f"{code}{' ' if i == len(lines) - 1 else '-'}{text}\r\n".encode())

    def handle(self):
        self.say("220 mail.test ESMTP")
        for line in self.rfile:
            verb = line.split()[0].upper().decode()
            if verb == "EHLO":
                self.say("250 mail.test", "250 PIPELINING", "250 AUTH PLAIN", "250 SIZE 1000000")
            elif verb == "AUTH":
                self.say("535 5.7.8 not you")
            elif verb == "RCPT" and b"nobody" in line:
                self.say("550 5.1.1 no such user")
            elif verb == "DATA":
                self.say("354 go ahead")
                while self.rfile.readline() != b".\r\n":
                    pass
                self.say("250 2.0.0 queued")
            elif verb == "QUIT":
                self.say("221 2.0.0 bye")
                return
            else:
                self.say("250 2.0.0 fine")

socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Mail) as server:
    server.serve_forever()
"#;

/// Sends mail, and prints a line of JSON for each command and its code.
const CLIENT: &str = r#"
import json, smtplib, sys

class Log(smtplib.SMTP):
    def putcmd(self, cmd, args=""):
        self.command = cmd.split()[0].upper()
        super().putcmd(cmd, args)

    def getreply(self):
        code, text = super().getreply()
        if code != 354:
            print(json.dumps({"command": getattr(self, "command", "GREETING"), "code": code}))
        return code, text

s = Log("127.0.0.1", int(sys.argv[1]), local_hostname="client.test")
s.ehlo()
try:
    s.login("anna", "secret-of-anna")
except smtplib.SMTPAuthenticationError:
    pass
mail = "From: Anna <anna@shop.test>\nTo: bert@shop.test\nSubject: Invoice 17\nMessage-ID: <17@shop.test>\n\nDear Bert,\n.hidden\n"
s.sendmail("anna@shop.test", ["bert@shop.test", "nobody@shop.test", "cora@shop.test"], mail)
s.quit()
"#;

/// A running server. Dropping it ends it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn every_command_is_seen() -> Result<()> {
    if skipped("every_command_is_seen", &["python3"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let mut command = Command::new("python3");
    command.args(["-c", SERVER, &port.to_string()]).stdin(Stdio::null()).stderr(Stdio::null());
    let _server = Server(command.spawn()?);
    wait_for("the server listens", || {
        let connected = std::net::TcpStream::connect(("127.0.0.1", port));
        Ok(connected.map(drop).map_err(|e| e.to_string()))
    })?;
    let printed = output(Command::new("python3").args(["-c", CLIENT, &port.to_string()]))?;
    let said = objects(&printed)?;

    let here = format!("smtp && dst.port == {port} && smtp_client_name == \"client.test\"");
    let fields = "smtp_command,smtp_status_code,smtp_enhanced_status,smtp_from,smtp_to,smtp_subject,smtp_message_id,\
        smtp_message,smtp_message_size,smtp_extensions,smtp_auth_mechanism,smtp_argument,failed,client_error,incomplete";
    // The greeting is before the client says its name.
    let rows = remora.wait_for_calls(&here, fields, said.len() - 1)?;
    let ours: Vec<Value> = rows
        .iter()
        .map(|row| json!({"command": row["smtp_command"], "code": row["smtp_status_code"]}))
        .collect();
    // smtplib repeats EHLO in `sendmail` only where it was not said.
    ensure!(ours == said[1..], "{ours:?} {said:?}");
    let of = |command: &'static str| rows.iter().filter(move |row| row["smtp_command"] == command);
    ensure!(
        of("EHLO").all(|row| row["smtp_extensions"] == json!(["PIPELINING", "AUTH PLAIN", "SIZE 1000000"]))
    );
    ensure!(
        of("AUTH").all(|row| row["smtp_auth_mechanism"] == "PLAIN" && row["smtp_argument"] == "PLAIN ***")
    );
    ensure!(
        of("RCPT")
            .filter(|row| row["smtp_enhanced_status"] == "5.1.1" && row["client_error"] == true)
            .count()
            == 1
    );
    let Some(data) = of("DATA").next() else { anyhow::bail!("no message: {rows:?}") };
    ensure!(data["smtp_from"] == "anna@shop.test", "{data}");
    ensure!(data["smtp_to"] == json!(["bert@shop.test", "cora@shop.test"]), "{data}");
    ensure!(data["smtp_subject"] == "Invoice 17" && data["smtp_message_id"] == "<17@shop.test>", "{data}");
    ensure!(text(data, "smtp_message").ends_with("\r\n\r\nDear Bert,\r\n.hidden\r\n"), "{data}");
    ensure!(data["smtp_message_size"] == text(data, "smtp_message").len(), "{data}");
    ensure!(rows.iter().all(|row| row["incomplete"].is_null()), "{rows:?}");
    // Base64 of "\0anna\0secret-of-anna".
    ensure!(!format!("{rows:?}").contains("AGFubmEAc2VjcmV0"), "a password was kept");
    remora.stop()
}
