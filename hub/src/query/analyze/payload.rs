//! Big payloads.

use super::endpoints::Endpoint;
use super::finding::{Finding, Severity, ids, numbers};
use super::scope::Scope;
use super::words::{bytes, many};

/// Calls from which an average tells something.
const ENOUGH: u64 = 5;
/// Bytes of an answer, on average, that are much for one that a program reads.
const AVERAGE: u64 = 1 << 20;
/// Types of content that are large by nature.
const FILES: &[&str] = &[
    "image/",
    "video/",
    "audio/",
    "font/",
    "application/octet-stream",
    "application/zip",
    "application/gzip",
    "application/x-",
    "application/pdf",
    "application/vnd.",
    "application/wasm",
    "application/java-archive",
];

pub(super) fn look(scope: &Scope<'_>, endpoints: &[Endpoint]) -> Vec<Finding> {
    let large = |e: &&Endpoint| {
        e.calls >= ENOUGH
            && e.response_bytes / e.calls >= AVERAGE
            && !FILES.iter().any(|f| e.content_type.starts_with(f))
            && e.protocol != "kafka"
    };
    endpoints.iter().filter(large).map(|e| finding(scope, e)).collect()
}

fn finding(scope: &Scope<'_>, e: &Endpoint) -> Finding {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let average = e.response_bytes / e.calls.max(1);
    let conditions = [e.conditions(), vec![format!("response_bytes >= {AVERAGE}")]].concat();
    Finding {
        severity: Severity::Low,
        kind: "big_payload",
        subject: e.server.clone(),
        title: format!("{} answers with {} on average", e.name(), bytes(signed(average))),
        explanation: format!(
            "{} took {} together; the largest answer has {}.",
            many(e.calls, "call"),
            bytes(signed(e.response_bytes)),
            bytes(e.largest)
        ),
        numbers: numbers([
            ("calls", e.calls.into()),
            ("response_bytes", e.response_bytes.into()),
            ("average_bytes", average.into()),
            ("largest_bytes", e.largest.into()),
        ]),
        calls: ids([e.largest_id]),
        flows: Vec::new(),
        suggestion: "Ask for pages, fewer fields, or compression.",
        next: scope.next("list_api_calls", &conditions),
        weight: e.response_bytes >> 20,
    }
}
