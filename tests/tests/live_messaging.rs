//! Real brokers with real clients: every message that was published and delivered.
#![allow(clippy::print_stdout)]

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use remora_tests::e2e::remora::{Remora, free_port};
use remora_tests::e2e::{brokers, output, skipped, wait_for};
use serde_json::json;

#[test]
fn every_amqp_message_is_seen() -> Result<()> {
    if skipped("every_amqp_message_is_seen", &["rabbitmq-server", "amqp-publish"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let _broker = brokers::rabbitmq(None, "127.0.0.1", port)?;
    let tool = |name: &str| {
        let mut command = Command::new(name);
        command.args(["-u", &format!("amqp://guest:guest@127.0.0.1:{port}")]);
        command
    };
    // It listens before it lets anybody in.
    wait_for("RabbitMQ takes a queue", || {
        let made = tool("amqp-declare-queue").args(["-q", "jobs"]).stderr(Stdio::null()).output()?;
        Ok(if made.status.success() { Ok(()) } else { Err("not yet".to_owned()) })
    })?;
    output(tool("amqp-publish").args(["-r", "jobs", "-C", "text/plain", "-b", "twenty pairs of shoes"]))?;
    let got = output(tool("amqp-get").args(["-q", "jobs"]))?;
    ensure!(got == "twenty pairs of shoes", "{got}");

    let here = format!("amqp && dst.port == {port}");
    let fields = "amqp_method,amqp_response_method,amqp_routing_key,amqp_queue,amqp_body,amqp_properties,\
        amqp_user,failed,incomplete";
    let kfl = format!("{here} && amqp_method == \"basic.publish\"");
    let published = remora.wait_for_calls(&kfl, fields, 1)?;
    ensure!(published.len() == 1 && published[0]["amqp_routing_key"] == "jobs", "{published:?}");
    ensure!(published[0]["amqp_body"] == "twenty pairs of shoes", "{published:?}");
    ensure!(published[0]["amqp_properties"]["content_type"] == "text/plain", "{published:?}");
    ensure!(published[0]["amqp_user"] == "guest" && published[0]["failed"] == false, "{published:?}");
    let kfl = format!("{here} && amqp_method == \"basic.get\"");
    let fetched = remora.wait_for_calls(&kfl, fields, 1)?;
    ensure!(fetched[0]["amqp_response_method"] == "basic.get-ok", "{fetched:?}");
    ensure!(fetched[0]["amqp_queue"] == "jobs" && fetched[0]["incomplete"].is_null(), "{fetched:?}");
    ensure!(fetched[0]["amqp_body"] == "twenty pairs of shoes", "{fetched:?}");

    let failed = tool("amqp-get").args(["-q", "missing"]).output()?;
    ensure!(!failed.status.success(), "there is no such queue");
    let rows = remora.wait_for_calls(&format!("{here} && failed && amqp_reply_code == 404"), fields, 1)?;
    ensure!(rows[0]["amqp_queue"] == "missing", "{rows:?}");
    remora.stop()
}

#[test]
fn every_mqtt_message_is_seen() -> Result<()> {
    if skipped("every_mqtt_message_is_seen", &["mosquitto", "mosquitto_pub"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let _broker = brokers::mosquitto(None, "127.0.0.1", port)?;
    let tool = |name: &str, version: &str| {
        let mut command = Command::new(name);
        command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", version]);
        command
    };
    let here = format!("mqtt && dst.port == {port}");
    for (version, number) in [("mqttv311", "3.1.1"), ("mqttv5", "5.0")] {
        for qos in 0..3 {
            let topic = format!("sensors/{version}/{qos}");
            let mut listen = tool("mosquitto_sub", version);
            listen.args(["-t", &topic, "-q", &qos.to_string(), "-C", "1"]);
            let child = listen.stdout(Stdio::piped()).spawn()?;
            let subscribed =
                format!("{here} && mqtt_type == \"SUBSCRIBE\" && mqtt_summary == \"{topic}\" && !failed");
            remora.wait_for_calls(&subscribed, "mqtt_filters", 1)?;
            let mut say = tool("mosquitto_pub", version);
            output(say.args(["-t", &topic, "-q", &qos.to_string(), "-m", &format!("celsius {qos}")]))?;
            let heard = child.wait_with_output()?;
            ensure!(heard.stdout == format!("celsius {qos}\n").as_bytes(), "{heard:?}");
            let kfl = format!("{here} && mqtt_type == \"PUBLISH\" && mqtt_topic == \"{topic}\"");
            let fields =
                "mqtt_qos,mqtt_payload,mqtt_version,mqtt_request,mqtt_response,mqtt_response_type,incomplete";
            let rows = remora.wait_for_calls(&kfl, fields, 2)?;
            ensure!(rows.len() == 2, "one in, one out: {rows:?}");
            for row in &rows {
                ensure!(row["mqtt_qos"] == qos && row["mqtt_version"] == number, "{row}");
                ensure!(row["mqtt_payload"] == format!("celsius {qos}"), "{row}");
                ensure!(row["incomplete"].is_null(), "{row}");
                let answer = [json!(null), json!("PUBACK"), json!("PUBCOMP")];
                ensure!(row["mqtt_response_type"] == answer[qos], "{row}");
            }
        }
    }
    remora.stop()
}

/// A client of NATS that needs nothing: it subscribes, asks itself, and prints what it got.
const NATS: &str = r#"
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = s.makefile("rb")
assert f.readline().startswith(b"INFO ")
def say(b): s.sendall(b)
say(b'CONNECT {"verbose":false,"name":"e2e","headers":true,"no_responders":true}\r\nSUB _INBOX.e2e 1\r\nSUB orders.* 2\r\nPING\r\n')
assert f.readline() == b"PONG\r\n"
say(b"PUB orders.new _INBOX.e2e 8\r\norder 17\r\n")
line = f.readline().split()
print(line[1].decode(), f.readline().decode().strip())
say(b"PUB " + line[3] + b" 4\r\ndone\r\n")
print(f.readline().split()[1].decode(), f.readline().decode().strip())
say(b"PUB nobody _INBOX.e2e 2\r\n??\r\n")
assert f.readline().startswith(b"HMSG _INBOX.e2e 1 ")
assert f.readline() == b"NATS/1.0 503\r\n"
f.readline(); f.readline()
say(b"PING\r\n")
assert f.readline() == b"PONG\r\n"
"#;

#[test]
fn every_nats_message_is_seen() -> Result<()> {
    if skipped("every_nats_message_is_seen", &["nats-server", "python3"]) {
        return Ok(());
    }
    let remora = Remora::start(&[])?;
    let port = free_port()?;
    let _server = brokers::nats(None, "127.0.0.1", port)?;
    let said = output(Command::new("python3").args(["-c", NATS, &port.to_string()]))?;
    ensure!(said == "orders.new order 17\n_INBOX.e2e done\n", "{said}");
    let here = format!("nats && dst.port == {port}");
    let fields = "nats_operation,nats_response_operation,nats_payload,nats_response_payload,nats_status,\
        nats_client_name,failed,incomplete";
    let asked = format!("{here} && nats_operation == \"PUB\" && nats_subject == \"orders.new\"");
    let rows = remora.wait_for_calls(&asked, fields, 1)?;
    ensure!(rows.len() == 1 && rows[0]["nats_response_operation"] == "MSG", "{rows:?}");
    ensure!(rows[0]["nats_payload"] == "order 17" && rows[0]["nats_response_payload"] == "done", "{rows:?}");
    ensure!(rows[0]["nats_client_name"] == "e2e" && rows[0]["failed"] == false, "{rows:?}");
    let served = format!("{here} && nats_operation == \"MSG\" && nats_subject == \"orders.new\"");
    let rows = remora.wait_for_calls(&served, fields, 1)?;
    ensure!(rows[0]["nats_response_operation"] == "PUB" && rows[0]["incomplete"].is_null(), "{rows:?}");
    let nobody = format!("{here} && nats_subject == \"nobody\"");
    let rows = remora.wait_for_calls(&nobody, fields, 1)?;
    ensure!(rows[0]["nats_status"] == 503 && rows[0]["failed"] == true, "{rows:?}");
    remora.stop()
}
