//! What tshark finds in the captures, as the scripts `oracle.sh` beside them wrote it down, is in the
//! calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

/// The expected calls of a capture (checked by `tests/calls.rs`), by the client's port.
fn calls(name: &str) -> BTreeMap<i64, Vec<Value>> {
    let text = std::fs::read_to_string(corpus(name).with_extension("ndjson")).unwrap();
    let mut all: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let call: Value = serde_json::from_str(line).unwrap();
        // Refused connections and handshakes of TLS are compared elsewhere.
        let others = ["tcp", "tlsx"].iter().any(|p| call["protocol"] == *p);
        if let Some(port) = call["src.port"].as_i64().filter(|_| !others) {
            all.entry(port).or_default().push(call);
        }
    }
    all
}

/// tshark's lines by the client's port: true for those of the client, and the columns behind the
/// ports.
fn oracle(name: &str, servers: &[&str]) -> BTreeMap<i64, Vec<(bool, Vec<String>)>> {
    let text = std::fs::read_to_string(corpus(name).with_extension("tshark")).unwrap();
    let mut all: BTreeMap<i64, Vec<(bool, Vec<String>)>> = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split('\t').map(str::to_owned);
        let (from, to) = (columns.next().unwrap(), columns.next().unwrap());
        let asks = servers.contains(&to.as_str());
        let port = if asks { from } else { to }.parse().unwrap();
        all.entry(port).or_default().push((asks, columns.collect()));
    }
    all
}

