//! Answers as compact text that an assistant or a person reads: TSV, Markdown or JSON lines.
//!
//! Captured text is data from outside. Characters that could pose as layout or hide from the
//! reader (control, bidirectional and zero-width characters) are shown as escapes.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::answer::Answer;

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Tab-separated values with a header line.
    #[default]
    Tsv,
    /// One JSON object per line.
    Json,
    /// A Markdown table.
    Markdown,
}

/// Longest cell of a table; JSON lines are not cut.
const CELL_CHARS: usize = 200;

/// Writes the rows of `answer` until `max_bytes` are reached, and how many were written.
pub fn rows(answer: &Answer, format: Format, max_bytes: usize) -> (String, usize) {
    let mut out = String::new();
    if format != Format::Json && !answer.rows.is_empty() {
        header(&mut out, &answer.columns, format);
    }
    let mut shown = 0;
    for row in &answer.rows {
        let before = out.len();
        line(&mut out, row, &answer.columns, format);
        // The first row is always shown: an answer of nothing but a cap helps nobody.
        if out.len() > max_bytes && shown > 0 {
            out.truncate(before);
            break;
        }
        shown += 1;
    }
    (out, shown)
}

fn header(out: &mut String, columns: &[String], format: Format) {
    match format {
        Format::Markdown => {
            _ = writeln!(out, "| {} |", columns.join(" | "));
            _ = writeln!(out, "|{}", "---|".repeat(columns.len()));
        }
        _ => _ = writeln!(out, "{}", columns.join("\t")),
    }
}

fn line(out: &mut String, row: &Map<String, Value>, columns: &[String], format: Format) {
    if format == Format::Json {
        let text = serde_json::to_string(row).unwrap_or_default();
        _ = writeln!(out, "{}", visible(&text));
        return;
    }
    let cells = columns.iter().map(|c| cell(row.get(c), format));
    match format {
        Format::Markdown => _ = writeln!(out, "| {} |", cells.collect::<Vec<_>>().join(" | ")),
        _ => _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("\t")),
    }
}

fn cell(value: Option<&Value>, format: Format) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(v) => plain(v),
    };
    let text = visible(&text);
    let text = if text.chars().count() > CELL_CHARS {
        text.chars().take(CELL_CHARS - 1).chain(['…']).collect()
    } else {
        text
    };
    if format == Format::Markdown { text.replace('|', "\\|") } else { text }
}

/// A value without JSON's quotation marks where it needs none.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => match n.as_f64() {
            Some(f) if n.is_f64() => format!("{f:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
            _ => n.to_string(),
        },
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Replaces characters that lay out text or hide in it by escapes.
pub fn visible(text: &str) -> String {
    if !text.chars().any(hidden) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if hidden(c) => _ = write!(out, "\\u{{{:x}}}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(rows: Vec<Value>) -> Answer {
        let rows = rows.into_iter().filter_map(|v| v.as_object().cloned()).collect();
        Answer { columns: vec!["a".into(), "b".into()], rows, ..Answer::default() }
    }

    #[test]
    fn tsv_has_a_header_and_leaves_absent_cells_empty() {
        let a = answer(vec![json!({"a": 1, "b": "x\ty\u{202e}"}), json!({"b": [1, "z"]})]);
        assert_eq!(rows(&a, Format::Tsv, 1000).0, "a\tb\n1\tx\\ty\\u{202e}\n\t1,z\n");
    }

    #[test]
    fn the_cap_cuts_whole_rows_and_keeps_the_first() {
        let a = answer((0..100).map(|i| json!({"a": i, "b": "0123456789"})).collect());
        let (text, shown) = rows(&a, Format::Tsv, 100);
        assert!(text.len() <= 100 && shown > 0 && shown < 100);
        assert_eq!(text.lines().count(), shown + 1);
        assert_eq!(rows(&a, Format::Json, 1).1, 1);
    }

    #[test]
    fn markdown_escapes_bars() {
        let a = answer(vec![json!({"a": "x|y"})]);
        assert_eq!(rows(&a, Format::Markdown, 1000).0, "| a | b |\n|---|---|\n| x\\|y |  |\n");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(plain(&json!(0.5)), "0.5");
        assert_eq!(plain(&json!(2.0)), "2");
        assert_eq!(plain(&json!(1.0 / 3.0)), "0.333");
    }
}
