//! Lowering: from filters to DataFusion expressions.

mod derived;
mod field;

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator, cast, lit, when};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use remora_kfl::{ArithOp, CompareOp, Expr as Kfl, Literal, Type};
use remora_model::Table;

use crate::function::{ELEMENT, Op, Quantified};
use crate::{Error, Result};

pub(crate) use field::{column, field};

/// Lowers a filter's expression for one table. The result has the type of the expression: bool,
/// int and string as themselves (strings possibly as dictionaries), timestamps in nanoseconds
/// without a zone, durations as an int of nanoseconds.
pub(crate) fn lower(expr: &Kfl, table: Table) -> Result<Expr> {
    let low = |e: &Kfl| lower(e, table);
    Ok(match expr {
        Kfl::Literal(l) => literal(l),
        Kfl::Field(id) => field(*id, table)?,
        Kfl::Element => Expr::Column(Column::from_name(ELEMENT)),
        Kfl::Compare { op, left, right } => binary(text(left, table)?, compare(*op), text(right, table)?),
        Kfl::And(all) => joined(all, Operator::And, table)?,
        Kfl::Or(all) => joined(all, Operator::Or, table)?,
        Kfl::Not(e) => !low(e)?,
        Kfl::Arith { op, left, right } => arithmetic(*op, left, right, table)?,
        Kfl::InSet { needle, set } => text(needle, table)?.in_list(set.iter().map(literal).collect(), false),
        Kfl::InList { needle, list } => Op::InList.call(vec![text(needle, table)?, field(*list, table)?]),
        Kfl::HasKey { map, key } => Op::HasKey(key.clone()).call(vec![field(*map, table)?]),
        Kfl::MapValue { map, key } => Op::MapValue(key.clone()).call(vec![field(*map, table)?]),
        Kfl::MapValueOr { map, key, default } => {
            Op::MapValueOr(key.clone(), default.clone()).call(vec![field(*map, table)?])
        }
        Kfl::Has(id) => field(*id, table)?.is_not_null(),
        // Bodies are searched as bytes, not turned into text first.
        Kfl::TextTest { op, subject, needle } => match needle.as_ref() {
            Kfl::Literal(Literal::Text(needle)) => {
                Op::TextTest(*op, needle.clone()).call(vec![low(subject)?])
            }
            needle => Op::TextTestColumns(*op).call(vec![text(subject, table)?, text(needle, table)?]),
        },
        Kfl::Matches { subject, pattern } => Op::Matches(pattern.clone()).call(vec![low(subject)?]),
        Kfl::Size(e) => match e.ty() {
            Type::List | Type::Map => Op::CollectionSize.call(vec![low(e)?]),
            _ => Op::TextSize.call(vec![low(e)?]),
        },
        Kfl::LowerAscii(e) => Op::LowerAscii.call(vec![low(e)?]),
        Kfl::UpperAscii(e) => Op::UpperAscii.call(vec![low(e)?]),
        Kfl::ParseInt(e) => Op::ParseInt.call(vec![low(e)?]),
        Kfl::Json { of, path } => Op::Json(path.clone()).call(vec![low(of)?]),
        Kfl::ListItem { list, index } => Op::ListItem(*index).call(vec![field(*list, table)?]),
        Kfl::IntToText(e) => cast(low(e)?, DataType::Utf8),
        Kfl::IpIn { ip, network } => Op::IpIn(*network).call(vec![low(ip)?]),
        Kfl::Quantified { quantifier, over, predicate } => {
            let quantified = Quantified {
                quantifier: *quantifier,
                source: Arc::new(predicate.as_ref().clone()),
                predicate: element_predicate(&low(predicate)?)?,
            };
            Op::Quantified(quantified).call(vec![field(*over, table)?])
        }
        Kfl::If { condition, then, otherwise } => {
            let condition = low(condition)?;
            when(condition.clone(), text(then, table)?)
                .when(!condition, text(otherwise, table)?)
                .end()
                .map_err(|e| internal(&e))?
        }
    })
}

