//! Is this SMTP? A client that says hello is; a server that greets could speak FTP.

use remora_model::Transport;

use super::reply::{self, Front};
use crate::{Role, Verdict};

/// How clients begin, or go on in the middle of a connection, and how much has to follow.
const HELLOS: [&[u8]; 3] = [b"EHLO ", b"HELO ", b"LHLO "];
const PATHS: [&[u8]; 2] = [b"MAIL FROM:", b"RCPT TO:"];

/// Keywords of servers' extensions that nothing else has (RFC 1870, 1652, 2920, 2034, 3030).
const EXTENSIONS: [&[u8]; 6] =
    [b"SIZE", b"8BITMIME", b"PIPELINING", b"ENHANCEDSTATUSCODES", b"CHUNKING", b"SMTPUTF8"];

/// Bytes of a line that is judged without its end.
const LONG: usize = 512;

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes.first() {
        None => Verdict::NeedMore,
        Some(b'2'..=b'5') => server(bytes),
        Some(_) => client(bytes),
    }
}

fn client(bytes: &[u8]) -> Verdict {
    let (line, whole) = match memchr::memchr(b'\n', bytes) {
        Some(end) => (bytes.get(..end).unwrap_or_default().trim_ascii_end(), true),
        None => (bytes, false),
    };
    let begins = |word: &[u8]| {
        let n = word.len().min(line.len());
        line.get(..n).zip(word.get(..n)).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b))
            && (n == word.len() || !whole)
    };
    let known = HELLOS.iter().any(|w| begins(w)) || PATHS.iter().any(|w| begins(w));
    let text = std::str::from_utf8(line).is_ok_and(|l| !l.contains(|c: char| c.is_control()));
    match (known, whole) {
        (true, true) if text && line.len() > 5 => Verdict::Match(Role::Client),
        (true, false) if bytes.len() < LONG => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

fn server(bytes: &[u8]) -> Verdict {
    let reply = match reply::front(bytes) {
        Front::Whole(reply, _) => reply,
        Front::More if bytes.len() < LONG => return Verdict::NeedMore,
        Front::More | Front::Bad => return Verdict::No,
    };
    let has = |line: &[u8], word: &[u8]| line.windows(word.len()).any(|w| w.eq_ignore_ascii_case(word));
    match reply.code {
        220 if reply.lines().any(|l| has(l, b"SMTP") || has(l, b"LMTP")) => Verdict::Match(Role::Server),
        250 if reply.lines().any(|l| {
            EXTENSIONS
                .iter()
                .any(|e| l.len() >= e.len() && l.get(..e.len()).is_some_and(|s| s.eq_ignore_ascii_case(e)))
        }) =>
        {
            Verdict::Match(Role::Server)
        }
        // RFC 5321 demands the name of the host behind the code.
        220 | 421 | 554 => Verdict::Likely(Role::Server),
        _ if reply.status().is_some() => Verdict::Likely(Role::Server),
        _ => Verdict::No,
    }
}

/// Finds a line that a command or a reply is.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', bytes).map(|at| at + 1));
    starts.into_iter().find(|at| {
        let rest = bytes.get(*at..).unwrap_or_default();
        match role {
            Role::Server => matches!(reply::front(rest), Front::Whole(..)),
            Role::Client => memchr::memchr(b'\n', rest).is_some_and(|end| {
                let line = rest.get(..end).unwrap_or_default().trim_ascii_end();
                let (verb, argument) = super::command::parse(line);
                let text = std::str::from_utf8(line).is_ok_and(|l| !l.contains(|c: char| c.is_control()));
                text && verb.is_plausible(argument)
            }),
        }
    })
}