fn text(call: &Value, name: &str) -> String {
    match &call[name] {
        Value::String(s) => s.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Every operation by message id, with its result and the number of entries.
#[test]
fn ldap_agrees() {
    let mut count = 0;
    for name in ["ldap/operations", "ldap/async", "ldap/starttls"] {
        let ours = calls(name);
        for (port, lines) in oracle(name, &["3890"]) {
            let mut expected: BTreeMap<String, (String, String, usize)> = BTreeMap::new();
            for (asks, columns) in &lines {
                let ids = columns[0].split('|');
                let mut codes = columns[2].split('|');
                for (id, op) in ids.zip(columns[1].split('|')) {
                    let entry = expected.entry(id.to_owned()).or_default();
                    match (asks, op) {
                        (true, op) => entry.0 = op.to_owned(),
                        (false, "4") => entry.2 += 1,
                        (false, "19") => {}
                        _ => entry.1 = codes.next().unwrap_or_default().to_owned(),
                    }
                }
            }
            // The number of an operation is the low part of its tag.
            let number = |kind: &str| match kind {
                "bindRequest" => "0",
                "unbindRequest" => "2",
                "searchRequest" => "3",
                "modifyRequest" => "6",
                "addRequest" => "8",
                "delRequest" => "10",
                "modDNRequest" => "12",
                "compareRequest" => "14",
                "abandonRequest" => "16",
                "extendedReq" => "23",
                other => panic!("{other}"),
            };
            let found: BTreeMap<String, (String, String, usize)> = ours[&port]
                .iter()
                .map(|c| {
                    let entries = c["ldap_entries"].as_u64().unwrap_or(0) as usize;
                    let kind = number(c["ldap_type"].as_str().unwrap()).to_owned();
                    (text(c, "ldap_message_id"), (kind, text(c, "ldap_result_code"), entries))
                })
                .collect();
            assert_eq!(found, expected, "{name} {port}");
            count += found.len();
        }
    }
    assert!(count > 60, "{count}");
}

/// Every request with who asks, and what answers it.
#[test]
fn radius_agrees() {
    let mut count = 0;
    for name in ["access", "accounting", "changes", "repeated"] {
        let name = format!("radius/{name}");
        let ours = calls(&name);
        for (port, lines) in oracle(&name, &["1812", "1813", "1899", "3799"]) {
            let mut expected: Vec<Vec<String>> = Vec::new();
            for (asks, columns) in &lines {
                if *asks {
                    let mut call = columns[..7].to_vec();
                    call.extend([String::new(), String::new()]);
                    // Repetitions are the same call.
                    if expected.last().is_none_or(|last| last[..7] != call[..7]) {
                        expected.push(call);
                    }
                } else {
                    let call = expected.iter_mut().find(|c| c[1] == columns[1]).unwrap();
                    call[7] = columns[0].clone();
                    call[8] = columns[7].replace('|', "\n");
                }
            }
            let found: Vec<Vec<String>> = ours[&port]
                .iter()
                .map(|c| {
                    [
                        "radius_code",
                        "radius_id",
                        "radius_request_authenticator",
                        "radius_user_name",
                        "radius_nas_ip",
                        "radius_acct_session_id",
                        "radius_calling_station_id",
                        "radius_response_code",
                        "radius_reply_message",
                    ]
                    .map(|name| text(c, name))
                    .to_vec()
                })
                .collect();
            assert_eq!(found, expected, "{name} {port}");
            count += found.len();
        }
    }
    assert!(count >= 18, "{count}");
}

/// Every request by who asks and hop-by-hop identifier, with its answer.
#[test]
fn diameter_agrees() {
    let mut count = 0;
    for name in ["diameter/applications", "diameter/daemons"] {
        let number = |text: &str| i64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let file = std::fs::read_to_string(corpus(name).with_extension("tshark")).unwrap();
        let mut expected: BTreeMap<(i64, i64), Vec<String>> = BTreeMap::new();
        for line in file.lines() {
            let c: Vec<&str> = line.split('\t').collect();
            let hop = number(c[5]);
            if number(c[4]) & 0x80 != 0 {
                let call = [c[2], c[3], &number(c[6]).to_string(), c[7], c[8], c[10], "", ""];
                expected.insert((c[0].parse().unwrap(), hop), call.map(str::to_owned).to_vec());
            } else {
                let call = expected.get_mut(&(c[1].parse().unwrap(), hop)).unwrap();
                call[6] = c[8].to_owned();
                call[7] = c[9].to_owned();
            }
        }
        let found: BTreeMap<(i64, i64), Vec<String>> = calls(name)
            .into_iter()
            .flat_map(|(port, calls)| calls.into_iter().map(move |c| (port, c)))
            .map(|(port, c)| {
                let mut call = [
                    "diameter_command_code",
                    "diameter_application_id",
                    "diameter_end_to_end",
                    "diameter_session_id",
                    "diameter_origin_host",
                    "diameter_user_name",
                    "diameter_answer_host",
                    "diameter_result_code",
                ]
                .map(|name| text(&c, name))
                .to_vec();
                // tshark's column has Result-Code alone.
                if call[7] == "5001" {
                    call[7].clear();
                }
                ((port, c["diameter_hop_by_hop"].as_i64().unwrap()), call)
            })
            .collect();
        assert_eq!(found, expected, "{name}");
        count += found.len();
    }
    assert!(count >= 13, "{count}");
}

/// Every command in order, and every reply.
#[test]
fn smtp_agrees() {
    let mut count = 0;
    for name in ["smtp/mails", "smtp/session", "smtp/starttls"] {
        let ours = calls(name);
        for (port, lines) in oracle(name, &["2525", "2424"]) {
            let calls: Vec<&Value> = ours[&port].iter().filter(|c| c["protocol"] == "smtp").collect();
            let codes = lines.iter().filter(|l| !l.0).flat_map(|l| l.1[2].split('|'));
            let mut expected: Vec<&str> = codes.filter(|c| !matches!(*c, "" | "354" | "334")).collect();
            expected.dedup();
            let mut found: Vec<String> = calls.iter().map(|c| text(c, "smtp_status_code")).collect();
            found.dedup();
            assert_eq!(found, expected, "{name} {port}");
            // A command that it does not know is the beginning of a message to tshark.
            if calls
                .iter()
                .any(|c| c["smtp_command"] == "UNKNOWN" || text(c, "smtp_client_name") == "raw.example")
            {
                continue;
            }
            let commands = lines.iter().filter(|l| l.0).flat_map(|l| l.1[0].split('|'));
            let expected: Vec<String> =
                commands.filter(|c| c.len() >= 4 && !c.contains('=')).map(str::to_uppercase).collect();
            // Its column has four letters of each.
            let expected: Vec<String> = expected.into_iter().map(|c| c.replace("STAR", "STARTTLS")).collect();
            let commands = calls.iter().map(|c| text(c, "smtp_command"));
            let found: Vec<String> = commands.filter(|c| c != "GREETING").collect();
            assert_eq!(found, expected, "{name} {port}");
            count += found.len();
        }
    }
    assert!(count > 25, "{count}");
}
