//! A field's value on its way from a dissector to a column.

/// A borrowed value. Text need not be valid UTF-8: what is not is replaced when the value enters
/// a column, never before, so that the common case costs nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// Text.
    Text(&'a [u8]),
    /// A list of texts.
    List(&'a [&'a [u8]]),
    /// Pairs of text in wire order; a repeated key is allowed here and joined in the column.
    Map(&'a [(&'a [u8], &'a [u8])]),
}

impl<'a> ValueRef<'a> {
    /// Text from a string.
    pub const fn str(s: &'a str) -> Self {
        Self::Text(s.as_bytes())
    }
}
