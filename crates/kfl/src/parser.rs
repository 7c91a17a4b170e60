//! From tokens to a syntax tree: operator precedence parsing with bounds on depth and size.

use crate::lexer::{Token, TokenKind, lex};
use crate::syntax::{Kind, Node};
use crate::{ArithOp, CompareOp, Diagnostic, Span, limits, print};

/// A fault ends the parse; it is in `Parser::found`.
struct Stop;

type Parsed = Result<Node, Stop>;

/// Levels of brackets, signs and conditionals that the parser goes down. A syntax tree within
/// [`limits::SYNTAX_DEPTH`] never needs more.
const NESTING: usize = limits::SYNTAX_DEPTH;

/// The tree of `text`, or `None` for empty text, and what is wrong with it. There is a tree beside
/// errors when they leave no doubt about what was meant.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Diagnostic>) {
    if text.len() > limits::TEXT_BYTES {
        let message = format!("the filter is {} bytes long; {} is the limit", text.len(), limits::TEXT_BYTES);
        return (None, vec![Diagnostic::error(Span::new(0, 1), message)]);
    }
    let (tokens, found, sound) = lex(text);
    if !sound {
        return (None, found);
    }
    let mut parser = Parser { tokens, at: 0, nesting: 0, nodes: 0, found };
    if parser.peek() == &TokenKind::End {
        return (None, parser.found);
    }
    match parser.whole() {
        Ok(node) => (Some(node), parser.found),
        Err(Stop) => (None, parser.found),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    nesting: usize,
    nodes: usize,
    found: Vec<Diagnostic>,
}

/// The binary operators by how tightly they bind.
mod precedence {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const RELATION: u8 = 3;
    pub(super) const SUM: u8 = 4;
    pub(super) const PRODUCT: u8 = 5;
}

/// Methods that may stand between their subject and a text.
const METHODS: &[&str] = &["contains", "startsWith", "endsWith", "matches"];

#[derive(Clone, Copy)]
enum Infix {
    Or,
    And,
    Compare(CompareOp),
    In,
    NotIn,
    /// A method between its subject and its argument, as KFL1's pages have it: `path contains "/api"`.
    Method(&'static str),
    Arith(ArithOp),
}

impl Infix {
    const fn precedence(self) -> u8 {
        match self {
            Self::Or => precedence::OR,
            Self::And => precedence::AND,
            Self::Compare(_) | Self::In | Self::NotIn | Self::Method(_) => precedence::RELATION,
            Self::Arith(ArithOp::Add | ArithOp::Sub) => precedence::SUM,
            Self::Arith(_) => precedence::PRODUCT,
        }
    }
}

fn is_word(kind: &TokenKind, word: &str) -> bool {
    matches!(kind, TokenKind::Ident(name) if name.eq_ignore_ascii_case(word))
}

impl Parser {
    fn token(&self) -> &Token {
        // `End` is always last and is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek(&self) -> &TokenKind {
        &self.token().kind
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    fn is(&self, punct: &str) -> bool {
        matches!(self.peek(), TokenKind::Punct(p) if *p == punct)
    }

    fn accept(&mut self, punct: &str) -> bool {
        let found = self.is(punct);
        if found {
            self.at += 1;
        }
        found
    }

    fn fail<T>(&mut self, diagnostic: Diagnostic) -> Result<T, Stop> {
        self.found.push(diagnostic);
        Err(Stop)
    }

    /// What the next token is called in a message.
    fn next_name(&self) -> String {
        match self.peek() {
            TokenKind::End => "the end of the filter".to_owned(),
            TokenKind::Ident(name) => format!("`{}`", print::brief(name)),
            TokenKind::Int(n) => format!("`{n}`"),
            TokenKind::Text(_) => "a text".to_owned(),
            TokenKind::Punct(p) => format!("`{p}`"),
        }
    }

    fn expect(&mut self, punct: &str, opened: Span, what: &str) -> Result<Span, Stop> {
        if self.is(punct) {
            return Ok(self.advance().span);
        }
        let message = format!("expected `{punct}` to close {what}, found {}", self.next_name());
        let span = if self.peek() == &TokenKind::End { opened } else { self.token().span };
        self.fail(Diagnostic::error(span, message))
    }

    fn node(&mut self, kind: Kind, span: Span) -> Parsed {
        self.nodes += 1;
        let mut depth = 0;
        kind.children(&mut |child| depth = depth.max(child.depth));
        let depth = depth + 1;
        if self.nodes > limits::NODES {
            let message = format!("the filter has more than {} parts", limits::NODES);
            return self.fail(Diagnostic::error(span, message).help("split it into several queries"));
        }
        if depth > limits::SYNTAX_DEPTH {
            return self.too_deep(span);
        }
        Ok(Node { kind, span, depth })
    }

    fn too_deep<T>(&mut self, span: Span) -> Result<T, Stop> {
        let message = format!("the filter is nested deeper than {} levels", limits::DEPTH);
        self.fail(Diagnostic::error(span, message).help("join conditions with && or || side by side"))
    }

    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.nesting >= NESTING {
            let span = self.token().span;
            return self.too_deep(span);
        }
        self.nesting += 1;
        let parsed = parse(self);
        self.nesting -= 1;
        parsed
    }

