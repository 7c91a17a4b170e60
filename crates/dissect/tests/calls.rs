//! Captures of conversations with real servers and clients: every call as it goes into the store,
//! as committed beside the capture. `UPDATE_EXPECT=1 cargo test -p remora-dissect --test calls`
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

/// The calls of a capture, then what was not understood.
fn calls(capture: &[u8]) -> String {
    let mut engine = Engine::new(Limits::default(), CaptureSource::File, FlowIds::new(1, 1));
    let mut lines =
        Lines { batches: BatchSet::new("test"), out: String::new(), problems: Default::default() };
    let (_, fault) = run_bytes(capture, &mut engine, &mut lines);
    for (problem, (n, bytes)) in &lines.problems {
        let (stage, reason) = problem.name();
        writeln!(lines.out, r#"{{"problem":"{stage}.{reason}","count":{n},"bytes":{bytes}}}"#).unwrap();
    }
    if let Some(fault) = fault {
        writeln!(lines.out, "{}", serde_json::json!({ "fault": fault.to_string() })).unwrap();
    }
    lines.out
}

/// Captures under the directories that hold conversations of one protocol.
fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files = Vec::new();
    for parent in [root.clone(), root.join("deepflow")] {
        for protocol in ["http", "dns", "redis"] {
            let Ok(entries) = std::fs::read_dir(parent.join(protocol)) else { continue };
            files.extend(
                entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "pcap")),
            );
        }
    }
    files.sort();
    assert!(files.len() >= 15, "the corpus is there: {}", files.len());
    files
}

#[test]
fn calls_are_as_committed() {
    let mut wrong = Vec::new();
    for path in captures() {
        let found = calls(&std::fs::read(&path).unwrap());
        let golden = path.with_extension("ndjson");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&golden, &found).unwrap();
            continue;
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if expected != found {
            let differ = expected.lines().zip(found.lines()).find(|(a, b)| a != b);
            wrong.push(format!("{}: first difference {differ:#?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
