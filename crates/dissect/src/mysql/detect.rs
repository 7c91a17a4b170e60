//! Is this MySQL? The server's greeting and the client's login are unmistakable; in the middle of
//! a connection, commands with SQL are, and the first packets of responses.

use remora_model::Transport;

use super::compression;
use super::connection::Framing;
use super::packet::{self, CLIENT_PROTOCOL_41, HEADER};
use crate::sql::reader::Reader;
use crate::{Role, Verdict};

/// First words of statements.
const VERBS: [&[u8]; 40] = [
    b"SELECT",
    b"INSERT",
    b"UPDATE",
    b"DELETE",
    b"REPLACE",
    b"CREATE",
    b"ALTER",
    b"DROP",
    b"TRUNCATE",
    b"RENAME",
    b"SET",
    b"SHOW",
    b"USE",
    b"BEGIN",
    b"START",
    b"COMMIT",
    b"ROLLBACK",
    b"SAVEPOINT",
    b"RELEASE",
    b"CALL",
    b"EXPLAIN",
    b"DESCRIBE",
    b"DESC",
    b"LOAD",
    b"LOCK",
    b"UNLOCK",
    b"ANALYZE",
    b"OPTIMIZE",
    b"CHECK",
    b"REPAIR",
    b"FLUSH",
    b"KILL",
    b"GRANT",
    b"REVOKE",
    b"PREPARE",
    b"EXECUTE",
    b"DEALLOCATE",
    b"WITH",
    b"DO",
    b"XA",
];

/// Bytes of a comment in SQL that tell it from other things that begin like one.
const READABLE: usize = 64;

/// Longest packet at the beginning of a connection.
const MAX_FIRST: u32 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    No,
    /// Too few bytes.
    Unknown,
    Plausible,
    Certain,
}

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    if bytes.is_empty() {
        return Verdict::NeedMore;
    }
    let found = [Role::Client, Role::Server].map(|role| plain(bytes, role).max(compressed(bytes, role)));
    match found {
        [Found::Certain, _] => Verdict::Match(Role::Client),
        [_, Found::Certain] => Verdict::Match(Role::Server),
        [Found::Plausible, Found::No] => Verdict::Likely(Role::Client),
        [Found::No, Found::Plausible] => Verdict::Likely(Role::Server),
        [Found::No, Found::No] => Verdict::No,
        _ if bytes.len() < 64 => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

/// Where the next message of `role` may begin.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    resync_plain(bytes, role).or_else(|| resync_compressed(bytes, role))
}

/// The same where packets are not compressed.
pub(super) fn resync_plain(bytes: &[u8], role: Role) -> Option<usize> {
    find(bytes, role, plain)
}

/// The same where they are.
pub(super) fn resync_compressed(bytes: &[u8], role: Role) -> Option<usize> {
    find(bytes, role, compressed)
}

fn find(bytes: &[u8], role: Role, judge: fn(&[u8], Role) -> Found) -> Option<usize> {
    let seq = u8::from(role == Role::Server);
    // The sequence number lies behind three bytes of length.
    let mut from = 3;
    while let Some(at) = memchr::memchr(seq, bytes.get(from..)?).map(|i| from + i - 3) {
        if judge(&bytes[at..], role) == Found::Certain {
            return Some(at);
        }
        from = at + 4;
    }
    None
}

/// How the packets of a connection travel that was joined in the middle.
pub(super) fn framing(bytes: &[u8], role: Role) -> Option<Framing> {
    match (plain(bytes, role), compressed(bytes, role)) {
        (Found::Certain | Found::Plausible, _) => Some(Framing::Plain),
        (_, Found::Certain | Found::Plausible) => Some(Framing::Compressed),
        (Found::No, Found::No) => Some(Framing::Plain),
        _ => None,
    }
}

