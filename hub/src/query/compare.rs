//! What changed between two windows: endpoints that are new or gone, errors, latencies and volumes
//! that moved, the most telling first.

mod change;

use std::collections::HashMap;

use remora_kfl::{Filter, Target};
use remora_model::{FieldId, FieldType, field};
use remora_store::{Rank, StatsQuery};
use serde_json::{Map, Value, json};

use self::change::{Measured, changes};
use super::request::CompareRequest;
use super::window::Window;
use super::{Answer, Query, QueryError, compile, json_rows, limit, now, resolve};

/// What is compared when the request does not say: an endpoint.
const ENDPOINT: &[FieldId] = &[field::PROTOCOL, field::DST_NAME, field::METHOD, field::PATH];

/// Groups of one window that are looked at.
const GROUPS: usize = 5_000;

type Row = Map<String, Value>;

impl Query {
    /// What is different in a window from another one.
    ///
    /// # Errors
    /// An argument or filter that is wrong, or a store that cannot answer.
    pub async fn compare(&self, request: &CompareRequest) -> Result<Answer, QueryError> {
        let at = now();
        let mut window = Window::parse(request.since.as_deref(), request.until.as_deref(), at)?;
        // What has not happened yet is not part of a rate.
        window.to = window.to.min(at);
        let before = match (request.baseline_since.as_deref(), request.baseline_until.as_deref()) {
            (None, None) => {
                let length = window.to.0.saturating_sub(window.from.0);
                let from = remora_model::Timestamp(window.from.0.saturating_sub(length));
                Window { from, to: window.from }
            }
            (Some(since), until) => {
                let start = window.from.to_rfc3339();
                Window::parse(Some(since), until.or(Some(&start)), at)?
            }
            (None, Some(_)) => {
                return Err(QueryError::Argument {
                    name: "baseline_since",
                    problem: "it is missing beside baseline_until".to_owned(),
                    advice: "give both, or neither for the time just before the window".to_owned(),
                });
            }
        };
        if before.from < window.to && window.from < before.to {
            return Err(QueryError::Argument {
                name: "baseline_until",
                problem: "the two windows overlap".to_owned(),
                advice: "let the baseline end where the window begins, or earlier".to_owned(),
            });
        }
        let filter = compile(request.filter.as_deref().unwrap_or_default(), Target::Calls, at)?;
        let group_by = match request.group_by.as_deref() {
            None | Some([]) => ENDPOINT.to_vec(),
            Some(names) => resolve("group_by", names, "calls", |d| d.in_calls() && d.ty != FieldType::Map)?,
        };
        let (old, new) = tokio::try_join!(
            self.measured(&filter, before, &group_by),
            self.measured(&filter, window, &group_by)
        )?;
        let mut notes: Vec<String> = filter.warnings.iter().map(ToString::to_string).collect();
        if old.more || new.more {
            notes.push(format!(
                "only the {GROUPS} busiest groups of each window are compared; narrow the filter for the others"
            ));
        }
        for (window, groups, name) in [(before, &old, "baseline"), (window, &new, "window")] {
            if groups.by_key.is_empty() {
                notes.push(format!("the {name} has no calls that match"));
                notes.extend(self.explain_empty(&filter, window).await?);
            }
        }
        let mut found = changes(&old.by_key, &new.by_key);
        let total = found.len();
        found.truncate(limit(request.limit)?);
        if found.is_empty() && !new.by_key.is_empty() && !old.by_key.is_empty() {
            notes.push("nothing changed beyond what chance explains".to_owned());
        }
        if total > found.len() {
            notes.push(format!("{total} changes in all; raise limit for the others"));
        }
        notes.push(format!("baseline: {} to {}", before.from.to_rfc3339(), before.to.to_rfc3339()));
        let names: Vec<String> = group_by.iter().map(|f| f.def().name.to_owned()).collect();
        let groups_at = |key: &str| new.groups.get(key).or_else(|| old.groups.get(key));
        let rows = found
            .into_iter()
            .map(|change| {
                let mut row = groups_at(&change.key).cloned().unwrap_or_default();
                row.insert("change".into(), change.kind.name().into());
                row.insert("what".into(), change.what.into());
                row.insert("before".into(), json!(change.before));
                row.insert("after".into(), json!(change.after));
                row.insert("calls_before".into(), change.calls[0].into());
                row.insert("calls_after".into(), change.calls[1].into());
                row
            })
            .collect();
        let mut columns = vec!["change".to_owned()];
        columns.extend(names);
        columns.extend(["what", "before", "after", "calls_before", "calls_after"].map(str::to_owned));
        Ok(Answer {
            window: Some(window),
            filter: filter.normalised.clone(),
            columns,
            rows,
            next_cursor: None,
            coverage: Some(self.coverage(window).await?),
            notes,
        })
    }

    async fn measured(
        &self,
        filter: &Filter,
        window: Window,
        group_by: &[FieldId],
    ) -> Result<Groups, QueryError> {
        let query = StatsQuery {
            filter: filter.clone(),
            window: window.into(),
            group_by: group_by.to_vec(),
            limit: GROUPS,
            rank: Rank::Count,
            bucket: None,
        };
        let stats = self.store.stats(&query).await?;
        let mut groups = Groups { more: stats.more_groups, ..Groups::default() };
        #[allow(clippy::cast_precision_loss)]
        let seconds = stats
            .rate_seconds
            .unwrap_or((window.to.0.saturating_sub(window.from.0)) as f64 / 1e9)
            .max(f64::MIN_POSITIVE);
        for row in json_rows(&stats.rows, self.reveal_secrets) {
            let group: Row = group_by
                .iter()
                .filter_map(|f| row.get_key_value(f.def().name))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            let key = Value::Object(group.clone()).to_string();
            // A group field may have the name of a measure.
            let number = |name: &str| {
                row.get(&format!("{name}_total")).or_else(|| row.get(name)).and_then(Value::as_f64)
            };
            let whole = |name: &str| number(name).map_or(0, |n| n as u64);
            let measured = Measured {
                calls: whole("count"),
                failed: whole("failed"),
                p95: number("elapsed_p95"),
                seconds,
            };
            groups.by_key.insert(key.clone(), measured);
            groups.groups.insert(key, group);
        }
        Ok(groups)
    }
}

/// The groups of one window.
#[derive(Default)]
struct Groups {
    by_key: HashMap<String, Measured>,
    groups: HashMap<String, Row>,
    more: bool,
}
