//! Is this PostgreSQL? A startup packet is unmistakable; in the middle of a connection messages
//! must be built as their types demand, one behind the other.

use remora_model::Transport;

use super::message::{self, CANCEL, GSS, HEADER, MAX_STARTUP, SSL};
use crate::sql::reader::Reader;
use crate::{Role, Verdict};

/// Messages in a row that leave no doubt.
const ENOUGH: usize = 3;

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes {
        [] => Verdict::NeedMore,
        [0, ..] => startup(bytes),
        // The answer to a request for encryption, before TLS or a startup packet.
        [b'S' | b'N' | b'G'] => Verdict::Likely(Role::Server),
        _ => match (judge(bytes, Role::Client), judge(bytes, Role::Server)) {
            (Found::Certain, _) => Verdict::Match(Role::Client),
            (_, Found::Certain) => Verdict::Match(Role::Server),
            (Found::Plausible, Found::No) => Verdict::Likely(Role::Client),
            (Found::No, Found::Plausible) => Verdict::Likely(Role::Server),
            (Found::No, Found::No) => after_refusal(bytes),
            _ if bytes.len() < 64 => Verdict::NeedMore,
            _ => Verdict::No,
        },
    }
}

/// A server that refuses encryption or accepts it goes on behind its one byte.
fn after_refusal(bytes: &[u8]) -> Verdict {
    match bytes {
        [b'N', rest @ ..] if judge(rest, Role::Server) != Found::No => Verdict::Likely(Role::Server),
        // A TLS handshake record (RFC 8446 section 5.1).
        [b'S', 0x16, 3, ..] | [b'S', 0x16] => Verdict::Likely(Role::Server),
        _ => Verdict::No,
    }
}

/// Where the next message of `role` may begin.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    (0..bytes.len()).find(|&at| {
        let rest = &bytes[at..];
        // A length begins with zero: nobody sends messages of 16 MiB all the time.
        rest.get(1).is_some_and(|b| *b == 0) && judge(rest, role) == Found::Certain
    })
}

fn startup(bytes: &[u8]) -> Verdict {
    let mut r = Reader(bytes);
    let (Some(len), Some(code)) = (r.u32_be(), r.u32_be()) else {
        return if bytes.iter().take(2).all(|b| *b == 0) { Verdict::NeedMore } else { Verdict::No };
    };
    let fits = match code {
        SSL | GSS => len == 8,
        CANCEL => (16..=268).contains(&len),
        // Version 3 with any minor number; parameters begin with a name, which is nearly always
        // the user.
        _ if code >> 16 == 3 => {
            (10..=MAX_STARTUP).contains(&len) && r.0.first().is_none_or(u8::is_ascii_lowercase)
        }
        _ => false,
    };
    if fits { Verdict::Match(Role::Client) } else { Verdict::No }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    No,
    Plausible,
    Certain,
}

/// Whether messages of `role` stand here one behind the other.
fn judge(bytes: &[u8], role: Role) -> Found {
    let (mut rest, mut whole, mut telling) = (bytes, 0, false);
    while whole < ENOUGH || !telling {
        let Some(header) = rest.first_chunk::<HEADER>() else {
            // The beginning of a header.
            let fits = rest.first().is_none_or(|k| is_type(role, *k)) && rest.get(1).is_none_or(|b| *b == 0);
            return match (fits, telling && rest.is_empty()) {
                (false, _) => Found::No,
                (true, true) => Found::Certain,
                (true, false) => Found::Plausible,
            };
        };
        let Ok((kind, len)) = message::header(role, header) else { return Found::No };
        let body = &rest[HEADER..];
        let Some(body) = usize::try_from(len).ok().and_then(|len| body.get(..len)) else {
            let begins = begins_well(role, kind, body);
            return match (begins, whole > 0 && telling) {
                (true, true) => Found::Certain,
                (true, false) => Found::Plausible,
                (false, _) => Found::No,
            };
        };
        if !message::is_well_formed(role, kind, body) {
            return Found::No;
        }
        whole += 1;
        telling |= is_telling(role, kind, body);
        rest = &rest[HEADER + body.len()..];
    }
    Found::Certain
}

