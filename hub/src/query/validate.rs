//! What a filter means, without running it.

use std::fmt::Write as _;
use std::time::Duration;

use remora_kfl::{Diagnostic, Target, TimeRange};
use serde_json::{Value, json};

use super::answer::to_value;
use super::request::{TableArgument, ValidateRequest};
use super::{Query, QueryError, now};

/// What a check found.
#[derive(Clone, Debug)]
pub struct FilterReport {
    /// True when the filter can be used.
    pub valid: bool,
    /// The filter as it was understood.
    pub normalised: String,
    /// Names and types of the fields that it reads.
    pub fields: Vec<(&'static str, &'static str)>,
    /// Protocols outside which nothing can match.
    pub protocols: Option<Vec<&'static str>>,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
    /// What is doubtful.
    pub warnings: Vec<Diagnostic>,
    /// Most rows of the last hour that it would look at.
    pub estimated_rows: Option<u64>,
    /// All of it as text.
    pub text: String,
}

impl FilterReport {
    /// The report as JSON.
    pub fn to_json(&self) -> Value {
        let fields: Vec<Value> =
            self.fields.iter().map(|(name, ty)| json!({ "name": name, "type": ty })).collect();
        let mut v = json!({
            "valid": self.valid,
            "fields": fields,
            "errors": to_value(&self.errors),
            "warnings": to_value(&self.warnings),
        });
        if let Value::Object(o) = &mut v {
            if self.valid {
                o.insert("normalised".into(), self.normalised.clone().into());
            }
            if let Some(p) = &self.protocols {
                o.insert("protocols".into(), json!(p));
            }
            if let Some(n) = self.estimated_rows {
                o.insert("estimated_rows".into(), n.into());
            }
        }
        v
    }

    /// Checks `text` without a store; [`Query::validate`] adds the estimate.
    pub fn check(text: &str, target: Target) -> (Self, Option<remora_kfl::Filter>) {
        match remora_kfl::compile(text, target, now()) {
            Err(errors) => {
                let rendered = remora_kfl::render_all(&errors, text);
                let report = Self {
                    valid: false,
                    normalised: String::new(),
                    fields: Vec::new(),
                    protocols: None,
                    errors,
                    warnings: Vec::new(),
                    estimated_rows: None,
                    text: rendered,
                };
                (report, None)
            }
            Ok(filter) => {
                let fields: Vec<_> =
                    filter.fields.iter().map(|f| (f.def().name, f.def().ty.name())).collect();
                let protocols =
                    filter.protocols.as_ref().map(|set| set.iter().map(|p| p.name()).collect::<Vec<_>>());
                let mut out = String::from("valid\n");
                if filter.is_empty() {
                    out.push_str("matches everything\n");
                } else {
                    _ = writeln!(out, "means: {}", filter.normalised);
                }
                for (name, ty) in &fields {
                    _ = writeln!(out, "reads {name}: {ty}");
                }
                if let Some(p) = &protocols {
                    _ = writeln!(
                        out,
                        "only {} can match",
                        if p.is_empty() { "nothing".to_owned() } else { p.join(", ") }
                    );
                }
                if !filter.warnings.is_empty() {
                    _ = writeln!(out, "{}", remora_kfl::render_all(&filter.warnings, text));
                }
                let report = Self {
                    valid: true,
                    normalised: filter.normalised.clone(),
                    fields,
                    protocols,
                    errors: Vec::new(),
                    warnings: filter.warnings.clone(),
                    estimated_rows: None,
                    text: out,
                };
                (report, Some(filter))
            }
        }
    }
}

impl Query {
    /// Checks a filter and estimates what it would look at in the last hour.
    ///
    /// # Errors
    /// Only when the store cannot answer: a wrong filter is a finding, not an error.
    pub async fn validate(&self, request: &ValidateRequest) -> Result<FilterReport, QueryError> {
        let target = match request.table.unwrap_or_default() {
            TableArgument::Calls => Target::Calls,
            TableArgument::Flows => Target::Flows,
        };
        let (mut report, filter) = FilterReport::check(&request.filter, target);
        if let Some(filter) = filter {
            let hour = TimeRange { from: Some(now().minus(Duration::from_secs(3600))), until: None };
            let estimate = self.store.count_estimate(&filter, hour)?;
            report.estimated_rows = Some(estimate.max_rows);
            _ = writeln!(report.text, "looks at up to {} rows of the last hour", estimate.max_rows);
        }
        Ok(report)
    }
}
