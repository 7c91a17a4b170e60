//! One finding: what it is, how bad, in words and numbers, with its evidence and the next step.

use serde_json::{Map, Value, json};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Worth knowing before other findings are believed.
    Info,
    /// A smell.
    Low,
    /// Hurts somebody.
    Medium,
    /// Something is broken.
    High,
}

impl Severity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A finding.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What kind, as a stable name.
    pub(super) kind: &'static str,
    /// Whom it is about: findings of one kind about the same are shown in a few lines.
    pub(super) subject: String,
    /// What is the matter, with the most telling number.
    pub(super) title: String,
    /// What it means, in plain words.
    pub(super) explanation: String,
    /// The numbers behind the words.
    pub(super) numbers: Map<String, Value>,
    /// Ids of calls that show it.
    pub(super) calls: Vec<i64>,
    /// Ids of flows that show it.
    pub(super) flows: Vec<i64>,
    /// What to do about it.
    pub(super) suggestion: &'static str,
    /// The call that looks closer.
    pub(super) next: Next,
    /// Calls or flows concerned, by which findings of one severity are ranked.
    pub(super) weight: u64,
}

/// A tool and its arguments.
#[derive(Clone, Debug, Default)]
pub(super) struct Next {
    pub(super) tool: &'static str,
    pub(super) arguments: Map<String, Value>,
}

impl Next {
    /// For tools that know no filter.
    pub(super) fn without_filter(mut self) -> Self {
        self.arguments.remove("filter");
        self
    }
}

impl Finding {
    /// A row of an answer.
    pub(super) fn row(self) -> Map<String, Value> {
        let mut row = Map::new();
        row.insert("severity".into(), self.severity.name().into());
        row.insert("kind".into(), self.kind.into());
        row.insert("title".into(), self.title.into());
        row.insert("explanation".into(), self.explanation.into());
        row.insert("numbers".into(), Value::Object(self.numbers));
        for (name, ids) in [("calls", self.calls), ("flows", self.flows)] {
            if !ids.is_empty() {
                row.insert(name.into(), json!(ids));
            }
        }
        row.insert("suggestion".into(), self.suggestion.into());
        row.insert("next_tool".into(), self.next.tool.into());
        row.insert("next_arguments".into(), Value::Object(self.next.arguments));
        row
    }
}

/// Columns of a table of findings; `numbers` repeats what the words say.
pub(super) const COLUMNS: &[&str] = &[
    "severity",
    "kind",
    "title",
    "explanation",
    "calls",
    "flows",
    "suggestion",
    "next_tool",
    "next_arguments",
];

/// Findings of one kind about the same subject that are shown.
const ALIKE: usize = 3;

/// The most telling findings first. Of many that are alike a few stay, and the last of them says how many
/// more there are.
pub(super) fn ranked(mut all: Vec<Finding>) -> Vec<Finding> {
    all.sort_by(|a, b| {
        let order = b.severity.cmp(&a.severity).then(b.weight.cmp(&a.weight));
        order.then_with(|| a.kind.cmp(b.kind)).then_with(|| a.title.cmp(&b.title))
    });
    let mut kept: Vec<Finding> = Vec::new();
    let mut more: Vec<(usize, u64)> = Vec::new();
    for finding in all {
        let alike = |f: &Finding| f.kind == finding.kind && f.subject == finding.subject;
        let same: Vec<usize> = kept.iter().enumerate().filter(|(_, f)| alike(f)).map(|(i, _)| i).collect();
        match same.get(ALIKE - 1) {
            None => kept.push(finding),
            Some(&last) => match more.iter_mut().find(|(at, _)| *at == last) {
                Some((_, n)) => *n += 1,
                None => more.push((last, 1)),
            },
        }
    }
    for (at, n) in more {
        if let Some(f) = kept.get_mut(at) {
            f.explanation.push_str(&format!(" {n} more of {} are like this.", f.subject));
            f.numbers.insert("alike".into(), n.into());
        }
    }
    kept
}

/// The ids that are there, each once.
pub(super) fn ids(all: impl IntoIterator<Item = Option<i64>>) -> Vec<i64> {
    let mut out: Vec<i64> = Vec::new();
    for id in all.into_iter().flatten() {
        if !out.contains(&id) {
            out.push(id);
        }
    }
    out
}

/// Numbers by their names.
pub(super) fn numbers<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    all.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.to_owned(), v)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, subject: &str, weight: u64) -> Finding {
        Finding {
            severity,
            kind: "failing",
            subject: subject.to_owned(),
            title: format!("{subject} {weight}"),
            explanation: "It fails.".to_owned(),
            numbers: Map::new(),
            calls: ids([Some(weight as i64), None, Some(weight as i64)]),
            flows: Vec::new(),
            suggestion: "",
            next: Next::default(),
            weight,
        }
    }

    #[test]
    fn the_worst_come_first_and_many_alike_are_few() {
        let mut all: Vec<Finding> = (0..10).map(|n| finding(Severity::Low, "a", n)).collect();
        all.push(finding(Severity::High, "b", 1));
        let kept = ranked(all);
        let titles: Vec<&str> = kept.iter().map(|f| f.title.as_str()).collect();
        assert_eq!(titles, ["b 1", "a 9", "a 8", "a 7"]);
        assert_eq!(kept.iter().map(|f| f.numbers.get("alike")).next_back(), Some(Some(&json!(7))));
        assert_eq!(kept.first().map(|f| f.calls.clone()), Some(vec![1]));
    }
}
