//! Names: fields, their keys, and the variables of macros.

use remora_model::field::{self, by_name};
use remora_model::{FieldDef, FieldId, FieldType};

use super::{Bound, Checker, legacy};
use crate::syntax::{Kind, Node};
use crate::{Diagnostic, Expr, Literal, Span, Target, Type};
use crate::{print, suggest};

/// Fields that are the same as another one, which is a column.
const SAME: &[(FieldId, FieldId)] = &[
    (field::TIMESTAMP, field::TS),
    (field::CONN_ID, field::FLOW_ID),
    (field::LOCAL_PROCESS_NAME, field::PROCESS_NAME),
];

/// The other word for a side of a call: clients are sources, servers are destinations.
const SIDES: &[(&str, &str)] = &[("client", "src"), ("server", "dst")];

impl Checker<'_> {
    /// The field of that name, by its own name or with `client` or `server` for its side.
    fn named(name: &str) -> Option<&'static FieldDef> {
        by_name(name)
            .or_else(|| {
                let (side, rest) = name.split_once('.')?;
                let (_, ours) = SIDES.iter().find(|(theirs, _)| *theirs == side)?;
                by_name(&format!("{ours}.{rest}"))
            })
            .or_else(|| legacy::same(name))
            .or_else(|| legacy::field(name))
    }

    fn in_target(&self, def: &FieldDef) -> bool {
        match self.target {
            Target::Calls => def.in_calls(),
            Target::Flows => def.in_flows(),
        }
    }

    /// A field's value, a map's value under a key that is written as a name, or a macro's variable.
    pub(super) fn path(&mut self, node: &Node) -> Option<Expr> {
        let Some(names) = node.dotted() else {
            // Something computed has no parts.
            let message = format!("{} has no part of that name", self.quote(node.span));
            return self.error(node.span, message);
        };
        if let [name] = names[..]
            && let Some((_, bound)) = self.scope.iter().rev().find(|(n, _)| n == name)
        {
            return Some(match bound {
                Bound::Element(_) => Expr::Element,
                Bound::Constant(text) => Expr::Literal(Literal::Text(text.clone())),
            });
        }
        if let Some((expr, says)) = legacy::expression(&names.join("."), self.target) {
            if let Some(says) = says {
                let note = format!("`{}` is {says}", names.join("."));
                let _: Option<()> = self.report(Diagnostic::note(node.span, note));
            }
            let mut fields = Vec::new();
            expr.walk(&mut |e| fields.extend(e.own_field()));
            fields.into_iter().try_for_each(|id| self.check_field(id.def(), node.span))?;
            return Some(expr);
        }
        let longest = (1..=names.len()).rev().find_map(|n| Some((n, Self::named(&names[..n].join("."))?)));
        let Some((used, def)) = longest else {
            return self.unknown(&names, node.span);
        };
        let name = names[..used].join(".");
        if legacy::field(&name).is_some() {
            let note = Diagnostic::note(node.span, format!("`{name}` of KFL1 is `{}`", def.name));
            let _: Option<()> = self.report(note);
        }
        match names[used..] {
            [] => {
                self.check_field(def, node.span)?;
                let id = SAME.iter().find(|(same, _)| *same == def.id).map_or(def.id, |(_, column)| *column);
                Some(Expr::Field(id))
            }
            [key] if def.ty == FieldType::Map => {
                self.check_field(def, node.span)?;
                let key = self.settle_key(def.id, key, node.span);
                Some(Expr::MapValue { map: def.id, key })
            }
            _ => {
                let whole = print::brief(&names.join("."));
                let found = Diagnostic::error(
                    node.span,
                    format!("`{}` is {}, it has no parts", def.name, super::with_article(def.ty.into())),
                );
                let found = Diagnostic {
                    message: format!("no field is called `{whole}`: {}", found.message),
                    ..found
                };
                self.report(match suggest::fields(&whole, self.target).as_slice() {
                    [] if def.ty == FieldType::Map => found.help(format!(
                        "{}[\"{}\"] looks a key up",
                        def.name,
                        print::brief(&names[used..].join("."))
                    )),
                    [] => found,
                    close => found.help(suggest::did_you_mean(close)),
                })
            }
        }
    }

    /// Refuses a field of the other table, and any field inside a macro's predicate.
    fn check_field(&mut self, def: &FieldDef, span: Span) -> Option<()> {
        if !self.in_target(def) {
            return self.other_table(def, span);
        }
        let element = self.scope.iter().find(|(_, bound)| matches!(bound, Bound::Element(_)));
        if let Some((variable, _)) = element {
            let found = Diagnostic::error(
                span,
                format!("inside this macro only `{}` can be looked at", print::brief(variable)),
            );
            return self.report(found.help("join a condition on another field with && outside the macro"));
        }
        Some(())
    }

    fn other_table<T>(&mut self, def: &FieldDef, span: Span) -> Option<T> {
        let (message, help) = match self.target {
            Target::Calls => (
                format!("`{}` is a field of flows, and this filter is about calls", def.name),
                "ask for flows: `remora flows`, or the tool list_l4_flows; a call's flow is the one with its flow_id",
            ),
            Target::Flows => (
                format!("`{}` is a field of calls, and this filter is about flows", def.name),
                match def.name {
                    "protocol" | "http" | "dns" | "redis" | "grpc" | "kafka" | "mysql" | "postgresql" => {
                        "\"http\" in conn_l7_detected asks for flows that carry a protocol"
                    }
                    _ => "ask for calls: `remora calls`, or the tool list_api_calls",
                },
            ),
        };
        self.report(Diagnostic::error(span, message).help(help))
    }

    fn unknown(&mut self, names: &[&str], span: Span) -> Option<Expr> {
        let name = print::brief(&names.join("."));
        let found = Diagnostic::error(span, format!("no field is called `{name}`"));
        if suggest::is_function(&name) {
            return self.report(
                Diagnostic::error(span, format!("`{name}` is a function, not a field")).help(
                    if name == "now" { "call it: now()".to_owned() } else { format!("call it: {name}(...)") },
                ),
            );
        }
        let close = suggest::fields(&name, self.target);
        self.report(if close.is_empty() {
            found.help("`remora kfl fields`, or the tool list_fields, shows them all")
        } else {
            found.help(suggest::did_you_mean(&close))
        })
    }

    /// True for a name that is no field and no variable: a text whose quotation marks were
    /// forgotten, when it stands beside a text.
    pub(super) fn is_unknown_word(&self, node: &Node) -> bool {
        let Kind::Ident(name) = &node.kind else {
            return false;
        };
        by_name(name).is_none() && !self.scope.iter().any(|(n, _)| n == name)
    }

    /// `of[key]`
    pub(super) fn index(&mut self, of: &Node, key: &Node, span: Span) -> Option<Expr> {
        let map = self.any(of)?;
        let Expr::Field(id) = map else {
            return self.error(of.span, format!("{} cannot be indexed", self.quote(of.span)));
        };
        let name = id.def().name;
        match map.ty() {
            Type::Map => {
                let text = self.constant_text(key, "the key")?;
                let key = self.settle_key(id, &text, key.span);
                Some(Expr::MapValue { map: id, key })
            }
            Type::List => self.list_item(id, key, span),
            ty => {
                let message = format!("`{name}` is {}, it cannot be indexed", super::with_article(ty));
                self.error(span, message)
            }
        }
    }

    /// Header names are stored in lower case.
    pub(super) fn settle_key(&mut self, map: FieldId, key: &str, span: Span) -> String {
        if !matches!(map, field::REQUEST_HEADERS | field::RESPONSE_HEADERS) {
            return key.to_owned();
        }
        let lower = key.to_ascii_lowercase();
        if lower != key {
            let message = format!(
                "header names have no case: `{}` is looked up as `{}`",
                print::brief(key),
                print::brief(&lower)
            );
            let _: Option<()> = self.report(Diagnostic::note(span, message));
        }
        lower
    }

    /// The field whose values an expression has: itself, or the list that it is an element of.
    pub(super) fn origin(&self, expr: &Expr) -> Option<FieldId> {
        match expr {
            Expr::Field(id) => Some(*id),
            Expr::Element => self.scope.iter().rev().find_map(|(_, bound)| match bound {
                Bound::Element(of) => Some(*of),
                Bound::Constant(_) => None,
            }),
            _ => None,
        }
    }
}