/// Lowers an expression; bytes (bodies) become text.
fn text(expr: &Kfl, table: Table) -> Result<Expr> {
    let lowered = lower(expr, table)?;
    Ok(match expr {
        Kfl::Field(id) if id.def().storage == remora_model::Storage::Late => Op::ToText.call(vec![lowered]),
        _ => lowered,
    })
}

fn internal(e: &DataFusionError) -> Error {
    Error::Internal(e.to_string())
}

fn binary(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// Joined as a balanced tree: a chain of a thousand would be a thousand levels deep otherwise.
fn joined(all: &[Kfl], op: Operator, table: Table) -> Result<Expr> {
    match all {
        [] => Ok(lit(op == Operator::And)),
        [one] => lower(one, table),
        _ => {
            let (a, b) = all.split_at(all.len() / 2);
            Ok(binary(joined(a, op, table)?, op, joined(b, op, table)?))
        }
    }
}

fn literal(l: &Literal) -> Expr {
    match l {
        Literal::Bool(b) => lit(*b),
        Literal::Int(i) | Literal::Duration(i) => lit(*i),
        Literal::Text(s) => lit(s.as_str()),
        Literal::Time(t) => instant(t.0),
    }
}

/// The first of these that is known. DataFusion's `coalesce` must be rewritten before it can run, and expressions
/// that are compiled outside of a plan are not always rewritten so often.
fn first_known(mut all: Vec<Expr>) -> Option<Expr> {
    let last = all.pop()?;
    let branches: Vec<_> =
        all.into_iter().map(|e| (Box::new(e.clone().is_not_null()), Box::new(e))).collect();
    if branches.is_empty() {
        return Some(last);
    }
    Some(Expr::Case(Case::new(None, branches, Some(Box::new(last)))))
}

/// An instant as a literal.
pub(crate) fn instant(nanos: i64) -> Expr {
    lit(ScalarValue::TimestampNanosecond(Some(nanos), None))
}

fn compare(op: CompareOp) -> Operator {
    match op {
        CompareOp::Eq => Operator::Eq,
        CompareOp::Ne => Operator::NotEq,
        CompareOp::Lt => Operator::Lt,
        CompareOp::Le => Operator::LtEq,
        CompareOp::Gt => Operator::Gt,
        CompareOp::Ge => Operator::GtEq,
    }
}

fn arithmetic(op: ArithOp, left: &Kfl, right: &Kfl, table: Table) -> Result<Expr> {
    let is_time = |e: &Kfl| e.ty() == Type::Time;
    if left.ty() == Type::Text {
        return Ok(binary(text(left, table)?, Operator::StringConcat, text(right, table)?));
    }
    // Times are counted in nanoseconds.
    let number = |e: &Kfl| -> Result<Expr> {
        let lowered = lower(e, table)?;
        Ok(if is_time(e) { cast(lowered, DataType::Int64) } else { lowered })
    };
    let (a, b) = (number(left)?, number(right)?);
    let result = match op {
        ArithOp::Add => binary(a, Operator::Plus, b),
        ArithOp::Sub => binary(a, Operator::Minus, b),
        ArithOp::Mul => binary(a, Operator::Multiply, b),
        ArithOp::Div => Op::Div.call(vec![a, b]),
        ArithOp::Rem => Op::Rem.call(vec![a, b]),
    };
    let is_span = op == ArithOp::Sub && is_time(left) && is_time(right);
    Ok(if (is_time(left) || is_time(right)) && !is_span {
        cast(result, DataType::Timestamp(TimeUnit::Nanosecond, None))
    } else {
        result
    })
}

/// Compiles a quantifier's predicate, which looks at nothing but the element.
fn element_predicate(predicate: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
    let schema = Schema::new(vec![Field::new(ELEMENT, DataType::Utf8, true)]);
    physical(predicate, &schema)
}

/// Compiles an expression over batches of that schema.
pub(crate) fn physical(expr: &Expr, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    // The session coerces types and simplifies, as it does when it plans.
    static PLANNER: LazyLock<SessionContext> = LazyLock::new(SessionContext::new);
    let schema = DFSchema::try_from(schema.clone()).map_err(|e| internal(&e))?;
    PLANNER.create_physical_expr(expr.clone(), &schema).map_err(|e| internal(&e))
}
