//! What a client says: one command per line (RFC 5321, section 4.1).

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Ehlo,
    Helo,
    /// LMTP's (RFC 2033).
    Lhlo,
    Mail,
    Rcpt,
    Data,
    /// RFC 3030.
    Bdat,
    Rset,
    Vrfy,
    Expn,
    Help,
    Noop,
    Quit,
    /// RFC 4954.
    Auth,
    /// RFC 3207.
    StartTls,
    /// RFC 1985.
    Etrn,
    /// Of RFC 821.
    Send,
    Soml,
    Saml,
    Turn,
    /// RFC 4468.
    Burl,
    /// Those that proxies put in front (Postfix).
    Xclient,
    Xforward,
    Unknown,
}

use Verb::*;

const VERBS: &[(Verb, &str)] = &[
    (Ehlo, "EHLO"),
    (Helo, "HELO"),
    (Lhlo, "LHLO"),
    (Mail, "MAIL"),
    (Rcpt, "RCPT"),
    (Data, "DATA"),
    (Bdat, "BDAT"),
    (Rset, "RSET"),
    (Vrfy, "VRFY"),
    (Expn, "EXPN"),
    (Help, "HELP"),
    (Noop, "NOOP"),
    (Quit, "QUIT"),
    (Auth, "AUTH"),
    (StartTls, "STARTTLS"),
    (Etrn, "ETRN"),
    (Send, "SEND"),
    (Soml, "SOML"),
    (Saml, "SAML"),
    (Turn, "TURN"),
    (Burl, "BURL"),
    (Xclient, "XCLIENT"),
    (Xforward, "XFORWARD"),
];

impl Verb {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        VERBS.iter().find(|v| v.0 == self).map_or("UNKNOWN", |v| v.1)
    }

    /// True when a line with that argument can hardly be anything but the command.
    pub(super) fn is_plausible(self, argument: &[u8]) -> bool {
        let begins = |word: &[u8]| argument.get(..word.len()).is_some_and(|a| a.eq_ignore_ascii_case(word));
        match self {
            Ehlo | Helo | Lhlo | Auth => !argument.is_empty(),
            Mail => begins(b"FROM:"),
            Rcpt => begins(b"TO:"),
            Bdat => chunk(argument).is_some(),
            Data | Rset | Quit | StartTls => argument.is_empty(),
            _ => false,
        }
    }
}

/// The command of a line without its end, and the argument.
pub(super) fn parse(line: &[u8]) -> (Verb, &[u8]) {
    let end = line.iter().position(|b| *b == b' ').unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    match VERBS.iter().find(|v| word.eq_ignore_ascii_case(v.1.as_bytes())) {
        Some((verb, _)) => (*verb, rest.trim_ascii()),
        // What it is nobody knows; it may be a secret.
        None => (Unknown, &[]),
    }
}

/// The argument as it is shown: of AUTH the mechanism alone.
pub(super) fn shown(verb: Verb, argument: &[u8]) -> (&[u8], bool) {
    match verb {
        Auth => match argument.iter().position(|b| *b == b' ') {
            Some(end) => (argument.get(..end).unwrap_or_default(), true),
            None => (argument, false),
        },
        _ => (argument, false),
    }
}

/// The address in `FROM:<a@b> SIZE=1`, without the angle brackets; source routes stay.
pub(super) fn address(argument: &[u8]) -> &[u8] {
    let after = argument
        .iter()
        .position(|b| *b == b':')
        .map_or(argument, |at| argument.get(at + 1..).unwrap_or_default().trim_ascii_start());
    match after {
        [b'<', rest @ ..] => {
            // A quoted local part may hold anything.
            let (mut quoted, mut escaped) = (false, false);
            let end = rest.iter().position(|b| {
                let here = std::mem::take(&mut escaped);
                match b {
                    _ if here => false,
                    b'\\' if quoted => {
                        escaped = true;
                        false
                    }
                    b'"' => {
                        quoted = !quoted;
                        false
                    }
                    b'>' => !quoted,
                    _ => false,
                }
            });
            rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
        }
        _ => after.split(|b| *b == b' ').next().unwrap_or_default(),
    }
}

/// Bytes of the chunk that follows BDAT, and whether it is the last.
pub(super) fn chunk(argument: &[u8]) -> Option<(u64, bool)> {
    let mut words = argument.split(|b| *b == b' ').filter(|w| !w.is_empty());
    let size = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let last = words.next().is_some_and(|w| w.eq_ignore_ascii_case(b"LAST"));
    Some((size, last))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(parse(b"EHLO mail.example"), (Ehlo, &b"mail.example"[..]));
        assert_eq!(parse(b"mail from:<a@b> "), (Mail, &b"from:<a@b>"[..]));
        assert_eq!(parse(b"quit"), (Quit, &b""[..]));
        assert_eq!(parse(b"c2VjcmV0 x"), (Unknown, &b""[..]));
        assert_eq!(parse(b""), (Unknown, &b""[..]));
        assert_eq!(shown(Auth, b"PLAIN AGEAYg=="), (&b"PLAIN"[..], true));
        assert_eq!(shown(Auth, b"LOGIN"), (&b"LOGIN"[..], false));
    }

    #[test]
    fn addresses() {
        assert_eq!(address(b"FROM:<a@b.example> SIZE=12"), b"a@b.example");
        assert_eq!(address(b"FROM:<>"), b"");
        assert_eq!(address(b"TO: <a@b>"), b"a@b");
        assert_eq!(address(b"TO:a@b NOTIFY=NEVER"), b"a@b");
        assert_eq!(address(br#"TO:<"a>\"b"@c>"#), br#""a>\"b"@c"#);
        assert_eq!(address(b"TO:<a@b"), b"a@b");
    }

    #[test]
    fn chunks() {
        assert_eq!(chunk(b"1000"), Some((1000, false)));
        assert_eq!(chunk(b"0 last"), Some((0, true)));
        assert_eq!(chunk(b"x"), None);
        assert_eq!(chunk(b"99999999999999999999999"), None);
    }
}
