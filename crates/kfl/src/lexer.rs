//! From text to tokens.

use crate::{Diagnostic, Span, print};

/// A token and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
}

/// What a token is. Keywords are identifiers here: after a dot they are names like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Ident(String),
    /// Up to 2^63, so that a minus sign can precede it.
    Int(u64),
    Text(String),
    /// An operator or a bracket, as it is written in CEL.
    Punct(&'static str),
    End,
}

/// The operators and brackets of CEL, longer ones first.
const PUNCTUATION: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "+", "-", "*", "/", "%", "?", ":", "(", ")", "[", "]",
    "{", "}", ",", ".",
];

/// What people write for an operator, and the operator. Longer ones come first.
const MISTAKES: &[(&str, &str)] = &[
    ("!==", "!="),
    ("===", "=="),
    ("<>", "!="),
    ("=>", ">="),
    ("=<", "<="),
    ("=", "=="),
    ("&", "&&"),
    ("|", "||"),
];

/// The tokens of `text`, with [`TokenKind::End`] last, and what is wrong with it. The flag says that
/// the tokens still make sense: each error was about an operator whose meaning is plain.
pub(crate) fn lex(text: &str) -> (Vec<Token>, Vec<Diagnostic>, bool) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), found: Vec::new(), sound: true };
    lexer.run();
    (lexer.tokens, lexer.found, lexer.sound)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    found: Vec<Diagnostic>,
    sound: bool,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.tokens.push(Token { kind, span: Span::new(start, self.at) });
    }

    fn fail(&mut self, diagnostic: Diagnostic) {
        self.sound = false;
        self.found.push(diagnostic);
    }

    fn run(&mut self) {
        // After the first fault that leaves no sense, what follows would only be noise.
        while self.sound
            && let Some(c) = self.rest().chars().next()
        {
            let start = self.at;
            if c.is_whitespace() {
                self.at += c.len_utf8();
            } else if c == '#' || self.rest().starts_with("//") {
                self.at += self.rest().find('\n').unwrap_or(self.rest().len());
            } else if c == '"' || c == '\'' {
                self.string(start, false);
            } else if matches!(c, 'r' | 'R') && self.rest()[1..].starts_with(['"', '\'']) {
                self.at += 1;
                self.string(start, true);
            } else if c.is_ascii_alphabetic() || c == '_' {
                self.at += self.run_of(|c| c.is_ascii_alphanumeric() || c == '_');
                self.push(TokenKind::Ident(self.text[start..self.at].to_owned()), start);
            } else if c.is_ascii_digit() {
                self.number(start);
            } else {
                self.operator(start, c);
            }
        }
        self.at = self.text.len();
        self.push(TokenKind::End, self.at);
    }

    fn run_of(&self, mut wanted: impl FnMut(char) -> bool) -> usize {
        self.rest().find(|c| !wanted(c)).unwrap_or(self.rest().len())
    }

    fn operator(&mut self, start: usize, c: char) {
        if self.rest().starts_with("=~") || c == '~' {
            let span = Span::new(start, start + if c == '~' { 1 } else { 2 });
            let help = "a regular expression is matched like this: path.matches(\"^/api/\")";
            return self.fail(Diagnostic::error(span, "there is no operator `=~`").help(help));
        }
        // `!=` must win over the mistakes that begin with `!`, and `==` over `=`.
        let wrong = MISTAKES.iter().find(|(w, _)| self.rest().starts_with(w));
        let right = PUNCTUATION.iter().find(|p| self.rest().starts_with(**p));
        match (wrong, right) {
            (Some((w, meant)), r) if r.is_none_or(|r| r.len() < w.len()) => {
                self.at += w.len();
                let span = Span::new(start, self.at);
                self.found.push(
                    Diagnostic::error(span, format!("there is no operator `{w}`"))
                        .help(format!("did you mean `{meant}`?")),
                );
                self.push(TokenKind::Punct(meant), start);
            }
            (_, Some(p)) => {
                self.at += p.len();
                self.push(TokenKind::Punct(p), start);
            }
            _ => {
                let span = Span::new(start, start + c.len_utf8());
                let found = Diagnostic::error(
                    span,
                    format!("the character `{}` has no meaning here", c.escape_debug()),
                );
                self.fail(match c {
                    '“' | '”' | '„' | '‘' | '’' | '«' | '»' | '`' => {
                        found.help("texts stand in straight quotation marks: \"GET\" or 'GET'")
                    }
                    '≠' => found.help("did you mean `!=`?"),
                    '≤' => found.help("did you mean `<=`?"),
                    '≥' => found.help("did you mean `>=`?"),
                    _ => found,
                });
            }
        }
    }

    fn number(&mut self, start: usize) {
        let hex = self.rest().starts_with("0x") || self.rest().starts_with("0X");
        let digits = if hex {
            2 + self.text[start + 2..].bytes().take_while(u8::is_ascii_hexdigit).count()
        } else {
            self.run_of(|c| c.is_ascii_digit())
        };
        // The whole word, so that `10.0.0.1` or `5m` is one mistake and not three.
        let mut last = '0';
        let word = self.run_of(|c| {
            let part = c.is_ascii_alphanumeric() || matches!(c, '_' | '.') || (c == ':' && last == ':');
            last = c;
            part
        });
        self.at += word;
        let spelled = &self.text[start..start + word];
        let span = Span::new(start, self.at);
        let suffix = &spelled[digits..];
        // CEL marks unsigned numbers with a `u`; there is one kind of integer here.
        let whole = suffix.is_empty() || (suffix.eq_ignore_ascii_case("u") && !hex);
        if !whole {
            let found = Diagnostic::error(span, format!("`{}` is not a number", print::brief(spelled)));
            let is_unit = ["ns", "us", "ms", "s", "m", "h", "d", "w", "µs"].contains(&suffix);
            return self.fail(if is_unit {
                found.help(format!(
                    "a span of time is written duration(\"{spelled}\"); fields such as elapsed_time are whole \
                     microseconds"
                ))
            } else if spelled.matches('.').count() == 1 && suffix[1..].bytes().all(|b| b.is_ascii_digit()) {
                found.help("numbers are whole here: times are in microseconds, sizes in bytes")
            } else if spelled.matches('.').count() == 3 {
                found.help(format!("addresses stand in quotation marks: \"{}\"", print::brief(spelled)))
            } else {
                found.help("write all its digits, or put it in quotation marks if it is a text")
            });
        }
        let parsed =
            if hex { u64::from_str_radix(&spelled[2..digits], 16) } else { spelled[..digits].parse() };
        match parsed {
            Ok(n) if n <= 1 << 63 => self.push(TokenKind::Int(n), start),
            _ => self.fail(Diagnostic::error(span, "the number is beyond 64 bits")),
        }
    }

    /// `self.at` is at the opening quotation mark.
    fn string(&mut self, start: usize, raw: bool) {
        let quote = &self.rest()[..1];
        let triple = quote.repeat(3);
        let close = if self.rest().starts_with(&triple) { triple.as_str() } else { quote };
        self.at += close.len();
        let mut value = String::new();
        loop {
            if self.rest().starts_with(close) {
                self.at += close.len();
                return self.push(TokenKind::Text(value), start);
            }
            let Some(c) = self.rest().chars().next() else {
                let span = Span::new(start, start + 1);
                let found = Diagnostic::error(span, "this text has no end");
                return self.fail(found.help(format!("close it with {close}")));
            };
            if c == '\n' && close.len() == 1 {
                let found = Diagnostic::error(Span::new(start, self.at), "this text has no end on its line");
                return self.fail(found.help(format!("close it with {close}; a line break is written \\n")));
            }
            if c == '\\' && !raw {
                match escape(self.rest()) {
                    Some((c, length)) => {
                        value.push(c);
                        self.at += length;
                    }
                    None => {
                        let length = 1 + self.rest()[1..].chars().next().map_or(0, char::len_utf8);
                        let span = Span::new(self.at, self.at + length);
                        let spelled = print::brief(&self.text[self.at..self.at + length]);
                        let found = Diagnostic::error(span, format!("`{spelled}` is not an escape sequence"));
                        return self.fail(found.help(format!(
                            "double the backslash, or write the whole text raw: r\"{spelled}...\""
                        )));
                    }
                }
            } else {
                value.push(c);
                self.at += c.len_utf8();
            }
        }
    }
}

/// The character that an escape sequence at the start of `text` stands for, and its length. The
/// sequences are those of CEL.
fn escape(text: &str) -> Option<(char, usize)> {
    let numeric = |digits: usize, radix: u32, skip: usize| {
        let spelled = text.get(skip..skip + digits)?;
        // `from_str_radix` takes a sign.
        if !spelled.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        Some((char::from_u32(u32::from_str_radix(spelled, radix).ok()?)?, skip + digits))
    };
    let simple = match text[1..].chars().next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'v' => '\x0b',
        c @ ('\\' | '"' | '\'' | '`' | '?') => c,
        'x' | 'X' => return numeric(2, 16, 2),
        'u' => return numeric(4, 16, 2),
        'U' => return numeric(8, 16, 2),
        '0'..='3' => return numeric(3, 8, 1),
        _ => return None,
    };
    Some((simple, 2))
}
