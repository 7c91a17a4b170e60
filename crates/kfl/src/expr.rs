//! The typed intermediate representation: what a filter means, with every name resolved.
//!
//! It is made so that it lowers one to one to SQL with its three-valued logic: a field that a row
//! does not have is *unknown* (NULL), an operation on something unknown is unknown unless its
//! description below says otherwise, and a row matches only when the whole filter is true.

use regex::Regex;
use remora_model::{FieldId, FieldType, Timestamp};

use crate::{JsonStep, Network};

/// Type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// True, false or unknown.
    Bool,
    /// 64 bits, signed.
    Int,
    /// Text.
    Text,
    /// An instant, in nanoseconds.
    Time,
    /// A span of time, in nanoseconds.
    Duration,
    /// A list of texts: only fields have this type.
    List,
    /// A map from text to text: only fields have this type.
    Map,
}

impl Type {
    /// The name shown to users, as CEL writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
            Self::Time => "timestamp",
            Self::Duration => "duration",
            Self::List => "list(string)",
            Self::Map => "map(string, string)",
        }
    }
}

impl From<FieldType> for Type {
    fn from(ty: FieldType) -> Self {
        match ty {
            FieldType::Bool => Self::Bool,
            FieldType::Int => Self::Int,
            FieldType::Text => Self::Text,
            FieldType::List => Self::List,
            FieldType::Map => Self::Map,
            FieldType::Time => Self::Time,
        }
    }
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A text.
    Text(String),
    /// An instant; `now()` has become one.
    Time(Timestamp),
    /// A span of time in nanoseconds.
    Duration(i64),
}

