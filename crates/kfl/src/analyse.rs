//! What a filter implies: the protocols and the times outside which nothing can match.

use std::collections::BTreeSet;

use remora_model::{Protocol, Timestamp, field};

use crate::check::Conjunct;
use crate::{CompareOp, Diagnostic, Expr, Literal, TimeRange};

/// The answers that a condition may have: a set of true, false and unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Answers {
    yes: bool,
    no: bool,
    unknown: bool,
}

impl Answers {
    const ANY: Self = Self { yes: true, no: true, unknown: true };
    const UNKNOWN: Self = Self { yes: false, no: false, unknown: true };

    const fn exactly(value: bool) -> Self {
        Self { yes: value, no: !value, unknown: false }
    }

    const fn not(self) -> Self {
        Self { yes: self.no, no: self.yes, unknown: self.unknown }
    }

    fn all(answers: impl Iterator<Item = Self>) -> Self {
        let (mut yes, mut no, mut not_no, mut unknown) = (true, false, true, false);
        for a in answers {
            yes &= a.yes;
            no |= a.no;
            not_no &= a.yes || a.unknown;
            unknown |= a.unknown;
        }
        Self { yes, no, unknown: not_no && unknown }
    }
}

/// True when calls of `protocol` never have the value, so that what is made of it is unknown.
fn absent(expr: &Expr, protocol: Protocol) -> bool {
    match expr {
        Expr::MapValueOr { .. } | Expr::If { .. } | Expr::Has(_) | Expr::And(_) | Expr::Or(_) => false,
        Expr::Quantified { over, .. } => !over.def().applies_to(protocol),
        _ => {
            let own = expr.own_field().is_some_and(|id| !id.def().applies_to(protocol));
            let mut child = false;
            expr.for_each_child(&mut |c| child |= absent(c, protocol));
            own || child
        }
    }
}

/// The answers that a condition may have on calls of `protocol`. It may say more than occur.
fn answers(expr: &Expr, protocol: Protocol) -> Answers {
    match expr {
        Expr::Literal(Literal::Bool(b)) => Answers::exactly(*b),
        Expr::And(all) => Answers::all(all.iter().map(|e| answers(e, protocol))),
        Expr::Or(all) => Answers::all(all.iter().map(|e| answers(e, protocol).not())).not(),
        Expr::Not(e) => answers(e, protocol).not(),
        Expr::Field(id) if let Some(flag) = id.def().flag_of() => Answers::exactly(protocol.is(flag)),
        Expr::Compare { op: op @ (CompareOp::Eq | CompareOp::Ne), left, right }
            if **left == Expr::Field(field::PROTOCOL)
                && let Expr::Literal(Literal::Text(name)) = &**right =>
        {
            Answers::exactly((name == protocol.name()) == (*op == CompareOp::Eq))
        }
        Expr::InSet { needle, set } if **needle == Expr::Field(field::PROTOCOL) => {
            Answers::exactly(set.iter().any(|l| matches!(l, Literal::Text(name) if name == protocol.name())))
        }
        Expr::Has(id) if !id.def().applies_to(protocol) => Answers::exactly(false),
        Expr::Has(_) => Answers { unknown: false, ..Answers::ANY },
        Expr::If { condition, then, otherwise } => {
            let c = answers(condition, protocol);
            let (t, o) = (answers(then, protocol), answers(otherwise, protocol));
            Answers {
                yes: (c.yes && t.yes) || (c.no && o.yes),
                no: (c.yes && t.no) || (c.no && o.no),
                unknown: c.unknown || (c.yes && t.unknown) || (c.no && o.unknown),
            }
        }
        other if absent(other, protocol) => Answers::UNKNOWN,
        _ => Answers::ANY,
    }
}

/// The protocols of which a call can match.
fn possible(expr: &Expr) -> BTreeSet<Protocol> {
    Protocol::ALL.iter().copied().filter(|p| answers(expr, *p).yes).collect()
}

fn names(protocols: &BTreeSet<Protocol>) -> String {
    protocols.iter().map(|p| p.name()).collect::<Vec<_>>().join(" or ")
}

/// The protocols outside which no call matches, and a warning when that leaves none.
pub(crate) fn protocols(
    whole: &Expr,
    conjuncts: &[Conjunct],
    text: &str,
) -> (Option<BTreeSet<Protocol>>, Option<Diagnostic>) {
    let all = possible(whole);
    if all.len() == Protocol::ALL.len() {
        return (None, None);
    }
    if !all.is_empty() {
        return (Some(all), None);
    }
    // Name the two conditions that exclude each other, where it is two.
    let each: Vec<_> = conjuncts.iter().map(|(e, span)| (possible(e), *span)).collect();
    let quote = |span: crate::Span| crate::print::brief(text.get(span.start..span.end).unwrap_or_default());
    let pair = each.iter().enumerate().find_map(|(i, (b, b_span))| {
        each[..i].iter().find(|(a, _)| a.is_disjoint(b)).map(|(a, a_span)| (a, *a_span, b, *b_span))
    });
    let warning = match pair {
        Some((a, a_span, b, b_span)) if !a.is_empty() && !b.is_empty() => {
            let message = format!("nothing can match: this holds for {} calls only", names(b));
            Diagnostic::warning(b_span, message).help(format!(
                "`{}` holds for {} only",
                quote(a_span),
                names(a)
            ))
        }
        _ => {
            let culprit = each.iter().find(|(p, _)| p.is_empty()).or(each.first());
            let span = culprit.map_or(crate::Span::new(0, text.len()), |(_, span)| *span);
            Diagnostic::warning(span, "nothing can match: no protocol has calls for which this holds")
        }
    };
    (Some(all), Some(warning))
}

/// The bounds that a condition puts on `ts` when it is true.
fn bounds(expr: &Expr) -> TimeRange {
    match expr {
        Expr::Compare { op, left, right }
            if **left == Expr::Field(field::TS)
                && let Expr::Literal(Literal::Time(t)) = **right =>
        {
            // The last instant of all has none after it: it bounds nothing.
            let after = t.0.checked_add(1).map(Timestamp);
            match op {
                CompareOp::Eq => TimeRange { from: Some(t), until: after },
                CompareOp::Ne => TimeRange::default(),
                CompareOp::Lt => TimeRange { from: None, until: Some(t) },
                CompareOp::Le => TimeRange { from: None, until: after },
                CompareOp::Gt => TimeRange { from: after, until: None },
                CompareOp::Ge => TimeRange { from: Some(t), until: None },
            }
        }
        Expr::And(all) => all.iter().map(bounds).fold(TimeRange::default(), |a, b| TimeRange {
            from: a.from.max(b.from),
            until: match (a.until, b.until) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        }),
        Expr::Or(all) => all
            .iter()
            .map(bounds)
            .reduce(|a, b| TimeRange {
                from: a.from.min(b.from),
                until: match (a.until, b.until) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    _ => None,
                },
            })
            .unwrap_or_default(),
        _ => TimeRange::default(),
    }
}

/// The range of `ts` outside which no row matches, and a warning when it is empty.
pub(crate) fn time_range(whole: &Expr, span: crate::Span) -> (Option<TimeRange>, Option<Diagnostic>) {
    let range = bounds(whole);
    let warning = match (range.from, range.until) {
        (None, None) => return (None, None),
        (Some(from), Some(until)) if from >= until => {
            Some(Diagnostic::warning(span, "nothing can match: no instant lies between the bounds on ts"))
        }
        _ => None,
    };
    (Some(range), warning)
}
