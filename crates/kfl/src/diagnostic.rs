//! What is wrong with a filter, where, and what to do about it.

use serde::Serialize;

/// A place in a filter's text, in bytes: `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

impl Span {
    /// The place from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The smallest place that holds both.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The filter is refused.
    Error,
    /// The filter is accepted and is hardly what was meant: nothing can match, for example.
    Warning,
    /// The filter was understood in a way worth knowing: a header's name in lower case, for example.
    Note,
}

impl Severity {
    /// Its name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One finding about a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// Where it is.
    pub span: Span,
    /// What it is, in one line without a final dot.
    pub message: String,
    /// What to write instead, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

/// Characters of a line that are shown around a place; the rest of a long line becomes `…`.
const WINDOW: usize = 100;

impl Diagnostic {
    pub(crate) fn error(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span, message: message.into(), help: None }
    }

    pub(crate) fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    pub(crate) fn note(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(span, message) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message with the line of `text` that it is about and a row of `^` below the place:
    ///
    /// ```text
    /// error: no field is called `status`
    ///   | http && status == 500
    ///   |         ^^^^^^
    ///   = help: did you mean `status_code`?
    /// ```
    ///
    /// `text` must be the text that was compiled. There is no newline at the end.
    pub fn render(&self, text: &str) -> String {
        let start = floor_char_boundary(text, self.span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let end = floor_char_boundary(text, self.span.end).clamp(start, line_end);

        let before = text[line_start..start].chars().count();
        let marked = text[start..end].chars().count().max(1);
        let mut line: Vec<char> = text[line_start..line_end].chars().map(printable).collect();
        let (mut column, mut width) = (before, marked);
        if line.len() > WINDOW {
            let first = before.saturating_sub(WINDOW / 3).min(line.len() - WINDOW);
            let last = first + WINDOW;
            let cut_end = last < line.len();
            line.truncate(last);
            line.drain(..first);
            column = before - first;
            if first > 0 {
                line.insert(0, '…');
                column += 1;
            }
            width = width.min(line.len().saturating_sub(column)).max(1);
            if cut_end {
                line.push('…');
            }
        }
        let line: String = line.into_iter().collect();
        let label = if text.trim_end().contains('\n') {
            (text[..line_start].matches('\n').count() + 1).to_string()
        } else {
            String::new()
        };
        let pad = label.len().max(1);

        let mut out = format!("{}: {}\n", self.severity.name(), self.message);
        out.push_str(&format!(" {label:>pad$} | {}\n", line.trim_end()));
        out.push_str(&format!(" {:>pad$} | {}{}", "", " ".repeat(column), "^".repeat(width)));
        if let Some(help) = &self.help {
            out.push_str(&format!("\n {:>pad$} = help: {help}", ""));
        }
        out
    }
}

/// Renders every one of them, with a blank line between.
pub fn render_all(diagnostics: &[Diagnostic], text: &str) -> String {
    diagnostics.iter().map(|d| d.render(text)).collect::<Vec<_>>().join("\n\n")
}

/// Control characters would move the line away from its marks.
fn printable(c: char) -> char {
    if c == '\t' {
        ' '
    } else if c.is_control() {
        '\u{fffd}'
    } else {
        c
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
