//! `==`, `<` and their kin, and `in`.

use super::{Checker, legacy, or, with_article};
use crate::print::brief_text;
use crate::syntax::{Kind, Node};
use crate::{CompareOp, Diagnostic, Expr, Literal, Span, Type};

impl Checker<'_> {
    pub(super) fn compare(&mut self, op: CompareOp, left: &Node, right: &Node, span: Span) -> Option<Expr> {
        match (&left.kind, &right.kind) {
            (Kind::Null, _) => return self.compare_null(op, right, span),
            (_, Kind::Null) => return self.compare_null(op, left, span),
            (Kind::List(_), _) => return self.compare_list(right, left, span),
            (_, Kind::List(_)) => return self.compare_list(left, right, span),
            _ => {}
        }
        if let Some(reported) =
            self.forgotten_quotes(left, right).or_else(|| self.forgotten_quotes(right, left))
        {
            return reported;
        }
        if matches!(op, CompareOp::Eq | CompareOp::Ne)
            && let Kind::Text(text) = &right.kind
            && legacy::is_pattern(&self.source(right.span), text)
        {
            return self.compare_pattern(op, left, right);
        }
        let (l, r) = (self.any(left), self.any(right));
        let (l, r) = Self::agree(l?, r?);
        self.check_comparable(op, (&l, left.span), (&r, right.span), span)?;
        let settle = |this: &mut Self, e: Expr, other: &Expr, span: Span| match e {
            Expr::Literal(Literal::Text(t)) if matches!(op, CompareOp::Eq | CompareOp::Ne) => {
                Expr::Literal(Literal::Text(this.settle_text(other, t, span)))
            }
            e => e,
        };
        let l = settle(self, l, &r, left.span);
        let r = settle(self, r, &l, right.span);
        Some(comparison(op, l, r))
    }

    /// `path == r"^/api"`: a regular expression, as in KFL1.
    fn compare_pattern(&mut self, op: CompareOp, left: &Node, right: &Node) -> Option<Expr> {
        let (subject, pattern) = (self.text(left, "what is matched"), self.pattern(right));
        let matches = Expr::Matches { subject: Box::new(subject?), pattern: pattern? };
        let name = self.source(left.span);
        let note = Diagnostic::note(
            right.span,
            format!("read as a regular expression, as in KFL1: {name}.matches(...)"),
        );
        let _: Option<()> =
            self.report(note.help("a text that is compared as it is stands in quotation marks without an r"));
        Some(if op == CompareOp::Eq { matches } else { Expr::Not(Box::new(matches)) })
    }

    /// `method == GET`: reports the word, unless it is one that means something.
    fn forgotten_quotes(&mut self, word: &Node, beside: &Node) -> Option<Option<Expr>> {
        if !self.is_unknown_word(word) || !matches!(beside.kind, Kind::Ident(_) | Kind::Select { .. }) {
            return None;
        }
        if self.is_unknown_word(beside) || self.path(beside)?.ty() != Type::Text {
            return None;
        }
        let name = self.source(word.span);
        let found = Diagnostic::error(word.span, format!("no field is called `{name}`"));
        Some(self.report(found.help(format!("texts stand in quotation marks: \"{name}\""))))
    }

    /// `x == null` asks whether the row lacks `x`.
    fn compare_null(&mut self, op: CompareOp, node: &Node, span: Span) -> Option<Expr> {
        let has = self.presence(node)?;
        match op {
            CompareOp::Eq => Some(Expr::Not(Box::new(has))),
            CompareOp::Ne => Some(has),
            _ => self.error(span, "null has no order: only == and != make sense with it"),
        }
    }

    fn compare_list(&mut self, other: &Node, list: &Node, span: Span) -> Option<Expr> {
        let name = self.source(other.span);
        let found = Diagnostic::error(span, "lists cannot be compared");
        self.report(match &list.kind {
            Kind::List(items) if items.is_empty() => found.help(format!("did you mean size({name}) == 0?")),
            _ => found.help(format!("ask for an element: \"...\" in {name}")),
        })
    }

    fn check_comparable(
        &mut self,
        op: CompareOp,
        (l, l_span): (&Expr, Span),
        (r, r_span): (&Expr, Span),
        span: Span,
    ) -> Option<()> {
        let (lt, rt) = (l.ty(), r.ty());
        match (lt, rt) {
            (Type::List | Type::Map, _) => return self.collection_compared(l, r, l_span, r_span, span),
            (_, Type::List | Type::Map) => return self.collection_compared(r, l, r_span, l_span, span),
            (a, b) if a != b => {}
            (Type::Bool, _) if !matches!(op, CompareOp::Eq | CompareOp::Ne) => {
                return self
                    .error(span, format!("bools have no order: `{}` makes no sense here", op.symbol()));
            }
            _ => return Some(()),
        }
        let ((field, f_span), (other, o_span)) = if matches!(l, Expr::Literal(_)) {
            ((r, r_span), (l, l_span))
        } else {
            ((l, l_span), (r, r_span))
        };
        let (name, shown) = (self.source(f_span), self.source(o_span));
        let message = format!(
            "{} is {}, and {} is {}",
            self.quote(f_span),
            with_article(field.ty()),
            self.quote(o_span),
            with_article(other.ty())
        );
        let found = Diagnostic::error(span, message);
        self.report(match (field.ty(), other) {
            (Type::Int, Expr::Literal(Literal::Text(t))) if t.trim().parse::<i64>().is_ok() => {
                found.help(format!("compare it with a number: {name} {} {}", op.symbol(), t.trim()))
            }
            (Type::Int, Expr::Literal(Literal::Duration(d))) if name.contains("time") || name == "ttlb" => {
                found.help(format!("it counts microseconds: {name} {} {}", op.symbol(), d / 1_000))
            }
            (Type::Int, Expr::Literal(_)) => found.help("compare it with a number"),
            (Type::Text, Expr::Literal(Literal::Int(n))) => {
                found.help(format!("put the number in quotation marks: {name} {} \"{n}\"", op.symbol()))
            }
            (Type::Time, Expr::Literal(Literal::Text(t))) => found.help(format!(
                "an instant is written timestamp({}) or now() - duration(\"5m\")",
                if remora_model::Timestamp::parse_rfc3339(t).is_some() {
                    brief_text(t)
                } else {
                    "\"2026-11-21T04:40:49Z\"".to_owned()
                }
            )),
            (Type::Time, Expr::Literal(Literal::Duration(_))) => {
                found.help(format!("did you mean now() - {shown}?"))
            }
            (Type::Bool, Expr::Literal(Literal::Text(_) | Literal::Int(_))) => {
                found.help(format!("it is a condition already: {name}, or !{name}"))
            }
            (Type::Text, _) if other.ty() == Type::Int => {
                found.help(format!("int({name}) makes a number of it"))
            }
            (Type::Int, _) if other.ty() == Type::Text => {
                found.help(format!("int({shown}) makes a number of it"))
            }
            _ => found,
        })
    }

    fn collection_compared(
        &mut self,
        list: &Expr,
        other: &Expr,
        list_span: Span,
        other_span: Span,
        span: Span,
    ) -> Option<()> {
        let (name, shown) = (self.source(list_span), self.source(other_span));
        let message =
            format!("{} is {}, it cannot be compared", self.quote(list_span), with_article(list.ty()));
        let found = Diagnostic::error(span, message);
        self.report(match (list.ty(), other.ty()) {
            (Type::List, Type::Text) => found.help(format!("ask for an element: {shown} in {name}")),
            (_, Type::Int) => found.help(format!("count its elements: size({name})")),
            (Type::Map, _) => found.help(format!("compare one of its values: {name}[\"...\"]")),
            _ => found,
        })
    }

    /// `needle in haystack`
    pub(super) fn is_in(&mut self, needle: &Node, haystack: &Node, span: Span) -> Option<Expr> {
        if let Kind::List(items) = &haystack.kind {
            return self.in_list(needle, items, haystack.span);
        }
        let collection = self.any(haystack);
        let Expr::Field(id) = collection? else {
            return self.in_what(haystack);
        };
        let name = id.def().name;
        match Expr::Field(id).ty() {
            Type::List => {
                let needle_expr = self.text(needle, &format!("an element of `{name}`"))?;
                let needle = match needle_expr {
                    Expr::Literal(Literal::Text(t)) => {
                        // Elements follow the rule of their field.
                        let t = self.settle_text(&Expr::Field(id), t, needle.span);
                        Expr::Literal(Literal::Text(t))
                    }
                    other => other,
                };
                Some(Expr::InList { needle: Box::new(needle), list: id })
            }
            Type::Map => {
                let key = self.constant_text(needle, &format!("a key of `{name}`"))?;
                let key = self.settle_key(id, &key, needle.span);
                Some(Expr::HasKey { map: id, key })
            }
            Type::Text => {
                let shown = self.source(needle.span);
                let found = Diagnostic::error(
                    span,
                    format!("`{name}` is a string, and `in` looks into lists and maps"),
                );
                self.report(found.help(format!("did you mean {name}.contains({shown})?")))
            }
            _ => self.in_what(haystack),
        }
    }

    fn in_what<T>(&mut self, haystack: &Node) -> Option<T> {
        let message = format!("`in` looks into lists and maps, and {} is neither", self.quote(haystack.span));
        self.error(haystack.span, message)
    }

    fn in_list(&mut self, needle: &Node, items: &[Node], list_span: Span) -> Option<Expr> {
        if items.is_empty() {
            return self.error(list_span, "the list is empty: nothing is in it");
        }
        let needle_expr = self.any(needle);
        let checked: Vec<_> = items.iter().map(|n| Some((self.any(n)?, n.span))).collect();
        let mut needle_expr = needle_expr?;
        let checked: Vec<(Expr, Span)> = checked.into_iter().collect::<Option<_>>()?;
        if let Some((first, _)) = checked.first() {
            needle_expr = Self::agree(needle_expr, first.clone()).0;
        }
        let mut set = Vec::new();
        let mut computed = Vec::new();
        for (item, span) in checked {
            self.check_comparable(CompareOp::Eq, (&needle_expr, needle.span), (&item, span), span)?;
            match item {
                Expr::Literal(Literal::Text(t)) => {
                    let literal = Literal::Text(self.settle_text(&needle_expr, t, span));
                    if !set.contains(&literal) {
                        set.push(literal);
                    }
                }
                Expr::Literal(literal) if !set.contains(&literal) => set.push(literal),
                Expr::Literal(_) => {}
                item => computed.push(item),
            }
        }
        // Elements that are no constants become comparisons of their own.
        let mut all: Vec<Expr> = computed
            .into_iter()
            .map(|item| {
                let needle = match needle_expr.clone() {
                    Expr::Literal(Literal::Text(t)) => {
                        Expr::Literal(Literal::Text(self.settle_text(&item, t, needle.span)))
                    }
                    other => other,
                };
                comparison(CompareOp::Eq, needle, item)
            })
            .collect();
        if !set.is_empty() {
            all.push(Expr::InSet { needle: Box::new(needle_expr), set });
        }
        Some(or(all))
    }
}

/// A comparison of checked sides, in its one form: a constant on the right, and none with a bool
/// constant (`tls == true` is `tls`, in three-valued logic too).
fn comparison(op: CompareOp, left: Expr, right: Expr) -> Expr {
    let (op, l, r) = match (&left, &right) {
        (Expr::Literal(_), Expr::Literal(_)) => (op, left, right),
        (Expr::Literal(_), _) => (op.flipped(), right, left),
        _ => (op, left, right),
    };
    match (op, l, r) {
        (CompareOp::Eq, l, Expr::Literal(Literal::Bool(true)))
        | (CompareOp::Ne, l, Expr::Literal(Literal::Bool(false))) => l,
        (CompareOp::Eq, l, Expr::Literal(Literal::Bool(false)))
        | (CompareOp::Ne, l, Expr::Literal(Literal::Bool(true))) => Expr::Not(Box::new(l)),
        (op, l, r) => Expr::Compare { op, left: Box::new(l), right: Box::new(r) },
    }
}
