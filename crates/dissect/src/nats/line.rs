//! Control lines (NATS client protocol, "Protocol messages").

use crate::Role;

/// What a line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Op {
    #[default]
    Info,
    Connect,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Msg,
    Hmsg,
    Ping,
    Pong,
    Ok,
    Err,
}

impl Op {
    const ALL: [(Self, &'static str, Option<Role>); 12] = [
        (Self::Info, "INFO", Some(Role::Server)),
        (Self::Connect, "CONNECT", Some(Role::Client)),
        (Self::Pub, "PUB", Some(Role::Client)),
        (Self::Hpub, "HPUB", Some(Role::Client)),
        (Self::Sub, "SUB", Some(Role::Client)),
        (Self::Unsub, "UNSUB", Some(Role::Client)),
        (Self::Msg, "MSG", Some(Role::Server)),
        (Self::Hmsg, "HMSG", Some(Role::Server)),
        (Self::Ping, "PING", None),
        (Self::Pong, "PONG", None),
        (Self::Ok, "+OK", Some(Role::Server)),
        (Self::Err, "-ERR", Some(Role::Server)),
    ];

    /// The word that it begins with; servers take it in any case.
    fn of(word: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| word.eq_ignore_ascii_case(name.as_bytes())).map(|o| o.0)
    }

    pub(super) fn name(self) -> &'static str {
        Self::ALL.iter().find(|o| o.0 == self).map_or("", |o| o.1)
    }

    /// The side that says it; `None` where both do.
    pub(super) fn sender(self) -> Option<Role> {
        Self::ALL.iter().find(|o| o.0 == self).and_then(|o| o.2)
    }
}

/// A control line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) op: Op,
    pub(super) subject: &'a [u8],
    pub(super) reply: &'a [u8],
    pub(super) queue: &'a [u8],
    pub(super) sid: &'a [u8],
    /// Messages after which a subscription ends.
    pub(super) max: Option<u64>,
    /// JSON of INFO and CONNECT, text of an error.
    pub(super) text: &'a [u8],
    /// Bytes of headers and payload that follow, of which so many are headers.
    pub(super) total: Option<u64>,
    pub(super) headers: u64,
}

/// Words that a line has at most, behind its operation.
const WORDS: usize = 5;

/// Reads a line without its end. `None`: it is none.
pub(super) fn read(line: &[u8]) -> Option<Line<'_>> {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let end = line.iter().position(is_space).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let op = Op::of(word)?;
    let rest = rest.trim_ascii();
    let mut found = Line { op, ..Line::default() };
    match op {
        Op::Ping | Op::Pong | Op::Ok => return rest.is_empty().then_some(found),
        Op::Info | Op::Connect => {
            found.text = rest;
            return (rest.first() == Some(&b'{')).then_some(found);
        }
        Op::Err => {
            found.text = rest.strip_prefix(b"'").and_then(|t| t.strip_suffix(b"'"))?;
            return Some(found);
        }
        _ => {}
    }
    let mut words = [&b""[..]; WORDS];
    let mut n = 0;
    for word in rest.split(is_space).filter(|w| !w.is_empty()) {
        *words.get_mut(n)? = word;
        n += 1;
    }
    let words = words.get(..n)?;
    match (op, words) {
        (Op::Pub, [subject, size]) => (found.subject, found.total) = (subject, Some(number(size)?)),
        (Op::Pub, [subject, reply, size]) => {
            (found.subject, found.reply, found.total) = (subject, reply, Some(number(size)?));
        }
        (Op::Hpub, [subject, headers, size]) => {
            (found.subject, found.headers, found.total) = (subject, number(headers)?, Some(number(size)?));
        }
        (Op::Hpub, [subject, reply, headers, size]) => {
            (found.subject, found.reply) = (subject, reply);
            (found.headers, found.total) = (number(headers)?, Some(number(size)?));
        }
        (Op::Msg, [subject, sid, size]) => {
            (found.subject, found.sid, found.total) = (subject, sid, Some(number(size)?));
        }
        (Op::Msg, [subject, sid, reply, size]) => {
            (found.subject, found.sid, found.reply) = (subject, sid, reply);
            found.total = Some(number(size)?);
        }
        (Op::Hmsg, [subject, sid, headers, size]) => {
            (found.subject, found.sid) = (subject, sid);
            (found.headers, found.total) = (number(headers)?, Some(number(size)?));
        }
        (Op::Hmsg, [subject, sid, reply, headers, size]) => {
            (found.subject, found.sid, found.reply) = (subject, sid, reply);
            (found.headers, found.total) = (number(headers)?, Some(number(size)?));
        }
        (Op::Sub, [subject, sid]) => (found.subject, found.sid) = (subject, sid),
        (Op::Sub, [subject, queue, sid]) => {
            (found.subject, found.queue, found.sid) = (subject, queue, sid);
        }
        (Op::Unsub, [sid]) => found.sid = sid,
        (Op::Unsub, [sid, max]) => (found.sid, found.max) = (sid, Some(number(max)?)),
        _ => return None,
    }
    let subject = matches!(op, Op::Unsub) || is_subject(found.subject);
    let reply = found.reply.is_empty() || is_subject(found.reply);
    (subject && reply && found.headers <= found.total.unwrap_or(0)).then_some(found)
}

