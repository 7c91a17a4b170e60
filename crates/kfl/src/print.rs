//! From an expression back to text, in one spelling.

use std::fmt::Write;

use remora_model::{FieldId, Timestamp};

use crate::{ArithOp, Expr, JsonStep, Literal, duration};

/// How tightly an expression binds; one that binds less than its place demands stands in
/// parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binds {
    Conditional,
    Or,
    And,
    Relation,
    Sum,
    Product,
    Unary,
    Postfix,
}

impl Binds {
    const fn of(expr: &Expr) -> Self {
        match expr {
            Expr::If { .. } => Self::Conditional,
            Expr::Or(_) => Self::Or,
            Expr::And(_) => Self::And,
            Expr::Compare { .. } | Expr::InSet { .. } | Expr::InList { .. } | Expr::HasKey { .. } => {
                Self::Relation
            }
            Expr::Arith { op: ArithOp::Add | ArithOp::Sub, .. } => Self::Sum,
            Expr::Arith { .. } => Self::Product,
            Expr::Not(_) | Expr::Literal(Literal::Int(i64::MIN..=-1)) => Self::Unary,
            _ => Self::Postfix,
        }
    }

    const fn tighter(self) -> Self {
        match self {
            Self::Conditional => Self::Or,
            Self::Or => Self::And,
            Self::And => Self::Relation,
            Self::Relation => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Unary,
            Self::Unary | Self::Postfix => Self::Postfix,
        }
    }
}

/// The text of an expression. Compiled at any time and for the same table it gives an equal one.
pub(crate) fn print(expr: &Expr) -> String {
    let mut out = String::new();
    write(&mut out, expr, Binds::Conditional);
    out
}

/// A text as a literal, in double quotation marks.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                // Infallible on a String.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a key can stand behind a point. Words that mean something to the parser may not.
fn is_name(key: &str) -> bool {
    const WORDS: [&str; 8] = ["true", "false", "null", "nil", "and", "or", "in", "not"];
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !WORDS.iter().any(|w| key.eq_ignore_ascii_case(w))
}

/// Characters of a filter that a message repeats.
const BRIEF: usize = 60;

/// A part of a filter in one line, its end cut off when it is long.
pub(crate) fn brief(source: &str) -> String {
    let mut line = source.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = line.by_ref().take(BRIEF).collect();
    if line.next().is_some() {
        out.push('…');
    }
    out
}

/// A text as a literal, for a message.
pub(crate) fn brief_text(text: &str) -> String {
    brief(&quoted(text))
}

/// An instant without the zeros at the end of its fraction.
pub(crate) fn instant(t: Timestamp) -> String {
    let text = t.to_rfc3339();
    match text.strip_suffix('Z').and_then(|t| t.split_once('.')) {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => format!("{seconds}Z"),
            fraction => format!("{seconds}.{fraction}Z"),
        },
        None => text,
    }
}

fn literal(out: &mut String, value: &Literal) {
    match value {
        Literal::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Literal::Int(n) => out.push_str(&n.to_string()),
        Literal::Text(text) => out.push_str(&quoted(text)),
        Literal::Time(t) => call(out, "timestamp", &[&quoted(&instant(*t))]),
        Literal::Duration(d) => call(out, "duration", &[&quoted(&duration::print(*d))]),
    }
}

fn call(out: &mut String, function: &str, args: &[&str]) {
    out.push_str(function);
    out.push('(');
    out.push_str(&args.join(", "));
    out.push(')');
}

fn name(id: FieldId) -> &'static str {
    id.def().name
}

fn between(out: &mut String, left: (&Expr, Binds), operator: &str, right: (&Expr, Binds)) {
    write(out, left.0, left.1);
    out.push(' ');
    out.push_str(operator);
    out.push(' ');
    write(out, right.0, right.1);
}

