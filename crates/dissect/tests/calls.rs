//! Captures of conversations between real servers and clients: every call as it goes into the
//! store, as committed beside the capture. `UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls`
//! writes the expectations anew; read the difference before committing it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Limits, Problem, Sink};
use remora_model::batch::{BatchSet, Sides};
use remora_model::{Call, CallId, CaptureSource, FlowRow, row};
use support::run_bytes;

/// Writes each call as a line of JSON.
struct Lines {
    batches: BatchSet,
    out: String,
    problems: std::collections::BTreeMap<Problem, (u64, u64)>,
}

impl Sink for Lines {
    fn call(&mut self, call: &Call<'_>) {
        self.batches.call(CallId(1), call, &Sides::default());
        for table in self.batches.take().unwrap() {
            for i in 0..table.batch.num_rows() {
                let mut object = row::to_json(&table.batch, i);
                // The same in every line.
                for key in ["id", "node_name", "capture_source"] {
                    object.remove(key);
                }
                if object["tls"] == false {
                    object.remove("tls");
                }
                object.values_mut().for_each(shorten);
                writeln!(self.out, "{}", serde_json::Value::Object(object)).unwrap();
            }
        }
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, bytes: u64) {
        let (n, sum) = self.problems.entry(problem).or_default();
        *n += 1;
        *sum += bytes;
    }
}

/// Of long texts the beginning, the length and a checksum (FNV-1a) are enough.
fn shorten(value: &mut serde_json::Value) {
    if let serde_json::Value::String(text) = value
        && text.len() > 500
    {
        let sum = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        let begin: String = text.chars().take(200).collect();
        *text = format!("{begin}... {} bytes, {sum:016x}", text.len());
    }
}

/// The calls of a capture, then what was not understood. TLS is read where a key log lies beside it.
fn calls(path: &Path) -> String {
    let capture = std::fs::read(path).unwrap();
    let mut engine = Engine::new(Limits::default(), CaptureSource::File, FlowIds::new(1, 1));
    if let Ok(key_log) = std::fs::read(path.with_extension("keys")) {
        engine.set_secrets(support::secrets(&key_log));
    }
    let mut lines =
        Lines { batches: BatchSet::new("test"), out: String::new(), problems: Default::default() };
    let (_, fault) = run_bytes(&capture, &mut engine, &mut lines);
    for (problem, (n, bytes)) in &lines.problems {
        let (stage, reason) = problem.name();
        writeln!(lines.out, r#"{{"problem":"{stage}.{reason}","count":{n},"bytes":{bytes}}}"#).unwrap();
    }
    if let Some(fault) = fault {
        writeln!(lines.out, "{}", serde_json::json!({ "fault": fault.to_string() })).unwrap();
    }
    lines.out
}

/// The captures of conversations: those in a directory `corpus/PROTOCOL` or
/// `corpus/deepflow/PROTOCOL`. Those of HTTP have a test of their own, and those that lie in
/// `corpus/deepflow` itself are hard on what is below the protocols.
fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let directories = entries(&root).chain(entries(&root.join("deepflow"))).filter(|p| p.is_dir());
    let of_calls = directories.filter(|p| !p.ends_with("http") && !p.ends_with("deepflow"));
    let files = of_calls.flat_map(|dir| entries(&dir).collect::<Vec<_>>());
    let kinds = ["pcap", "pcapng"];
    let mut files: Vec<PathBuf> =
        files.filter(|p| p.extension().is_some_and(|e| kinds.iter().any(|kind| e == *kind))).collect();
    files.sort();
    assert!(files.len() >= 15, "the corpus is there: {}", files.len());
    files
}

#[test]
fn calls_are_as_committed() {
    let mut wrong = Vec::new();
    for path in captures() {
        let found = calls(&path);
        let golden = path.with_extension("ndjson");
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        // The order of the fields in a line changes with the catalogue, and means nothing.
        let parsed = |text: &str| {
            text.lines().map(|l| serde_json::from_str(l).unwrap()).collect::<Vec<serde_json::Value>>()
        };
        if parsed(&expected) != parsed(&found) {
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&golden, &found).unwrap();
                continue;
            }
            let differ = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{}: first difference {differ:#?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The calls of a capture as JSON, without the problems.
fn objects(capture: &Path) -> Vec<serde_json::Value> {
    let all = calls(capture);
    all.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .filter(|v: &serde_json::Value| v.get("ts").is_some())
        .collect()
}

/// Lines of what `corpus/oracle.sh` wrote down of a capture, in columns.
fn oracle(capture: &Path) -> Option<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(capture.with_extension("tshark")).ok()?;
    Some(text.lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect())
}

fn hex(text: &str) -> String {
    let digits = text.as_bytes().chunks_exact(2);
    let bytes = digits.map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap());
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}

