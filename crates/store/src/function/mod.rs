//! Scalar functions that filters need and DataFusion lacks, or has with other semantics.
//!
//! All take unknown (NULL) to unknown unless they say otherwise. Dictionary columns are evaluated
//! once for each distinct value.

mod collection;
mod derive;
mod mask;
mod shape;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int32Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use remora_kfl::{JsonStep, Network, Pattern, Quantifier, TextOp};

pub(crate) use collection::ELEMENT;

/// What a function does. Texts are `Utf8`, dictionaries of it, or `Binary` (bodies).
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// (text) -> bool
    TextTest(TextOp, String),
    /// (text, text) -> bool
    TextTestColumns(TextOp),
    /// (text) -> bool
    Matches(Pattern),
    /// (text) -> bool
    IpIn(Network),
    /// (text) -> text
    LowerAscii,
    /// (text) -> text
    UpperAscii,
    /// (bytes) -> text, what is not UTF-8 replaced
    ToText,
    /// (text) -> int, in characters
    TextSize,
    /// (text) -> int
    ParseInt,
    /// (int, int) -> int
    Div,
    /// (int, int) -> int
    Rem,
    /// (text) -> text without numbers, ids and literals
    Shape,
    /// (text, list) -> bool
    InList,
    /// (list or map) -> int
    CollectionSize,
    /// (map) -> bool
    HasKey(String),
    /// (map) -> text
    MapValue(String),
    /// (map) -> text, never unknown
    MapValueOr(String, String),
    /// (text) -> text, the value inside of JSON
    Json(Vec<JsonStep>),
    /// (list) -> text
    ListItem(usize),
    /// (list or map) -> bool
    Quantified(Quantified),
    /// (list) -> text, elements joined by `, `
    JoinList,
    /// (url) -> map
    QueryString,
    /// (request headers) -> map
    RequestCookies,
    /// (response headers) -> map
    ResponseCookies,
    /// (text, text) -> list of those that are known, without duplicates
    Distinct,
    /// (int) -> bool
    IdIn(Ids),
    /// (headers) -> headers, credentials masked
    MaskHeaders,
    /// (cookies) -> cookies, all values masked
    MaskCookies,
}

/// A set of ids. A list of thousands of literals would take the planner longer than the rows.
#[derive(Clone)]
pub(crate) struct Ids(Arc<BTreeSet<i64>>);

impl Ids {
    pub(crate) fn new(ids: impl Iterator<Item = i64>) -> Self {
        Self(Arc::new(ids.collect()))
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names the function, and a plan has only one such set: its ends are enough.
        write!(f, "{} from {:?} to {:?}", self.0.len(), self.0.first(), self.0.last())
    }
}

/// A predicate over the elements of a list or the keys of a map.
#[derive(Clone)]
pub(crate) struct Quantified {
    pub(crate) quantifier: Quantifier,
    /// The predicate as it stood in the filter, which names the function.
    pub(crate) source: Arc<remora_kfl::Expr>,
    /// The same over a batch with the one column [`ELEMENT`].
    pub(crate) predicate: Arc<dyn PhysicalExpr>,
}

impl fmt::Debug for Quantified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.quantifier, self.source)
    }
}

impl Op {
    /// Applies it to arguments.
    pub(crate) fn call(self, args: Vec<Expr>) -> Expr {
        let name = format!("{self:?}");
        let signature = Signature::any(args.len(), Volatility::Immutable);
        ScalarUDF::new_from_impl(Function { op: self, name, signature }).call(args)
    }

    /// It as a function of one text that statements call by this name.
    pub(crate) fn named(self, name: &str) -> ScalarUDF {
        let signature = Signature::exact(vec![DataType::Utf8], Volatility::Immutable);
        ScalarUDF::new_from_impl(Function { op: self, name: name.to_owned(), signature })
    }

