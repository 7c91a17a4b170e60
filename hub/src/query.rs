//! Questions and answers, the same for REST and MCP.
//!
//! Each question is checked, put to the store, and answered together with what is needed to judge
//! the answer: the window as absolute times, the filter as it was understood, and the coverage of
//! the window. An empty answer says whether there was nothing or nothing was seen.

pub mod analyze;
pub mod answer;
mod calls;
mod compare;
pub mod coverage;
mod empty;
pub mod error;
mod export;
mod fields;
mod flows;
mod map;
mod opaque;
pub mod redact;
pub mod render;
pub mod request;
mod sql;
mod stats;
mod status;
pub mod tls;
mod validate;
pub mod window;

use std::str::FromStr as _;
use std::sync::Arc;

use remora_kfl::{Filter, Target, TimeRange};
use remora_model::field::by_name;
use remora_model::{FieldDef, FieldId, Timestamp};
use remora_store::{Condition, Cursor, Store, Tail};

pub use answer::Answer;
pub use coverage::Coverage;
pub use error::QueryError;
pub use export::Selection;
pub use validate::FilterReport;
pub use window::Window;

use crate::identity::Identity;
use crate::ingest::Agents;
use crate::packets::Packets;

/// Answers questions. Shared by every server of a hub.
pub struct Query {
    pub(crate) store: Store,
    pub(crate) agents: Arc<Agents>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) started: Timestamp,
    pub(crate) reveal_secrets: bool,
    pub(crate) packets: Packets,
    needs_agent: bool,
}

impl Query {
    /// Answers from `store`, with what `agents` say of themselves. Credentials in headers are
    /// masked unless `reveal_secrets`.
    pub fn new(store: Store, agents: Arc<Agents>, identity: Arc<Identity>, reveal_secrets: bool) -> Self {
        Self {
            store,
            agents,
            identity,
            started: now(),
            reveal_secrets,
            packets: Packets::default(),
            needs_agent: false,
        }
    }

    /// Not ready before an agent has reported.
    #[must_use]
    pub fn with_agent_needed(self, needed: bool) -> Self {
        Self { needs_agent: needed, ..self }
    }

    /// Whether rows are taken and questions answered, and by then of what: the store is healthy and,
    /// where an agent is needed, one captures.
    ///
    /// # Errors
    /// What is missing.
    pub fn readiness(&self) -> Result<(), String> {
        if self.needs_agent && !self.agents.have_reported() {
            return Err("the capture has not begun".to_owned());
        }
        match self.store.metrics().condition {
            Condition::Healthy => Ok(()),
            Condition::DiskFull { reason } | Condition::SealFailing { reason } => Err(reason),
        }
    }

    /// Follows calls or flows as they arrive.
    ///
    /// # Errors
    /// When the filter does not compile or the store is closed.
    pub fn follow(&self, filter: &str, target: Target) -> Result<Tail, QueryError> {
        Ok(self.store.tail(&compile(filter, target, now())?)?)
    }
}

/// The clock of the hub.
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

pub(crate) fn compile(text: &str, target: Target, now: Timestamp) -> Result<Filter, QueryError> {
    remora_kfl::compile(text, target, now)
        .map_err(|errors| QueryError::Filter { rendered: remora_kfl::render_all(&errors, text) })
}

/// A page's cursor, and the instant that its filter is to be compiled for.
fn cursor(text: Option<&str>) -> Result<(Option<Cursor>, Timestamp), QueryError> {
    match text.map(str::trim).filter(|t| !t.is_empty()) {
        None => Ok((None, now())),
        Some(text) => {
            let cursor = Cursor::from_str(text)?;
            let as_of = cursor.as_of();
            Ok((Some(cursor), as_of))
        }
    }
}

fn limit(asked: Option<u32>) -> Result<usize, QueryError> {
    match asked {
        None => Ok(request::DEFAULT_LIMIT as usize),
        Some(n) if (1..=request::MAX_LIMIT).contains(&n) => Ok(n as usize),
        Some(n) => Err(QueryError::Argument {
            name: "limit",
            problem: format!("{n} is out of range"),
            advice: format!("ask for 1 to {} rows and go on with next_cursor", request::MAX_LIMIT),
        }),
    }
}

impl From<Window> for TimeRange {
    fn from(w: Window) -> Self {
        Self { from: Some(w.from), until: Some(w.to) }
    }
}

/// Resolves names of fields that `accept` says the table has.
fn resolve(
    argument: &'static str,
    names: &[String],
    table: &'static str,
    accept: impl Fn(&FieldDef) -> bool,
) -> Result<Vec<FieldId>, QueryError> {
    names
        .iter()
        .map(|n| n.trim())
        .filter(|n| !n.is_empty())
        .map(|name| match by_name(name) {
            Some(def) if accept(def) => Ok(def.id),
            Some(_) => Err(QueryError::Argument {
                name: argument,
                problem: format!("{table} have no field {name}"),
                advice: format!("list_fields shows the fields of {table}"),
            }),
            None => {
                let near = remora_model::field::CATALOGUE
                    .iter()
                    .filter(|d| accept(d))
                    .map(|d| (strsim::jaro_winkler(name, d.name), d.name))
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                let advice = match near {
                    Some((score, near)) if score > 0.75 => format!("did you mean {near}?"),
                    _ => "list_fields shows all".to_owned(),
                };
                Err(QueryError::Argument {
                    name: argument,
                    problem: format!("there is no field {name}"),
                    advice,
                })
            }
        })
        .collect()
}

fn names(fields: &[FieldId]) -> Vec<String> {
    fields.iter().map(|f| f.def().name.to_owned()).collect()
}

/// The rows of a page as JSON objects, credentials masked.
fn json_rows(
    batch: &arrow::array::RecordBatch,
    reveal: bool,
) -> Vec<serde_json::Map<String, serde_json::Value>> {
    (0..batch.num_rows())
        .map(|i| {
            let mut row = remora_model::row::to_json(batch, i);
            if !reveal {
                redact::row(&mut row);
            }
            row
        })
        .collect()
}