/// Every DNS message that tshark sees is in a call, with the same name, type, code, number of
/// answers and time; and there are no other calls.
#[test]
fn dns_agrees_with_tshark() {
    let mut compared = 0;
    for capture in captures().iter().filter(|p| p.parent().is_some_and(|d| d.ends_with("dns"))) {
        let found = objects(capture);
        let mut queries = 0;
        for line in oracle(capture).unwrap() {
            // One frame of TCP may carry several messages, but only queries do here.
            for i in 0..line[1].split(',').count() {
                let column = |c: usize| line[c].split(',').nth(i).unwrap_or_default();
                let id = i64::from_str_radix(column(1).trim_start_matches("0x"), 16).unwrap();
                let call = found.iter().find(|c| c["dns_id"] == id).unwrap_or_else(|| panic!("{line:?}"));
                let name =
                    call["dns_questions"][0].as_str().unwrap().replace("\\.", ".").replace("\\032", " ");
                assert_eq!(name, column(2), "{}", capture.display());
                if column(0) == "0" {
                    queries += 1;
                    continue;
                }
                assert_eq!(call["status_code"], column(4).parse::<i64>().unwrap());
                let answers = call["dns_answers"].as_array().unwrap();
                assert_eq!(answers.len(), column(5).parse::<usize>().unwrap());
                let seconds: f64 = column(6).parse().unwrap();
                assert_eq!(call["elapsed_time"], (seconds * 1e6).round() as i64);
                compared += 1;
            }
        }
        assert_eq!(found.len(), queries, "{}", capture.display());
    }
    assert!(compared > 30, "{compared}");
}

/// The commands and errors that tshark sees in Redis are those of the calls, in order.
#[test]
fn redis_agrees_with_tshark() {
    let mut compared = 0;
    for capture in captures().iter().filter(|p| p.parent().is_some_and(|d| d.ends_with("redis"))) {
        let Some(lines) = oracle(capture) else { continue };
        let server = |port: &str| matches!(port, "6379" | "6390");
        let commands: Vec<Vec<String>> =
            lines.iter().filter(|l| server(&l[1])).map(|l| l[2].split(',').map(hex).collect()).collect();
        // An error among strings is part of what a script returned.
        let replies = lines.iter().filter(|l| server(&l[0]) && l[2].is_empty());
        let errors: Vec<&String> = replies.map(|l| &l[3]).filter(|e| !e.is_empty()).collect();
        let found = objects(capture);
        assert_eq!(found.len(), commands.len(), "{}", capture.display());
        for (call, args) in found.iter().zip(&commands) {
            let kind = call["redis_type"].as_str().unwrap();
            assert_eq!(kind.split(' ').next().unwrap(), args[0].to_uppercase());
            if let Some(key) = call.get("redis_key") {
                assert!(args.iter().any(|a| key == a), "{key} {args:?}");
            }
            compared += 1;
        }
        let reported = found.iter().filter_map(|c| c.get("redis_error")).map(|e| e.as_str().unwrap());
        // tshark leaves out white space at the end of a line.
        assert_eq!(
            reported.map(str::trim_end).collect::<Vec<_>>(),
            errors.iter().map(|e| e.trim_end()).collect::<Vec<_>>()
        );
    }
    assert!(compared > 20, "{compared}");
}

