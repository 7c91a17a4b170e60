//! SQL as a sequence of words, as far as it takes to find table names and passwords.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a name without quotation marks.
    Word,
    /// A name in double quotation marks, backticks or brackets.
    Quoted,
    /// A string: `'...'`, `$tag$...$tag$`.
    String,
    /// A number, or one character of anything else.
    Other,
}

/// A token and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    /// Quotation marks included.
    pub(crate) text: &'a [u8],
    pub(crate) start: usize,
}

impl<'a> Token<'a> {
    /// True for this keyword.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// True for one of these keywords.
    pub(crate) fn is_one_of(&self, words: &[&str]) -> bool {
        words.iter().any(|w| self.is(w))
    }

    /// True for this character.
    pub(crate) fn is_char(&self, c: u8) -> bool {
        self.kind == Kind::Other && self.text == [c]
    }

    /// A name without its quotation marks.
    pub(crate) fn name(&self) -> Option<&'a [u8]> {
        match (self.kind, self.text) {
            (Kind::Word, text) => Some(text),
            (Kind::Quoted, [_, name @ .., _]) => Some(name),
            _ => None,
        }
    }
}

/// Reads tokens one by one. White space and comments are passed over; what has no end is one token
/// up to the end of the text.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    sql: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) const fn new(sql: &'a [u8]) -> Self {
        Self { sql, at: 0 }
    }

    fn rest(&self) -> &'a [u8] {
        self.sql.get(self.at..).unwrap_or_default()
    }

    /// Passes over white space and comments. MySQL's `/*! ... */` holds code: only its marks are
    /// passed over.
    fn blank(&mut self) {
        loop {
            match self.rest() {
                [b, ..] if b.is_ascii_whitespace() => self.at += 1,
                [b'-', b'-', rest @ ..] => self.at += 2 + line(rest),
                [b'#', rest @ ..] => self.at += 1 + line(rest),
                [b'/', b'*', b'!', rest @ ..] => {
                    self.at += 3 + rest.iter().take_while(|b| b.is_ascii_digit()).count();
                }
                [b'*', b'/', ..] => self.at += 2,
                [b'/', b'*', rest @ ..] => {
                    self.at += 2 + memchr::memmem::find(rest, b"*/").map_or(rest.len(), |end| end + 2);
                }
                _ => return,
            }
        }
    }
}

fn line(rest: &[u8]) -> usize {
    memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1)
}

/// Length of a quoted text, marks included. A mark is written twice inside, or behind a
/// backslash where that is allowed.
fn quoted(text: &[u8], mark: u8, backslash: bool) -> usize {
    let mut at = 1;
    while let Some(b) = text.get(at) {
        if *b == b'\\' && backslash {
            at += 2;
        } else if *b == mark {
            if text.get(at + 1) != Some(&mark) {
                return at + 1;
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    text.len()
}

/// Length of a dollar-quoted string of PostgreSQL.
fn dollar(text: &[u8]) -> Option<usize> {
    let tag = text.get(1..)?.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count() + 2;
    let mark = text.get(..tag).filter(|m| m.ends_with(b"$") && !m.get(1).is_some_and(u8::is_ascii_digit))?;
    let body = text.get(tag..)?;
    Some(memchr::memmem::find(body, mark).map_or(text.len(), |end| tag + end + tag))
}

const fn in_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | 0x80..)
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.blank();
        let rest = self.rest();
        let (kind, len) = match rest.first()? {
            b'\'' => (Kind::String, quoted(rest, b'\'', true)),
            b'"' => (Kind::Quoted, quoted(rest, b'"', true)),
            b'`' => (Kind::Quoted, quoted(rest, b'`', false)),
            b'$' => dollar(rest).map_or((Kind::Other, 1), |len| (Kind::String, len)),
            b'0'..=b'9' => (Kind::Other, rest.iter().take_while(|b| in_word(**b)).count()),
            b if in_word(*b) => (Kind::Word, rest.iter().take_while(|b| in_word(**b)).count()),
            _ => (Kind::Other, 1),
        };
        let start = self.at;
        let len = len.min(rest.len());
        self.at += len;
        Some(Token { kind, text: rest.get(..len).unwrap_or_default(), start })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<String> {
        Tokens::new(sql.as_bytes()).map(|t| String::from_utf8_lossy(t.text).into_owned()).collect()
    }

    #[test]
    fn tokens_of_every_kind() {
        assert_eq!(
            texts(
                "select a.b,'it''s \\' q' /* x */ from `t``x` -- end\n# more\nwhere \"c\" = $tag$ ' $tag$;"
            ),
            [
                "select",
                "a",
                ".",
                "b",
                ",",
                "'it''s \\' q'",
                "from",
                "`t``x`",
                "where",
                "\"c\"",
                "=",
                "$tag$ ' $tag$",
                ";"
            ]
        );
        assert_eq!(texts("/*!40101 SET x */"), ["SET", "x"]);
        assert_eq!(texts("$1 + 'open"), ["$", "1", "+", "'open"]);
        assert_eq!(texts("/* open"), [""; 0]);
        assert_eq!(texts("größe=1"), ["größe", "=", "1"]);
    }
}
