//! Replies and pushes, written down as text.
//!
//! A string at the top is shown as it is. In aggregates strings are quoted as redis-cli does, and
//! the aggregates are written on one line: `[a, b]` for arrays and pushes, `{k: v}` for maps,
//! `{a, b}` for sets. Null is `(nil)`, booleans are `(true)` and `(false)`, errors inside have
//! `(error)` in front. Attributes are left out.

use std::ops::Range;

use super::{
    command, resp,
    resp::{Kind, MAX_DEPTH, Token},
    text,
};

/// Bytes kept of each of the first values, to tell pushes and their channels: as many as
/// `redis_key` has.
const HEAD: usize = 64;

/// What must not be shown of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Nothing.
    #[default]
    No,
    /// Values that follow the name of a secret setting.
    Settings,
    /// All of it.
    All,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: [u8; HEAD],
    len: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    kind: Kind,
    values: u64,
}

/// A reply that is being read.
#[derive(Debug)]
pub(super) struct Reply {
    text: Vec<u8>,
    quoted: Vec<u8>,
    levels: [Level; MAX_DEPTH],
    depth: usize,
    /// Attributes that are open, whose content is left out.
    attributes: usize,
    kind: Option<Kind>,
    items: Option<u64>,
    heads: [Head; 3],
    leaves: usize,
    /// The string being read: its type and where its text begins.
    leaf: Option<(Kind, usize)>,
    error: Option<Range<usize>>,
    secrecy: Secrecy,
    hide_next: bool,
    budget: usize,
    /// Bytes that were left out for the budget.
    pub(super) cut: u64,
    /// Bytes are missing from it.
    pub(super) hole: bool,
    /// Bytes of the string being read are.
    broken: bool,
}

