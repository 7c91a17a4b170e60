//! Start lines: which bytes are one, which may become one, and where one begins.

use std::ops::Range;

use memchr::memmem;

use crate::Role;

/// Length of `HTTP/1.1`.
pub(super) const VERSION_LEN: usize = 8;

/// Longest method that is taken for one.
const METHOD_MAX: usize = 32;

/// Longest request line that is found after bytes were lost.
const RESYNC_LINE: usize = 8 << 10;

/// Methods looked for after bytes were lost, when no line end tells where a request begins (the
/// IANA registry of HTTP methods, and PURGE of the caches).
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"CONNECT",
    b"TRACE",
    b"ACL",
    b"BASELINE-CONTROL",
    b"BIND",
    b"CHECKIN",
    b"CHECKOUT",
    b"COPY",
    b"LABEL",
    b"LINK",
    b"LOCK",
    b"MERGE",
    b"MKACTIVITY",
    b"MKCALENDAR",
    b"MKCOL",
    b"MKREDIRECTREF",
    b"MKWORKSPACE",
    b"MOVE",
    b"ORDERPATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"PURGE",
    b"QUERY",
    b"REBIND",
    b"REPORT",
    b"SEARCH",
    b"UNBIND",
    b"UNCHECKOUT",
    b"UNLINK",
    b"UNLOCK",
    b"UPDATE",
    b"UPDATEREDIRECTREF",
    b"VERSION-CONTROL",
];

/// Whether bytes begin with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// They do.
    Yes,
    /// They are too few to say, and fit so far.
    Maybe,
    /// They do not.
    No,
}

/// The parts of a request line, as offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    pub(super) version: usize,
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// What may stand in a request target: no control characters and no spaces. Bytes beyond ASCII
/// are not legal and occur.
fn is_target(b: u8) -> bool {
    b > b' ' && b != 0x7f
}

/// Judges whether `bytes` begin with the start line that `role` sends.
pub(super) fn begins(role: Role, bytes: &[u8]) -> Begins {
    match role {
        Role::Client => scan_request(bytes).0,
        Role::Server => scan_status(bytes).0,
    }
}

/// The request line at the front of `bytes`.
pub(super) fn request_line(bytes: &[u8]) -> Option<RequestLine> {
    scan_request(bytes).1
}

/// The status code of the status line at the front of `bytes`.
pub(super) fn status_line(bytes: &[u8]) -> Option<u16> {
    scan_status(bytes).1
}

/// Most spaces between two parts of a start line. One is right.
const SPACES: usize = 16;

/// How many of `bytes` from `at` on fulfil `f`.
fn run(bytes: &[u8], at: usize, f: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|&b| !f(b)).unwrap_or(rest.len())
}

/// `Maybe` at the end of `bytes`, otherwise `No`.
fn cut_or_no(bytes: &[u8], at: usize) -> Begins {
    if at >= bytes.len() { Begins::Maybe } else { Begins::No }
}

/// How many spaces there are at `at`, as far as they are accepted.
fn spaces(bytes: &[u8], at: usize) -> usize {
    run(bytes, at, |b| b == b' ').min(SPACES)
}

fn scan_request(bytes: &[u8]) -> (Begins, Option<RequestLine>) {
    let method = run(bytes, 0, is_token);
    if method == 0 || method > METHOD_MAX || bytes.get(method) != Some(&b' ') {
        let fits = method <= METHOD_MAX;
        return (if fits { cut_or_no(bytes, method) } else { Begins::No }, None);
    }
    let target = method + spaces(bytes, method);
    let target_end = target + run(bytes, target, is_target);
    if target_end == target || bytes.get(target_end) != Some(&b' ') {
        return (cut_or_no(bytes, target_end), None);
    }
    let version = target_end + spaces(bytes, target_end);
    let (verdict, after) = scan_version(bytes, version);
    if verdict != Begins::Yes {
        return (verdict, None);
    }
    let end = after + spaces(bytes, after);
    match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\n'), _) | (Some(b'\r'), Some(b'\n')) => {
            (Begins::Yes, Some(RequestLine { method: 0..method, target: target..target_end, version }))
        }
        (None, _) | (Some(b'\r'), None) => (Begins::Maybe, None),
        _ => (Begins::No, None),
    }
}

