//! What filters become, or how they are refused, word by word. `tests/golden.txt` has the cases;
//! `REMORA_BLESS=1 cargo test -p remora-kfl --test golden` writes what comes out into it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write;

use remora_kfl::{Target, compile, explain, render_all};
use remora_model::Timestamp;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");

fn now() -> Timestamp {
    Timestamp::parse_rfc3339("2026-11-21T05:00:00Z").unwrap()
}

/// The normalised filter with what it implies, or its errors.
fn outcome(target: Target, text: &str) -> String {
    match compile(text, target, now()) {
        Err(errors) => render_all(&errors, text),
        Ok(filter) => {
            let mut out = format!("=> {}", filter.normalised);
            let explained = explain(&filter);
            if let Some(protocols) = explained.protocols {
                write!(out, "\nprotocols: {}", protocols.join(" ")).unwrap();
            }
            if explained.from.is_some() || explained.until.is_some() {
                let (from, until) = (explained.from.unwrap_or_default(), explained.until.unwrap_or_default());
                write!(out, "\ntime: {from} .. {until}").unwrap();
            }
            if !filter.warnings.is_empty() {
                write!(out, "\n{}", render_all(&filter.warnings, text)).unwrap();
            }
            out
        }
    }
}

#[test]
fn filters_and_messages_are_as_written_down() {
    let golden = std::fs::read_to_string(FILE).unwrap();
    let mut written = String::new();
    let mut cases = 0;
    for case in golden.split("\n== ") {
        let case = case.strip_prefix("== ").unwrap_or(case);
        let (head, rest) = case.split_once('\n').unwrap_or((case, ""));
        let target = match head.trim() {
            "calls" => Target::Calls,
            "flows" => Target::Flows,
            other => panic!("a case begins with `== calls` or `== flows`, not `{other}`"),
        };
        let (text, _) = rest.split_once("\n--\n").unwrap_or((rest.trim_end(), ""));
        if cases > 0 {
            written.push('\n');
        }
        write!(written, "== {head}\n{text}\n--\n{}\n", outcome(target, text)).unwrap();
        cases += 1;
    }
    assert!(cases > 100, "only {cases} cases: is the file cut off?");
    if std::env::var_os("REMORA_BLESS").is_some() {
        std::fs::write(FILE, written).unwrap();
        return;
    }
    for (expected, found) in golden.split("\n== ").zip(written.split("\n== ")) {
        assert_eq!(expected.trim_end(), found.trim_end());
    }
    assert_eq!(golden.trim_end(), written.trim_end());
}