/// Every stream of HTTP/2 that tshark sees is a call, with the same method, path, status and gRPC
/// status, and as many bytes of content; and there are no other calls.
#[test]
fn http2_agrees_with_tshark() {
    let mut compared = 0;
    for capture in captures().iter().filter(|p| p.parent().is_some_and(|d| d.ends_with("http2"))) {
        let mut found = objects(capture);
        // The end of a connection that is older than its capture is in no known protocol.
        found.retain(|call| call["protocol"] != "tcp");
        let lines = oracle(capture).unwrap();
        let text = |call: &serde_json::Value, name: &str| match &call[name] {
            serde_json::Value::String(s) => s.clone(),
            serde_json::Value::Number(n) => n.to_string(),
            _ => String::new(),
        };
        for line in &lines {
            let flow = line[0].parse::<i64>().unwrap() + 1;
            let call = found
                .iter()
                .find(|c| c["flow_id"] == flow && text(c, "http2_stream") == line[1])
                .unwrap_or_else(|| panic!("{} {line:?}", capture.display()));
            let columns =
                ["method", "url", "status_code", "grpc_status", "request_body_size", "response_body_size"];
            for (name, expected) in columns.iter().zip(&line[2..]) {
                let ours = text(call, name);
                // The request of an upgrade is not a frame. A frame that is not whole is none to
                // tshark.
                let upgraded = call["http_version"] == "HTTP/1.1" && ["method", "url"].contains(name);
                let cut = call["incomplete"] == "truncated" && name.ends_with("size");
                let nothing = ours.is_empty() && expected == "0";
                if !(upgraded || cut || nothing) {
                    assert_eq!(&ours, expected, "{name} of {line:?} in {}", capture.display());
                }
            }
            compared += 1;
        }
        assert_eq!(found.len(), lines.len(), "{}", capture.display());
    }
    assert!(compared > 60, "{compared}");
}

/// Every Kafka message that tshark sees is in a call, with the same key, version, id, client,
/// length, topics, group and error; and there are no other calls.
///
/// tshark 4.0 lacks the newest versions, of which it compares the headers alone. It shows no topic
/// that a null list names (`[ Null ]`), and none in the bytes that members of a group exchange.
#[test]
fn kafka_agrees_with_tshark() {
    let (mut compared, mut deep) = (0, 0);
    for capture in captures().iter().filter(|p| p.parent().is_some_and(|d| d.ends_with("kafka"))) {
        let found = objects(capture);
        let (mut requests, mut responses) = (0, 0);
        for line in oracle(capture).unwrap() {
            let messages = line[5].split(',').count();
            for i in 0..messages {
                let column = |c: usize| line[c].split(',').nth(i).unwrap_or_default().to_owned();
                let number = |c: usize| column(c).parse::<i64>().unwrap();
                let asks = !column(4).is_empty();
                let (client, side) =
                    if asks { (&line[0], "request_bytes") } else { (&line[1], "response_bytes") };
                let id = number(5);
                let call = found
                    .iter()
                    .find(|c| {
                        c["src.port"] == client.parse::<i64>().unwrap()
                            && c["kafka_correlation_id"] == id
                            && c.get(side).is_some()
                    })
                    .unwrap_or_else(|| panic!("{}: {line:?}", capture.display()));
                assert_eq!(call[side], number(2) + 4, "{}: {line:?}", capture.display());
                if asks {
                    requests += 1;
                    assert_eq!(call["kafka_api_key"], number(3));
                    assert_eq!(call["kafka_api_version"], number(4));
                    assert_eq!(call["kafka_client_id"], column(6));
                } else {
                    responses += 1;
                }
                compared += 1;
                if messages > 1 || !line[10].is_empty() {
                    continue;
                }
                deep += 1;
                let list = |c: usize| line[c].split(',').filter(|t| !t.is_empty() && *t != "[ Null ]");
                for topic in list(8) {
                    assert!(call["kafka_topics"].as_array().unwrap().iter().any(|t| t == topic), "{line:?}");
                }
                if let Some(group) = list(9).next() {
                    assert_eq!(call["kafka_group"], group);
                }
                let mut errors = list(7).map(|e| e.parse::<i64>().unwrap());
                if !asks && let Some(first) = errors.clone().next() {
                    assert_eq!(
                        call["kafka_error_code"],
                        errors.find(|e| *e != 0).unwrap_or(first),
                        "{line:?}"
                    );
                }
            }
        }
        let with = |side: &str| found.iter().filter(|c| c.get(side).is_some()).count();
        assert_eq!(
            (with("request_bytes"), with("response_bytes")),
            (requests, responses),
            "{}",
            capture.display()
        );
    }
    assert!(compared > 300 && deep > 100, "{compared} {deep}");
}
