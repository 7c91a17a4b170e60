//! Is this Redis? RESP arrays of strings that begin with a known command are; most of what a
//! server sends could be something else until the client has been heard.

use remora_model::Transport;

use super::{
    command,
    resp::{Kind, Parser, Step, Token},
    text,
};
use crate::{Role, Verdict};

/// Bytes of a first line after which what has no end is something else.
const MAX_FIRST_LINE: usize = 256;

/// First words of errors that no other protocol uses.
const ERRORS: [&[u8]; 16] = [
    b"NOAUTH",
    b"WRONGPASS",
    b"WRONGTYPE",
    b"MOVED",
    b"ASK",
    b"CROSSSLOT",
    b"CLUSTERDOWN",
    b"NOPERM",
    b"NOSCRIPT",
    b"LOADING",
    b"MISCONF",
    b"MASTERDOWN",
    b"OOM",
    b"EXECABORT",
    b"UNKILLABLE",
    b"DENIED",
];

/// Commands that, in lower case, are as likely a word in somebody's data.
const WORDS: [&[u8]; 16] = [
    b"type",
    b"time",
    b"info",
    b"keys",
    b"role",
    b"object",
    b"client",
    b"module",
    b"memory",
    b"script",
    b"function",
    b"command",
    b"config",
    b"set",
    b"get",
    b"copy",
];

/// Inline commands that mean something in SMTP, POP3, FTP, IRC, memcached or NATS too.
const AMBIGUOUS: [&[u8]; 14] = [
    b"auth", b"quit", b"type", b"time", b"watch", b"monitor", b"append", b"prepend", b"incr", b"decr",
    b"touch", b"get", b"move", b"copy",
];

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes.first() {
        None => Verdict::NeedMore,
        Some(b'A'..=b'Z' | b'a'..=b'z') => inline(bytes),
        Some(b'*' | b'>' | b'%' | b'~' | b'|') => aggregate(bytes),
        Some(b'+' | b'-' | b':' | b'$' | b'_' | b'#' | b',' | b'(' | b'!' | b'=') => single(bytes),
        Some(_) => Verdict::No,
    }
}

/// Where the first message of `role` may begin.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    let mut from = 0;
    while let Some(rest) = bytes.get(from..).filter(|r| !r.is_empty()) {
        let fits = match role {
            Role::Client => matches!(probe(rest, Transport::Tcp), Verdict::Match(Role::Client)),
            Role::Server => begins_reply(rest) == Some(true),
        };
        if fits {
            return Some(from);
        }
        from += memchr::memchr(b'\n', rest)? + 1;
    }
    None
}

/// Whether a whole line stands here that begins a reply. `None`: the line is not whole.
pub(super) fn begins_reply(bytes: &[u8]) -> Option<bool> {
    match Parser::new().step(bytes) {
        Step::Token { token: Token::Line(Kind::Simple | Kind::Error, _), .. } => {
            Some(!matches!(single(bytes), Verdict::No))
        }
        Step::Token { .. } => Some(true),
        Step::More => None,
        Step::Fault => Some(false),
    }
}

