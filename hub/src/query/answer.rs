//! The shape of every answer that lists something: rows, and what is needed to judge them.

use remora_model::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::coverage::Coverage;
use super::window::Window;

/// Rows with the window they are from, what was not seen in it, and how to go on.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The window that was asked about.
    pub window: Option<Window>,
    /// The filter as it was understood; empty when there was none.
    pub filter: String,
    /// The columns of the compact rendering, in order.
    pub columns: Vec<String>,
    /// The rows. Absent values are left out.
    pub rows: Vec<Map<String, Value>>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
    /// What was captured in the window and what was not.
    pub coverage: Option<Coverage>,
    /// Warnings and advice, a sentence each.
    pub notes: Vec<String>,
}

impl Answer {
    /// The answer as JSON, for REST and for MCP's `structuredContent`.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        if let Some(w) = &self.window {
            object.insert("from".into(), w.from.to_rfc3339().into());
            object.insert("to".into(), w.to.to_rfc3339().into());
        }
        if !self.filter.is_empty() {
            object.insert("filter".into(), self.filter.clone().into());
        }
        object.insert("shown".into(), self.rows.len().into());
        object.insert("rows".into(), self.rows.iter().cloned().map(Value::Object).collect());
        if let Some(c) = &self.next_cursor {
            object.insert("next_cursor".into(), c.clone().into());
        }
        if let Some(c) = &self.coverage {
            object.insert("coverage".into(), to_value(c));
        }
        if !self.notes.is_empty() {
            object.insert("notes".into(), json!(self.notes));
        }
        Value::Object(object)
    }
}

/// Serializes what cannot fail to serialize: plain structs with text keys.
pub(crate) fn to_value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// An instant as answers show it.
pub(crate) fn instant(t: Timestamp) -> Value {
    t.to_rfc3339().into()
}
