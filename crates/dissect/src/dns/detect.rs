//! Is this DNS? Strict, because any twelve octets are a DNS header: the whole message has to be
//! one, down to the last octet.

use remora_model::Transport;

use super::{
    cursor::Cursor,
    message::{CLASS_MASK, HEADER, Header, IN, flag, skip_record},
    types::{self, opcode},
};
use crate::{Role, Verdict};

/// From this many octets of an unfinished TCP message on, what fits is taken as proof.
const ENOUGH: usize = 512;

/// Questions in one message: one, but for mDNS, whose queriers bundle them.
const MAX_QUESTIONS: u16 = 64;

/// Judges a datagram, or the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], transport: Transport) -> Verdict {
    if transport == Transport::Udp {
        return match shape(bytes, bytes.len()) {
            Some((role, Shape::Whole)) => Verdict::Match(role),
            _ => Verdict::No,
        };
    }
    let Some((len, rest)) = frame(bytes) else { return Verdict::NeedMore };
    if len < HEADER {
        return Verdict::No;
    }
    let whole = rest.len() >= len;
    match shape(&rest[..rest.len().min(len)], len) {
        None => Verdict::No,
        Some((role, Shape::Whole)) => Verdict::Match(role),
        Some(_) if whole => Verdict::No,
        Some((role, Shape::Part)) if rest.len() >= ENOUGH => Verdict::Match(role),
        Some((role, Shape::Part)) => Verdict::Likely(role),
        Some((_, Shape::Short)) => Verdict::NeedMore,
    }
}

/// Finds the first message of `role` that lies wholly in `bytes`.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    (0..bytes.len()).find(|&at| {
        frame(&bytes[at..]).is_some_and(|(len, rest)| {
            rest.get(..len).and_then(|m| shape(m, len)).is_some_and(|s| s == (role, Shape::Whole))
        })
    })
}

/// The length in front of a message on a stream (RFC 1035, section 4.2.2), and what follows it.
pub(super) fn frame(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    Some((usize::from(u16::from_be_bytes(*len)), rest))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A message and nothing else, zeros aside.
    Whole,
    /// Its beginning: at least the first question.
    Part,
    /// Too short to tell.
    Short,
}

/// Checks that `bytes` are, or may become with `len` octets, a message. Without the text.
fn shape(bytes: &[u8], len: usize) -> Option<(Role, Shape)> {
    let mut c = Cursor::new(bytes);
    let Some(header) = Header::read(&mut c) else {
        return (bytes.len() < len).then_some((Role::Client, Shape::Short));
    };
    let role = plausible(&header, len)?;
    let cut = bytes.len() < len;
    let stop = |shape| if cut { Some((role, shape)) } else { None };
    let [questions, answers, authority, additional] = header.counts;
    for i in 0..questions {
        match question(&mut c, bytes, cut) {
            Ok(()) => {}
            Err(Some(shape)) => return stop(if i > 0 { Shape::Part } else { shape }),
            Err(None) => return None,
        }
    }
    for _ in 0..u32::from(answers) + u32::from(authority) + u32::from(additional) {
        let start = c;
        let Some(head) = skip_record(&mut c) else { return stop(Shape::Part) };
        // What looks like a record must have an owner that can be read.
        { start }.check_name()?;
        let class = head.class & CLASS_MASK;
        if head.ty != types::OPT && !matches!(class, 1..=4 | 254 | 255) || head.ty == 0 {
            return None;
        }
    }
    if cut {
        return Some((role, Shape::Part));
    }
    c.rest().iter().all(|b| *b == 0).then_some((role, Shape::Whole))
}

/// Reads one question. `Err(None)` says that it is none, `Err(Some(_))` that it does not end here.
fn question(c: &mut Cursor<'_>, bytes: &[u8], cut: bool) -> Result<(), Option<Shape>> {
    let start = c.at;
    if c.check_name().is_none() {
        // Unfinished, or wrong? A label length that can be seen to be wrong is wrong.
        let odd = bytes.get(start).is_some_and(|len| *len > 63 && *len < 0xc0);
        return Err((cut && !odd && bytes.len() - start < 256).then_some(Shape::Short));
    }
    let name = &bytes[start..c.at];
    let (Some(ty), Some(class)) = (c.u16(), c.u16()) else { return Err(cut.then_some(Shape::Short)) };
    if netbios(name, ty)
        || ty == 0
        || ty == types::OPT
        || !matches!(class & CLASS_MASK, 1 | 3 | 4 | 254 | 255)
    {
        return Err(None);
    }
    // Types without a name are seldom asked for; those near the known ones, and private ones, are.
    let known = types::type_name(ty).is_some() || ty <= 300 || ty >= 65_280;
    if known || class == IN { Ok(()) } else { Err(None) }
}

/// The role of the sender, when header fields and counts agree with each other.
fn plausible(header: &Header, len: usize) -> Option<Role> {
    let [questions, answers, authority, additional] = header.counts;
    let records = usize::from(answers) + usize::from(authority) + usize::from(additional);
    // The least that a question and a record take.
    if HEADER + usize::from(questions) * 5 + records * 11 > len || header.flags & flag::Z != 0 {
        return None;
    }
    let known = matches!(header.opcode(), opcode::QUERY | opcode::NOTIFY | opcode::UPDATE);
    if !known || questions > MAX_QUESTIONS {
        return None;
    }
    if header.is_response() {
        // Without a question there must be something else: an mDNS answer, or a later message of
        // a zone transfer.
        (header.rcode() <= 11 && (questions > 0 || answers > 0)).then_some(Role::Server)
    } else {
        let answers_only = header.flags & (flag::AA | flag::RA) != 0 && header.opcode() == opcode::QUERY;
        (questions > 0 && header.rcode() == 0 && !answers_only).then_some(Role::Client)
    }
}

/// The NetBIOS name service (RFC 1002) has DNS's format but its own types 32 and 33, and names of
/// 32 letters from A to P.
fn netbios(name: &[u8], ty: u16) -> bool {
    matches!(ty, 32 | 33)
        && name.first() == Some(&32)
        && name.get(1..33).is_some_and(|l| l.iter().all(|b| (b'A'..=b'P').contains(b)))
}

#[cfg(test)]
mod tests;