/// Whether that is what a replica sends its master, again and again. `None`: more bytes will tell.
pub(super) fn is_replica(bytes: &[u8]) -> Option<bool> {
    const ACK: &[u8] = b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n";
    let n = bytes.len().min(ACK.len());
    let same = ACK.get(..n).zip(bytes.get(..n)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
    if same && n < ACK.len() { None } else { Some(same) }
}

/// Where something begins that a server sends unasked, and that is not found inside a reply.
pub(super) fn find_push(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(rest) = bytes.get(from..).filter(|r| !r.is_empty()) {
        let sure = match rest {
            [b'*' | b'>', ..] => aggregate(rest) == Verdict::Match(Role::Server),
            [b'+', ..] => match Parser::new().step(rest) {
                Step::Token { token: Token::Line(Kind::Simple, text), .. } => is_monitor_line(text),
                _ => false,
            },
            _ => false,
        };
        if sure {
            return Some(from);
        }
        from += memchr::memchr(b'\n', rest)? + 1;
    }
    None
}

fn unfinished(bytes: &[u8]) -> Verdict {
    if bytes.len() < MAX_FIRST_LINE { Verdict::NeedMore } else { Verdict::No }
}

/// What stands at the front of an aggregate.
struct Front {
    first: [u8; 64],
    len: usize,
    /// The first value is a string that has ended.
    named: bool,
    /// Values at the first level that have begun.
    values: u64,
    /// All of them are strings.
    strings: bool,
    /// The third is an integer.
    counted: bool,
}

fn aggregate(bytes: &[u8]) -> Verdict {
    let mut parser = Parser::new();
    let mut at = 0;
    let (kind, items) = match parser.step(bytes) {
        Step::Token { len, token: Token::Open(kind, items), .. } => {
            at += len;
            (kind, items)
        }
        Step::Token { .. } => return Verdict::Likely(Role::Server),
        Step::More => return unfinished(bytes),
        Step::Fault => return Verdict::No,
    };
    let mut front = Front { first: [0; 64], len: 0, named: false, values: 0, strings: true, counted: false };
    let mut done = false;
    while !done && front.values <= 8 {
        match parser.step(&bytes[at..]) {
            Step::Token { len, token, done: d } => {
                at += len;
                done = d;
                front.token(token, parser.depth());
            }
            Step::More => break,
            Step::Fault => return Verdict::No,
        }
    }
    front.judge(kind, items, bytes.len(), done)
}

impl Front {
    fn token(&mut self, token: Token<'_>, depth: usize) {
        match token {
            Token::Begin(Kind::Bulk, Some(_)) => self.values += u64::from(depth == 1),
            Token::Piece(bytes) if self.values == 1 && !self.named => {
                let n = bytes.len().min(self.first.len() - self.len);
                self.first[self.len..self.len + n].copy_from_slice(&bytes[..n]);
                self.len += n;
            }
            Token::End if self.values == 1 => self.named = true,
            Token::Piece(_) | Token::End | Token::Close(_) => {}
            Token::Line(kind, _) => {
                self.values += u64::from(depth == 1);
                self.strings = false;
                self.counted |= self.values == 3 && kind == Kind::Int;
            }
            Token::Begin(..) | Token::Open(..) => {
                self.values += u64::from(depth <= 2);
                self.strings = false;
            }
        }
    }

    fn judge(&self, kind: Kind, items: Option<u64>, len: usize, done: bool) -> Verdict {
        let word = self.first.get(..self.len).filter(|_| self.named).unwrap_or_default();
        let lower = word.iter().all(u8::is_ascii_lowercase);
        let subscription = word.ends_with(b"subscribe");
        match (kind, word) {
            (Kind::Map, b"server") => Verdict::Match(Role::Server),
            (Kind::Push, b"message" | b"pmessage" | b"smessage" | b"invalidate") => {
                Verdict::Match(Role::Server)
            }
            (Kind::Push, _) if subscription => Verdict::Match(Role::Server),
            (Kind::Array, b"message" | b"smessage") if items == Some(3) => Verdict::Match(Role::Server),
            (Kind::Array, b"pmessage") if items == Some(4) => Verdict::Match(Role::Server),
            (Kind::Array, _) if subscription && self.counted => Verdict::Match(Role::Server),
            // Request or reply? The third value tells.
            (Kind::Array, _) if subscription && lower && items == Some(3) && !done && self.strings => {
                if len < MAX_FIRST_LINE { Verdict::NeedMore } else { Verdict::Likely(Role::Client) }
            }
            (Kind::Array, _) if self.strings && self.named && command::find(word).is_some() => {
                if WORDS.contains(&word) && !(done && matches!(word, b"get" | b"set")) {
                    Verdict::Likely(Role::Client)
                } else {
                    Verdict::Match(Role::Client)
                }
            }
            (Kind::Array, _) if self.strings && command::is_name(word) && word.contains(&b'.') => {
                Verdict::Likely(Role::Client)
            }
            // The first string is still on its way.
            (Kind::Array, _) if !self.named && self.strings && items != Some(0) => unfinished_or_server(len),
            _ => Verdict::Likely(Role::Server),
        }
    }
}

fn unfinished_or_server(len: usize) -> Verdict {
    if len < MAX_FIRST_LINE { Verdict::NeedMore } else { Verdict::Likely(Role::Server) }
}

/// A reply that is no aggregate.
fn single(bytes: &[u8]) -> Verdict {
    let (token, at) = match Parser::new().step(bytes) {
        Step::Token { token, len, .. } => (token, len),
        Step::More => return unfinished(bytes),
        Step::Fault => return Verdict::No,
    };
    match token {
        Token::Line(Kind::Simple, text) => simple(text),
        Token::Line(Kind::Error, text) => {
            let word = text.split(|b| *b == b' ').next().unwrap_or_default();
            if ERRORS.contains(&word) {
                Verdict::Match(Role::Server)
            } else if (2..=32).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase) {
                Verdict::Likely(Role::Server)
            } else {
                Verdict::No
            }
        }
        Token::Begin(Kind::Bulk, Some(_)) if bytes[at..].starts_with(b"# Server\r\nredis_version:") => {
            Verdict::Match(Role::Server)
        }
        _ => Verdict::Likely(Role::Server),
    }
}

