//! Types that JSON shows in a way of their own, whether their descriptors are there or not.

use super::pool::Kind;

/// A well-known type (the protobuf documentation, "ProtoJSON format").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::grpc) enum Known {
    Timestamp,
    Duration,
    FieldMask,
    Any,
    Struct,
    Value,
    ListValue,
    Empty,
    /// The enum with one value, which stands for `null`.
    Null,
    /// A value by itself, of that kind.
    Wrapper(Kind),
}

impl Known {
    /// By its full name.
    pub(in crate::grpc) fn of(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("google.protobuf.")? {
            "Timestamp" => Self::Timestamp,
            "Duration" => Self::Duration,
            "FieldMask" => Self::FieldMask,
            "Any" => Self::Any,
            "Struct" => Self::Struct,
            "Value" => Self::Value,
            "ListValue" => Self::ListValue,
            "Empty" => Self::Empty,
            "NullValue" => Self::Null,
            "DoubleValue" => Self::Wrapper(Kind::Double),
            "FloatValue" => Self::Wrapper(Kind::Float),
            "Int64Value" => Self::Wrapper(Kind::Int64),
            "UInt64Value" => Self::Wrapper(Kind::Uint64),
            "Int32Value" => Self::Wrapper(Kind::Int32),
            "UInt32Value" => Self::Wrapper(Kind::Uint32),
            "BoolValue" => Self::Wrapper(Kind::Bool),
            "StringValue" => Self::Wrapper(Kind::String),
            "BytesValue" => Self::Wrapper(Kind::Bytes),
            _ => return None,
        })
    }
}
