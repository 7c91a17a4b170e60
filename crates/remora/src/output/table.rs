//! Tables that fit the terminal: every row one line, the widest columns give way.

use std::io;

use remora_hub::query::render::visible;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Row, cell};

/// Space between columns.
const GAP: usize = 2;
/// A column is not made narrower than this, unless its content is.
const NARROWEST: usize = 6;
/// Rows from which the widths of a live table are guessed are not there: these are its widths.
const LIVE_WIDTH: usize = 18;

/// Columns of the terminal; `COLUMNS` in the environment has the word.
pub fn terminal_width() -> Option<usize> {
    let told = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    told.or_else(|| terminal_size::terminal_size().map(|(w, _)| usize::from(w.0)))
}

/// Writes a table. Columns that are empty in every row are left out. With no `width` nothing is
/// cut.
pub fn write(
    out: &mut impl io::Write,
    rows: &[Row],
    columns: &[String],
    width: Option<usize>,
    colour: bool,
) -> io::Result<()> {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|r| columns.iter().map(|c| pretty(c, &cell(r, c))).collect()).collect();
    let used: Vec<usize> =
        (0..columns.len()).filter(|&i| rows.is_empty() || cells.iter().any(|r| !r[i].is_empty())).collect();
    let mut widths: Vec<usize> = used
        .iter()
        .map(|&i| cells.iter().map(|r| r[i].width()).max().unwrap_or(0).max(columns[i].width()))
        .collect();
    if let Some(width) = width {
        shrink(&mut widths, width);
    }
    let header: Vec<&str> = used.iter().map(|&i| columns[i].as_str()).collect();
    line(out, &header, &widths, if colour { Some("\x1b[1m") } else { None })?;
    for (row, raw) in cells.iter().zip(rows) {
        let picked: Vec<&str> = used.iter().map(|&i| row[i].as_str()).collect();
        line(out, &picked, &widths, if colour { colour_of(raw) } else { None })?;
    }
    Ok(())
}

/// Takes from the widest columns until the line fits or every column is narrow.
fn shrink(widths: &mut [usize], width: usize) {
    loop {
        let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let Some(over) = total.checked_sub(width).filter(|o| *o > 0) else { return };
        let Some(widest) = (0..widths.len()).max_by_key(|&i| widths[i]).filter(|&i| widths[i] > NARROWEST)
        else {
            return;
        };
        // Down to the next widest at most, so that equal columns share the loss.
        let next = widths.iter().copied().filter(|w| *w < widths[widest]).max().unwrap_or(NARROWEST);
        let step = over.min(widths[widest] - next.max(NARROWEST)).max(1);
        widths[widest] -= step;
    }
}

fn line(out: &mut impl io::Write, cells: &[&str], widths: &[usize], colour: Option<&str>) -> io::Result<()> {
    let mut text = String::new();
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let last = i + 1 == cells.len();
        let (shown, used) = fit(cell, *width);
        text.push_str(&shown);
        if !last {
            text.extend(std::iter::repeat_n(' ', width - used + GAP));
        }
    }
    match colour {
        Some(c) => writeln!(out, "{c}{}\x1b[0m", text.trim_end()),
        None => writeln!(out, "{}", text.trim_end()),
    }
}

/// The text cut to `width` columns, and how many it takes.
fn fit(text: &str, width: usize) -> (String, usize) {
    if text.width() <= width {
        return (text.to_owned(), text.width());
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        out.push(c);
        used += w;
    }
    out.push('…');
    (out, used + 1)
}

/// Times without the date's ballast; everything else as it is, with nothing hidden in it.
fn pretty(column: &str, text: &str) -> String {
    if matches!(column, "ts" | "first_seen" | "bucket") && text.len() == 30 && text.ends_with('Z') {
        return format!("{} {}", &text[5..10], &text[11..23]);
    }
    visible(text)
}

/// Failed calls are red, those that blame the client yellow.
fn colour_of(row: &Row) -> Option<&'static str> {
    let is = |name: &str| row.get(name).and_then(serde_json::Value::as_bool) == Some(true);
    let status = row.get("status_code").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let error = row.get("redis_error").is_some();
    if is("failed") || status >= 500 || error {
        Some("\x1b[31m")
    } else if is("client_error") || (400..500).contains(&status) || row.get("incomplete").is_some() {
        Some("\x1b[33m")
    } else {
        None
    }
}

/// A table whose rows come one by one: the widths are fixed, a wide cell pushes its line out.
pub struct Live {
    columns: Vec<String>,
    widths: Vec<usize>,
    colour: bool,
    started: bool,
}

impl Live {
    /// A table under `columns`.
    pub fn new(columns: &[String]) -> Self {
        use std::io::IsTerminal as _;
        let widths = columns
            .iter()
            .map(|c| match c.as_str() {
                "ts" => 18,
                "protocol" | "method" => 8,
                "status_code" | "elapsed_time" | "src.port" | "dst.port" => c.len(),
                "url" | "redis_command" | "dns_questions" => 40,
                _ => LIVE_WIDTH.max(c.len()),
            })
            .collect();
        Self { columns: columns.to_vec(), widths, colour: io::stdout().is_terminal(), started: false }
    }

    /// Writes one row, and the header before the first.
    pub fn row(&mut self, out: &mut impl io::Write, row: &Row) -> io::Result<()> {
        if !std::mem::replace(&mut self.started, true) {
            let header: Vec<&str> = self.columns.iter().map(String::as_str).collect();
            line(out, &header, &self.widths, if self.colour { Some("\x1b[1m") } else { None })?;
        }
        let cells: Vec<String> = self.columns.iter().map(|c| pretty(c, &cell(row, c))).collect();
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        line(out, &cells, &self.widths, if self.colour { colour_of(row) } else { None })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(rows: &[serde_json::Value], columns: &[&str], width: Option<usize>) -> String {
        let rows: Vec<Row> = rows.iter().map(|r| r.as_object().cloned().unwrap()).collect();
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let mut out = Vec::new();
        write(&mut out, &rows, &columns, width, false).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_fit_and_empty_columns_are_left_out() {
        let rows = [json!({"a": "x".repeat(100), "b": "ü".repeat(50), "c": 1}), json!({"a": "y", "c": 22})];
        let text = show(&rows, &["a", "b", "c", "d"], Some(60));
        for line in text.lines() {
            assert!(line.width() <= 60, "{line}");
        }
        assert!(text.contains('…') && !text.contains('d'), "{text}");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        let text = show(&[json!({"a": "x".repeat(500)})], &["a"], None);
        assert!(text.contains(&"x".repeat(500)));
    }

    #[test]
    fn captured_text_cannot_move_the_cursor() {
        let text = show(&[json!({"a": "\u{1b}[2J\nboo\u{202e}"})], &["a"], None);
        assert_eq!(text, "a\n\\u{1b}[2J\\nboo\\u{202e}\n");
    }

    #[test]
    fn times_are_short() {
        let text = show(&[json!({"ts": "2026-11-21T04:40:49.123456789Z"})], &["ts"], None);
        assert_eq!(text, "ts\n11-21 04:40:49.123\n");
    }
}
