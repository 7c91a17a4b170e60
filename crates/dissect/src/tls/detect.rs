//! Is this TLS?

use remora_model::Transport;

use super::record::{self, Header};
use crate::{Role, Verdict};

/// Bytes at the end of unusable data in which the header of a record may begin.
pub(super) const TAIL: usize = record::HEADER - 1;

/// Bytes of the longest ClientHello in the form of SSL 2.0 that is believed.
const MAX_V2: usize = 512;

/// Judges the first bytes of a stream: a record with a hello is TLS, an alert in its place most
/// likely.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    if v2_begins(bytes) {
        return match v2_hello(bytes) {
            Some(_) => Verdict::Match(Role::Client),
            None if bytes.len() < V2_HEADER => Verdict::NeedMore,
            None => Verdict::No,
        };
    }
    let Some(head) = bytes.first_chunk() else {
        let begins = matches!(
            bytes,
            [] | [record::ALERT | record::HANDSHAKE] | [record::ALERT | record::HANDSHAKE, 3, ..]
        );
        return if begins { Verdict::NeedMore } else { Verdict::No };
    };
    let Some(header) = Header::parse(*head) else { return Verdict::No };
    let fragment = bytes.get(record::HEADER..).unwrap_or_default();
    match (header.kind, fragment) {
        // A hello has a version of 3.x behind its type and length, and is no shorter than what
        // it must have (RFC 8446 section 4.1).
        (record::HANDSHAKE, &[kind @ (1 | 2), a, b, c, 3, minor, ..]) if minor <= 4 => {
            let len = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            if !(38..=1 << 17).contains(&len) || header.len < 6 {
                return Verdict::No;
            }
            Verdict::Match(if kind == 1 { Role::Client } else { Role::Server })
        }
        (record::HANDSHAKE, [] | [1 | 2] | [1 | 2, 0 | 1] | [1 | 2, 0 | 1, _] | [1 | 2, 0 | 1, _, _]) => {
            Verdict::NeedMore
        }
        (record::HANDSHAKE, [1 | 2, 0 | 1, _, _, 3]) => Verdict::NeedMore,
        // An alert in the place of a hello.
        (record::ALERT, [1 | 2, description]) if header.len == 2 => {
            if super::names::alert(*description).is_some() {
                Verdict::Likely(Role::Server)
            } else {
                Verdict::No
            }
        }
        (record::ALERT, [] | [1 | 2]) if header.len == 2 => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

/// Where a record of either side may begin: behind it stands another one, as far as can be seen.
pub(super) fn resync(bytes: &[u8], _: Role) -> Option<usize> {
    let mut from = 0;
    loop {
        let kinds = bytes.get(from..)?;
        let at = from
            + kinds
                .iter()
                .position(|b| (record::CHANGE_CIPHER_SPEC..=record::APPLICATION_DATA).contains(b))?;
        let rest = bytes.get(at..)?;
        let header = Header::parse(*rest.first_chunk()?);
        if let Some(header) = header {
            let next = rest.get(record::HEADER + header.len..).unwrap_or_default();
            let follows = match next.first_chunk() {
                Some(head) => Header::parse(*head).is_some(),
                None => true,
            };
            if follows {
                return Some(at);
            }
        }
        from = at + 1;
    }
}

/// Length, type, version and three lengths.
pub(super) const V2_HEADER: usize = 11;

/// True when a ClientHello in the form of SSL 2.0 may begin here.
pub(super) fn v2_begins(bytes: &[u8]) -> bool {
    match bytes {
        [first, _, 1, 3, minor, ..] => first & 0x80 != 0 && *minor <= 3,
        [first, _, 1, 3] | [first, _, 1] => first & 0x80 != 0,
        [first, _] | [first] => first & 0x80 != 0,
        _ => false,
    }
}

/// The bytes of the ClientHello in the form of SSL 2.0 that begins here (RFC 5246 appendix E.2): its
/// lengths add up.
pub(super) fn v2_hello(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<V2_HEADER>().filter(|_| v2_begins(bytes))?;
    let [high, low, _, _, _, s1, s2, i1, i2, c1, c2] = *head;
    let number = |a, b| usize::from(u16::from_be_bytes([a, b]));
    let (len, suites, id, challenge) =
        (number(high & 0x7f, low), number(s1, s2), number(i1, i2), number(c1, c2));
    let fits = suites > 0
        && suites % 3 == 0
        && id <= 32
        && (16..=32).contains(&challenge)
        && len == 9 + suites + id + challenge
        && len <= MAX_V2;
    fits.then_some(2 + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(bytes: &[u8]) -> Verdict {
        probe(bytes, Transport::Tcp)
    }

    #[test]
    fn hellos_are_tls() {
        let client = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 9, 9];
        let server = [22, 3, 3, 0, 0x7a, 2, 0, 0, 0x76, 3, 3, 9, 9];
        assert_eq!(judge(&client), Verdict::Match(Role::Client));
        assert_eq!(judge(&server), Verdict::Match(Role::Server));
        for n in 0..=10 {
            assert_eq!(judge(&client[..n]), Verdict::NeedMore, "{n}");
            assert_eq!(judge(&server[..n]), Verdict::NeedMore, "{n}");
        }
        assert_eq!(judge(&[21, 3, 3, 0, 2, 2, 40]), Verdict::Likely(Role::Server));
        assert_eq!(judge(&[21, 3, 3, 0, 2, 2, 250]), Verdict::No);
        assert_eq!(judge(&[22, 3, 1, 2, 0, 1, 9, 1, 0xfc, 3, 3]), Verdict::No);
        assert_eq!(judge(b"GET / HTTP/1.1"), Verdict::No);
        assert_eq!(judge(&[23, 3, 3, 0, 60, 1, 2, 3]), Verdict::No);
    }

    #[test]
    fn the_form_of_ssl_2_is_tls() {
        let mut hello = vec![0x80, 9 + 6 + 16, 1, 3, 1, 0, 6, 0, 0, 0, 16, 0, 0, 5, 1, 0, 0x80];
        hello.extend_from_slice(&[7; 16]);
        assert_eq!(judge(&hello), Verdict::Match(Role::Client));
        assert_eq!(v2_hello(&hello), Some(hello.len()));
        for n in 0..V2_HEADER {
            assert_eq!(judge(&hello[..n]), Verdict::NeedMore, "{n}");
        }
        hello[1] += 1;
        assert_eq!(judge(&hello), Verdict::No);
    }

    #[test]
    fn records_are_found_again() {
        let record = |kind: u8, len: u8| [vec![kind, 3, 3, 0, len], vec![0xee; usize::from(len)]].concat();
        let bytes = [vec![23, 9, 3, 3, 0, 1], record(23, 40), record(23, 60)].concat();
        assert_eq!(resync(&bytes, Role::Client), Some(6));
        // The rest of a long record is not here yet.
        assert_eq!(resync(&bytes[..60], Role::Client), Some(6));
        assert_eq!(resync(&[1; 100], Role::Client), None);
        assert_eq!(resync(&[23; 100], Role::Client), None);
    }
}