    fn whole(&mut self) -> Parsed {
        let node = self.expression()?;
        if self.peek() == &TokenKind::End {
            return Ok(node);
        }
        let found = Diagnostic::error(self.token().span, format!("unexpected {}", self.next_name()));
        let found = match self.peek() {
            TokenKind::Ident(_)
            | TokenKind::Text(_)
            | TokenKind::Int(_)
            | TokenKind::Punct("(" | "[" | "!") => {
                let help = match (&node.kind, self.peek()) {
                    (_, TokenKind::Ident(word))
                        if ["is", "equals", "eq"].contains(&word.to_ascii_lowercase().as_str()) =>
                    {
                        "did you mean `==`?"
                    }
                    (_, TokenKind::Ident(word)) if word.eq_ignore_ascii_case("like") => {
                        "did you mean `.contains(\"...\")` or `.matches(\"...\")`?"
                    }
                    (_, TokenKind::Ident(word)) if word.eq_ignore_ascii_case("contains") => {
                        "did you mean `.contains(\"...\")`?"
                    }
                    _ => "join conditions with && or ||",
                };
                found.help(help)
            }
            _ => found,
        };
        self.fail(found)
    }

    fn expression(&mut self) -> Parsed {
        self.deeper(|p| {
            let condition = p.binary(0)?;
            if !p.is("?") {
                return Ok(condition);
            }
            let mark = p.advance().span;
            let then = p.expression()?;
            p.expect(":", mark, "`? :`")?;
            let otherwise = p.expression()?;
            let span = condition.span.to(otherwise.span);
            let (condition, then, otherwise) = (Box::new(condition), Box::new(then), Box::new(otherwise));
            p.node(Kind::If { condition, then, otherwise }, span)
        })
    }

    fn infix(&self) -> Option<Infix> {
        Some(match self.peek() {
            TokenKind::Punct(p) => match *p {
                "||" => Infix::Or,
                "&&" => Infix::And,
                "==" => Infix::Compare(CompareOp::Eq),
                "!=" => Infix::Compare(CompareOp::Ne),
                "<" => Infix::Compare(CompareOp::Lt),
                "<=" => Infix::Compare(CompareOp::Le),
                ">" => Infix::Compare(CompareOp::Gt),
                ">=" => Infix::Compare(CompareOp::Ge),
                "+" => Infix::Arith(ArithOp::Add),
                "-" => Infix::Arith(ArithOp::Sub),
                "*" => Infix::Arith(ArithOp::Mul),
                "/" => Infix::Arith(ArithOp::Div),
                "%" => Infix::Arith(ArithOp::Rem),
                _ => return None,
            },
            word if is_word(word, "or") => Infix::Or,
            word if is_word(word, "and") => Infix::And,
            word if is_word(word, "in") => Infix::In,
            word if is_word(word, "not")
                && self.tokens.get(self.at + 1).is_some_and(|t| is_word(&t.kind, "in")) =>
            {
                Infix::NotIn
            }
            TokenKind::Ident(word) => {
                let text = self.tokens.get(self.at + 1).is_some_and(|t| matches!(t.kind, TokenKind::Text(_)));
                let method = METHODS.iter().find(|m| **m == word.as_str()).filter(|_| text)?;
                Infix::Method(method)
            }
            _ => return None,
        })
    }