impl Literal {
    /// Its type.
    pub const fn ty(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Text(_) => Type::Text,
            Self::Time(_) => Type::Time,
            Self::Duration(_) => Type::Duration,
        }
    }
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl CompareOp {
    /// How it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// The comparison that says the same with its sides exchanged.
    pub const fn flipped(self) -> Self {
        match self {
            Self::Eq => Self::Eq,
            Self::Ne => Self::Ne,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }
}

/// An arithmetic operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArithOp {
    /// `+`; on texts it joins them.
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`, rounding towards zero; unknown when the divisor is zero.
    Div,
    /// `%`, with the sign of the dividend; unknown when the divisor is zero.
    Rem,
}

impl ArithOp {
    /// How it is written.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Rem => "%",
        }
    }
}

/// A question about a part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextOp {
    /// `contains`
    Contains,
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
}

impl TextOp {
    /// The name of its method.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
        }
    }
}

/// A macro over the elements of a list, or the keys of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// `exists`: the elements' answers joined by Kleene's or; false for an empty list.
    Exists,
    /// `all`: joined by Kleene's and; true for an empty list.
    All,
    /// `exists_one`: exactly one is true; unknown when any of them is.
    ExistsOne,
}

impl Quantifier {
    /// The name of its macro.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::All => "all",
            Self::ExistsOne => "exists_one",
        }
    }
}

/// A regular expression that was compiled within [`crate::limits::REGEX_BYTES`]. The syntax is that
/// of the `regex` crate (RE2's, with no look-around and no back-references), and it matches
/// anywhere in the text unless it is anchored.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    pub(crate) const fn new(regex: Regex) -> Self {
        Self { regex }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// The compiled expression.
    pub const fn regex(&self) -> &Regex {
        &self.regex
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

/// An expression. Operands have the types that their operation needs: the checker made it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A constant.
    Literal(Literal),
    /// The value of a field; unknown when the row lacks it.
    Field(FieldId),
    /// The element that a quantifier looks at, a text. It stands only inside a `predicate`.
    Element,
    /// A comparison of two values of one type: int, string (by code point), timestamp, duration,
    /// and, for `==` and `!=` only, bool. A constant stands on the right unless both sides are.
    Compare {
        /// Which one.
        op: CompareOp,
        /// Its left side.
        left: Box<Expr>,
        /// Its right side.
        right: Box<Expr>,
    },
    /// Kleene's and of two or more: false when one is false, else unknown when one is unknown.
    And(Vec<Expr>),
    /// Kleene's or of two or more: true when one is true, else unknown when one is unknown.
    Or(Vec<Expr>),
    /// Kleene's not: the opposite, and unknown stays unknown.
    Not(Box<Expr>),
    /// Arithmetic on ints (all operations; beyond 64 bits it wraps around), `+` on strings, and on
    /// times: time ± duration, time - time, duration ± duration.
    Arith {
        /// Which one.
        op: ArithOp,
        /// Its left side.
        left: Box<Expr>,
        /// Its right side.
        right: Box<Expr>,
    },
    /// Equal to one of these constants, which have the type of the needle and are at least one.
    InSet {
        /// What is looked for.
        needle: Box<Expr>,
        /// Where it is looked for.
        set: Vec<Literal>,
    },
    /// A text is an element of a list field.
    InList {
        /// What is looked for.
        needle: Box<Expr>,
        /// Field of type list.
        list: FieldId,
    },
    /// A map field has this key; unknown when the row lacks the map.
    HasKey {
        /// Field of type map.
        map: FieldId,
        /// The key, in lower case for headers.
        key: String,
    },
    /// The value of a key in a map field; unknown when the row lacks the map or the map the key.
    MapValue {
        /// Field of type map.
        map: FieldId,
        /// The key, in lower case for headers.
        key: String,
    },
    /// The same, with a text to stand in when the map or the key is missing.
    MapValueOr {
        /// Field of type map.
        map: FieldId,
        /// The key, in lower case for headers.
        key: String,
        /// Its replacement.
        default: String,
    },
    /// The row has the field: true or false, never unknown.
    Has(FieldId),
    /// A text contains, starts with or ends with another; case counts.
    TextTest {
        /// Which one.
        op: TextOp,
        /// The text that is searched.
        subject: Box<Expr>,
        /// The text that it is searched for.
        needle: Box<Expr>,
    },
    /// A text matches a regular expression somewhere.
    Matches {
        /// The text that is searched.
        subject: Box<Expr>,
        /// The regular expression.
        pattern: Pattern,
    },
    /// Characters of a text, elements of a list field, keys of a map field.
    Size(Box<Expr>),
    /// The text with `A` to `Z` in lower case, and no other letter changed.
    LowerAscii(Box<Expr>),
    /// The text with `a` to `z` in upper case, and no other letter changed.
    UpperAscii(Box<Expr>),
    /// The integer that a text spells (decimal digits after an optional sign, nothing else);
    /// unknown when it spells none or one beyond 64 bits.
    ParseInt(Box<Expr>),
    /// The value inside a text of JSON, as [`crate::json_value`] finds it; unknown where it finds none.
    Json {
        /// The text.
        of: Box<Expr>,
        /// The way to the value.
        path: Vec<JsonStep>,
    },
    /// An element of a list field; unknown where the list has not so many.
    ListItem {
        /// Field of type list.
        list: FieldId,
        /// Which one, counted from 0.
        index: usize,
    },
    /// The decimal digits of an integer.
    IntToText(Box<Expr>),
    /// The address that a text spells lies in the network; unknown when it spells none.
    IpIn {
        /// The address as text.
        ip: Box<Expr>,
        /// The network.
        network: Network,
    },
    /// A macro over the elements of a list field or the keys of a map field; unknown when the row
    /// lacks the field. The predicate looks at [`Expr::Element`] and constants only: no field, no
    /// other quantifier.
    Quantified {
        /// Which one.
        quantifier: Quantifier,
        /// Field of type list or map.
        over: FieldId,
        /// What is asked of each element.
        predicate: Box<Expr>,
    },
    /// `condition ? then : otherwise`, the two of one type. An unknown condition gives unknown, not
    /// `otherwise`: in SQL `CASE WHEN c THEN a WHEN NOT c THEN b END`.
    If {
        /// What decides.
        condition: Box<Expr>,
        /// The value when it is true.
        then: Box<Expr>,
        /// The value when it is false.
        otherwise: Box<Expr>,
    },
}

impl Expr {
    /// Its type.
    pub fn ty(&self) -> Type {
        match self {
            Self::Literal(l) => l.ty(),
            Self::Field(id) => id.def().ty.into(),
            Self::Compare { .. }
            | Self::And(_)
            | Self::Or(_)
            | Self::Not(_)
            | Self::InSet { .. }
            | Self::InList { .. }
            | Self::HasKey { .. }
            | Self::Has(_)
            | Self::TextTest { .. }
            | Self::Matches { .. }
            | Self::IpIn { .. }
            | Self::Quantified { .. } => Type::Bool,
            Self::Element
            | Self::MapValue { .. }
            | Self::MapValueOr { .. }
            | Self::LowerAscii(_)
            | Self::UpperAscii(_)
            | Self::Json { .. }
            | Self::ListItem { .. }
            | Self::IntToText(_) => Type::Text,
            Self::Size(_) | Self::ParseInt(_) => Type::Int,
            Self::Arith { op, left, right } => match (op, left.ty(), right.ty()) {
                (ArithOp::Sub, Type::Time, Type::Time) => Type::Duration,
                (_, Type::Time, _) | (_, _, Type::Time) => Type::Time,
                (_, ty, _) => ty,
            },
            Self::If { then, .. } => then.ty(),
        }
    }

    /// Calls `visit` with every expression directly below this one.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Self::Literal(_)
            | Self::Field(_)
            | Self::Element
            | Self::HasKey { .. }
            | Self::MapValue { .. }
            | Self::MapValueOr { .. }
            | Self::ListItem { .. }
            | Self::Has(_) => {}
            Self::Compare { left: a, right: b, .. }
            | Self::Arith { left: a, right: b, .. }
            | Self::TextTest { subject: a, needle: b, .. } => {
                visit(a);
                visit(b);
            }
            Self::And(all) | Self::Or(all) => all.iter().for_each(visit),
            Self::Not(e)
            | Self::Size(e)
            | Self::LowerAscii(e)
            | Self::UpperAscii(e)
            | Self::ParseInt(e)
            | Self::IntToText(e)
            | Self::Json { of: e, .. }
            | Self::InSet { needle: e, .. }
            | Self::InList { needle: e, .. }
            | Self::Matches { subject: e, .. }
            | Self::IpIn { ip: e, .. }
            | Self::Quantified { predicate: e, .. } => visit(e),
            Self::If { condition, then, otherwise } => {
                visit(condition);
                visit(then);
                visit(otherwise);
            }
        }
    }

    /// Calls `visit` with this expression and every one below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        visit(self);
        self.for_each_child(&mut |child| child.walk(visit));
    }

    /// The field that this node itself names, if it names one (children are not looked at).
    pub const fn own_field(&self) -> Option<FieldId> {
        match self {
            Self::Field(id)
            | Self::Has(id)
            | Self::InList { list: id, .. }
            | Self::ListItem { list: id, .. }
            | Self::HasKey { map: id, .. }
            | Self::MapValue { map: id, .. }
            | Self::MapValueOr { map: id, .. }
            | Self::Quantified { over: id, .. } => Some(*id),
            _ => None,
        }
    }
}
