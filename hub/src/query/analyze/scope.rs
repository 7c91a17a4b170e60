//! What is analysed: rows of a window that match a filter, asked for in SQL.

use remora_kfl::{Filter, Target, quoted};
use remora_model::Timestamp;
use remora_store::{SqlBound, SqlQuery};
use serde_json::{Map, Value};

use super::finding::Next;
use super::words::second;
use crate::query::request::AnalyzeRequest;
use crate::query::window::Window;
use crate::query::{Query, QueryError, compile, json_rows};

/// Groups that one statement answers with at most.
const GROUPS: usize = 10_000;

/// The window and filter of an analysis.
pub(super) struct Scope<'a> {
    query: &'a Query,
    pub(super) window: Window,
    pub(super) filter: Filter,
    /// The same for flows; `None` when it speaks of what only calls have.
    flows: Option<Filter>,
    since: Option<String>,
    until: Option<String>,
}

/// The answer to a statement.
pub(super) struct Found {
    pub(super) rows: Vec<Row>,
    /// There were more.
    pub(super) cut: bool,
}

/// A row of it.
#[derive(Debug, Default)]
pub(super) struct Row(pub(super) Map<String, Value>);

impl Row {
    /// A count, 0 where it is absent.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.int(name).map_or(0, |n| n.max(0).unsigned_abs())
    }

    pub(super) fn int(&self, name: &str) -> Option<i64> {
        self.0.get(name).and_then(Value::as_i64)
    }

    /// A text, empty where it is absent.
    pub(super) fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    pub(super) fn ints(&self, name: &str) -> Vec<i64> {
        let items = self.0.get(name).and_then(Value::as_array);
        items.map(|a| a.iter().filter_map(Value::as_i64).collect()).unwrap_or_default()
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(query: &'a Query, request: &AnalyzeRequest, at: Timestamp) -> Result<Self, QueryError> {
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), at)?;
        let text = request.filter.as_deref().unwrap_or_default();
        let filter = compile(text, Target::Calls, at)?;
        let flows = compile(text, Target::Flows, at).ok();
        let (since, until) = (request.since.clone(), request.until.clone());
        Ok(Self { query, window, filter, flows, since, until })
    }

    /// Whether the filter can be asked about flows.
    pub(super) fn has_flows(&self) -> bool {
        self.flows.is_some()
    }

    /// The rows of a statement over the views.
    pub(super) async fn rows(&self, text: String) -> Result<Found, QueryError> {
        self.rows_since(self.window.from, text).await
    }

    /// The same for a later part of the window.
    pub(super) async fn rows_since(&self, from: Timestamp, text: String) -> Result<Found, QueryError> {
        let query = SqlQuery {
            text,
            window: Window { from, ..self.window }.into(),
            filters: std::iter::once(self.filter.clone()).chain(self.flows.clone()).collect(),
            limit: GROUPS,
            mask: true,
        };
        let found = self.query.store.sql(&query).await?;
        let rows = json_rows(&found.rows, false).into_iter().map(Row).collect();
        Ok(Found { rows, cut: matches!(found.more, Some(SqlBound::Rows | SqlBound::Bytes)) })
    }

    /// A call that looks closer, at what matches the filter of the analysis and these conditions.
    pub(super) fn next(&self, tool: &'static str, conditions: &[String]) -> Next {
        let mut arguments = self.filtered(conditions);
        for (name, value) in [("since", &self.since), ("until", &self.until)] {
            if let Some(text) = value {
                arguments.insert(name.into(), text.as_str().into());
            }
        }
        Next { tool, arguments }
    }

    /// The same for a part of the window, in nanoseconds since the epoch.
    pub(super) fn next_between(&self, tool: &'static str, conditions: &[String], from: i64, to: i64) -> Next {
        let mut arguments = self.filtered(conditions);
        arguments.insert("since".into(), second(from).into());
        // Cut to whole seconds it would end before the last call.
        arguments.insert("until".into(), second(to.saturating_add(999_999_999)).into());
        Next { tool, arguments }
    }

    fn filtered(&self, conditions: &[String]) -> Map<String, Value> {
        let own = &self.filter.normalised;
        let bracketed =
            (!own.is_empty()).then(|| if conditions.is_empty() { own.clone() } else { format!("({own})") });
        let all: Vec<String> = bracketed.into_iter().chain(conditions.iter().cloned()).collect();
        let mut arguments = Map::new();
        if !all.is_empty() {
            arguments.insert("filter".into(), all.join(" && ").into());
        }
        arguments
    }
}

/// The condition that a field has a value; nothing for a value that is absent.
pub(super) fn is(field: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{field} == {}", quoted(value)))
}

/// Those conditions that there are.
pub(super) fn all<const N: usize>(conditions: [Option<String>; N]) -> Vec<String> {
    conditions.into_iter().flatten().collect()
}