    /// Operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Parsed {
        let mut left = self.unary()?;
        let mut related = false;
        while let Some(op) = self.infix() {
            let binds = op.precedence();
            if binds < least {
                break;
            }
            let op_span = self.advance().span;
            if binds == precedence::RELATION {
                if related {
                    let found = Diagnostic::error(op_span, "comparisons cannot be chained");
                    return self.fail(found.help("join them: `1 < x && x < 5`, or add parentheses"));
                }
                related = true;
            } else if binds < precedence::RELATION {
                related = false;
            }
            if matches!(op, Infix::NotIn) {
                self.advance();
            }
            let right = self.binary(binds + 1)?;
            left = self.join(op, op_span, left, right)?;
        }
        Ok(left)
    }

    fn join(&mut self, op: Infix, op_span: Span, left: Node, right: Node) -> Parsed {
        let span = left.span.to(right.span);
        // A chain of one connective is one node, so that its length does not count as depth.
        let chain = |left: Node, right: Node, is_or: bool| {
            let mut all = match left.kind {
                Kind::Or(all) if is_or => all,
                Kind::And(all) if !is_or => all,
                kind => vec![Node { kind, ..left }],
            };
            all.push(right);
            all
        };
        match op {
            Infix::Or => {
                let kind = Kind::Or(chain(left, right, true));
                self.node(kind, span)
            }
            Infix::And => {
                let kind = Kind::And(chain(left, right, false));
                self.node(kind, span)
            }
            Infix::Compare(op) => {
                self.node(Kind::Compare { op, left: Box::new(left), right: Box::new(right) }, span)
            }
            Infix::Arith(op) => {
                self.node(Kind::Arith { op, left: Box::new(left), right: Box::new(right) }, span)
            }
            Infix::Method(name) => {
                let (receiver, name) = (Some(Box::new(left)), name.to_owned());
                self.node(Kind::Call { receiver, name, name_span: op_span, args: vec![right] }, span)
            }
            Infix::In | Infix::NotIn => {
                let node = self.node(Kind::In { needle: Box::new(left), haystack: Box::new(right) }, span)?;
                if matches!(op, Infix::In) { Ok(node) } else { self.node(Kind::Not(Box::new(node)), span) }
            }
        }
    }

    fn unary(&mut self) -> Parsed {
        let start = self.token().span;
        if self.accept("!") {
            let operand = self.deeper(Self::unary)?;
            let span = start.to(operand.span);
            self.node(Kind::Not(Box::new(operand)), span)
        } else if is_word(self.peek(), "not") {
            // The word binds like Python's: `not a == b` is `!(a == b)`.
            self.advance();
            let operand = self.deeper(|p| p.binary(precedence::RELATION))?;
            let span = start.to(operand.span);
            self.node(Kind::Not(Box::new(operand)), span)
        } else if self.accept("-") {
            if let TokenKind::Int(n) = *self.peek() {
                let span = start.to(self.advance().span);
                // 2^63 is its own negative in 64 bits, and is the one that has no positive.
                return self.node(Kind::Int(n.wrapping_neg() as i64), span);
            }
            let operand = self.deeper(Self::unary)?;
            let span = start.to(operand.span);
            self.node(Kind::Negate(Box::new(operand)), span)
        } else {
            self.postfix()
        }
    }

