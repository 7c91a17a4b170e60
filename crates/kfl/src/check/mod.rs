//! From a syntax tree to a typed expression.

mod call;
mod compare;
mod fold;
mod json;
mod legacy;
mod resolve;
mod text;

use remora_model::{FieldId, Timestamp};

use crate::syntax::{Kind, Node};
use crate::{ArithOp, Diagnostic, Expr, Literal, Severity, Span, Target, Type, limits, print};

/// What a macro's variable stands for.
#[derive(Clone, Debug)]
enum Bound {
    /// The element of this list field, or a key of this map field.
    Element(FieldId),
    /// One of the constants of a list that was written out.
    Constant(String),
}

/// Checks one filter. `None` from any of its functions means that an error was reported.
pub(crate) struct Checker<'a> {
    text: &'a str,
    target: Target,
    now: Timestamp,
    found: Vec<Diagnostic>,
    regexes: usize,
    /// Nodes that were checked; a macro over constants checks its body once for each of them.
    nodes: usize,
    scope: Vec<(String, Bound)>,
}

/// A conjunct of the whole filter and its place.
pub(crate) type Conjunct = (Expr, Span);

impl<'a> Checker<'a> {
    pub(crate) const fn new(text: &'a str, target: Target, now: Timestamp) -> Self {
        Self { text, target, now, found: Vec::new(), regexes: 0, nodes: 0, scope: Vec::new() }
    }

    /// Checks the whole filter: its conjuncts, and every finding.
    pub(crate) fn filter(mut self, node: &Node) -> (Option<Vec<Conjunct>>, Vec<Diagnostic>) {
        let parts: &[Node] = match &node.kind {
            Kind::And(all) => all,
            _ => std::slice::from_ref(node),
        };
        // Every part is checked, so that one run reports the errors of all of them.
        let checked: Vec<_> = parts.iter().map(|n| Some((self.condition(n)?, n.span))).collect();
        let checked: Option<Vec<Conjunct>> = checked.into_iter().collect();
        if let Some(all) = &checked
            && all.iter().any(|(e, _)| depth(e) > limits::DEPTH)
        {
            let message = format!("the filter is nested deeper than {} levels", limits::DEPTH);
            self.found.push(Diagnostic::error(node.span, message));
        }
        (checked, self.found)
    }