    fn return_type(&self) -> DataType {
        match self {
            Self::TextTest(..)
            | Self::TextTestColumns(_)
            | Self::Matches(_)
            | Self::IpIn(_)
            | Self::InList
            | Self::HasKey(_)
            | Self::IdIn(_)
            | Self::Quantified(_) => DataType::Boolean,
            Self::LowerAscii
            | Self::UpperAscii
            | Self::ToText
            | Self::Shape
            | Self::MapValue(_)
            | Self::MapValueOr(..)
            | Self::Json(_)
            | Self::ListItem(_)
            | Self::JoinList => DataType::Utf8,
            Self::TextSize | Self::ParseInt | Self::Div | Self::Rem | Self::CollectionSize => DataType::Int64,
            Self::QueryString
            | Self::RequestCookies
            | Self::ResponseCookies
            | Self::MaskHeaders
            | Self::MaskCookies => derive::map_type(),
            Self::Distinct => DataType::List(Arc::new(Field::new("item", DataType::Utf8, true))),
        }
    }

    fn one(&self, arg: &ArrayRef) -> Result<ArrayRef> {
        if let Some(d) = arg.as_dictionary_opt::<Int32Type>() {
            let values = self.one(d.values())?;
            return Ok(take(&values, d.keys(), None)?);
        }
        match self {
            Self::TextTest(op, needle) => text::test(arg, *op, needle.as_bytes()),
            Self::Matches(pattern) => text::matches(arg, pattern),
            Self::IpIn(network) => text::ip_in(arg, network),
            Self::LowerAscii => text::map(arg, |s| s.to_ascii_lowercase()),
            Self::UpperAscii => text::map(arg, |s| s.to_ascii_uppercase()),
            Self::ToText => text::map(arg, str::to_owned),
            Self::Shape => text::map(arg, shape::shape),
            Self::TextSize => text::to_int(arg, |s| i64::try_from(s.chars().count()).ok()),
            Self::ParseInt => text::to_int(arg, text::parse_int),
            Self::CollectionSize => collection::size(arg),
            Self::HasKey(key) => collection::has_key(arg, key),
            Self::MapValue(key) => collection::map_value(arg, key),
            Self::MapValueOr(key, default) => collection::map_value_or(arg, key, default),
            Self::Json(path) => text::json(arg, path),
            Self::ListItem(index) => collection::item(arg, *index),
            Self::Quantified(q) => collection::quantified(arg, q),
            Self::JoinList => collection::join(arg),
            Self::QueryString => derive::query_string(arg),
            Self::RequestCookies => derive::request_cookies(arg),
            Self::ResponseCookies => derive::response_cookies(arg),
            Self::IdIn(ids) => text::is_in(arg, &ids.0),
            Self::MaskHeaders => mask::headers(arg),
            Self::MaskCookies => mask::cookies(arg),
            _ => Err(wrong_arguments(self)),
        }
    }

    fn two(&self, a: &ArrayRef, b: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::TextTestColumns(op) => text::test_columns(a, b, *op),
            Self::Div => text::divide(a, b, i64::checked_div, i64::MIN),
            Self::Rem => text::divide(a, b, i64::checked_rem, 0),
            Self::InList => collection::in_list(a, b),
            Self::Distinct => derive::distinct(a, b),
            _ => Err(wrong_arguments(self)),
        }
    }
}

fn wrong_arguments(op: &Op) -> DataFusionError {
    DataFusionError::Internal(format!("{op:?} got other arguments than it takes"))
}

/// An array that is not of the type that the function takes.
fn wrong_type(array: &dyn Array) -> DataFusionError {
    DataFusionError::Internal(format!("a filter function got {}", array.data_type()))
}

#[derive(Debug)]
struct Function {
    op: Op,
    /// The operation with its constants, so that calls which differ have names that differ.
    name: String,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.signature == other.signature
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.op.return_type())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let arrays: Vec<ArrayRef> =
            args.args.into_iter().map(|a| a.into_array(rows)).collect::<Result<_>>()?;
        let result = match arrays.as_slice() {
            [a] => self.op.one(a)?,
            [a, b] => self.op.two(&plain(a)?, &plain(b)?)?,
            _ => return Err(wrong_arguments(&self.op)),
        };
        if constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}

/// The array without its dictionary.
fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.as_dictionary_opt::<Int32Type>() {
        Some(d) => Ok(take(d.values(), d.keys(), None)?),
        None => Ok(Arc::clone(array)),
    }
}