/// `HTTP/1.` and a digit at `at`; gives the offset behind it.
fn scan_version(bytes: &[u8], at: usize) -> (Begins, usize) {
    const NAME: &[u8] = b"HTTP/1.";
    let rest = bytes.get(at..).unwrap_or_default();
    let seen = rest.get(..NAME.len()).unwrap_or(rest);
    if !NAME.starts_with(seen) {
        return (Begins::No, at);
    }
    match rest.get(NAME.len()) {
        None => (Begins::Maybe, at),
        Some(b'0'..=b'9') => (Begins::Yes, at + VERSION_LEN),
        Some(_) => (Begins::No, at),
    }
}

fn scan_status(bytes: &[u8]) -> (Begins, Option<u16>) {
    let (verdict, after) = scan_version(bytes, 0);
    if verdict != Begins::Yes {
        return (verdict, None);
    }
    let code = after + spaces(bytes, after);
    let digits = run(bytes, code, |b| b.is_ascii_digit());
    if code == after || digits != 3 {
        let fits = if code == after { code } else { code + digits };
        return (if digits <= 3 { cut_or_no(bytes, fits) } else { Begins::No }, None);
    }
    match bytes.get(code + 3) {
        None => (Begins::Maybe, None),
        Some(b' ' | b'\r' | b'\n') => {
            let status = bytes
                .get(code..code + 3)
                .unwrap_or_default()
                .iter()
                .fold(0, |n, b| n * 10 + u16::from(b - b'0'));
            (if status >= 100 { Begins::Yes } else { Begins::No }, Some(status).filter(|&s| s >= 100))
        }
        Some(_) => (Begins::No, None),
    }
}

/// Where in `bytes` a message of `role` begins, if one does.
pub(super) fn find(role: Role, bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    // A version stands in every start line, and hardly anywhere else.
    while let Some(i) = bytes.get(from..).and_then(|rest| memmem::find(rest, b"HTTP/1.")) {
        let version = from + i;
        let start = match role {
            Role::Server => Some(version),
            Role::Client => request_start(bytes, version),
        };
        if let Some(start) = start
            && begins(role, &bytes[start..]) == Begins::Yes
        {
            return Some(start);
        }
        from = version + 1;
    }
    None
}

/// How many bytes at the end of `bytes`, in which [`find`] finds nothing, may be the front of a
/// start line. What is found does not depend on how the bytes were split.
pub(super) fn may_begin(role: Role, bytes: &[u8]) -> usize {
    // Room for a method before and a version behind the longest line.
    let window = bytes.get(bytes.len().saturating_sub(RESYNC_LINE + 64)..).unwrap_or(bytes);
    let first = match role {
        // Behind this many bytes a status line is complete.
        Role::Server => window.len().saturating_sub(VERSION_LEN + SPACES + 4),
        Role::Client => window.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1),
    };
    for start in first..window.len() {
        let candidate = &window[start..];
        let fits = match role {
            Role::Server => true,
            Role::Client => METHODS.iter().any(|m| m.starts_with(&candidate[..candidate.len().min(m.len())])),
        };
        if fits && begins(role, candidate) == Begins::Maybe {
            return candidate.len();
        }
    }
    0
}

/// Where the request line that has its version at `version` begins: at a method that is known,
/// because what precedes it may be the end of a body.
fn request_start(bytes: &[u8], version: usize) -> Option<usize> {
    let back = |from: usize, f: fn(u8) -> bool| {
        let floor = version.saturating_sub(RESYNC_LINE);
        bytes.get(floor..from)?.iter().rposition(|&b| !f(b)).map(|i| floor + i + 1)
    };
    let target_end = back(version, |b| b == b' ')?;
    let target = back(target_end, is_target)?;
    let method_end = back(target, |b| b == b' ')?;
    if target_end == version || target == target_end || method_end == target {
        return None;
    }
    let before = bytes.get(..method_end)?;
    METHODS.iter().filter(|m| before.ends_with(m)).map(|m| method_end - m.len()).min()
}