/// True for the payload of a server's greeting (MySQL Internals, "HandshakeV10").
pub(super) fn is_greeting(payload: &[u8]) -> bool {
    let mut r = Reader(payload);
    let version = r.u8().filter(|v| *v == 0x0a).and_then(|_| r.c_string());
    version.is_some_and(|v| v.first().is_some_and(u8::is_ascii_digit) && v.iter().all(u8::is_ascii_graphic))
        && r.take(12).is_some()
        && r.u8() == Some(0)
}

/// True for the payload of a login or of a request for TLS (MySQL Internals,
/// "HandshakeResponse41").
pub(super) fn is_login(payload: &[u8], len: u32) -> bool {
    let mut r = Reader(payload);
    let (Some(capabilities), Some(_), Some(_)) = (r.u32_le(), r.u32_le(), r.u8()) else { return false };
    // Behind 19 bytes of zero MariaDB has four of its own.
    let zeros = r.take(19).is_some_and(|z| z.iter().all(|b| *b == 0));
    u64::from(capabilities) & CLIENT_PROTOCOL_41 != 0 && zeros && len >= 32
}

/// What stands at the front of `bytes`, as packets that are not compressed.
fn plain(bytes: &[u8], role: Role) -> Found {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return if bytes.get(2).is_none_or(|b| *b < 0x10) { Found::Unknown } else { Found::No };
    };
    let (len, seq) = packet::header(header);
    let payload = &bytes[HEADER..];
    let payload = payload.get(..len as usize).unwrap_or(payload);
    if len == 0 {
        return Found::No;
    }
    match (role, seq) {
        (Role::Client, 0) => command(payload, len),
        // 2 behind a request for TLS, where the plaintext of that is read alone.
        (Role::Client, 1 | 2) if len < MAX_FIRST => match is_login(payload, len) {
            true => Found::Certain,
            false if payload.len() < 32 && len >= 32 => Found::Unknown,
            false => Found::No,
        },
        (Role::Server, 0) if len < MAX_FIRST => greeting(payload, len),
        (Role::Server, 1) => response(payload, len, &bytes[HEADER + payload.len()..]),
        _ => Found::No,
    }
}

fn greeting(payload: &[u8], len: u32) -> Found {
    match payload {
        [] => Found::Unknown,
        [0x0a, ..] if is_greeting(payload) => Found::Certain,
        [0x0a, rest @ ..]
            if payload.len() < len as usize && rest.iter().take(5).all(u8::is_ascii_graphic) =>
        {
            Found::Unknown
        }
        // An error in place of the greeting has no SQLSTATE.
        [0xff, low, high, text @ ..] => {
            let code = u16::from_le_bytes([*low, *high]);
            let fits = (1_000..5_000).contains(&code) && text.iter().all(|b| *b >= b' ');
            if fits && !text.is_empty() { Found::Plausible } else { Found::No }
        }
        _ => Found::No,
    }
}

fn command(payload: &[u8], len: u32) -> Found {
    let Some((command, rest)) = payload.split_first() else { return Found::Unknown };
    let text = |b: &u8| *b >= b' ' && *b != 0x7f;
    // Of SQL: values in it may be any bytes, but not at once.
    let readable = |b: &u8| *b >= b' ' || (b'\t'..=b'\r').contains(b);
    match *command {
        packet::COM_QUERY | packet::COM_STMT_PREPARE => {
            let sql = rest.strip_prefix(&[0, 1]).unwrap_or(rest);
            let sql = sql.trim_ascii_start();
            let comment = [&b"/*"[..], b"--", b"#"].iter().any(|c| sql.starts_with(c))
                && sql.iter().take(READABLE).all(readable);
            let sql = &sql[sql.iter().take_while(|b| **b == b'(').count()..];
            let word = sql.iter().take_while(|b| b.is_ascii_alphabetic()).count();
            let word_ends = sql.get(word).map_or(payload.len() == len as usize, readable);
            match VERBS.iter().any(|v| v.eq_ignore_ascii_case(&sql[..word])) {
                true if word_ends => Found::Certain,
                _ if comment => Found::Certain,
                _ if payload.len() < 12 && payload.len() < len as usize => Found::Unknown,
                _ => Found::No,
            }
        }
        packet::COM_STMT_EXECUTE if len >= 10 => match rest {
            [_, _, _, _, 0..=15, 1, 0, 0, 0, ..] => Found::Certain,
            _ if rest.len() < 9 => Found::Unknown,
            _ => Found::No,
        },
        packet::COM_STMT_CLOSE | packet::COM_STMT_RESET if len == 5 => Found::Plausible,
        packet::COM_STMT_FETCH if len == 9 => Found::Plausible,
        packet::COM_INIT_DB if len > 1 && rest.iter().all(text) => Found::Plausible,
        packet::COM_QUIT | 0x0e | packet::COM_STATISTICS | 0x0d | 0x1f if len == 1 => Found::Plausible,
        0x1b if len == 3 => Found::Plausible,
        _ => Found::No,
    }
}

