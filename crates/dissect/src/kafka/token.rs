//! The parts of a message, as they are read one after the other.

use super::schema::Field;

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Uuid([u8; 16]),
    Text(&'a [u8]),
}

/// What comes next in a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    Value(&'static Field, Value<'a>),
    /// An array or structure begins.
    Open(&'static Field, Shape),
    /// A structure in an array begins.
    Element,
    /// An array, a structure, or a structure in an array ends.
    Close,
    /// Bytes of that number begin.
    Blob(&'static Field, u32),
    /// Some of them.
    Piece(&'a [u8]),
    /// They have ended.
    BlobEnd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Array,
    Structure,
}

/// What reading came to.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A token of that many bytes.
    Token(usize, Token<'a>),
    /// Bytes of no interest, that many.
    Quiet(usize),
    /// The rest of a token has not come yet.
    More,
    /// The message has been read to its end.
    Done,
    /// It does not fit its table.
    Fault,
}
