//! The reference meaning of an expression: what it gives on one row.
//!
//! The store lowers expressions to its query engine and never comes here; its tests compare with
//! this on random rows. It is also the way to ask a filter about a single row.

use std::net::IpAddr;

use remora_model::{FieldId, Timestamp};

use crate::{ArithOp, CompareOp, Expr, Literal, Quantifier, TextOp};

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `string`
    Text(String),
    /// `list(string)`
    List(Vec<String>),
    /// `map(string, string)`; the first of equal keys counts.
    Map(Vec<(String, String)>),
    /// `timestamp`
    Time(Timestamp),
    /// `duration`, in nanoseconds: no field has this type.
    Duration(i64),
}

impl From<&Literal> for Value {
    fn from(literal: &Literal) -> Self {
        match literal {
            Literal::Bool(b) => Self::Bool(*b),
            Literal::Int(n) => Self::Int(*n),
            Literal::Text(t) => Self::Text(t.clone()),
            Literal::Time(t) => Self::Time(*t),
            Literal::Duration(d) => Self::Duration(*d),
        }
    }
}

/// What a condition gives on a row: `None` for unknown, and only `Some(true)` is a match. `row`
/// gives the value of a field, `None` when the row lacks it; a value of another type than the
/// catalogue's counts as absent.
pub fn eval(expr: &Expr, row: &dyn Fn(FieldId) -> Option<Value>) -> Option<bool> {
    Row { row, element: None }.condition(expr)
}

#[derive(Clone, Copy)]
struct Row<'a> {
    row: &'a dyn Fn(FieldId) -> Option<Value>,
    element: Option<&'a str>,
}

impl Row<'_> {
    fn condition(self, expr: &Expr) -> Option<bool> {
        match self.value(expr)? {
            Value::Bool(b) => Some(b),
            _ => None,
        }
    }

    fn text(self, expr: &Expr) -> Option<String> {
        match self.value(expr)? {
            Value::Text(t) => Some(t),
            _ => None,
        }
    }

    fn list(self, id: FieldId) -> Option<Vec<String>> {
        match (self.row)(id)? {
            Value::List(l) => Some(l),
            Value::Map(m) => Some(m.into_iter().map(|(k, _)| k).collect()),
            _ => None,
        }
    }

    /// The outer `None` is an absent map, the inner one an absent key.
    fn lookup(self, map: FieldId, key: &str) -> Option<Option<String>> {
        match (self.row)(map)? {
            Value::Map(m) => Some(m.into_iter().find(|(k, _)| k == key).map(|(_, v)| v)),
            _ => None,
        }
    }

    fn value(self, expr: &Expr) -> Option<Value> {
        Some(match expr {
            Expr::Literal(l) => l.into(),
            Expr::Field(id) => (self.row)(*id)?,
            Expr::Element => Value::Text(self.element?.to_owned()),
            Expr::Compare { op, left, right } => {
                Value::Bool(compare(*op, &self.value(left)?, &self.value(right)?)?)
            }
            Expr::And(all) => Value::Bool(kleene_all(all.iter().map(|e| self.condition(e)))?),
            Expr::Or(all) => Value::Bool(!kleene_all(all.iter().map(|e| self.condition(e).map(|b| !b)))?),
            Expr::Not(e) => Value::Bool(!self.condition(e)?),
            Expr::Arith { op, left, right } => arith(*op, self.value(left)?, self.value(right)?)?,
            Expr::InSet { needle, set } => {
                let needle = self.value(needle)?;
                Value::Bool(set.iter().any(|l| Value::from(l) == needle))
            }
            Expr::InList { needle, list } => {
                let (needle, list) = (self.text(needle)?, self.list(*list)?);
                Value::Bool(list.contains(&needle))
            }
            Expr::HasKey { map, key } => Value::Bool(self.lookup(*map, key)?.is_some()),
            Expr::MapValue { map, key } => Value::Text(self.lookup(*map, key)??),
            Expr::MapValueOr { map, key, default } => {
                Value::Text(self.lookup(*map, key).flatten().unwrap_or_else(|| default.clone()))
            }
            Expr::Has(id) => Value::Bool((self.row)(*id).is_some()),
            Expr::TextTest { op, subject, needle } => {
                let (subject, needle) = (self.text(subject)?, self.text(needle)?);
                Value::Bool(match op {
                    TextOp::Contains => subject.contains(&needle),
                    TextOp::StartsWith => subject.starts_with(&needle),
                    TextOp::EndsWith => subject.ends_with(&needle),
                })
            }
            Expr::Matches { subject, pattern } => Value::Bool(pattern.regex().is_match(&self.text(subject)?)),
            Expr::Size(e) => Value::Int(
                match self.value(e)? {
                    Value::Text(t) => i64::try_from(t.chars().count()),
                    Value::List(l) => i64::try_from(l.len()),
                    Value::Map(m) => i64::try_from(m.len()),
                    _ => return None,
                }
                .ok()?,
            ),
            Expr::LowerAscii(e) => Value::Text(self.text(e)?.to_ascii_lowercase()),
            Expr::UpperAscii(e) => Value::Text(self.text(e)?.to_ascii_uppercase()),
            Expr::ParseInt(e) => Value::Int(self.text(e)?.parse().ok()?),
            Expr::Json { of, path } => {
                Value::Text(crate::json_value(self.text(of)?.as_bytes(), path)?.into_owned())
            }
            Expr::ListItem { list, index } => match (self.row)(*list)? {
                Value::List(l) => Value::Text(l.get(*index)?.clone()),
                _ => return None,
            },
            Expr::IntToText(e) => match self.value(e)? {
                Value::Int(n) => Value::Text(n.to_string()),
                _ => return None,
            },
            Expr::IpIn { ip, network } => {
                let ip: IpAddr = self.text(ip)?.parse().ok()?;
                Value::Bool(network.contains(ip))
            }
            Expr::Quantified { quantifier, over, predicate } => {
                let list = self.list(*over)?;
                let asked = list.iter().map(|e| Row { row: self.row, element: Some(e) }.condition(predicate));
                Value::Bool(match quantifier {
                    Quantifier::All => kleene_all(asked)?,
                    Quantifier::Exists => !kleene_all(asked.map(|a| a.map(|b| !b)))?,
                    Quantifier::ExistsOne => {
                        let all: Vec<bool> = asked.collect::<Option<_>>()?;
                        all.into_iter().filter(|b| *b).count() == 1
                    }
                })
            }
            Expr::If { condition, then, otherwise } => {
                self.value(if self.condition(condition)? { then } else { otherwise })?
            }
        })
    }
}

