//! Is this Cassandra? A header and the beginning of its body must agree; in version 5 the checksum of
//! a frame's header, and what it carries.

use remora_model::Transport;

use super::connection::Carried;
use super::frames;
use super::wire::{self, Body, HEADER, Header, flag, op};
use crate::{Role, Verdict, sql};

/// Words with which statements begin.
const STATEMENTS: [&[u8]; 15] = [
    b"SELECT",
    b"INSERT",
    b"UPDATE",
    b"DELETE",
    b"BEGIN",
    b"USE",
    b"CREATE",
    b"ALTER",
    b"DROP",
    b"TRUNCATE",
    b"GRANT",
    b"REVOKE",
    b"LIST",
    b"DESCRIBE",
    b"DESC",
];

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    let role = match bytes.first() {
        None => return Verdict::NeedMore,
        Some(first) if first & 0x80 != 0 => Role::Server,
        Some(_) => Role::Client,
    };
    match (envelope(bytes, role), carried(bytes)) {
        (Verdict::No, found) => found,
        (Verdict::NeedMore, Verdict::Match(role)) => Verdict::Match(role),
        (found, _) => found,
    }
}

/// Where the first message of `role` begins.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    find(bytes, role).map(|(at, _)| at)
}

/// The first message or frame of `role` that is certain, and how the messages are carried.
pub(super) fn find(bytes: &[u8], role: Role) -> Option<(usize, Carried)> {
    (0..bytes.len()).find_map(|at| {
        let rest = bytes.get(at..)?;
        if envelope(rest, role) == Verdict::Match(role) {
            return Some((at, Carried::Plain));
        }
        let compressed = frame(rest)??;
        (carried(rest) == Verdict::Match(role)).then_some((at, Carried::Frames(compressed)))
    })
}

/// Whether a frame begins here, and whether it is of the compressed kind. `None`: too few bytes.
pub(super) fn frame(bytes: &[u8]) -> Option<Option<bool>> {
    if let Some(Some(_)) = frames::header(bytes, false) {
        return Some(Some(false));
    }
    Some(frames::header(bytes, true)?.map(|_| true))
}

/// Judges a frame by what it carries.
fn carried(bytes: &[u8]) -> Verdict {
    let compressed = match frame(bytes) {
        None if bytes.len() < 8 => return Verdict::NeedMore,
        None | Some(None) => return Verdict::No,
        Some(Some(compressed)) => compressed,
    };
    let Some(Some(header)) = frames::header(bytes, compressed) else { return Verdict::No };
    let mut plain = Vec::new();
    let payload = if bytes.len() < header.size() {
        // A large one: its beginning, if it is to be read.
        bytes.get(header.head..).filter(|_| !compressed)
    } else {
        frames::payload(&header, bytes, &mut plain).ok()
    };
    let Some(payload) = payload else { return Verdict::No };
    let role = if payload.first().is_some_and(|b| b & 0x80 != 0) { Role::Server } else { Role::Client };
    match wire::header(payload, role) {
        Some(Some(_)) => Verdict::Match(role),
        None if bytes.len() < header.size() => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

fn envelope(bytes: &[u8], role: Role) -> Verdict {
    let header = match wire::header(bytes, role) {
        None => return Verdict::NeedMore,
        Some(None) => return Verdict::No,
        Some(Some(header)) => header,
    };
    let body = bytes.get(HEADER..).unwrap_or_default();
    let whole = body.get(..header.len as usize);
    if header.flags & (flag::COMPRESSED | flag::TRACING | flag::WARNING | flag::PAYLOAD) != 0 {
        // What follows tells that the length is right.
        let next = whole.and_then(|_| bytes.get(HEADER + header.len as usize));
        return if next.is_none_or(|b| Some(b) == bytes.first()) {
            Verdict::Likely(role)
        } else {
            Verdict::No
        };
    }
    match fits(&header, whole.unwrap_or(body), whole.is_some()) {
        Some(Fit::Certain) => Verdict::Match(role),
        Some(Fit::Possible) => Verdict::Likely(role),
        Some(Fit::No) => Verdict::No,
        None if whole.is_some() => Verdict::No,
        None => Verdict::NeedMore,
    }
}

enum Fit {
    Certain,
    Possible,
    No,
}

fn certain(yes: bool) -> Fit {
    if yes { Fit::Certain } else { Fit::No }
}

/// Whether a body may be that of the message. `None`: it ends too early.
fn fits(header: &Header, body: &[u8], whole: bool) -> Option<Fit> {
    let len = i64::from(header.len);
    let mut b = Body::new(body);
    Some(match header.opcode {
        op::OPTIONS | op::READY => {
            if len == 0 {
                Fit::Possible
            } else {
                Fit::No
            }
        }
        op::STARTUP => {
            let count = b.short()?;
            let name = b.string()?;
            certain((1..32).contains(&count) && name.iter().all(|c| c.is_ascii_uppercase() || *c == b'_'))
        }
        op::SUPPORTED => {
            let count = b.short()?;
            let name = b.string()?;
            certain((1..64).contains(&count) && name.iter().all(|c| c.is_ascii_uppercase() || *c == b'_'))
        }
        op::QUERY | op::PREPARE => {
            let n = i64::from(b.int()?);
            if n <= 0 || n + 4 > len {
                return Some(Fit::No);
            }
            let text = b.rest().get(..16.min(b.rest().len()).min(usize::try_from(n).ok()?))?;
            if text.len() < 12 && !whole {
                return None;
            }
            let word = sql::tables::first_word(text);
            certain(word.is_some_and(|w| STATEMENTS.iter().any(|s| w.eq_ignore_ascii_case(s))))
        }
        op::EXECUTE => {
            let id = b.string()?;
            certain(id.len() == 16 && (header.version >= 5 || wire::consistency(b.short()?).is_some()))
        }
        op::BATCH => {
            let kind = b.u8()?;
            let count = b.short()?;
            if kind <= 2 && i64::from(count) * 3 < len { Fit::Possible } else { Fit::No }
        }
        op::REGISTER => {
            let count = b.short()?;
            let name = b.string()?;
            certain((1..=8).contains(&count) && name.ends_with(b"_CHANGE"))
        }
        op::EVENT => certain(b.string()?.ends_with(b"_CHANGE")),
        op::AUTHENTICATE => {
            certain(i64::from(b.short()?) + 2 == len && b.rest().iter().all(u8::is_ascii_graphic))
        }
        op::ERROR => {
            let known = super::codes::error(b.int()?).is_some();
            let text = i64::from(b.short()?);
            certain(known && text + 6 <= len)
        }
        op::RESULT => match b.int()? {
            1 if len == 4 => Fit::Possible,
            2 => {
                let (flags, columns) = (b.int()?, b.int()?);
                certain((0..16).contains(&flags) && (0..4_096).contains(&columns))
            }
            3 => certain(i64::from(b.short()?) + 6 == len),
            4 => certain(b.short()? == 16),
            5 => certain(matches!(b.string()?, b"CREATED" | b"UPDATED" | b"DROPPED")),
            _ => Fit::No,
        },
        op::AUTH_RESPONSE | op::AUTH_CHALLENGE | op::AUTH_SUCCESS => {
            let n = i64::from(b.int()?);
            if n.max(0) + 4 == len { Fit::Possible } else { Fit::No }
        }
        _ => Fit::No,
    })
}