/// At most as long as a payload may ever be (a server's limit has 32 bits).
fn number(word: &[u8]) -> Option<u64> {
    let digits = (1..=10).contains(&word.len()) && word.iter().all(u8::is_ascii_digit);
    let value = || word.iter().fold(0, |n: u64, b| n * 10 + u64::from(b - b'0'));
    digits.then(value).filter(|n| *n <= u64::from(u32::MAX))
}

/// True for what can be a subject: text without control characters.
fn is_subject(word: &[u8]) -> bool {
    !word.is_empty() && std::str::from_utf8(word).is_ok_and(|w| !w.chars().any(char::is_control))
}

/// True when a subject is one that a subscription wants: `*` stands for one token and `>` for all
/// that follow.
pub(super) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut tokens = subject.split(|&b| b == b'.');
    for wanted in filter.split(|&b| b == b'.') {
        match (wanted, tokens.next()) {
            (b">", Some(_)) => return true,
            (b"*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_kind() {
        let p = read(b"PUB orders.new _INBOX.1 5").unwrap();
        assert_eq!(
            (p.op, p.subject, p.reply, p.total),
            (Op::Pub, &b"orders.new"[..], &b"_INBOX.1"[..], Some(5))
        );
        let h = read(b"hmsg a  9 _INBOX.1\t12 20 ").unwrap();
        assert_eq!((h.op, h.sid, h.headers, h.total), (Op::Hmsg, &b"9"[..], 12, Some(20)));
        assert_eq!(read(b"SUB a.* workers 3").unwrap().queue, b"workers");
        assert_eq!(read(b"UNSUB 3 7").unwrap().max, Some(7));
        assert_eq!(read(b"-ERR 'Unknown Protocol Operation'").unwrap().text, b"Unknown Protocol Operation");
        assert_eq!(read(b"+OK").unwrap().op, Op::Ok);
        for wrong in [
            &b""[..],
            b"PUB a",
            b"PUB a b c 5",
            b"PUB a -1",
            b"HPUB a 9 5",
            b"PING x",
            b"-ERR wrong",
            b"INFO",
            b"MSG a 1 99999999999",
            b"+OK now",
            b"GET / HTTP/1.1",
            b"PUB \x01 5",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn subscriptions_match() {
        for (filter, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("_INBOX.x.*", "_INBOX.x.y", true),
        ] {
            assert_eq!(matches(filter.as_bytes(), subject.as_bytes()), expected, "{filter} {subject}");
        }
    }
}
