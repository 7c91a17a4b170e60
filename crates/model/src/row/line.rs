//! The fields `summary` and `outcome` of rows as they come from dissection, before a store has
//! them.

use serde_json::{Map, Value};

use crate::row::Rows;
use crate::{FieldId, Protocol, field};

/// Characters of a summary at most: a line is to be read, and the fields have all of it.
pub const SUMMARY_CHARS: usize = 256;

/// Where a line of text is taken from.
#[derive(Clone, Debug)]
pub struct Line {
    places: Vec<usize>,
    /// All that have a value, joined by a space; otherwise the first that has one.
    joined: bool,
}

impl Line {
    /// The line that the field `id` is in calls of `protocol`; `None` for any other field than
    /// [`field::SUMMARY`] and [`field::OUTCOME`]. `index` finds a column of the batch by name.
    pub fn new(
        id: FieldId,
        protocol: Protocol,
        rows: &Rows<'_>,
        index: impl Fn(&str) -> Option<usize>,
    ) -> Option<Self> {
        let fields = match id {
            field::SUMMARY => protocol.summary(),
            field::OUTCOME => protocol.outcome(),
            _ => return None,
        };
        let places = fields.iter().filter_map(|f| rows.find(index(f.def().name)?)).collect();
        Some(Self { places, joined: id == field::SUMMARY })
    }

    /// True for the fields that any line is made of, and the one that says how.
    pub fn is_part(name: &str) -> bool {
        let of = |p: &Protocol| p.summary().iter().chain(p.outcome()).any(|f| f.def().name == name);
        name == field::PROTOCOL.def().name || Protocol::ALL.iter().any(of)
    }

    /// Appends the line of a row.
    pub fn write(&self, rows: &mut Rows<'_>, row: usize, out: &mut Vec<u8>) {
        let from = out.len();
        for place in &self.places {
            let before = out.len();
            if before > from {
                out.push(b' ');
            }
            let begin = out.len();
            rows.plain(*place, row, out);
            if out.len() == begin {
                out.truncate(before);
            } else if !self.joined {
                break;
            }
        }
        if self.joined {
            cut(out, from);
        }
    }
}

/// Adds the lines to a call as JSON.
pub fn describe(object: &mut Map<String, Value>) {
    let name = object.get(field::PROTOCOL.def().name).and_then(Value::as_str);
    let Some(protocol) = name.and_then(Protocol::from_name) else { return };
    let values = |fields: &[FieldId]| -> Vec<String> {
        let present = fields.iter().filter_map(|f| object.get(f.def().name));
        present.map(plain).filter(|text| !text.is_empty()).collect()
    };
    let mut summary = values(protocol.summary()).join(" ").into_bytes();
    cut(&mut summary, 0);
    let outcome = values(protocol.outcome()).into_iter().next().unwrap_or_default();
    let lines = [(field::SUMMARY, String::from_utf8_lossy(&summary).into_owned()), (field::OUTCOME, outcome)];
    for (id, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
        object.insert(id.def().name.to_owned(), text.into());
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Cuts what was appended after `from` to [`SUMMARY_CHARS`] characters.
fn cut(out: &mut Vec<u8>, from: usize) {
    let text = out.get(from..).unwrap_or_default();
    if text.len() <= SUMMARY_CHARS {
        return;
    }
    // A character is counted by the byte that begins it.
    let mut begins = text.iter().enumerate().filter(|(_, b)| **b & 0xc0 != 0x80);
    if let Some((at, _)) = begins.nth(SUMMARY_CHARS) {
        out.truncate(from + at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        let mut out = b"x".to_vec();
        out.extend("\u{e4}".repeat(300).bytes());
        cut(&mut out, 1);
        assert_eq!(out.len(), 1 + 2 * SUMMARY_CHARS);
    }

    #[test]
    fn a_call_is_described_by_its_protocol() {
        let text =
            r#"{"protocol":"dns","dns_questions":["a.example","b.example"],"dns_question_types":["A","MX"]}"#;
        let mut object: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        describe(&mut object);
        assert_eq!(object["summary"], "A, MX a.example, b.example");
        assert!(!object.contains_key("outcome"));
    }

    #[test]
    fn lines_are_made_of_columns_that_are_read_without_being_asked_for() {
        for p in Protocol::ALL {
            for f in p.summary().iter().chain(p.outcome()) {
                let def = f.def();
                assert!(def.storage.is_column() && def.storage != crate::Storage::Late, "{}", def.name);
                assert!(def.applies_to(*p), "{} of {}", def.name, p.name());
            }
        }
    }
}