fn chain(out: &mut String, all: &[Expr], operator: &str, least: Binds) {
    for (i, e) in all.iter().enumerate() {
        if i > 0 {
            out.push_str(operator);
        }
        write(out, e, least);
    }
}

fn method(out: &mut String, receiver: &Expr, method: &str, argument: &str) {
    write(out, receiver, Binds::Postfix);
    out.push('.');
    call(out, method, &[argument]);
}

fn write(out: &mut String, expr: &Expr, least: Binds) {
    let binds = Binds::of(expr);
    if binds < least {
        out.push('(');
        write(out, expr, Binds::Conditional);
        out.push(')');
        return;
    }
    match expr {
        Expr::Literal(value) => literal(out, value),
        Expr::Field(id) => out.push_str(name(*id)),
        Expr::Element => out.push('x'),
        Expr::Compare { op, left, right } => {
            between(out, (left, binds.tighter()), op.symbol(), (right, binds.tighter()));
        }
        Expr::And(all) => chain(out, all, " && ", binds.tighter()),
        Expr::Or(all) => chain(out, all, " || ", binds.tighter()),
        Expr::Not(e) => {
            out.push('!');
            write(out, e, Binds::Unary);
        }
        Expr::Arith { op, left, right } => between(out, (left, binds), op.symbol(), (right, binds.tighter())),
        Expr::InSet { needle, set } => {
            write(out, needle, binds.tighter());
            out.push_str(" in [");
            for (i, value) in set.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                literal(out, value);
            }
            out.push(']');
        }
        Expr::InList { needle, list } => {
            between(out, (needle, binds.tighter()), "in", (&Expr::Field(*list), Binds::Postfix));
        }
        Expr::HasKey { map, key } => {
            out.push_str(&quoted(key));
            out.push_str(" in ");
            out.push_str(name(*map));
        }
        Expr::MapValue { map, key } => {
            out.push_str(name(*map));
            out.push('[');
            out.push_str(&quoted(key));
            out.push(']');
        }
        Expr::MapValueOr { map, key, default } => {
            call(out, "map_get", &[name(*map), &quoted(key), &quoted(default)]);
        }
        Expr::Has(id) => call(out, "has", &[name(*id)]),
        Expr::TextTest { op, subject, needle } => method(out, subject, op.name(), &print(needle)),
        Expr::Matches { subject, pattern } => method(out, subject, "matches", &quoted(pattern.as_str())),
        Expr::Size(e) => call(out, "size", &[&print(e)]),
        Expr::LowerAscii(e) => method(out, e, "lowerAscii", ""),
        Expr::UpperAscii(e) => method(out, e, "upperAscii", ""),
        Expr::ParseInt(e) => call(out, "int", &[&print(e)]),
        Expr::Json { of, path } => {
            call(out, "json", &[&print(of)]);
            for step in path {
                match step {
                    JsonStep::Key(key) if is_name(key) => {
                        out.push('.');
                        out.push_str(key);
                    }
                    JsonStep::Key(key) => {
                        out.push('[');
                        out.push_str(&quoted(key));
                        out.push(']');
                    }
                    JsonStep::Index(index) => {
                        // Infallible on a String.
                        let _ = write!(out, "[{index}]");
                    }
                }
            }
        }
        Expr::ListItem { list, index } => {
            out.push_str(name(*list));
            let _ = write!(out, "[{index}]");
        }
        Expr::IntToText(e) => call(out, "string", &[&print(e)]),
        Expr::IpIn { ip, network } => call(out, "ip_in", &[&print(ip), &quoted(&network.to_string())]),
        Expr::Quantified { quantifier, over, predicate } => {
            method(out, &Expr::Field(*over), quantifier.name(), &format!("x, {}", print(predicate)));
        }
        Expr::If { condition, then, otherwise } => {
            write(out, condition, binds.tighter());
            out.push_str(" ? ");
            write(out, then, Binds::Conditional);
            out.push_str(" : ");
            write(out, otherwise, Binds::Conditional);
        }
    }
}
