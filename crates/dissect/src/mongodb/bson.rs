//! Walking over BSON (bsonspec.org, version 1.1) as it comes, without holding it.

use super::wire;

/// Levels of documents that are entered. Servers allow 180.
pub(super) const MAX_DEPTH: usize = 100;

/// Bytes of the longest name of an element, and of the parts of a regular expression.
const MAX_NAME: usize = 4 << 10;

/// An element's value. Texts and bytes may be cut at their end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Double(f64),
    Text(&'a [u8]),
    Binary(u8, &'a [u8]),
    Undefined,
    Id(&'a [u8; 12]),
    Bool(bool),
    Date(i64),
    Null,
    Regex(&'a [u8], &'a [u8]),
    Pointer(&'a [u8], &'a [u8; 12]),
    Code(&'a [u8]),
    Symbol(&'a [u8]),
    Int(i32),
    Timestamp(u32, u32),
    Long(i64),
    Decimal(u128),
    MinKey,
    MaxKey,
    /// A document or array that is too deep to be entered.
    Deep,
}

impl Value<'_> {
    /// A number of any type, or a truth value, as an integer.
    pub(super) fn int(&self) -> Option<i64> {
        match *self {
            Self::Int(n) => Some(n.into()),
            Self::Long(n) => Some(n),
            // Error codes and counts come as doubles at times.
            #[expect(clippy::cast_possible_truncation, reason = "saturates")]
            Self::Double(n) => Some(n as i64),
            Self::Bool(b) => Some(b.into()),
            _ => None,
        }
    }
}

/// What comes next. `used` bytes are done with.
#[derive(Debug, PartialEq)]
pub(super) enum Step<'a> {
    /// More bytes are needed.
    More,
    /// The document itself begins, and has been entered.
    Begin { used: usize },
    /// A document or array begins in it, and has been entered.
    Open { used: usize, name: &'a [u8], array: bool },
    /// A value, of which `cut` bytes are left out.
    Value { used: usize, name: &'a [u8], value: Value<'a>, cut: u64 },
    /// The innermost document ends.
    Close { used: usize },
    /// So many bytes are of no interest.
    Skip(u64),
    /// The document has ended.
    Done,
    /// This is not BSON.
    Fault,
}

/// Where in a document the walk stands.
#[derive(Debug, Default)]
pub(super) struct Walker {
    /// Where the open documents end, counted from the beginning of the outermost.
    ends: Vec<u64>,
    at: u64,
    skip: u64,
    /// Bytes that the outermost document may have.
    limit: u64,
}

impl Walker {
    /// A document of at most `limit` bytes.
    pub(super) fn begin(&mut self, limit: u64) {
        self.ends.clear();
        (self.at, self.skip, self.limit) = (0, 0, limit);
    }

    /// Leaves the document that was just entered: all of it is of no interest.
    pub(super) fn pass_over(&mut self) {
        if let Some(end) = self.ends.pop() {
            self.skip = end.saturating_sub(self.at);
        }
    }

    /// Bytes that are of no interest.
    pub(super) fn skip(&self) -> u64 {
        self.skip
    }

    /// So many of them went by.
    pub(super) fn pass(&mut self, n: u64) {
        self.skip = self.skip.saturating_sub(n);
        self.at = self.at.saturating_add(n);
    }

    pub(super) fn memory(&self) -> usize {
        self.ends.capacity() * size_of::<u64>()
    }

    /// The next part of the document. Of a text or binary at least `keep` bytes are waited for.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8], keep: usize) -> Step<'a> {
        if self.skip > 0 {
            return Step::Skip(self.skip);
        }
        let Some(&end) = self.ends.last() else {
            return if self.at > 0 { Step::Done } else { self.first(bytes) };
        };
        let left = end.saturating_sub(self.at);
        let Some(&kind) = bytes.first() else { return if left == 0 { Step::Fault } else { Step::More } };
        if kind == 0 {
            if left != 1 {
                return Step::Fault;
            }
            self.at += 1;
            self.ends.pop();
            return Step::Close { used: 1 };
        }
        let name = match wire::cstring(bytes.get(1..).unwrap_or_default(), MAX_NAME) {
            Ok(name) => name,
            Err(more) => return short(more, bytes.len(), left),
        };
        let head = name.len() + 2;
        // The zero that ends the document is not the value's.
        let Some(room) = left.checked_sub(head as u64 + 1) else { return Step::Fault };
        let value = bytes.get(head..).unwrap_or_default();
        match self.element(kind, value, room, keep) {
            Part::Value(value, used, skip) => {
                self.at += (head + used) as u64;
                self.skip = skip;
                Step::Value { used: head + used, name, value, cut: skip }
            }
            Part::Document(len, array) => {
                if self.ends.len() >= MAX_DEPTH {
                    self.at += head as u64;
                    self.skip = len;
                    return Step::Value { used: head, name, value: Value::Deep, cut: len };
                }
                self.ends.push(self.at + head as u64 + len);
                self.at += head as u64 + 4;
                Step::Open { used: head + 4, name, array }
            }
            Part::More => short(true, bytes.len(), left),
            Part::Fault => Step::Fault,
        }
    }

    fn first<'a>(&mut self, bytes: &[u8]) -> Step<'a> {
        let Some(len) = wire::int(bytes, 0) else { return Step::More };
        match u64::try_from(len) {
            Ok(len @ 5..) if len <= self.limit => {
                self.ends.push(len);
                self.at = 4;
                Step::Begin { used: 4 }
            }
            _ => Step::Fault,
        }
    }

    fn element<'a>(&self, kind: u8, v: &'a [u8], room: u64, keep: usize) -> Part<'a> {
        match kind {
            0x01 => fixed::<8>(v, room, |b| Value::Double(f64::from_le_bytes(*b))),
            0x02 => text(v, room, keep, Value::Text),
            0x03 | 0x04 => match wire::int(v, 0) {
                None => Part::More,
                Some(len) => match u64::try_from(len) {
                    Ok(len @ 5..) if len <= room => Part::Document(len, kind == 4),
                    _ => Part::Fault,
                },
            },
            0x05 => binary(v, room, keep),
            0x06 => Part::Value(Value::Undefined, 0, 0),
            0x07 => fixed::<12>(v, room, Value::Id),
            0x08 => fixed::<1>(v, room, |b| Value::Bool(b[0] != 0)),
            0x09 => fixed::<8>(v, room, |b| Value::Date(i64::from_le_bytes(*b))),
            0x0a => Part::Value(Value::Null, 0, 0),
            0x0b => regex(v),
            0x0c => match text(v, room, MAX_NAME, Value::Text) {
                Part::Value(Value::Text(ns), used, 0) => {
                    match v.get(used..).and_then(|id| id.first_chunk::<12>()) {
                        Some(id) => Part::Value(Value::Pointer(ns, id), used + 12, 0),
                        None => Part::More,
                    }
                }
                Part::Value(..) => Part::Fault,
                other => other,
            },
            0x0d => text(v, room, keep, Value::Code),
            0x0e => text(v, room, keep, Value::Symbol),
            // Code with its variables: the length of both, the code, and a document, which is
            // passed over.
            0x0f => match wire::int(v, 0).map(u64::try_from) {
                None => Part::More,
                Some(Ok(len @ 14..)) if len <= room => {
                    match text(v.get(4..).unwrap_or_default(), len - 4, keep, Value::Code) {
                        Part::Value(code, used, _) => Part::Value(code, used + 4, len - 4 - used as u64),
                        other => other,
                    }
                }
                Some(_) => Part::Fault,
            },
            0x10 => fixed::<4>(v, room, |b| Value::Int(i32::from_le_bytes(*b))),
            0x11 => fixed::<8>(v, room, |b| {
                let n = u64::from_le_bytes(*b);
                Value::Timestamp((n >> 32) as u32, (n & 0xffff_ffff) as u32)
            }),
            0x12 => fixed::<8>(v, room, |b| Value::Long(i64::from_le_bytes(*b))),
            0x13 => fixed::<16>(v, room, |b| Value::Decimal(u128::from_le_bytes(*b))),
            0x7f => Part::Value(Value::MaxKey, 0, 0),
            0xff => Part::Value(Value::MinKey, 0, 0),
            _ => Part::Fault,
        }
    }
}

