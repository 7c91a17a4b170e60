//! Is this NATS? INFO and CONNECT are; messages are, when their payload ends where they say.

use remora_model::Transport;

use super::line::{self, Line, Op};
use crate::{Role, Verdict};

/// Bytes of a control line that detection waits for.
const MAX_LINE: usize = 1 << 10;

/// Lines that are looked at.
const LOOK_AT: usize = 16;

/// The longest word that a line begins with, and the space behind it.
const WORD: usize = 8;

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    for (start, key, role) in
        [(&b"INFO {"[..], &b"\"server_id\""[..], Role::Server), (b"CONNECT {", b"\"verbose\"", Role::Client)]
    {
        let n = bytes.len().min(start.len());
        if n > 0 && bytes.get(..n).is_some_and(|b| b.eq_ignore_ascii_case(&start[..n])) {
            return match memchr::memchr(b'\n', bytes) {
                _ if n < start.len() => Verdict::NeedMore,
                _ if memchr::memmem::find(bytes, key).is_some() => Verdict::Match(role),
                None if bytes.len() < MAX_LINE => Verdict::NeedMore,
                _ => Verdict::Likely(role),
            };
        }
    }
    match sender(bytes) {
        Sender::Certain(role) => Verdict::Match(role),
        Sender::Likely(role) => Verdict::Likely(role),
        Sender::More => Verdict::NeedMore,
        // Redis says the same, and the port decides.
        Sender::No if acknowledges(bytes) => Verdict::Likely(Role::Server),
        Sender::No => Verdict::No,
    }
}

/// True for lines of a server that acknowledges or refuses, and nothing else: NATS puts its errors in
/// quotes.
fn acknowledges(bytes: &[u8]) -> bool {
    let Some((line, n)) = first_line(bytes) else { return false };
    let begins = line.op == Op::Ok || line.op == Op::Err && bytes.get(4..6) == Some(b" '");
    let mut rest = bytes.get(n..).unwrap_or_default();
    while let Some((line, n)) = first_line(rest) {
        if line.op.sender() == Some(Role::Client) {
            return false;
        }
        rest = rest.get(n..).unwrap_or_default();
    }
    begins && (rest.is_empty() || may_begin(rest))
}

/// Where a message of `role` begins: at a line that fits, behind the end of another one.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    let starts = memchr::memchr_iter(b'\n', bytes).map(|at| at + 1);
    std::iter::once(0).chain(starts).filter(|&at| at < bytes.len()).find(|&at| {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((line, _)) = first_line(rest) else { return false };
        if line.op.sender().is_some_and(|s| s != role) {
            return false;
        }
        match sender(rest) {
            Sender::Certain(found) | Sender::Likely(found) => found == role,
            // A payload that reaches beyond what is there.
            Sender::More => line.total.is_some(),
            Sender::No => false,
        }
    })
}

/// The line that `bytes` begin with, and its bytes.
pub(super) fn first_line(bytes: &[u8]) -> Option<(Line<'_>, usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let text = bytes.get(..end)?.strip_suffix(b"\r")?;
    Some((line::read(text)?, end + 1))
}

enum Sender {
    /// A message whose payload ends as it should, or several lines that agree.
    Certain(Role),
    /// One line that is known.
    Likely(Role),
    More,
    No,
}