    fn postfix(&mut self) -> Parsed {
        let mut node = self.primary()?;
        loop {
            if self.accept(".") {
                let (name, name_span) = match self.peek().clone() {
                    TokenKind::Ident(name) => (name, self.advance().span),
                    _ => {
                        let message = format!("expected a name after `.`, found {}", self.next_name());
                        let span = self.token().span;
                        return self.fail(Diagnostic::error(span, message));
                    }
                };
                if self.is("(") {
                    node = self.call(Some(node), name, name_span)?;
                } else {
                    let span = node.span.to(name_span);
                    node = self.node(Kind::Select { of: Box::new(node), name }, span)?;
                }
            } else if self.is("[") {
                let opened = self.advance().span;
                let key = self.expression()?;
                let end = self.expect("]", opened, "the index")?;
                let span = node.span.to(end);
                node = self.node(Kind::Index { of: Box::new(node), key: Box::new(key) }, span)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn call(&mut self, receiver: Option<Node>, name: String, name_span: Span) -> Parsed {
        let opened = self.advance().span;
        let (args, end) = self.list(")", opened, &format!("the arguments of `{}`", print::brief(&name)))?;
        let span = receiver.as_ref().map_or(name_span, |r| r.span).to(end);
        self.node(Kind::Call { receiver: receiver.map(Box::new), name, name_span, args }, span)
    }

    /// Expressions with commas between up to `close`, a comma before it allowed.
    fn list(&mut self, close: &str, opened: Span, what: &str) -> Result<(Vec<Node>, Span), Stop> {
        let mut items = Vec::new();
        while !self.is(close) {
            items.push(self.expression()?);
            if !self.accept(",") {
                break;
            }
        }
        let end = self.expect(close, opened, what)?;
        Ok((items, end))
    }

    fn primary(&mut self) -> Parsed {
        let Token { kind, span } = self.token().clone();
        match kind {
            TokenKind::Int(n) => {
                self.advance();
                match i64::try_from(n) {
                    Ok(n) => self.node(Kind::Int(n), span),
                    Err(_) => self.fail(Diagnostic::error(span, "the number is beyond 64 bits")),
                }
            }
            TokenKind::Text(text) => {
                self.advance();
                self.node(Kind::Text(text), span)
            }
            TokenKind::Ident(name) => {
                let word = match name.as_str() {
                    "true" => Some(Kind::Bool(true)),
                    "false" => Some(Kind::Bool(false)),
                    "null" | "nil" => Some(Kind::Null),
                    _ => None,
                };
                if word.is_none() && ["and", "or", "in"].iter().any(|w| name.eq_ignore_ascii_case(w)) {
                    return self.missing_operand(span);
                }
                self.advance();
                match word {
                    Some(kind) => self.node(kind, span),
                    None if self.is("(") => self.call(None, name, span),
                    None => self.node(Kind::Ident(name), span),
                }
            }
            TokenKind::Punct("(") => {
                self.advance();
                let node = self.expression()?;
                let end = self.expect(")", span, "the parenthesis")?;
                Ok(Node { span: span.to(end), ..node })
            }
            TokenKind::Punct("[") => {
                self.advance();
                let (items, end) = self.list("]", span, "the list")?;
                self.node(Kind::List(items), span.to(end))
            }
            TokenKind::Punct("{") => {
                let found = Diagnostic::error(span, "maps cannot be written in a filter");
                self.fail(found.help("look a key up instead: request.headers[\"host\"] == \"shop\""))
            }
            _ => self.missing_operand(span),
        }
    }

    fn missing_operand(&mut self, span: Span) -> Parsed {
        let message = format!("expected a value, found {}", self.next_name());
        let found = Diagnostic::error(span, message);
        let found = match self.peek() {
            TokenKind::Punct("/") => found.help("texts stand in quotation marks: path == \"/api\""),
            TokenKind::Punct("*") => {
                found.help("there are no wildcards: use .startsWith, .contains or .matches")
            }
            _ => found,
        };
        self.fail(found)
    }
}
