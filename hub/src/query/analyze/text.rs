//! Findings as text that is read from top to bottom: two or three lines for each.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::query::render::visible;

/// Writes rows of findings until `max_bytes` are reached, and how many were written.
pub fn findings(rows: &[Map<String, Value>], max_bytes: usize) -> (String, usize) {
    let mut out = String::new();
    for (i, row) in rows.iter().enumerate() {
        let before = out.len();
        one(&mut out, i + 1, row);
        if out.len() > max_bytes && i > 0 {
            out.truncate(before);
            return (out, i);
        }
    }
    (out, rows.len())
}

fn one(out: &mut String, number: usize, row: &Map<String, Value>) {
    let text = |name: &str| visible(row.get(name).and_then(Value::as_str).unwrap_or_default());
    _ = writeln!(out, "{number}. {} {}: {}", text("severity"), text("kind"), text("title"));
    _ = writeln!(out, "   {} {}", text("explanation"), text("suggestion"));
    let ids = ["calls", "flows"].iter().filter_map(|name| {
        let ids = row.get(*name)?.as_array()?.iter().map(Value::to_string).collect::<Vec<_>>().join(", ");
        Some(format!("{name} {ids}"))
    });
    let evidence: Vec<String> = ids.collect();
    out.push_str("   ");
    if !evidence.is_empty() {
        _ = write!(out, "evidence: {}; ", evidence.join("; "));
    }
    let arguments = row.get("next_arguments").map(Value::to_string).unwrap_or_default();
    _ = writeln!(out, "next: {} {}", text("next_tool"), visible(&arguments));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_is_a_few_lines_and_what_does_not_fit_is_left_out() {
        let row = json!({"severity": "high", "kind": "failing", "title": "a\nb", "explanation": "It fails.", "suggestion": "Look.",
            "calls": [1, 2], "next_tool": "list_api_calls", "next_arguments": {"filter": "failed"}});
        let rows: Vec<_> = std::iter::repeat_n(row.as_object().cloned().unwrap_or_default(), 10).collect();
        let (text, shown) = findings(&rows, 400);
        assert_eq!(text.lines().count(), shown * 3);
        assert!(shown > 0 && shown < 10 && text.len() <= 400);
        assert!(text.starts_with("1. high failing: a\\nb\n   It fails. Look.\n   evidence: calls 1, 2; next: list_api_calls {\"filter\":\"failed\"}\n"));
        assert_eq!(findings(&rows, 1).1, 1);
    }
}
