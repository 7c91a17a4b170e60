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
    /// The same, where all of it lies in one text.
    Pairs(Pairs<'a>),
}

/// A part of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of its first byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// The bytes that it names in `text`; none where it reaches beyond its end.
    #[inline]
    pub fn of(self, text: &[u8]) -> &[u8] {
        let start = self.start as usize;
        text.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// Pairs of text as the places where they lie, such as the headers of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs<'a> {
    /// What the spans are parts of.
    pub text: &'a [u8],
    /// Key and value of each pair, in wire order.
    pub spans: &'a [[Span; 2]],
}

impl<'a> Pairs<'a> {
    /// The pairs in wire order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone {
        self.spans.iter().map(move |[key, value]| (key.of(self.text), value.of(self.text)))
    }
}

impl<'a> ValueRef<'a> {
    /// Text from a string.
    pub const fn str(s: &'a str) -> Self {
        Self::Text(s.as_bytes())
    }
}