/// Who says the lines that `bytes` begin with.
fn sender(bytes: &[u8]) -> Sender {
    let mut rest = bytes;
    let mut found = None;
    for _ in 0..LOOK_AT {
        if rest.is_empty() {
            break;
        }
        let Some((line, n)) = first_line(rest) else {
            let is_whole = memchr::memchr(b'\n', rest).is_some() || rest.len() >= MAX_LINE;
            return match found {
                _ if is_whole || !may_begin(rest) => Sender::No,
                Some(role) => Sender::Likely(role),
                None => Sender::More,
            };
        };
        let role = line.op.sender();
        if let (Some(a), Some(b)) = (role, found)
            && a != b
        {
            return Sender::No;
        }
        // PING, PONG, +OK and -ERR are words of other protocols too.
        let says = !matches!(line.op, Op::Ping | Op::Pong | Op::Ok | Op::Err);
        if says && let Some(role) = role {
            if found == Some(role) {
                return Sender::Certain(role);
            }
            found = Some(role);
        }
        rest = rest.get(n..).unwrap_or_default();
        if let Some(total) = line.total {
            let total = usize::try_from(total).unwrap_or(usize::MAX);
            let Some(end) = rest.get(total..) else {
                return if bytes.len() < MAX_LINE { Sender::More } else { Sender::No };
            };
            match (end, role) {
                ([b'\r', b'\n', ..], Some(role)) => return Sender::Certain(role),
                ([] | [b'\r'], _) => return Sender::More,
                _ => return Sender::No,
            }
        }
    }
    found.map_or(Sender::No, Sender::Likely)
}

/// True when a line may begin like that.
fn may_begin(bytes: &[u8]) -> bool {
    let word = bytes.get(..bytes.len().min(WORD)).unwrap_or_default();
    let end = word.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r')).unwrap_or(word.len());
    let word = word.get(..end).unwrap_or_default();
    let whole = end < WORD.min(bytes.len());
    ["INFO", "CONNECT", "PUB", "HPUB", "SUB", "UNSUB", "MSG", "HMSG", "PING", "PONG", "+OK", "-ERR"]
        .iter()
        .any(|op| {
            let op = op.as_bytes();
            if whole {
                op.eq_ignore_ascii_case(word)
            } else {
                op.get(..word.len()).is_some_and(|o| o.eq_ignore_ascii_case(word))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(bytes: &[u8]) -> Verdict {
        probe(bytes, Transport::Tcp)
    }

    #[test]
    fn the_beginning_of_a_connection_is_certain() {
        assert_eq!(judge(b"INFO {\"server_id\":\"N\""), Verdict::Match(Role::Server));
        assert_eq!(judge(b"CONNECT {\"verbose\":false}\r\n"), Verdict::Match(Role::Client));
        assert_eq!(judge(b"CONNECT {\"name\":\"x\"}\r\n"), Verdict::Likely(Role::Client));
        assert_eq!(judge(b"INFO"), Verdict::NeedMore);
        assert_eq!(judge(b"+OK\r\nPING\r\n"), Verdict::Likely(Role::Server));
        assert_eq!(judge(b"-ERR 'Stale Connection'\r\n"), Verdict::Likely(Role::Server));
        for other in [
            &b"INFO\r\n"[..],
            b"PING\r\n",
            b"+OK yes\r\n",
            b"-ERR unknown command\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"CONNECT shop:443 HTTP/1.1\r\n",
            b"220 mail\r\n",
            b"SUBSCRIBE a\r\n",
            b"PUBLISH a b\r\n",
        ] {
            assert_eq!(judge(other), Verdict::No, "{:?}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn messages_end_where_they_say() {
        assert_eq!(judge(b"PUB a 5\r\nhello\r\n"), Verdict::Match(Role::Client));
        assert_eq!(judge(b"PING\r\nMSG a 1 2\r\nhi\r\n"), Verdict::Match(Role::Server));
        assert_eq!(judge(b"PUB a 5\r\nhello"), Verdict::NeedMore);
        assert_eq!(judge(b"PUB a 5\r\nhello world\r\n"), Verdict::No);
        assert_eq!(judge(b"SUB a 1\r\n"), Verdict::Likely(Role::Client));
        assert_eq!(judge(b"SUB a 1\r\nSUB b 2\r\n"), Verdict::Match(Role::Client));
        assert_eq!(resync(b"lo\r\nPUB a 2\r\nhi\r\n", Role::Client), Some(4));
        assert_eq!(resync(b"lo\r\nMSG a 1 2\r\nhi\r\n", Role::Client), None);
    }
}