fn simple(text: &[u8]) -> Verdict {
    match text {
        b"PONG" | b"QUEUED" => Verdict::Match(Role::Server),
        b"OK" => Verdict::Likely(Role::Server),
        _ if text.starts_with(b"FULLRESYNC ") || text.starts_with(b"CONTINUE") => {
            Verdict::Match(Role::Server)
        }
        _ if is_monitor_line(text) => Verdict::Match(Role::Server),
        _ if text.starts_with(b"Background ") => Verdict::Likely(Role::Server),
        // The answer to TYPE, and whatever modules say in one word.
        _ if (2..=32).contains(&text.len()) && text.iter().all(u8::is_ascii_alphanumeric) => {
            Verdict::Likely(Role::Server)
        }
        _ => Verdict::No,
    }
}

/// True for a line of MONITOR: `1700000000.123456 [0 127.0.0.1:50000] "GET" "a"`.
pub(super) fn is_monitor_line(text: &[u8]) -> bool {
    let digits = |t: &[u8]| t.iter().take_while(|b| b.is_ascii_digit()).count();
    let secs = digits(text);
    let rest = text.get(secs..).unwrap_or_default();
    let Some(rest) = rest.strip_prefix(b".").filter(|_| secs >= 9) else { return false };
    rest.get(digits(rest)..).is_some_and(|r| r.starts_with(b" ["))
}

/// A command typed by hand, or by a health check.
fn inline(bytes: &[u8]) -> Verdict {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        let text = bytes.iter().all(|b| (0x20..0x7f).contains(b) || b"\t\r".contains(b));
        return if text { unfinished(bytes) } else { Verdict::No };
    };
    let line = bytes[..end].trim_ascii_end();
    if line.len() > MAX_FIRST_LINE
        || !line.iter().all(|b| (0x20..0x7f).contains(b))
        || !text::split(line, |_| {})
    {
        return Verdict::No;
    }
    let mut words = line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    let verb = words.next().unwrap_or_default();
    // IRC's has arguments.
    if line.eq_ignore_ascii_case(b"monitor") {
        return Verdict::Likely(Role::Client);
    }
    if command::find(verb).is_none() || AMBIGUOUS.iter().any(|a| verb.eq_ignore_ascii_case(a)) {
        return Verdict::No;
    }
    // IRC has `PING :server`, NATS `INFO {...}`, prose `hello world`, memcached `set key 0 0 5`, HTTP a path and version.
    let foreign = words.clone().any(|w| b":{/".contains(&w[0]) || w.starts_with(b"HTTP/"));
    let greeting = verb.eq_ignore_ascii_case(b"hello")
        && words.clone().next().is_some_and(|version| !version.iter().all(u8::is_ascii_digit));
    let memcached = verb == b"set" && words.clone().count() > 2;
    if foreign || greeting || memcached { Verdict::No } else { Verdict::Likely(Role::Client) }
}

#[cfg(test)]
mod tests;