impl Reply {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            quoted: Vec::new(),
            levels: [Level { kind: Kind::Array, values: 0 }; MAX_DEPTH],
            depth: 0,
            attributes: 0,
            kind: None,
            items: None,
            heads: [Head { bytes: [0; HEAD], len: 0, kind: Kind::Null }; 3],
            leaves: 0,
            leaf: None,
            error: None,
            secrecy: Secrecy::No,
            hide_next: false,
            budget: 0,
            cut: 0,
            hole: false,
            broken: false,
        }
    }

    /// A new reply, of which about `budget` bytes of text are kept.
    pub(super) fn begin(&mut self, budget: usize, secrecy: Secrecy) {
        self.text.clear();
        self.depth = 0;
        self.attributes = 0;
        self.kind = None;
        self.items = None;
        self.leaves = 0;
        self.leaf = None;
        self.error = None;
        self.secrecy = secrecy;
        self.hide_next = false;
        self.budget = budget;
        self.cut = 0;
        self.hole = false;
        self.broken = false;
        if secrecy == Secrecy::All {
            self.text.extend(b"***");
        }
    }

    /// The next piece.
    pub(super) fn token(&mut self, token: Token<'_>) {
        match token {
            Token::Open(Kind::Attribute, _) => self.attributes += 1,
            Token::Close(Kind::Attribute) => self.attributes = self.attributes.saturating_sub(1),
            _ if self.attributes > 0 => {}
            Token::Line(kind, bytes) => {
                self.start_value(kind, None);
                self.begin_leaf(kind);
                self.piece(bytes);
                self.end_leaf();
            }
            Token::Begin(kind, _) => {
                self.start_value(kind, None);
                self.begin_leaf(kind);
            }
            Token::Piece(bytes) => self.piece(bytes),
            Token::End => self.end_leaf(),
            Token::Open(kind, items) => {
                self.start_value(kind, items);
                self.write(if matches!(kind, Kind::Map | Kind::Set) { b"{" } else { b"[" });
                if let Some(level) = self.levels.get_mut(self.depth) {
                    *level = Level { kind, values: 0 };
                    self.depth += 1;
                }
            }
            Token::Close(kind) => {
                self.depth = self.depth.saturating_sub(1);
                self.write(if matches!(kind, Kind::Map | Kind::Set) { b"}" } else { b"]" });
            }
        }
    }

    /// Notes the type of the value at the top, and separates a value from the one before it.
    fn start_value(&mut self, kind: Kind, items: Option<u64>) {
        if self.depth == 0 {
            self.kind = Some(kind);
            self.items = items;
            return;
        }
        let Some(level) = self.levels.get_mut(self.depth - 1) else { return };
        let n = level.values;
        level.values += 1;
        let value_of_pair = level.kind == Kind::Map && n % 2 == 1;
        if n > 0 {
            self.write(if value_of_pair { b": " } else { b", " });
        }
    }

    fn begin_leaf(&mut self, kind: Kind) {
        self.broken = false;
        if self.depth > 0 {
            if let Some(head) = self.heads.get_mut(self.leaves) {
                head.len = 0;
                head.kind = kind;
            }
            if matches!(kind, Kind::Error | Kind::BulkError) {
                self.write(b"(error) ");
            }
        }
        self.leaf = Some((kind, self.text.len()));
    }

    fn piece(&mut self, bytes: &[u8]) {
        let Some((kind, _)) = self.leaf else { return };
        if self.broken {
            self.cut += bytes.len() as u64;
            return;
        }
        if self.depth > 0
            && let Some(head) = self.heads.get_mut(self.leaves)
        {
            let n = bytes.len().min(HEAD - head.len);
            head.bytes[head.len..head.len + n].copy_from_slice(&bytes[..n]);
            head.len += n;
        }
        if self.secrecy == Secrecy::All {
            return;
        }
        match kind {
            Kind::Null => self.write(b"(nil)"),
            Kind::Bool => self.write(if bytes == b"t" { b"(true)" } else { b"(false)" }),
            _ => self.write(bytes),
        }
    }

    /// Quotes or hides the string that ends here.
    fn end_leaf(&mut self) {
        let Some((kind, start)) = self.leaf.take() else { return };
        self.leaves += 1;
        if self.secrecy == Secrecy::All {
            return;
        }
        if kind == Kind::Verbatim && self.text.get(start + 3) == Some(&b':') {
            // The format in front of the text, as `txt:`.
            self.text.drain(start..start + 4);
        }
        if matches!(kind, Kind::Error | Kind::BulkError) && self.error.is_none() {
            self.error = Some(start..self.text.len());
        }
        let value = self.text.get(start..).unwrap_or_default();
        if self.secrecy == Secrecy::Settings {
            let hide = std::mem::replace(&mut self.hide_next, command::is_secret_setting(value));
            if hide && !value.is_empty() {
                self.text.truncate(start);
                self.text.extend(b"***");
                return;
            }
        }
        let string = matches!(kind, Kind::Bulk | Kind::Simple | Kind::Verbatim);
        if self.depth > 0 && string && !self.broken && !text::is_plain(value) {
            self.quoted.clear();
            text::write_argument(value, &mut self.quoted);
            self.text.truncate(start);
            let quoted = std::mem::take(&mut self.quoted);
            self.write(&quoted);
            self.quoted = quoted;
        }
    }

    /// Appends as far as the budget allows.
    fn write(&mut self, bytes: &[u8]) {
        if self.secrecy == Secrecy::All {
            return;
        }
        let room = self.budget.saturating_sub(self.text.len());
        let n = bytes.len().min(room);
        self.text.extend_from_slice(&bytes[..n]);
        self.cut += (bytes.len() - n) as u64;
    }

    /// `n` bytes of the string are missing. Nothing that follows is shown, lest what stands on both sides
    /// of the hole is read as one.
    pub(super) fn lost(&mut self, n: u64) {
        self.unseen(n);
        if let Some((_, start)) = self.leaf.filter(|_| self.depth > 0) {
            self.text.truncate(start);
        }
        self.budget = self.text.len();
        (self.hole, self.broken) = (true, true);
    }

    /// Nothing more of it comes. A string among others that is half read would be quoted when it ended: it
    /// is not shown.
    pub(super) fn stop(&mut self) {
        if let Some((_, start)) = self.leaf.take().filter(|_| self.depth > 0) {
            self.text.truncate(start);
        }
    }

    /// `n` bytes of the string pass unseen.
    pub(super) fn unseen(&mut self, n: u64) {
        self.cut = self.cut.saturating_add(n);
    }

    /// True while bytes of the string being read are wanted.
    pub(super) fn wants(&self) -> bool {
        let head = self.depth > 0 && self.heads.get(self.leaves).is_some_and(|h| h.len < HEAD);
        self.attributes == 0 && (head || self.secrecy != Secrecy::All && self.text.len() < self.budget)
    }

    /// Type of the value at the top, once it has begun.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Values in the aggregate at the top.
    pub(super) fn items(&self) -> Option<u64> {
        self.items
    }

    /// The `i`th value that is no aggregate inside the aggregate at the top, cut at the length of
    /// `redis_key`; only the first three.
    pub(super) fn head(&self, i: usize) -> Option<&[u8]> {
        let head = self.heads.get(i).filter(|_| i < self.leaves && self.items.is_some())?;
        head.bytes.get(..head.len)
    }

    /// The integer among them.
    pub(super) fn head_number(&self, i: usize) -> Option<u64> {
        let is_int = self.heads.get(i).is_some_and(|h| h.kind == Kind::Int);
        self.head(i).filter(|_| is_int).and_then(resp::number)
    }

    /// The reply as text.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The first error in it.
    pub(super) fn error(&self) -> Option<&[u8]> {
        self.text.get(self.error.clone()?)
    }

    /// Where in the text that is.
    pub(super) fn error_range(&self) -> Option<Range<usize>> {
        self.error.clone()
    }

    /// True when it is an error itself.
    pub(super) fn is_error(&self) -> bool {
        matches!(self.kind, Some(Kind::Error | Kind::BulkError))
    }

    /// `redis_reply_type`.
    pub(super) fn type_name(&self) -> Option<&'static str> {
        Some(match self.kind? {
            Kind::Simple => "simple",
            Kind::Error | Kind::BulkError => "error",
            Kind::Int => "int",
            Kind::Bulk => "bulk",
            Kind::Array => "array",
            Kind::Null => "null",
            Kind::Bool => "bool",
            Kind::Double => "double",
            Kind::BigNumber => "bignum",
            Kind::Verbatim => "verbatim",
            Kind::Map => "map",
            Kind::Set => "set",
            Kind::Push => "push",
            Kind::Attribute => return None,
        })
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity() + self.quoted.capacity()
    }
}

#[cfg(test)]
mod tests;
