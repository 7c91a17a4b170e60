//! Functions that make more of what they are given than it was, within bounds.
//!
//! A function of rows holds its result outside of the memory that a query may have, so a statement of
//! a few words could take all there is: `repeat('x', 2000000000)`, or thirty concatenations of a value
//! with itself. Those that make anything of nothing are taken away, and the others that grow refuse
//! when a batch of rows would grow too large.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::function::Op;
use crate::sketch;

/// Bytes that a function may make of one batch of rows.
const MOST: usize = 64 << 20;

/// Make values of any size from a number.
const REMOVED: &[&str] = &[
    "repeat",
    "lpad",
    "rpad",
    "array_repeat",
    "list_repeat",
    "array_resize",
    "list_resize",
    "range",
    "generate_series",
];

/// What a function can make of its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// As much as all of them together.
    Sum,
    /// The first argument with each of its bytes replaced by the third.
    Replaced,
}

const GROWING: &[(&str, Growth)] = &[
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Sum),
    ("array_concat", Growth::Sum),
    ("array_append", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("array_to_string", Growth::Sum),
    ("make_array", Growth::Sum),
    ("map", Growth::Sum),
    ("overlay", Growth::Sum),
    ("struct", Growth::Sum),
    ("named_struct", Growth::Sum),
    ("replace", Growth::Replaced),
    ("regexp_replace", Growth::Replaced),
    ("array_replace_all", Growth::Replaced),
    ("translate", Growth::Replaced),
];

/// The function that `||` stands for.
pub(super) const JOIN: &str = "text_join";

/// Takes away and bounds the functions of a session.
pub(super) fn restrict(state: &mut SessionState) -> Result<()> {
    for name in REMOVED {
        state.deregister_udf(name)?;
    }
    for (name, growth) in GROWING {
        if let Ok(inner) = state.udf(name) {
            let aliases = inner.aliases().to_vec();
            let bounded = Bounded { name: inner.name().to_owned(), aliases, inner, growth: *growth };
            state.register_udf(Arc::new(ScalarUDF::new_from_impl(bounded)))?;
        }
    }
    state.register_udf(Arc::new(ScalarUDF::new_from_impl(Join::new())))?;
    state.register_udf(Arc::new(Op::Shape.named("shape")))?;
    state.register_udaf(Arc::new(sketch::aggregate()))?;
    Ok(())
}

/// Bytes of an argument in all rows of a batch.
fn size(value: &ColumnarValue, rows: usize) -> usize {
    match value {
        ColumnarValue::Array(array) => array.get_array_memory_size(),
        ColumnarValue::Scalar(scalar) => scalar.size().saturating_mul(rows),
    }
}

/// The longest text of an argument.
fn longest(value: &ColumnarValue) -> usize {
    match value {
        ColumnarValue::Scalar(scalar) => scalar.size(),
        ColumnarValue::Array(array) => array.get_array_memory_size(),
    }
}

fn check(name: &str, growth: Growth, args: &[ColumnarValue], rows: usize) -> Result<()> {
    let sum = args.iter().fold(0usize, |sum, arg| sum.saturating_add(size(arg, rows)));
    let most = match growth {
        Growth::Sum => sum,
        Growth::Replaced => {
            let by = args.get(2).map_or(0, |by| match by {
                ColumnarValue::Scalar(
                    ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text),
                ) => text.as_ref().map_or(0, String::len),
                by => longest(by),
            });
            args.first().map_or(0, |of| size(of, rows)).saturating_mul(by + 1)
        }
    };
    if most > MOST {
        return Err(DataFusionError::Execution(format!(
            "{name} could make more than {} MiB of a batch of rows; give it less, or filter first",
            MOST >> 20
        )));
    }
    Ok(())
}

/// A function of DataFusion that looks at its arguments first.
#[derive(Debug)]
struct Bounded {
    name: String,
    aliases: Vec<String>,
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        &self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<arrow::datatypes::FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check(&self.name, self.growth, &args.args, args.number_rows)?;
        self.inner.invoke_with_args(args)
    }
}

/// (text, text) -> text, null where either is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Join {
    signature: Signature,
}

impl Join {
    fn new() -> Self {
        Self { signature: Signature::uniform(2, vec![DataType::Utf8], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Join {
    fn name(&self) -> &str {
        JOIN
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check("||", Growth::Sum, &args.args, args.number_rows)?;
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [Some(left), Some(right)] = [0, 1].map(|i| arrays.get(i).and_then(|a| a.as_string_opt::<i32>()))
        else {
            return Err(DataFusionError::Execution(
                "|| takes two texts; for lists there is array_concat".to_owned(),
            ));
        };
        let mut out = StringBuilder::with_capacity(left.len(), left.values().len() + right.values().len());
        let mut both = String::new();
        for (a, b) in left.iter().zip(right) {
            out.append_option(a.zip(b).map(|(a, b)| {
                both.clear();
                both.push_str(a);
                both.push_str(b);
                &both
            }));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}
