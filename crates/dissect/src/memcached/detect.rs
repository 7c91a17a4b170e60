//! Is this Memcached? Its binary headers and lines with numbers where they belong are; words that
//! other protocols have as well are believed when both sides agree.

use remora_model::Transport;

use super::binary;
use super::line::{self, Kind, Reply};
use crate::{Role, Verdict};

/// Bytes of a first line after which what has no end is something else.
const MAX_FIRST_LINE: usize = 2 << 10;

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes.first() {
        None => Verdict::NeedMore,
        Some(&magic @ (binary::REQUEST | binary::RESPONSE)) => headers(bytes, magic),
        Some(b'a'..=b'z') => match (request(bytes), response(bytes)) {
            (Verdict::No, other) | (other, Verdict::No) => other,
            (ours, _) => ours,
        },
        Some(b'A'..=b'Z' | b'0'..=b'9') => response(bytes),
        Some(_) => Verdict::No,
    }
}

/// Where the first message of `role` may begin.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    let mut from = 0;
    while let Some(rest) = bytes.get(from..).filter(|r| !r.is_empty()) {
        if fits(rest, role) {
            return Some(from);
        }
        let next = memchr::memchr3(b'\n', binary::REQUEST, binary::RESPONSE, rest.get(1..)?)? + 1;
        from += if rest.get(next) == Some(&b'\n') { next + 1 } else { next };
    }
    None
}

/// True when a message of `role` stands here for certain.
pub(super) fn fits(bytes: &[u8], role: Role) -> bool {
    match probe(bytes, Transport::Tcp) {
        Verdict::Match(found) => found == role,
        // A whole line that only a server sends.
        Verdict::Likely(found) => found == role,
        Verdict::NeedMore | Verdict::No => false,
    }
}

/// A header whose fields agree. One is 24 bytes, of which ten are known.
fn headers(bytes: &[u8], magic: u8) -> Verdict {
    let role = if magic == binary::REQUEST { Role::Client } else { Role::Server };
    match binary::header(bytes, magic) {
        None => Verdict::NeedMore,
        Some(None) => Verdict::No,
        Some(Some(header)) => {
            // What follows, if it is there, begins in the same way.
            let end = binary::HEADER as u64 + (header.extras + header.key) as u64 + header.value;
            let next = usize::try_from(end).ok().and_then(|end| bytes.get(end));
            let reserved = bytes.get(6..8) == Some(&[0, 0]);
            if next.is_some_and(|&b| b != magic) {
                Verdict::No
            } else if reserved || role == Role::Server {
                Verdict::Match(role)
            } else {
                Verdict::Likely(role)
            }
        }
    }
}

fn first_line(bytes: &[u8]) -> Result<&[u8], Verdict> {
    match line::end(bytes, 0) {
        Ok((line, _)) => Ok(line),
        Err(_) if bytes.len() < MAX_FIRST_LINE => Err(Verdict::NeedMore),
        Err(_) => Err(Verdict::No),
    }
}

fn request(bytes: &[u8]) -> Verdict {
    let word = bytes.split(|&b| matches!(b, b' ' | b'\r' | b'\n')).next().unwrap_or_default();
    let Some((_, own)) = line::command(word) else {
        let unfinished = word.len() == bytes.len() && word.len() < 16;
        return if unfinished { Verdict::NeedMore } else { Verdict::No };
    };
    let line = match first_line(bytes) {
        Ok(line) => line,
        Err(verdict) => return verdict,
    };
    match line::request(line, |_| {}) {
        None => Verdict::No,
        // Three numbers in their places.
        Some(l) if l.kind == Kind::Store => {
            let at = line.len() + if bytes.get(line.len()) == Some(&b'\r') { 2 } else { 1 };
            let value = l.value.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
            match at.checked_add(value).and_then(|end| bytes.get(end)) {
                None | Some(b'\r' | b'\n') => Verdict::Match(Role::Client),
                Some(_) => Verdict::No,
            }
        }
        Some(_) if own => Verdict::Match(Role::Client),
        Some(_) => Verdict::Likely(Role::Client),
    }
}

fn response(bytes: &[u8]) -> Verdict {
    let line = match first_line(bytes) {
        Ok(line) => line,
        Err(verdict) => return verdict,
    };
    match line::reply(line) {
        None => Verdict::No,
        Some(Reply::Value(..) | Reply::Item(..)) => Verdict::Match(Role::Server),
        Some(Reply::Word(b"STORED" | b"NOT_STORED" | b"NOT_FOUND")) => Verdict::Match(Role::Server),
        // Numbers begin many a protocol.
        Some(Reply::Number(_)) if line.len() < 3 => Verdict::No,
        Some(_) => Verdict::Likely(Role::Server),
    }
}
