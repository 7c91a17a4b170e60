//! Scripted and captured HTTP conversations with their calls, as committed beside them in `corpus/http`.
//! `UPDATE_EXPECT=1 cargo test -p remora-dissect --test http_corpus` writes the calls anew.
//!
//! A line of a script is `@MICROSECONDS`, `C "bytes"`, `S "bytes"` (JSON strings; a character is
//! a byte), `gap C|S LENGTH`, `end C|S closed|reset|lost`, or a comment.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use remora_dissect::detect::Entry;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::harness::{Harness, Recorded, Recorder, Value};
use remora_dissect::{Ending, Limits, Role, http};
use remora_model::{CaptureSource, Timestamp, Transport};
use serde_json::{Map, json};

fn role(word: &str) -> Role {
    match word {
        "C" => Role::Client,
        "S" => Role::Server,
        other => panic!("neither C nor S: {other}"),
    }
}

/// Plays a script, in pieces of at most `piece` bytes.
fn play(script: &str, piece: usize) -> Harness {
    let mut flow = Harness::new(&http::ENTRY, Transport::Tcp);
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "C" | "S" => {
                let text: String = serde_json::from_str(rest).unwrap_or_else(|e| panic!("{line}: {e}"));
                let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
                bytes.chunks(piece).for_each(|b| {
                    flow.send(role(word), b);
                });
            }
            "gap" => {
                let (who, len) = rest.split_once(' ').unwrap();
                flow.gap(role(who), len.parse().unwrap());
            }
            "end" => {
                let (who, how) = rest.split_once(' ').unwrap();
                let how = match how {
                    "closed" => Ending::Closed,
                    "reset" => Ending::Reset,
                    "lost" => Ending::Lost,
                    other => panic!("no ending: {other}"),
                };
                flow.end(role(who), how);
            }
            _ => {
                let micros = word.strip_prefix('@').and_then(|n| n.parse().ok());
                flow.at(micros.unwrap_or_else(|| panic!("not a line of a script: {line}")));
            }
        }
    }
    flow
}

fn json(call: &Recorded) -> String {
    let text = |t: &[u8]| String::from_utf8_lossy(t).into_owned();
    let mut out = Map::new();
    out.insert("ts".into(), json!(Timestamp(call.ts).to_rfc3339()));
    for (name, value) in [
        ("elapsed_time", call.elapsed_us),
        ("ttlb", call.ttlb_us),
        ("request_bytes", call.request_bytes),
        ("response_bytes", call.response_bytes),
        ("request_pos", call.request_pos),
        ("response_pos", call.response_pos),
    ] {
        value.map(|v| out.insert(name.into(), json!(v)));
    }
    out.insert("failed".into(), json!(call.failed));
    out.insert("client_error".into(), json!(call.client_error));
    call.incomplete.map(|v| out.insert("incomplete".into(), json!(v)));
    for (name, value) in &call.fields {
        let value = match value {
            Value::Bool(b) => json!(b),
            Value::Int(i) => json!(i),
            Value::Text(t) => json!(text(t)),
            Value::List(l) => json!(l.iter().map(|t| text(t)).collect::<Vec<_>>()),
            Value::Map(m) => json!(m.iter().map(|(k, v)| [text(k), text(v)]).collect::<Vec<_>>()),
        };
        out.insert((*name).into(), value);
    }
    serde_json::to_string(&out).unwrap()
}

fn found(sink: &Recorder) -> String {
    let mut out = String::new();
    for call in &sink.calls {
        writeln!(out, "{}", json(call)).unwrap();
    }
    for (problem, (n, bytes)) in &sink.problems {
        let (stage, reason) = problem.name();
        writeln!(out, "{}", json!({ "problem": format!("{stage}.{reason}"), "count": n, "bytes": bytes }))
            .unwrap();
    }
    out
}

fn files(extension: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/http");
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// What differs from the committed file, if anything.
fn compare(golden: &Path, calls: &str) -> Option<String> {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(golden, calls).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(golden).unwrap_or_default();
    (expected != calls).then(|| format!("{}:\n{calls}", golden.display()))
}

static ONLY_HTTP: &[Entry] = &[http::ENTRY];

/// Through the whole engine: packets in, calls out.
#[test]
fn calls_of_captures_are_as_committed() {
    let mut wrong = Vec::new();
    for path in files("pcap") {
        let source = CaptureSource::File;
        let mut engine = Engine::with_registry(Limits::default(), source, FlowIds::new(1, 1), ONLY_HTTP);
        let mut sink = Recorder::default();
        let (_, fault) = support::run_bytes(&std::fs::read(&path).unwrap(), &mut engine, &mut sink);
        assert!(fault.is_none(), "{}: {fault:?}", path.display());
        wrong.extend(compare(&path.with_extension("ndjson"), &found(&sink)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn calls_are_as_committed() {
    let mut wrong = Vec::new();
    for path in files("txt") {
        let script = std::fs::read_to_string(&path).unwrap();
        let (golden, calls) = (path.with_extension("ndjson"), found(&play(&script, usize::MAX).sink));
        wrong.extend(compare(&golden, &calls));
        for piece in [1, 2, 7] {
            assert_eq!(found(&play(&script, piece).sink), calls, "{} in pieces of {piece}", path.display());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
