//! What one contestant answered, and whether two of them agree.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::lines;
use crate::bench::sample::Sample;

/// All that one contestant answered.
pub(super) struct Answers {
    pub(super) all: Vec<Answer>,
    /// The most memory that it had resident, in bytes.
    pub(super) memory: f64,
}

/// One question's answer and how long it took, in milliseconds.
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) cold: f64,
    pub(super) warm: Sample,
    pub(super) answer: Value,
}

impl Answers {
    /// Reads the lines that a contestant prints.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut answers = Self { all: Vec::new(), memory: 0.0 };
        for line in lines(text)? {
            if let Some(bytes) = line["memory"].as_f64() {
                answers.memory = bytes;
                continue;
            }
            let mut warm = Sample::default();
            line["warm"]
                .as_array()
                .context("no warm times")?
                .iter()
                .filter_map(Value::as_f64)
                .for_each(|t| warm.add(t));
            answers.all.push(Answer {
                name: line["name"].as_str().context("no name")?.to_owned(),
                cold: line["cold"].as_f64().context("no cold time")?,
                warm,
                answer: line["answer"].clone(),
            });
        }
        Ok(answers)
    }
}

/// Whether two answers are the same: rows of a page in their order, groups in any. Of groups cut off at a number of
/// them, those with equal counts at the edge may be others, so that of twenty groups only the counts are compared.
pub(super) fn agree(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_array(), b.as_array()) else { return false };
    let sorted = |rows: &[Value]| {
        let mut texts: Vec<String> = match rows.len() {
            20 => rows.iter().map(|r| r.get(0).unwrap_or(r).to_string()).collect(),
            _ => rows.iter().map(Value::to_string).collect(),
        };
        texts.sort_unstable();
        texts
    };
    match a.first() {
        Some(Value::Array(_)) => sorted(a) == sorted(b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::agree;

    #[test]
    fn pages_have_an_order_and_groups_have_none() {
        assert!(agree(&json!([3, 2, 1]), &json!([3, 2, 1])));
        assert!(!agree(&json!([3, 2, 1]), &json!([1, 2, 3])));
        assert!(agree(&json!([[1, 2], [3, 4]]), &json!([[3, 4], [1, 2]])));
        assert!(!agree(&json!([[1, 2], [3, 4]]), &json!([[3, 4], [1, 5]])));
        assert!(agree(&json!([]), &json!([])));
        assert!(!agree(&json!([]), &json!([1])));
    }
}
