//! Arithmetic: types, and constants computed now so that the store can prune on them.

use super::{Checker, with_article};
use crate::{ArithOp, Diagnostic, Expr, Literal, Span, Type};
use remora_model::Timestamp;

impl Checker<'_> {
    pub(super) fn arith(
        &mut self,
        op: ArithOp,
        left: Expr,
        right: Expr,
        left_span: Span,
        right_span: Span,
        span: Span,
    ) -> Option<Expr> {
        use ArithOp::{Add, Div, Rem, Sub};
        use Type::{Duration, Int, Text, Time};
        let allowed = matches!(
            (left.ty(), op, right.ty()),
            (Int, _, Int)
                | (Text, Add, Text)
                | (Time, Add | Sub, Duration)
                | (Duration, Add, Time)
                | (Time, Sub, Time)
                | (Duration, Add | Sub, Duration)
        );
        if !allowed {
            let message = format!(
                "`{}` cannot join {} and {}",
                op.symbol(),
                with_article(left.ty()),
                with_article(right.ty())
            );
            let found = Diagnostic::error(span, message);
            return self.report(match (left.ty(), right.ty()) {
                (Time, Int) => found.help("a span of time is written duration(\"5m\")"),
                (Text, Int) => found.help(format!("string({}) makes a text of it", self.source(right_span))),
                (Int, Text) => found.help(format!("string({}) makes a text of it", self.source(left_span))),
                _ => found,
            });
        }
        if matches!(op, Div | Rem) && right == Expr::Literal(Literal::Int(0)) {
            return self.error(right_span, "division by zero");
        }
        let (Expr::Literal(a), Expr::Literal(b)) = (&left, &right) else {
            return Some(Expr::Arith { op, left: Box::new(left), right: Box::new(right) });
        };
        match fold(op, a, b) {
            Some(value) => Some(Expr::Literal(value)),
            None => self.error(span, "the result is out of range"),
        }
    }
}

/// The value of an operation on constants of types that allow it; `None` beyond 64 bits.
fn fold(op: ArithOp, a: &Literal, b: &Literal) -> Option<Literal> {
    use ArithOp::{Add, Div, Mul, Rem, Sub};
    use Literal::{Duration, Int, Text, Time};
    Some(match (a, op, b) {
        (Int(a), Add, Int(b)) => Int(a.checked_add(*b)?),
        (Int(a), Sub, Int(b)) => Int(a.checked_sub(*b)?),
        (Int(a), Mul, Int(b)) => Int(a.checked_mul(*b)?),
        (Int(a), Div, Int(b)) => Int(a.checked_div(*b)?),
        (Int(a), Rem, Int(b)) => Int(a.checked_rem(*b)?),
        (Text(a), Add, Text(b)) => Text(format!("{a}{b}")),
        (Time(t), Add, Duration(d)) | (Duration(d), Add, Time(t)) => Time(Timestamp(t.0.checked_add(*d)?)),
        (Time(t), Sub, Duration(d)) => Time(Timestamp(t.0.checked_sub(*d)?)),
        (Time(a), Sub, Time(b)) => Duration(a.0.checked_sub(b.0)?),
        (Duration(a), Add, Duration(b)) => Duration(a.checked_add(*b)?),
        (Duration(a), Sub, Duration(b)) => Duration(a.checked_sub(*b)?),
        _ => return None,
    })
}
