//! KFL, the filter language: CEL (the part that a filter can use) over the field catalogue.
//!
//! [`compile`] parses a filter, checks it against [`remora_model::field`] and gives a typed
//! expression whose every name is resolved. The crate does not run filters over tables: the store
//! lowers [`Expr`] to its query engine.
//!
//! Absence has three-valued logic: a field that a row does not have is unknown, so `status_code < 400`
//! does not match a Redis call, and neither does `!(status_code < 400)`.

mod analyse;
mod check;
pub mod diagnostic;
mod duration;
pub mod eval;
pub mod explain;
pub mod expr;
pub mod filter;
pub mod functions;
mod json;
mod lexer;
pub mod limits;
pub mod network;
mod parser;
mod print;
mod suggest;
mod syntax;

use std::collections::BTreeSet;

use remora_model::Timestamp;

pub use diagnostic::{Diagnostic, Severity, Span, render_all};
pub use eval::{Value, eval};
pub use explain::{ExplainedField, Explanation, explain};
pub use expr::{ArithOp, CompareOp, Expr, Literal, Pattern, Quantifier, TextOp, Type};
pub use filter::{Filter, Target, TimeRange};
pub use functions::{FUNCTIONS, FunctionDef};
pub use json::{JsonStep, json_value};
pub use network::Network;
pub use print::quoted;

/// Compiles a filter for one table. `now` is what `now()` stands for. Empty text (or nothing but
/// blanks and comments) matches every row.
///
/// # Errors
/// Everything that is wrong with the filter, up to [`limits::FINDINGS`] findings, each of
/// [`Severity::Error`].
pub fn compile(text: &str, target: Target, now: Timestamp) -> Result<Filter, Vec<Diagnostic>> {
    let (tree, mut found) = parser::parse(text);
    let conjuncts = match tree {
        Some(tree) => {
            let (conjuncts, more) = check::Checker::new(text, target, now).filter(&tree);
            found.extend(more);
            conjuncts
        }
        None => Some(Vec::new()),
    };
    let conjuncts = match conjuncts {
        Some(conjuncts) if found.iter().all(|d| d.severity != Severity::Error) => conjuncts,
        _ => {
            found.retain(|d| d.severity == Severity::Error);
            found.truncate(limits::FINDINGS);
            return Err(found);
        }
    };
    let everything = Expr::Literal(Literal::Bool(true));
    let expr = match conjuncts.as_slice() {
        [] => everything.clone(),
        some => check::and(some.iter().map(|(e, _)| e.clone()).collect()),
    };

    let mut fields = BTreeSet::new();
    expr.walk(&mut |e| fields.extend(e.own_field()));
    let (protocols, warning) = match target {
        Target::Calls => analyse::protocols(&expr, &conjuncts, text),
        Target::Flows => (None, None),
    };
    // A warning about a part of the condition says why, and makes this one superfluous.
    found.extend(warning.filter(|w| {
        !found.iter().any(|d| {
            d.severity == Severity::Warning && d.span.start >= w.span.start && d.span.end <= w.span.end
        })
    }));
    let whole = conjuncts.iter().map(|(_, span)| *span).reduce(Span::to).unwrap_or_default();
    let (time_range, warning) = analyse::time_range(&expr, whole);
    found.extend(warning);
    found.sort_by_key(|d| (d.severity, d.span.start));
    found.truncate(limits::FINDINGS);
    let normalised = if expr == everything { String::new() } else { print::print(&expr) };
    // Macros over constants and lists of networks are written out there. Whoever gets the normalised
    // text, as in the cursor of a page, must be able to give it back.
    if !parser::parse(&normalised).1.is_empty() {
        let message = "the filter is too long once its macros and lists are written out";
        return Err(vec![Diagnostic::error(whole, message).help("split it into several queries")]);
    }
    Ok(Filter { target, expr, normalised, fields, warnings: found, protocols, time_range })
}