/// The first packet of a response; `next` is what follows it.
fn response(payload: &[u8], len: u32, next: &[u8]) -> Found {
    match payload {
        [] => Found::Unknown,
        [0xff, low, high, b'#', state @ ..] if state.len() >= 5 => {
            let code = u16::from_le_bytes([*low, *high]);
            let fits =
                code >= 1_000 && state[..5].iter().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
            if fits { Found::Certain } else { Found::No }
        }
        // A prepared statement with parameters or columns, and the first one's definition.
        [0x00, _, _, _, _, _, _, _, _, 0, _, _] if next.get(3..8) == Some(b"\x02\x03def") => Found::Certain,
        [0x00, rest @ ..] if len >= 7 && payload.len() == len as usize => {
            let mut r = Reader(rest);
            let status = packet::int(&mut r).and_then(|_| packet::int(&mut r)).and_then(|_| r.u16_le());
            if status.is_some() { Found::Plausible } else { Found::No }
        }
        // A number of columns, then the first column's definition in the catalog "def".
        [1..=0xfa] | [0xfc, _, _] | [1..=0xfa, 0 | 1] => match next {
            [_, _, _, 2, 3, b'd', b'e', b'f', ..] => Found::Certain,
            _ if next.len() < 8 => Found::Unknown,
            _ => Found::No,
        },
        _ if payload.len() < len as usize && payload.len() < 9 => Found::Unknown,
        _ => Found::No,
    }
}

