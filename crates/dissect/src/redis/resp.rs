//! The Redis serialization protocol, versions 2 and 3, one token at a time.
//!
//! The parser holds a position in the grammar and nothing of the data: lines are handed out as
//! they stand in the input, and bulk strings piece by piece as they arrive, so that neither a
//! length nor a count read from the wire makes anything grow.

/// Levels of nesting. Redis itself nests a handful.
pub(super) const MAX_DEPTH: usize = 32;

/// Bytes of a line, its end included: simple strings, errors and the lines of MONITOR.
pub(super) const MAX_LINE: usize = 512 << 10;

/// Bytes of a bulk string. Redis stops at 512 MB unless `proto-max-bulk-len` is raised.
const MAX_BULK: u64 = 4 << 30;

/// Elements of an aggregate.
const MAX_ITEMS: u64 = 1 << 31;

/// Type of a value, after its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Simple,
    Error,
    Int,
    Bulk,
    Array,
    Null,
    Bool,
    Double,
    BigNumber,
    BulkError,
    Verbatim,
    Map,
    Set,
    Attribute,
    Push,
}

/// A piece of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A value of one line, without type byte and line end. Null has an empty one, whether it is
    /// RESP3's own or a bulk string or array of length -1.
    Line(Kind, &'a [u8]),
    /// A bulk string, bulk error or verbatim string begins; its length unless it is streamed.
    Begin(Kind, Option<u64>),
    /// The next bytes of it.
    Piece(&'a [u8]),
    /// It ends.
    End,
    /// An aggregate begins, of that many values (twice its pairs for maps and attributes), unless
    /// it is streamed.
    Open(Kind, Option<u64>),
    /// It ends.
    Close(Kind),
}

/// Result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A token that takes `len` bytes; `done` when it completes a value at the top.
    Token { len: usize, token: Token<'a>, done: bool },
    /// More bytes are needed.
    More,
    /// Not RESP.
    Fault,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    kind: Kind,
    /// Values still to come; `None` when a line of a single dot ends it.
    left: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bulk {
    /// None is being read.
    No,
    /// Payload, then the line end.
    Payload(u64),
    /// Between the pieces of a streamed string.
    Streamed,
    /// A piece of a streamed string.
    StreamedPayload(u64),
}

/// A position in the grammar.
#[derive(Clone, Debug)]
pub(super) struct Parser {
    levels: [Level; MAX_DEPTH],
    depth: usize,
    bulk: Bulk,
    /// Bytes of an unfinished line that are known to hold no line end.
    scanned: usize,
}

impl Parser {
    pub(super) fn new() -> Self {
        let level = Level { kind: Kind::Array, left: None };
        Self { levels: [level; MAX_DEPTH], depth: 0, bulk: Bulk::No, scanned: 0 }
    }

    /// Forgets a value that was half read.
    pub(super) fn reset(&mut self) {
        self.depth = 0;
        self.bulk = Bulk::No;
        self.scanned = 0;
    }

    /// Levels of aggregates that are open.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Bytes of a bulk string that are still to come, not counting its line end.
    pub(super) fn payload_left(&self) -> u64 {
        match self.bulk {
            Bulk::Payload(left) | Bulk::StreamedPayload(left) => left,
            Bulk::No | Bulk::Streamed => 0,
        }
    }

    /// Passes over `n` bytes of the bulk string being read. False when it has not as many.
    pub(super) fn pass(&mut self, n: u64) -> bool {
        match &mut self.bulk {
            Bulk::Payload(left) | Bulk::StreamedPayload(left) if *left >= n => {
                *left -= n;
                true
            }
            _ => false,
        }
    }

    /// Reads one token from the front of `bytes`: all that has come and was not taken yet.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        match self.bulk {
            Bulk::Payload(left) | Bulk::StreamedPayload(left) if left > 0 => self.payload(bytes, left),
            Bulk::Payload(_) | Bulk::StreamedPayload(_) => self.payload_end(bytes),
            Bulk::Streamed => self.line(bytes),
            Bulk::No => match self.levels[..self.depth].last() {
                Some(&Level { kind, left: Some(0) }) => self.close(kind, 0),
                _ => self.line(bytes),
            },
        }
    }

    fn payload<'a>(&mut self, bytes: &'a [u8], left: u64) -> Step<'a> {
        let n = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        if n == 0 {
            return Step::More;
        }
        self.pass(n as u64);
        Step::Token { len: n, token: Token::Piece(&bytes[..n]), done: false }
    }

    fn payload_end<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        match bytes {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Step::More,
            _ => return Step::Fault,
        }
        if matches!(self.bulk, Bulk::StreamedPayload(_)) {
            self.bulk = Bulk::Streamed;
            return Step::Token { len: 2, token: Token::Piece(b""), done: false };
        }
        self.bulk = Bulk::No;
        let done = self.complete();
        Step::Token { len: 2, token: Token::End, done }
    }

    /// Counts a value as read; true when it stood at the top.
    fn complete(&mut self) -> bool {
        match self.levels[..self.depth].last_mut() {
            Some(Level { left: Some(left), .. }) => {
                *left = left.saturating_sub(1);
                false
            }
            Some(_) => false,
            None => true,
        }
    }

    fn close<'a>(&mut self, kind: Kind, len: usize) -> Step<'a> {
        self.depth -= 1;
        // Attributes precede a value and are none themselves.
        let done = kind != Kind::Attribute && self.complete();
        Step::Token { len, token: Token::Close(kind), done }
    }

    fn line<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        let from = self.scanned.min(bytes.len());
        let Some(end) = memchr::memchr(b'\n', &bytes[from..]).map(|i| from + i) else {
            self.scanned = bytes.len();
            // A first byte that begins no value need not wait for its line to end.
            let odd = bytes.first().is_some_and(|b| !b"+-:$*_#,(!=%~|>;.".contains(b));
            return if odd || bytes.len() > MAX_LINE { Step::Fault } else { Step::More };
        };
        self.scanned = 0;
        match &bytes[..end] {
            [ty, text @ .., b'\r'] if end < MAX_LINE => self.value(*ty, text, end + 1).unwrap_or(Step::Fault),
            _ => Step::Fault,
        }
    }

    /// The value or beginning of a value that a line is. `None` when it is none.
    fn value<'a>(&mut self, ty: u8, text: &'a [u8], len: usize) -> Option<Step<'a>> {
        if self.bulk == Bulk::Streamed {
            return self.streamed_piece(ty, text, len);
        }
        let kind = match ty {
            b'+' => Kind::Simple,
            b'-' => Kind::Error,
            b':' => Kind::Int,
            b'$' => Kind::Bulk,
            b'*' => Kind::Array,
            b'_' => Kind::Null,
            b'#' => Kind::Bool,
            b',' => Kind::Double,
            b'(' => Kind::BigNumber,
            b'!' => Kind::BulkError,
            b'=' => Kind::Verbatim,
            b'%' => Kind::Map,
            b'~' => Kind::Set,
            b'|' => Kind::Attribute,
            b'>' => Kind::Push,
            b'.' if text.is_empty() => return self.end_of_stream(len),
            _ => return None,
        };
        match kind {
            Kind::Bulk | Kind::BulkError | Kind::Verbatim => {
                let size = match size(text)? {
                    Size::Null if kind == Kind::Bulk => return Some(self.single(Kind::Null, b"", len)),
                    Size::Null => return None,
                    Size::Of(n) if n > MAX_BULK => return None,
                    Size::Of(n) => Some(n),
                    Size::Streamed => None,
                };
                self.bulk = size.map_or(Bulk::Streamed, Bulk::Payload);
                Some(Step::Token { len, token: Token::Begin(kind, size), done: false })
            }
            Kind::Array | Kind::Map | Kind::Set | Kind::Attribute | Kind::Push => {
                let left = match size(text)? {
                    Size::Null if kind == Kind::Array => return Some(self.single(Kind::Null, b"", len)),
                    Size::Null => return None,
                    Size::Of(n) if n > MAX_ITEMS => return None,
                    Size::Of(n) if matches!(kind, Kind::Map | Kind::Attribute) => Some(2 * n),
                    Size::Of(n) => Some(n),
                    Size::Streamed => None,
                };
                *self.levels.get_mut(self.depth)? = Level { kind, left };
                self.depth += 1;
                Some(Step::Token { len, token: Token::Open(kind, left), done: false })
            }
            _ => scalar(kind, text).then(|| self.single(kind, text, len)),
        }
    }

    fn single<'a>(&mut self, kind: Kind, text: &'a [u8], len: usize) -> Step<'a> {
        let done = self.complete();
        Step::Token { len, token: Token::Line(kind, text), done }
    }

    fn end_of_stream<'a>(&mut self, len: usize) -> Option<Step<'a>> {
        match self.levels[..self.depth].last()? {
            &Level { kind, left: None } => Some(self.close(kind, len)),
            _ => None,
        }
    }

    /// `;length` before a piece of a streamed string, `;0` behind the last.
    fn streamed_piece<'a>(&mut self, ty: u8, text: &[u8], len: usize) -> Option<Step<'a>> {
        match (ty, size(text)?) {
            (b';', Size::Of(0)) => {
                self.bulk = Bulk::No;
                let done = self.complete();
                Some(Step::Token { len, token: Token::End, done })
            }
            (b';', Size::Of(n)) if n <= MAX_BULK => {
                self.bulk = Bulk::StreamedPayload(n);
                Some(Step::Token { len, token: Token::Piece(b""), done: false })
            }
            _ => None,
        }
    }
}

enum Size {
    Of(u64),
    /// `-1`.
    Null,
    /// `?`.
    Streamed,
}

fn size(text: &[u8]) -> Option<Size> {
    match text {
        b"-1" => Some(Size::Null),
        b"?" => Some(Size::Streamed),
        _ => number(text).map(Size::Of),
    }
}

/// A decimal number of at most 18 digits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let fits = (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    fits.then(|| text.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// True when the text is one of a single-line value of that type.
fn scalar(kind: Kind, text: &[u8]) -> bool {
    let digits = |t: &[u8]| {
        let t = t.strip_prefix(b"-").or(t.strip_prefix(b"+")).unwrap_or(t);
        !t.is_empty() && t.iter().all(u8::is_ascii_digit)
    };
    match kind {
        Kind::Int => text.len() <= 21 && digits(text),
        Kind::BigNumber => digits(text),
        Kind::Bool => matches!(text, b"t" | b"f"),
        Kind::Null => text.is_empty(),
        Kind::Double => {
            (1..=64).contains(&text.len())
                && text.iter().all(|b| b.is_ascii_digit() || b"+-.eEinfa".contains(b))
        }
        Kind::Error => !text.is_empty(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
