//! `json(response.body).error.code`: a value inside a text.

use super::{Checker, with_article};
use crate::syntax::{Kind, Node};
use crate::{Diagnostic, Expr, JsonStep, Literal, Span, Type};

/// Steps of one way: enough for any document, and a bound for a filter's own sake.
const STEPS: usize = 32;

/// The call of `json` at the beginning of a way, and the nodes of the way.
fn way(node: &Node) -> Option<(&Node, Vec<&Node>)> {
    let mut steps = Vec::new();
    let mut at = node;
    loop {
        match &at.kind {
            Kind::Select { of, .. } | Kind::Index { of, .. } => {
                steps.push(at);
                at = of;
            }
            Kind::Call { name, .. } if name == "json" => {
                steps.reverse();
                return Some((at, steps));
            }
            _ => return None,
        }
    }
}

impl Checker<'_> {
    /// True of `json(...)` and of what follows it with points and brackets.
    pub(super) fn is_json(node: &Node) -> bool {
        way(node).is_some()
    }

    /// The value that such a node stands for.
    pub(super) fn json(&mut self, node: &Node) -> Option<Expr> {
        let (call, steps) = way(node)?;
        let Kind::Call { receiver, args, .. } = &call.kind else { return None };
        // A method's receiver is its first argument: KFL1 writes `response.body.json().error`.
        let all: Vec<&Node> = receiver.as_deref().into_iter().chain(args).collect();
        let [of] = all[..] else {
            let found = Diagnostic::error(call.span, "json() takes one text");
            return self.report(found.help("for example json(response.body).error.code"));
        };
        let text = self.text(of, "what json() reads")?;
        if matches!(text, Expr::Literal(_)) {
            return self.error(of.span, "json() reads a field, not a constant");
        }
        if steps.len() > STEPS {
            return self.error(node.span, format!("the way has more than {STEPS} steps"));
        }
        let mut path = Vec::with_capacity(steps.len());
        for step in steps {
            path.push(match &step.kind {
                Kind::Select { name, .. } => JsonStep::Key(name.clone()),
                Kind::Index { key, .. } => match (&key.kind, self.any(key)?) {
                    (_, Expr::Literal(Literal::Text(key))) => JsonStep::Key(key),
                    (_, Expr::Literal(Literal::Int(n))) if usize::try_from(n).is_ok() => {
                        JsonStep::Index(usize::try_from(n).ok()?)
                    }
                    _ => {
                        let found = Diagnostic::error(
                            key.span,
                            "a name in quotation marks or a number from 0 stands here",
                        );
                        return self.report(found.help("json(response.body).items[0][\"name\"]"));
                    }
                },
                _ => return None,
            });
        }
        Some(Expr::Json { of: Box::new(text), path })
    }

    /// A value of JSON beside something that is no text: read as a number, or compared by its spelling.
    pub(super) fn agree(left: Expr, right: Expr) -> (Expr, Expr) {
        let settle = |json: Expr, other: Expr| match (json, other) {
            (json @ Expr::Json { .. }, other) if other.ty() == Type::Int => {
                (Expr::ParseInt(Box::new(json)), other)
            }
            (json @ Expr::Json { .. }, Expr::Literal(Literal::Bool(b))) => {
                (json, Expr::Literal(Literal::Text(b.to_string())))
            }
            other => other,
        };
        let (left, right) = settle(left, right);
        let (right, left) = settle(right, left);
        (left, right)
    }

    /// `dns_questions[0]`
    pub(super) fn list_item(&mut self, list: remora_model::FieldId, key: &Node, span: Span) -> Option<Expr> {
        let name = list.def().name;
        match self.any(key)? {
            Expr::Literal(Literal::Int(n)) if let Ok(index) = usize::try_from(n) => {
                Some(Expr::ListItem { list, index })
            }
            Expr::Literal(Literal::Int(_)) => self.error(key.span, "elements are counted from 0"),
            other => {
                let what = with_article(other.ty());
                let found = Diagnostic::error(
                    span,
                    format!("`{name}` is a list, and {what} is not a number of its elements"),
                );
                self.report(
                    found.help(format!("{name}.exists(x, x == \"...\") asks whether any element is so")),
                )
            }
        }
    }
}
