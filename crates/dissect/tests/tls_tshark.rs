//! TLS and QUIC: what tshark finds in the captures is in the calls that are committed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tlsx")
}

/// Calls of a capture, as the engine finds them, by flow.
fn engine_calls(name: &str) -> BTreeMap<i64, Vec<serde_json::Value>> {
    let path = directory().join(format!("{name}.ndjson"));
    let mut all: BTreeMap<i64, Vec<serde_json::Value>> = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(flow) = call["flow_id"].as_i64() {
            all.entry(flow).or_default().push(call);
        }
    }
    all
}

/// The hellos, answers, alerts and requests that tshark sees are those of the calls as committed.
#[test]
fn tshark_agrees() {
    let mut compared = 0;
    for name in ["tls13", "tls12", "old", "resumption", "failures", "keyupdate", "http", "postgresql", "quic"]
    {
        let calls = engine_calls(name);
        let oracle = std::fs::read_to_string(directory().join(format!("{name}.tshark"))).unwrap();
        let mut requests: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for line in oracle.lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let column = |i: usize| columns.get(i).copied().unwrap_or_default();
            let flow = [column(1), column(2)].concat().parse::<i64>().unwrap() + 1;
            let handshakes: Vec<_> = calls[&flow]
                .iter()
                .filter(|c| c["protocol"] == "tlsx" && c["tlsx_ja4"].is_string())
                .collect();
            let Some(call) = handshakes.first() else { panic!("{name}: {line}") };
            let hex = |text: &str| i64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
            match column(0) {
                "hello" => {
                    assert_eq!(call["tlsx_sni"].as_str().unwrap_or_default(), column(3), "{name}: {line}");
                    let suites = column(5).split(',').count();
                    let list = |of: &str| call[of].as_array().map_or(0, Vec::len);
                    assert_eq!(list("tlsx_cipher_suites"), suites, "{name}: {line}");
                    // Of two hellos the second one counts, which may have other extensions.
                    if call["tlsx_hello_retry"] != true {
                        assert_eq!(call["tlsx_ja3"], column(4), "{name}: {line}");
                    }
                    let count = |text: &str| text.split(',').filter(|t| !t.is_empty()).count();
                    // As many as are kept.
                    assert_eq!(list("tlsx_alpn_offered"), count(column(7)).min(64), "{name}: {line}");
                    assert_eq!(list("tlsx_signature_algorithms"), count(column(9)), "{name}: {line}");
                }
                // One of the two is a HelloRetryRequest.
                "answer" if call["tlsx_hello_retry"] == true && call["tlsx_ja3s"] != column(4) => {}
                "answer" => {
                    assert_eq!(call["tlsx_cipher_suite"], hex(column(3)), "{name}: {line}");
                    assert_eq!(call["tlsx_ja3s"], column(4), "{name}: {line}");
                    if !column(5).is_empty() {
                        assert_eq!(call["tlsx_version"], hex(column(5)), "{name}: {line}");
                    }
                    if let Some(serial) = column(7).split(',').next().filter(|s| !s.is_empty()) {
                        let ours = call["tlsx_cert_serial"].as_str().unwrap();
                        assert_eq!(ours.trim_start_matches('0'), serial.trim_start_matches('0'));
                    }
                }
                "alert" => assert_eq!(call["failed"], true, "{name}: {line}"),
                "http" => {
                    let said = [column(3), column(6)].concat();
                    if !said.is_empty() {
                        requests.entry(flow).or_default().push(format!("{said} {}{}", column(4), column(7)));
                    }
                }
                other => panic!("{other}"),
            }
            compared += 1;
        }
        for (flow, mut asked) in requests {
            // tshark reads Camellia.
            if calls[&flow].iter().any(|c| c["tlsx_cipher_suite_name"] == "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA")
            {
                continue;
            }
            // tshark shows early data that the server refused beside the request that is made again.
            if calls[&flow].iter().any(|c| c["tlsx_hello_retry"] == true && c["tlsx_early_data"] == true) {
                asked.pop();
            }
            let ours: Vec<String> = calls[&flow]
                .iter()
                .filter(|c| c["protocol"] == "http")
                .map(|c| format!("{} {}", c["method"].as_str().unwrap(), c["path"].as_str().unwrap()))
                .collect();
            assert_eq!(ours, asked, "{name}, flow {flow}");
        }
    }
    assert!(compared > 120, "{compared}");
}