/// What stands at the front of `bytes`, as compressed packets.
fn compressed(bytes: &[u8], role: Role) -> Found {
    let Some([a, b, c, seq, x, y, z]) = bytes.first_chunk::<{ compression::HEADER }>() else {
        let fits = bytes.get(3).is_none_or(|seq| *seq == u8::from(role == Role::Server));
        return if fits { Found::Unknown } else { Found::No };
    };
    let len = u32::from_le_bytes([*a, *b, *c, 0]);
    let inner = u32::from_le_bytes([*x, *y, *z, 0]);
    let payload = &bytes[compression::HEADER..];
    let payload = payload.get(..len as usize).unwrap_or(payload);
    let first = role == Role::Client && *seq == 0 || role == Role::Server && *seq == 1;
    if !first || len == 0 {
        return Found::No;
    }
    if inner == 0 {
        return plain(payload, role);
    }
    let zlib = matches!(payload, [0x78, flags, ..] if (0x7800 | u16::from(*flags)) % 31 == 0);
    match zlib || payload.starts_with(&compression::ZSTD_MAGIC) {
        _ if payload.len() < 4 => Found::Unknown,
        true if inner >= 4 => {
            let mut front = [0; 256];
            match compression::peek(payload, &mut front) {
                Some(n) if n >= HEADER => plain(front.get(..n).unwrap_or_default(), role),
                Some(_) => Found::Unknown,
                None => Found::No,
            }
        }
        _ => Found::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(bytes: &[u8]) -> Verdict {
        probe(bytes, Transport::Tcp)
    }

    #[test]
    fn beginnings() {
        let mut greeting = b"\x4a\0\0\0\x0a8.0.36\0\x01\0\0\0abcdefgh\0".to_vec();
        assert_eq!(verdict(&greeting), Verdict::Match(Role::Server));
        greeting.truncate(9);
        assert_eq!(verdict(&greeting), Verdict::NeedMore);
        let mut login = b"\x54\0\0\x01\x8d\xa6\x0f\0\0\0\0\x01\x2d".to_vec();
        login.extend([0; 23]);
        assert_eq!(verdict(&login), Verdict::Match(Role::Client));
        login[3] = 2;
        assert_eq!(verdict(&login), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"\x10\0\0\0\xff\x10\x04Too many conn"), Verdict::Likely(Role::Server));
    }

    #[test]
    fn commands_and_responses() {
        assert_eq!(verdict(b"\x09\0\0\0\x03SELECT 1"), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"\x09\0\0\0\x03/* x */ 1"), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"\x0b\0\0\0\x03\0\x01SELECT 1"), Verdict::Match(Role::Client));
        assert_eq!(verdict(b"\x01\0\0\0\x0e"), Verdict::Likely(Role::Client));
        assert_eq!(verdict(b"\x09\0\0\0\x03Selected"), Verdict::No);
        // The end of a column's definition and what follows it.
        assert_eq!(resync(b"\x0a\0\0\0\x03#B\0\0\0\x010;", Role::Client), None);
        assert_eq!(resync(b"\x0a\0\0\0\x03SET\0\x01\x02\0\0;", Role::Client), None);
        assert_eq!(verdict(b"\x07\0\0\x01\0\0\0\x02\0\0\0"), Verdict::Likely(Role::Server));
        assert_eq!(verdict(b"\x10\0\0\x01\xff\x7a\x04#42S02No table"), Verdict::Match(Role::Server));
        assert_eq!(verdict(b"\x01\0\0\x01\x02\x20\0\0\x02\x03def"), Verdict::Match(Role::Server));
        // HTTP, TLS, DNS over TCP, MongoDB, Kafka, Redis.
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\0\x05\x01\0\0\x01\x03\x03\x12\x34\x56",
            b"\0\x1d\x12\x34\x01\0\0\x01\0\0",
            b"\x3a\0\0\0\x03\0\0\0\0\0\0\0\xdd\x07\0\0",
            b"\0\0\0\x23\0\x03\0\x01\0\0\0\x01",
            b"*1\r\n$4\r\nPING\r\n",
        ] {
            assert_eq!(verdict(other), Verdict::No, "{other:?}");
        }
    }

    #[test]
    fn joined_in_the_middle() {
        let mut stream = b"\x01\x01\0\x01\x01\0\0\x01 odd bytes".to_vec();
        let at = stream.len();
        stream.extend(b"\x09\0\0\0\x03SELECT 1");
        assert_eq!(resync(&stream, Role::Client), Some(at));
        assert_eq!(resync(&stream, Role::Server), None);
        assert_eq!(resync(b"ab", Role::Server), None);
    }

    #[test]
    fn compressed_commands() {
        use std::io::Write as _;
        let inner = b"\x09\0\0\0\x03SELECT 1";
        let mut stored = vec![13, 0, 0, 0, 0, 0, 0];
        stored.extend(inner);
        assert_eq!(verdict(&stored), Verdict::Match(Role::Client));
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(inner).ok();
        let zlib = encoder.finish().unwrap_or_default();
        let zstd = zstd::encode_all(&inner[..], 3).unwrap_or_default();
        for payload in [zlib, zstd] {
            let mut packet = vec![u8::try_from(payload.len()).unwrap_or(0), 0, 0, 0, 13, 0, 0];
            packet.extend(payload);
            assert_eq!(verdict(&packet), Verdict::Match(Role::Client));
            assert_eq!(framing(&packet, Role::Client), Some(Framing::Compressed));
        }
    }
}