fn is_type(role: Role, kind: u8) -> bool {
    match role {
        Role::Client => b"QPBFdSHXcCDEfp".contains(&kind),
        Role::Server => b"TDtdNEVA123nsIcZCSRKvGHW".contains(&kind),
    }
}

/// Messages that hold enough to be told from chance.
fn is_telling(role: Role, kind: u8, body: &[u8]) -> bool {
    match role {
        Role::Client => match kind {
            b'Q' | b'P' => body.iter().filter(|b| b.is_ascii_alphabetic()).count() >= 3,
            b'B' | b'D' | b'E' => true,
            _ => false,
        },
        Role::Server => match kind {
            b'C' => body.first().is_some_and(u8::is_ascii_uppercase),
            b'T' | b'D' => body.len() > 2,
            b'E' | b'N' => memchr::memmem::find(body, b"\0C").is_some(),
            b'Z' => true,
            _ => false,
        },
    }
}

/// What is there of a body that is not all there.
fn begins_well(role: Role, kind: u8, body: &[u8]) -> bool {
    match (role, kind) {
        (Role::Client, b'Q' | b'P') => !body.iter().any(|b| *b != 0 && *b < 9),
        (Role::Server, b'T' | b'D') => body.first().is_none_or(|b| *b < 8),
        (Role::Server, b'E' | b'N') => body.first().is_none_or(u8::is_ascii_uppercase),
        (Role::Server, b'R') => body.iter().take(3).all(|b| *b == 0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bytes: &[u8]) -> Verdict {
        probe(bytes, Transport::Tcp)
    }

    #[test]
    fn startup_packets() {
        let startup = b"\0\0\0\x20\0\x03\0\0user\0ada\0database\0shop\0\0";
        assert_eq!(verdict(startup), Verdict::Match(Role::Client));
        assert_eq!(verdict(&startup[..8]), Verdict::Match(Role::Client));
        assert_eq!(verdict(&startup[..7]), Verdict::NeedMore);
        assert_eq!(verdict(b"\0\0\0\x08\x04\xd2\x16\x2f"), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02"), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"\0\0\0\x09\x04\xd2\x16\x2f"), Verdict::No);
        // DNS over TCP, TLS, HTTP/2.
        assert_eq!(verdict(b"\0\x1d\x12\x34\x01\0\0\x01"), Verdict::No);
        assert_eq!(verdict(b"\x16\x03\x01\0\x05"), Verdict::No);
        assert_eq!(verdict(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Verdict::No);
    }

    #[test]
    fn servers() {
        assert_eq!(verdict(b"R\0\0\0\x08\0\0\0\0"), Verdict::Likely(Role::Server));
        assert_eq!(verdict(b"N"), Verdict::Likely(Role::Server));
        assert_eq!(verdict(b"S\x16\x03\x03"), Verdict::Likely(Role::Server));
        assert_eq!(verdict(b"NR\0\0\0\x08\0\0\0\0"), Verdict::Likely(Role::Server));
        assert_eq!(verdict(b"C\0\0\0\x0bSELECT\0Z\0\0\0\x05I"), Verdict::Match(Role::Server));
        assert_eq!(verdict(b"HTTP/1.1 200 OK\r\n"), Verdict::No);
        assert_eq!(verdict(b"Some text that is no message at all"), Verdict::No);
    }

    #[test]
    fn joined_in_the_middle() {
        let query = b"Q\0\0\0\x0dSELECT 1\0";
        assert_eq!(verdict(query), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"Q\0\0\0\x0d"), Verdict::Likely(Role::Client));
        let mut stream = b"rest of something else\0\0\0".to_vec();
        stream.extend(query);
        assert_eq!(resync(&stream, Role::Client), Some(25));
        assert_eq!(resync(&stream, Role::Server), None);
        stream.truncate(25);
        stream.extend(b"\0\x05D\0\0\0\x0b\0\x01\0\0\0\x011C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I");
        assert_eq!(resync(&stream, Role::Server), Some(27));
        assert_eq!(resync(b"", Role::Server), None);
    }
}