/// An element behind its name.
enum Part<'a> {
    /// A value, its bytes that are used, and those behind them that are left out.
    Value(Value<'a>, usize, u64),
    /// A document or array of so many bytes.
    Document(u64, bool),
    More,
    Fault,
}

/// More bytes are needed, unless the document has no more.
fn short<'a>(more: bool, have: usize, left: u64) -> Step<'a> {
    if more && (have as u64) < left { Step::More } else { Step::Fault }
}

fn fixed<'a, const N: usize>(
    v: &'a [u8],
    room: u64,
    make: impl FnOnce(&'a [u8; N]) -> Value<'a>,
) -> Part<'a> {
    match v.first_chunk::<N>() {
        _ if room < N as u64 => Part::Fault,
        Some(bytes) => Part::Value(make(bytes), N, 0),
        None => Part::More,
    }
}

fn text<'a>(v: &'a [u8], room: u64, keep: usize, make: fn(&'a [u8]) -> Value<'a>) -> Part<'a> {
    let Some(len) = wire::int(v, 0) else { return Part::More };
    let Some(len) = usize::try_from(len).ok().filter(|&n| n > 0 && n as u64 + 4 <= room) else {
        return Part::Fault;
    };
    let want = (len - 1).min(keep);
    let used = if want == len - 1 { 4 + len } else { 4 + want };
    match v.get(4..4 + want) {
        Some(text) if v.len() >= used => Part::Value(make(text), used, (4 + len - used) as u64),
        _ => Part::More,
    }
}

fn binary(v: &[u8], room: u64, keep: usize) -> Part<'_> {
    let (Some(len), Some(&subtype)) = (wire::int(v, 0), v.get(4)) else { return Part::More };
    let Some(len) = usize::try_from(len).ok().filter(|&n| n as u64 + 5 <= room) else { return Part::Fault };
    let want = len.min(keep);
    match v.get(5..5 + want) {
        Some(data) => Part::Value(Value::Binary(subtype, data), 5 + want, (len - want) as u64),
        None => Part::More,
    }
}

fn regex(v: &[u8]) -> Part<'_> {
    let part = |more| if more { Part::More } else { Part::Fault };
    let pattern = match wire::cstring(v, MAX_NAME) {
        Ok(pattern) => pattern,
        Err(more) => return part(more),
    };
    match wire::cstring(v.get(pattern.len() + 1..).unwrap_or_default(), MAX_NAME) {
        Ok(options) => Part::Value(Value::Regex(pattern, options), pattern.len() + options.len() + 2, 0),
        Err(more) => part(more),
    }
}
