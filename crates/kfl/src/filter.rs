//! A compiled filter.

use std::collections::BTreeSet;

use remora_model::{FieldId, Protocol, Timestamp};
use serde::Serialize;

use crate::{Diagnostic, Expr};

/// The table whose rows a filter is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// API calls.
    Calls,
    /// Transport connections.
    Flows,
}

/// The instants that `from <= ts` and `ts < until` allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first instant, if there is a first one.
    pub from: Option<Timestamp>,
    /// The instant after the last one, if there is a last one.
    pub until: Option<Timestamp>,
}

/// A filter that was parsed and type-checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    /// The table it was compiled for.
    pub target: Target,
    /// What it means: an expression of type bool. The empty filter is the literal `true`.
    pub expr: Expr,
    /// The same as text in one spelling, with names, cases and times resolved; empty for the empty
    /// filter. It compiles to an equal `expr`.
    pub normalised: String,
    /// Every field that it looks at.
    pub fields: BTreeSet<FieldId>,
    /// Warnings and notes.
    pub warnings: Vec<Diagnostic>,
    /// The protocols outside which no call can match; `None` when it rules none out (and for
    /// flows). An empty set means that nothing can match.
    pub protocols: Option<BTreeSet<Protocol>>,
    /// The range of `ts` outside which no row can match; `None` when it does not bound it.
    pub time_range: Option<TimeRange>,
}

impl Filter {
    /// True when every row matches.
    pub fn is_empty(&self) -> bool {
        self.expr == Expr::Literal(crate::Literal::Bool(true))
    }
}
