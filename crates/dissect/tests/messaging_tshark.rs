//! What tshark finds in the recorded conversations of AMQP and MQTT, as `corpus/oracle_messaging.sh`
//! wrote it down, is in the calls. It has no dissector of NATS.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Captures of a protocol, recorded here and from elsewhere.
fn captures(protocol: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<PathBuf> = [root.join(protocol), root.join("deepflow").join(protocol)]
        .iter()
        .flat_map(|d| std::fs::read_dir(d).unwrap().map(|e| e.unwrap().path()))
        .filter(|p| p.extension().is_some_and(|e| e == "pcap"))
        .collect();
    files.sort();
    files
}

/// The expected calls of a capture, which `tests/calls.rs` checks.
fn calls(capture: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(capture.with_extension("ndjson")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).filter(|v: &Value| v.get("ts").is_some()).collect()
}

/// The lines of tshark, in columns.
fn oracle(capture: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(capture.with_extension("tshark")).unwrap();
    text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
}

/// How often each value of a column is there.
fn counted(lines: &[Vec<String>], column: usize) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for value in lines.iter().flat_map(|l| l[column].split('|')).filter(|v| !v.is_empty()) {
        *all.entry(value.to_owned()).or_default() += 1;
    }
    all
}

/// How often each value of fields is in the calls.
fn found(calls: &[Value], fields: &[&str]) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for value in calls.iter().flat_map(|c| fields.iter().map(|f| &c[*f])) {
        let text = match value {
            Value::String(s) => s.clone(),
            Value::Number(n) => n.to_string(),
            _ => continue,
        };
        *all.entry(text).or_default() += 1;
    }
    all
}

/// Names of methods as calls have them, by tshark's numbers of class and method.
fn method(class: &str, id: &str) -> String {
    let class: u16 = class.parse().unwrap();
    let id: u16 = id.parse().unwrap();
    let names = [
        (
            10,
            "connection",
            &[
                (10, "start"),
                (11, "start-ok"),
                (30, "tune"),
                (31, "tune-ok"),
                (40, "open"),
                (41, "open-ok"),
                (50, "close"),
                (51, "close-ok"),
            ][..],
        ),
        (20, "channel", &[(10, "open"), (11, "open-ok"), (40, "close"), (41, "close-ok")]),
        (
            40,
            "exchange",
            &[
                (10, "declare"),
                (11, "declare-ok"),
                (20, "delete"),
                (21, "delete-ok"),
                (30, "bind"),
                (31, "bind-ok"),
                (40, "unbind"),
                (51, "unbind-ok"),
            ],
        ),
        (
            50,
            "queue",
            &[
                (10, "declare"),
                (11, "declare-ok"),
                (20, "bind"),
                (21, "bind-ok"),
                (30, "purge"),
                (31, "purge-ok"),
                (40, "delete"),
                (41, "delete-ok"),
                (50, "unbind"),
                (51, "unbind-ok"),
            ],
        ),
        (
            60,
            "basic",
            &[
                (10, "qos"),
                (11, "qos-ok"),
                (20, "consume"),
                (21, "consume-ok"),
                (30, "cancel"),
                (31, "cancel-ok"),
                (40, "publish"),
                (50, "return"),
                (60, "deliver"),
                (70, "get"),
                (71, "get-ok"),
                (72, "get-empty"),
                (80, "ack"),
                (90, "reject"),
                (110, "recover"),
                (111, "recover-ok"),
                (120, "nack"),
            ],
        ),
        (85, "confirm", &[(10, "select"), (11, "select-ok")]),
        (
            90,
            "tx",
            &[
                (10, "select"),
                (11, "select-ok"),
                (20, "commit"),
                (21, "commit-ok"),
                (30, "rollback"),
                (31, "rollback-ok"),
            ],
        ),
    ];
    let (_, class, methods) = names.iter().find(|n| n.0 == class).unwrap();
    let (_, name) = methods.iter().find(|m| m.0 == id).unwrap_or_else(|| panic!("{class} {id}"));
    format!("{class}.{name}")
}

/// Every method is in a call, as what asked or as what answered, as often as tshark sees it; and so
/// is every exchange, routing key and code.
#[test]
fn amqp_agrees_with_tshark() {
    let mut compared = 0;
    for capture in captures("amqp") {
        let (lines, calls) = (oracle(&capture), calls(&capture));
        let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
        for line in &lines {
            for (class, id) in line[2].split('|').zip(line[3].split('|')).filter(|(c, _)| !c.is_empty()) {
                *theirs.entry(method(class, id)).or_default() += 1;
            }
        }
        let mut ours = found(&calls, &["amqp_method", "amqp_response_method"]);
        for name in ["heartbeat", "protocol-header"] {
            ours.remove(name);
        }
        // The protocol header has the name of the method that answers it.
        let started = |c: &&Value| c["protocol"] == "amqp" && c["amqp_method"] == c["amqp_response_method"];
        if let Some(n) = ours.get_mut("connection.start") {
            *n -= calls.iter().filter(started).count();
        }
        // One acknowledgement may answer several publishes: tshark sees it once.
        for name in ["basic.ack", "basic.nack"] {
            let (a, b) = (ours.remove(name).unwrap_or(0), theirs.remove(name).unwrap_or(0));
            assert!(a >= b, "{}: {name}: {a} {b}", capture.display());
        }
        assert_eq!(ours, theirs, "{}", capture.display());
        compared += ours.values().sum::<usize>();
        // tshark counts a routing key of a method that names none as an empty one.
        assert_eq!(found(&calls, &["amqp_routing_key"]), counted(&lines, 5), "{}", capture.display());
        assert_eq!(found(&calls, &["amqp_reply_code"]), counted(&lines, 7), "{}", capture.display());
    }
    assert!(compared > 250, "{compared}");
}

/// Every packet is in a call, and every topic, identifier and return code.
#[test]
fn mqtt_agrees_with_tshark() {
    const TYPES: [&str; 16] = [
        "",
        "CONNECT",
        "CONNACK",
        "PUBLISH",
        "PUBACK",
        "PUBREC",
        "PUBREL",
        "PUBCOMP",
        "SUBSCRIBE",
        "SUBACK",
        "UNSUBSCRIBE",
        "UNSUBACK",
        "PINGREQ",
        "PINGRESP",
        "DISCONNECT",
        "AUTH",
    ];
    let mut compared = 0;
    for capture in captures("mqtt") {
        // Joined in the middle, with nothing that tells who of the two is the server.
        if capture.ends_with("mqtt_one_packet_multi_publish.pcap") {
            continue;
        }
        let (lines, calls) = (oracle(&capture), calls(&capture));
        let mut theirs: BTreeMap<String, usize> = BTreeMap::new();
        for kind in lines.iter().flat_map(|l| l[2].split('|')).filter(|k| !k.is_empty()) {
            *theirs.entry(TYPES[kind.parse::<usize>().unwrap()].to_owned()).or_default() += 1;
        }
        let mut ours = found(&calls, &["mqtt_type", "mqtt_response_type"]);
        // A PUBLISH with QoS 2 is one call of four packets, of which the last one is named.
        let of_two = |c: &&Value| c["mqtt_type"] == "PUBLISH" && c["mqtt_response_type"] == "PUBCOMP";
        let twice = calls.iter().filter(of_two).count();
        if twice > 0 {
            *ours.entry("PUBREC".to_owned()).or_default() += twice;
            *ours.entry("PUBREL".to_owned()).or_default() += twice;
        }
        assert_eq!(ours, theirs, "{}", capture.display());
        compared += ours.values().sum::<usize>();
    }
    assert!(compared > 100, "{compared}");
}
