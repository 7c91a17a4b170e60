//! Is this MongoDB? The header, the flags and the beginning of the first document must agree.

use remora_model::Transport;

use super::wire::{self, HEADER, Header, flag, op};
use crate::{Role, Verdict};

/// Bytes of the longest name of a command that is believed.
const MAX_COMMAND: usize = 64;

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    let header = match wire::header(bytes) {
        Some(Some(header)) => header,
        Some(None) => return Verdict::No,
        None if early(bytes) => return Verdict::NeedMore,
        None => return Verdict::No,
    };
    let rest = bytes.get(HEADER..).unwrap_or_default();
    match body(&header, rest) {
        Fit::Yes => Verdict::Match(role(&header, rest)),
        Fit::More => Verdict::NeedMore,
        Fit::No => Verdict::No,
    }
}

/// Where the first message of `role` begins.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    find(bytes, role)
}

/// The first message of `role` in `bytes` that is certain.
pub(super) fn find(bytes: &[u8], role: Role) -> Option<usize> {
    let last = bytes.len().checked_sub(HEADER)?;
    (0..=last).find(|&at| {
        let rest = bytes.get(at..).unwrap_or_default();
        // Lengths below 48 MB and small operation codes end with zeros.
        rest.get(14) == Some(&0)
            && rest.get(15) == Some(&0)
            && probe(rest, Transport::Tcp) == Verdict::Match(role)
    })
}

/// Less than a header, which may become one.
fn early(bytes: &[u8]) -> bool {
    let len = wire::int(bytes, 0);
    len.is_none_or(|n| u32::try_from(n).is_ok_and(|n| (HEADER as u32 + 4..=wire::MAX_MESSAGE).contains(&n)))
        // Of an operation code that is read, in any case the third and fourth byte are 0.
        && bytes.get(14).is_none_or(|&b| b == 0)
        && bytes.get(13).is_none_or(|&b| matches!(b, 0 | 7))
}

fn role(header: &Header, rest: &[u8]) -> Role {
    let opcode = match header.opcode {
        op::COMPRESSED => wire::int(rest, 0).unwrap_or(0),
        opcode => opcode,
    };
    match opcode {
        op::REPLY => Role::Server,
        op::MSG if header.response_to != 0 => Role::Server,
        _ => Role::Client,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Yes,
    More,
    No,
}

impl From<bool> for Fit {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Whether what follows a header may be the message's body.
fn body(header: &Header, rest: &[u8]) -> Fit {
    fits(header, rest).unwrap_or(Fit::More)
}

fn fits(header: &Header, rest: &[u8]) -> Option<Fit> {
    let left = i64::from(header.len) - HEADER as i64;
    let int = |i| wire::int(rest, i);
    let ns = || match wire::cstring(rest.get(4..)?, wire::MAX_NAMESPACE) {
        Ok(ns) => Some(Some(ns).filter(|ns| is_namespace(ns)).map(<[u8]>::len)),
        Err(true) => None,
        Err(false) => Some(None),
    };
    // Offset of what follows the namespace, which stands behind a number.
    let behind = || ns().map(|len| len.map(|n| 4 + n + 1));
    Some(match header.opcode {
        op::MSG => {
            let flags = int(0)?.cast_unsigned();
            let known = flag::CHECKSUM_PRESENT | flag::MORE_TO_COME;
            if flags & flag::REQUIRED & !known != 0 || flags & !flag::REQUIRED & !flag::EXHAUST_ALLOWED != 0 {
                return Some(Fit::No);
            }
            let left = if flags & flag::CHECKSUM_PRESENT != 0 { left - 4 } else { left };
            match rest.get(4)? {
                0 => document(rest, 5, left)?,
                1 => {
                    let size = int(5)?;
                    let name = rest.get(9..)?;
                    match wire::cstring(name, MAX_COMMAND) {
                        Ok(name) => (is_word(name) && (10..=left - 5).contains(&i64::from(size))).into(),
                        Err(true) => Fit::More,
                        Err(false) => Fit::No,
                    }
                }
                _ => Fit::No,
            }
        }
        op::COMPRESSED => {
            let (inner, size, id) = (int(0)?, int(4)?, *rest.get(8)?);
            let known = matches!(
                inner,
                op::MSG | op::QUERY | op::REPLY | op::GET_MORE | op::INSERT | op::UPDATE | op::DELETE
            );
            let plausible = (5..=i64::from(wire::MAX_MESSAGE)).contains(&i64::from(size));
            (known && plausible && id <= 3 && left > 9).into()
        }
        op::QUERY => match (int(0)?.cast_unsigned() < 1 << 8, behind()?) {
            (true, Some(at)) => document(rest, at + 8, left)?,
            _ => Fit::No,
        },
        op::REPLY => {
            let (flags, from, number) = (int(0)?, int(12)?, int(16)?);
            if !(0..16).contains(&flags) || from < 0 || !(0..=10_000_000).contains(&number) {
                return Some(Fit::No);
            }
            if number == 0 { (left == 20).into() } else { document(rest, 20, left)? }
        }
        op::INSERT => match (int(0)?.cast_unsigned() <= 1, behind()?) {
            (true, Some(at)) => document(rest, at, left)?,
            _ => Fit::No,
        },
        op::UPDATE | op::DELETE => match (int(0)?, behind()?) {
            (0, Some(at)) if (0..4).contains(&int(at)?) => document(rest, at + 4, left)?,
            _ => Fit::No,
        },
        op::GET_MORE => match (int(0)?, behind()?) {
            (0, Some(at)) => (left == at as i64 + 12).into(),
            _ => Fit::No,
        },
        op::KILL_CURSORS => (int(0)? == 0 && left == 8 + 8 * i64::from(int(4)?)).into(),
        _ => Fit::No,
    })
}

/// Whether at `at` a document may begin that ends within `left` bytes.
fn document(rest: &[u8], at: usize, left: i64) -> Option<Fit> {
    let len = i64::from(wire::int(rest, at)?);
    if len < 5 || len + at as i64 > left {
        return Some(Fit::No);
    }
    let kind = *rest.get(at + 4)?;
    if len == 5 || !matches!(kind, 1..=0x13 | 0x7f | 0xff) {
        return Some((len == 5 && kind == 0).into());
    }
    Some(match wire::cstring(rest.get(at + 5..)?, MAX_COMMAND) {
        Ok(name) => is_word(name).into(),
        Err(true) => Fit::More,
        Err(false) => Fit::No,
    })
}

/// A name as commands and fields have them.
fn is_word(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_graphic() || *b >= 0x80 || *b == b' ')
}

fn is_namespace(ns: &[u8]) -> bool {
    ns.contains(&b'.') && is_word(ns)
}