    fn error<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.report(Diagnostic::error(span, message))
    }

    fn report<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        // The body of a macro over constants is checked once for each of them. Notes are bounded
        // here, errors by `any`.
        let room = diagnostic.severity == Severity::Error || self.found.len() < 4 * limits::FINDINGS;
        if room && !self.found.contains(&diagnostic) {
            self.found.push(diagnostic);
        }
        None
    }

    /// What a place says, in one line and short enough for a message.
    fn source(&self, span: Span) -> String {
        print::brief(self.text.get(span.start..span.end).unwrap_or_default())
    }

    /// The same in the marks of code.
    fn quote(&self, span: Span) -> String {
        format!("`{}`", self.source(span))
    }

    /// A node that must be of type bool.
    fn condition(&mut self, node: &Node) -> Option<Expr> {
        let expr = self.any(node)?;
        let ty = expr.ty();
        if ty == Type::Bool {
            return Some(expr);
        }
        let quote = self.quote(node.span);
        let found = Diagnostic::error(node.span, format!("{quote} is {}, not a condition", with_article(ty)));
        let source = self.source(node.span);
        self.report(match &expr {
            Expr::Field(_) => found.help(format!("has({source}) asks whether it is there; else compare it")),
            Expr::MapValue { map, key } => found.help(format!(
                "{} in {} asks whether it is there",
                print::brief_text(key),
                map.def().name
            )),
            Expr::Literal(Literal::Text(text)) => found.help(format!(
                "compare a field with it, for example path.contains({})",
                print::brief_text(text)
            )),
            Expr::Literal(_) => found,
            _ => found.help("compare it with something"),
        })
    }

    /// A node of any type, list and map fields included.
    fn any(&mut self, node: &Node) -> Option<Expr> {
        // What more there is to say would not be shown, and a suggestion costs a walk of the catalogue.
        if self.found.iter().filter(|d| d.severity == Severity::Error).count() >= limits::FINDINGS {
            return None;
        }
        self.nodes += 1;
        if self.nodes > limits::NODES {
            let message =
                format!("the filter has more than {} parts once its macros are written out", limits::NODES);
            return self.error(node.span, message);
        }
        match &node.kind {
            Kind::Null => {
                let found = Diagnostic::error(node.span, "null can only be compared with a field");
                self.report(found.help("has(status_code) asks whether a field is there"))
            }
            Kind::Bool(b) => Some(Expr::Literal(Literal::Bool(*b))),
            Kind::Int(n) => Some(Expr::Literal(Literal::Int(*n))),
            Kind::Text(text) => Some(Expr::Literal(Literal::Text(text.clone()))),
            Kind::List(_) => {
                let found =
                    Diagnostic::error(node.span, "a list can only stand after `in` or before a macro");
                self.report(found.help("method in [\"GET\", \"HEAD\"]"))
            }
            _ if Self::is_json(node) => self.json(node),
            Kind::Ident(_) | Kind::Select { .. } => self.path(node),
            Kind::Index { of, key } => self.index(of, key, node.span),
            Kind::Call { receiver, name, name_span, args } => {
                self.call(receiver.as_deref(), name, *name_span, args, node.span)
            }
            Kind::Not(of) => Some(Expr::Not(Box::new(self.condition(of)?))),
            Kind::Negate(of) => {
                let operand = self.any(of)?;
                let zero = match operand.ty() {
                    Type::Duration => Literal::Duration(0),
                    _ => Literal::Int(0),
                };
                self.arith(ArithOp::Sub, Expr::Literal(zero), operand, of.span, of.span, node.span)
            }
            Kind::Compare { op, left, right } => self.compare(*op, left, right, node.span),
            Kind::Arith { op, left, right } => {
                let (l, r) = (self.any(left), self.any(right));
                self.arith(*op, l?, r?, left.span, right.span, node.span)
            }
            Kind::In { needle, haystack } => self.is_in(needle, haystack, node.span),
            Kind::And(all) => Some(and(self.conditions(all)?)),
            Kind::Or(all) => Some(or(self.conditions(all)?)),
            Kind::If { condition, then, otherwise } => {
                let (c, t, o) = (self.condition(condition), self.any(then), self.any(otherwise));
                let (condition, then, otherwise_expr) = (c?, t?, o?);
                let (a, b) = (then.ty(), otherwise_expr.ty());
                if matches!(a, Type::List | Type::Map) {
                    return self.error(node.span, "a conditional cannot choose between lists or maps");
                }
                if a != b {
                    let message =
                        format!("one branch is {}, the other is {}", with_article(a), with_article(b));
                    return self.error(node.span, message);
                }
                let (condition, then) = (Box::new(condition), Box::new(then));
                Some(Expr::If { condition, then, otherwise: Box::new(otherwise_expr) })
            }
        }
    }

    fn conditions(&mut self, nodes: &[Node]) -> Option<Vec<Expr>> {
        let all: Vec<_> = nodes.iter().map(|n| self.condition(n)).collect();
        all.into_iter().collect()
    }

    /// A node that must be of type string.
    fn text(&mut self, node: &Node, what: &str) -> Option<Expr> {
        let expr = self.any(node)?;
        if expr.ty() == Type::Text {
            return Some(expr);
        }
        let quote = self.quote(node.span);
        let found = Diagnostic::error(
            node.span,
            format!("{what} must be a string, and {quote} is {}", with_article(expr.ty())),
        );
        self.report(match &expr {
            Expr::Literal(Literal::Int(n)) => found.help(format!("put it in quotation marks: \"{n}\"")),
            Expr::Field(id) if expr.ty() == Type::List => {
                found.help(format!("look at its elements: {}.exists(x, x.contains(\"...\"))", id.def().name))
            }
            Expr::Field(id) if expr.ty() == Type::Map => {
                found.help(format!("look at one of its values: {}[\"...\"]", id.def().name))
            }
            _ if expr.ty() == Type::Int => {
                found.help(format!("string({}) makes it one", self.source(node.span)))
            }
            _ => found,
        })
    }

    /// A node that must be a text known now. The text and its place.
    fn constant_text(&mut self, node: &Node, what: &str) -> Option<String> {
        match self.text(node, what)? {
            Expr::Literal(Literal::Text(text)) => Some(text),
            _ => self.error(node.span, format!("{what} must be a text in quotation marks")),
        }
    }
}

/// "an int", "a string".
pub(crate) fn with_article(ty: Type) -> String {
    format!("{} {}", if ty == Type::Int { "an" } else { "a" }, ty.name())
}

/// The conjunction of these, of which there is at least one.
pub(crate) fn and(all: Vec<Expr>) -> Expr {
    chain(all, Expr::And, |e| match e {
        Expr::And(inner) => Ok(inner),
        other => Err(other),
    })
}

/// The disjunction of these, of which there is at least one.
pub(crate) fn or(all: Vec<Expr>) -> Expr {
    chain(all, Expr::Or, |e| match e {
        Expr::Or(inner) => Ok(inner),
        other => Err(other),
    })
}

fn chain(all: Vec<Expr>, make: fn(Vec<Expr>) -> Expr, open: fn(Expr) -> Result<Vec<Expr>, Expr>) -> Expr {
    let mut flat = Vec::with_capacity(all.len());
    for e in all {
        match open(e) {
            Ok(inner) => flat.extend(inner),
            Err(e) => flat.push(e),
        }
    }
    if flat.len() == 1 { flat.remove(0) } else { make(flat) }
}

/// Levels of an expression.
fn depth(expr: &Expr) -> usize {
    let mut deepest = 0;
    expr.for_each_child(&mut |child| deepest = deepest.max(depth(child)));
    deepest + 1
}
