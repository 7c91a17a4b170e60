//! The service map: who calls whom.

use remora_kfl::Target;
use remora_model::{FieldId, field};
use remora_store::{Rank, StatsQuery};

use super::request::MapRequest;
use super::window::Window;
use super::{Answer, Query, QueryError, compile, json_rows, limit, now};

/// What an edge is between, and what it speaks.
const EDGE: &[FieldId] = &[field::SRC_NAME, field::DST_NAME, field::PROTOCOL];

/// Measures of an edge that are shown.
const MEASURES: &[&str] = &[
    "count",
    "rate",
    "failed",
    "error_rate",
    "request_bytes",
    "response_bytes",
    "elapsed_p50",
    "elapsed_p95",
    "elapsed_max",
];

impl Query {
    /// The edges of the service map, the busiest first.
    ///
    /// # Errors
    /// An argument or filter that is wrong, or a store that cannot answer.
    pub async fn service_map(&self, request: &MapRequest) -> Result<Answer, QueryError> {
        let at = now();
        let window = Window::parse(request.since.as_deref(), request.until.as_deref(), at)?;
        let filter = compile(request.filter.as_deref().unwrap_or_default(), Target::Calls, at)?;
        let query = StatsQuery {
            filter,
            window: window.into(),
            group_by: EDGE.to_vec(),
            limit: limit(request.limit)?,
            rank: Rank::Count,
            bucket: None,
        };
        let stats = self.store.stats(&query).await?;
        let mut rows = json_rows(&stats.rows, self.reveal_secrets);
        let shown = |name: &str| EDGE.iter().any(|f| f.def().name == name) || MEASURES.contains(&name);
        for row in &mut rows {
            row.retain(|name, _| shown(name));
        }
        let names = EDGE.iter().map(|f| f.def().name).chain(MEASURES.iter().copied());
        let columns = names.map(str::to_owned).collect();
        let mut answer = Answer {
            window: Some(window),
            filter: query.filter.normalised.clone(),
            columns,
            rows,
            next_cursor: None,
            coverage: Some(self.coverage(window).await?),
            notes: query.filter.warnings.iter().map(ToString::to_string).collect(),
        };
        if stats.more_groups {
            answer.notes.push("there are more edges; raise limit or narrow the filter".to_owned());
        }
        if answer.rows.is_empty() {
            let why = self.explain_empty(&query.filter, window).await?;
            answer.notes.extend(why);
        }
        Ok(answer)
    }
}