/// True when the request line is one of a method that only HTTP has, as far as it can be seen.
pub(super) fn has_known_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|m| bytes.starts_with(m) && bytes.get(m.len()) == Some(&b' '))
}

/// True when the request line is, or may become, one of a method that only HTTP has.
pub(super) fn may_have_known_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|m| m.starts_with(bytes)) || has_known_method(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const REQUESTS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "get /a?b=c HTTP/1.0\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT shop.example:443 HTTP/1.1\r\n",
        "GET http://shop.example/ HTTP/1.1 \r\n",
        "M-SEARCH * HTTP/1.1\r\n",
        "X  /a  HTTP/1.7\r\n",
    ];
    const RESPONSES: &[&str] = &["HTTP/1.1 200 OK\r\n", "HTTP/1.0 404\r\n", "HTTP/1.1  500 \r\n"];
    const OTHERS: &[&str] = &[
        "PRI * HTTP/2.0\r\n",
        "OPTIONS rtsp://a RTSP/1.0\r\n",
        "INVITE sip:a@b SIP/2.0\r\n",
        "SET key HTTP/1\r\n",
        "GET /\r\n",
        "PING\r\n",
        "*1\r\n$4\r\nPING\r\n",
        "HTTP/1.1 99 x\r\n",
        "HTTP/1.1 2000 x\r\n",
        "HTTP/1.1 099 x\r\n",
        "HTTP/2.0 200 OK\r\n",
        "RTSP/1.0 200 OK\r\n",
        "SIP/2.0 200 OK\r\n",
        "\x16\x03\x01\x02",
        "220 ready\r\n",
    ];

    #[test]
    fn every_prefix_may_begin_and_the_whole_does() {
        for (role, lines) in [(Role::Client, REQUESTS), (Role::Server, RESPONSES)] {
            for line in lines {
                let bytes = line.as_bytes();
                assert_eq!(begins(role, bytes), Begins::Yes, "{line}");
                let yes = (0..bytes.len()).find(|&n| begins(role, &bytes[..n]) != Begins::Maybe);
                let needed = yes.unwrap_or(bytes.len());
                assert!((needed..=bytes.len()).all(|n| begins(role, &bytes[..n]) == Begins::Yes), "{line}");
            }
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        for line in OTHERS {
            assert_eq!(begins(Role::Client, line.as_bytes()), Begins::No, "{line}");
            assert_eq!(begins(Role::Server, line.as_bytes()), Begins::No, "{line}");
        }
    }

    #[test]
    fn found_behind_rubbish_however_it_was_split() {
        let junk = ["", "}", "\r\n", "abc", "GE", "HTTP/1.1", "xx GET /no HTTP/1.1x", "\n\nHEAD", "a b c "];
        for (role, lines) in [(Role::Client, REQUESTS), (Role::Server, RESPONSES)] {
            for line in lines.iter().filter(|l| role == Role::Server || has_known_method(l.as_bytes())) {
                for junk in junk {
                    let whole = format!("{junk}{line}");
                    assert_eq!(find(role, whole.as_bytes()), Some(junk.len()), "{whole}");
                    for n in 0..whole.len() {
                        let (mut part, mut at) = (&whole.as_bytes()[..n], 0);
                        if find(role, part).is_none() {
                            at = n - may_begin(role, part);
                            part = &whole.as_bytes()[at..];
                        } else {
                            part = whole.as_bytes();
                        }
                        assert_eq!(find(role, part).map(|i| at + i), Some(junk.len()), "{whole} at {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn longest_method_wins() {
        assert_eq!(find(Role::Client, b"--PROPPATCH / HTTP/1.1\r\n"), Some(2));
    }
}
