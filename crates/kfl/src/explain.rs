//! What a filter says, for `remora kfl check` and the tool `validate_filter`.

use remora_model::Storage;
use serde::Serialize;

use crate::{Diagnostic, Filter, Target, print};

/// One field of a filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedField {
    /// Its name.
    pub name: &'static str,
    /// Its type, as CEL writes it.
    #[serde(rename = "type")]
    pub ty: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// A filter in words and parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The table it is about.
    pub target: Target,
    /// The filter in one spelling.
    pub normalised: String,
    /// The fields it looks at.
    pub fields: Vec<ExplainedField>,
    /// The protocols outside which nothing matches; absent when it rules none out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<&'static str>>,
    /// The first instant that can match, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The instant after the last one that can match, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// True when it reads bodies, which costs more than other fields.
    pub reads_bodies: bool,
    /// Warnings and notes.
    pub warnings: Vec<Diagnostic>,
}

/// Takes a filter apart.
pub fn explain(filter: &Filter) -> Explanation {
    let defs = || filter.fields.iter().map(|id| id.def());
    Explanation {
        target: filter.target,
        normalised: filter.normalised.clone(),
        fields: defs()
            .map(|d| ExplainedField { name: d.name, ty: d.ty.name(), meaning: d.meaning })
            .collect(),
        protocols: filter.protocols.as_ref().map(|p| p.iter().map(|p| p.name()).collect()),
        from: filter.time_range.and_then(|r| r.from).map(print::instant),
        until: filter.time_range.and_then(|r| r.until).map(print::instant),
        reads_bodies: defs().any(|d| d.storage == Storage::Late),
        warnings: filter.warnings.clone(),
    }
}
