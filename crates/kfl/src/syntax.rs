//! The syntax tree of a filter, before names and types are known.

use crate::{ArithOp, CompareOp, Span};

/// A node and its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Levels of the tree from here down, this one included.
    pub(crate) depth: usize,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Node>),
    Ident(String),
    /// `of.name`
    Select {
        of: Box<Node>,
        name: String,
    },
    /// `of[key]`
    Index {
        of: Box<Node>,
        key: Box<Node>,
    },
    /// `name(args)` or `receiver.name(args)`
    Call {
        receiver: Option<Box<Node>>,
        name: String,
        name_span: Span,
        args: Vec<Node>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    Compare {
        op: CompareOp,
        left: Box<Node>,
        right: Box<Node>,
    },
    Arith {
        op: ArithOp,
        left: Box<Node>,
        right: Box<Node>,
    },
    In {
        needle: Box<Node>,
        haystack: Box<Node>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    If {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
}

impl Kind {
    /// Calls `visit` with every child.
    pub(crate) fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Text(_) | Self::Ident(_) => {}
            Self::List(all) | Self::And(all) | Self::Or(all) => all.iter().for_each(visit),
            Self::Select { of: n, .. } | Self::Not(n) | Self::Negate(n) => visit(n),
            Self::Index { of: a, key: b }
            | Self::Compare { left: a, right: b, .. }
            | Self::Arith { left: a, right: b, .. }
            | Self::In { needle: a, haystack: b } => {
                visit(a);
                visit(b);
            }
            Self::Call { receiver, args, .. } => {
                receiver.iter().for_each(|n| visit(n));
                args.iter().for_each(visit);
            }
            Self::If { condition, then, otherwise } => {
                visit(condition);
                visit(then);
                visit(otherwise);
            }
        }
    }
}

impl Node {
    /// The names of `a.b.c` in order, if that is what this node is.
    pub(crate) fn dotted(&self) -> Option<Vec<&str>> {
        match &self.kind {
            Kind::Ident(name) => Some(vec![name]),
            Kind::Select { of, name } => {
                let mut names = of.dotted()?;
                names.push(name);
                Some(names)
            }
            _ => None,
        }
    }
}