fn kleene_all(answers: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut known = true;
    for a in answers {
        match a {
            Some(false) => return Some(false),
            Some(true) => {}
            None => known = false,
        }
    }
    known.then_some(true)
}

fn compare(op: CompareOp, left: &Value, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        _ => return None,
    };
    Some(match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
    })
}

fn arith(op: ArithOp, left: Value, right: Value) -> Option<Value> {
    use Value::{Duration, Int, Text, Time};
    Some(match (left, op, right) {
        (Int(a), ArithOp::Add, Int(b)) => Int(a.wrapping_add(b)),
        (Int(a), ArithOp::Sub, Int(b)) => Int(a.wrapping_sub(b)),
        (Int(a), ArithOp::Mul, Int(b)) => Int(a.wrapping_mul(b)),
        (Int(_), ArithOp::Div | ArithOp::Rem, Int(0)) => return None,
        (Int(a), ArithOp::Div, Int(b)) => Int(a.wrapping_div(b)),
        (Int(a), ArithOp::Rem, Int(b)) => Int(a.wrapping_rem(b)),
        (Text(a), ArithOp::Add, Text(b)) => Text(a + &b),
        (Time(t), ArithOp::Add, Duration(d)) | (Duration(d), ArithOp::Add, Time(t)) => {
            Time(Timestamp(t.0.wrapping_add(d)))
        }
        (Time(t), ArithOp::Sub, Duration(d)) => Time(Timestamp(t.0.wrapping_sub(d))),
        (Time(a), ArithOp::Sub, Time(b)) => Duration(a.0.wrapping_sub(b.0)),
        (Duration(a), ArithOp::Add, Duration(b)) => Duration(a.wrapping_add(b)),
        (Duration(a), ArithOp::Sub, Duration(b)) => Duration(a.wrapping_sub(b)),
        _ => return None,
    })
}
