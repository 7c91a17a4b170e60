//! Is this AMQP? The protocol header is; so is a method that decodes to the end of its frame, of
//! which the sender's role is known.

use remora_model::Transport;

use super::method::{self, Method, Says};
use super::{content, table};
use crate::messaging::Reader;
use crate::{Role, Verdict};

/// Bytes around a frame's payload.
pub(super) const AROUND: usize = 8;

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 7;

/// What ends every frame.
pub(super) const END: u8 = 0xce;

/// What a protocol header begins with; three octets of a version follow, and in front of 0-9-1's a
/// number that other versions use.
pub(super) const PROTOCOL: &[u8] = b"AMQP";

/// Bytes of a protocol header.
pub(super) const PROTOCOL_LEN: usize = 8;

/// Frames that may follow a method and are looked at to learn who sends them.
const LOOK_AT: usize = 32;

/// Kinds of frames.
pub(super) const METHOD: u8 = 1;
pub(super) const CONTENT: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) channel: u16,
    /// Bytes of its payload.
    pub(super) size: u32,
}

impl Frame {
    /// Its header. `None`: there are not enough bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        Some(Self { kind: r.u8()?, channel: r.u16()?, size: r.u32()? })
    }

    /// True for what can be one.
    pub(super) fn is_plausible(self) -> bool {
        match self.kind {
            METHOD => self.size >= 4,
            CONTENT => self.size >= 14 && self.channel > 0,
            BODY => self.channel > 0,
            HEARTBEAT => self.size == 0 && self.channel == 0,
            _ => false,
        }
    }
}

/// True for the protocol header of a version that is read: 0-9-1, 0-9 or 0-8 (section 4.2.2, and
/// the older ones as RabbitMQ takes them).
pub(super) fn is_read(header: &[u8]) -> bool {
    matches!(
        header.strip_prefix(PROTOCOL),
        Some([0, 0, 9, 1, ..] | [1, 1, 0, 9, ..] | [1, 1, 9, 1, ..] | [1, 1, 8, 0, ..])
    )
}

/// Judges the first bytes of a stream.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    if PROTOCOL.starts_with(bytes) || bytes.starts_with(PROTOCOL) && bytes.len() < PROTOCOL_LEN {
        return Verdict::NeedMore;
    }
    if bytes.starts_with(PROTOCOL) {
        // A server that does not know the version of a client says the same.
        return if is_read(bytes) { Verdict::Likely(Role::Client) } else { Verdict::No };
    }
    let Some(frame) = Frame::read(bytes) else {
        return if bytes.first() == Some(&METHOD) { Verdict::NeedMore } else { Verdict::No };
    };
    if frame.kind == HEARTBEAT {
        return match bytes.get(AROUND..) {
            Some(rest) if is_whole(bytes, frame) && !rest.is_empty() => probe(rest, Transport::Tcp),
            _ => Verdict::No,
        };
    }
    if frame.kind != METHOD || !frame.is_plausible() {
        return Verdict::No;
    }
    match first_method(bytes, frame) {
        Found::Whole(_) => sender(bytes).map_or(Verdict::No, Verdict::Match),
        Found::More => Verdict::NeedMore,
        Found::No => Verdict::No,
    }
}

/// Where a method of `role` begins that fits its frame.
pub(super) fn resync(bytes: &[u8], role: Role) -> Option<usize> {
    memchr::memchr_iter(METHOD, bytes).find(|&at| {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(frame) = Frame::read(rest).filter(|f| f.kind == METHOD && f.is_plausible()) else {
            return false;
        };
        match first_method(rest, frame) {
            Found::Whole(method) => method.is_from(role) && sender(rest).is_none_or(|r| r == role),
            _ => false,
        }
    })
}

enum Found {
    Whole(&'static Method),
    More,
    No,
}

/// The method in a frame that `bytes` begin with.
fn first_method(bytes: &[u8], frame: Frame) -> Found {
    let mut r = Reader::new(bytes.get(HEADER..).unwrap_or_default());
    let (Some(class), Some(id)) = (r.u16(), r.u16()) else { return Found::More };
    let Some(method) = method::find(class, id) else { return Found::No };
    // Methods of the connection are on channel 0, and no others are.
    if (class == 10) != (frame.channel == 0) {
        return Found::No;
    }
    let size = frame.size as usize;
    // No method needs more than texts of 255 bytes and a table; a frame that is longer than what
    // is looked at could be anything.
    let Some(args) = r.take(size - 4) else {
        return if size > MAX_METHOD { Found::No } else { Found::More };
    };
    if r.u8().is_some_and(|b| b != END) || !fits(method, args) {
        return Found::No;
    }
    if r.rest().is_empty() && bytes.len() < size + AROUND { Found::More } else { Found::Whole(method) }
}

/// Bytes of a method's frame that detection waits for.
const MAX_METHOD: usize = 3 << 10;

/// True when the arguments are those of the method, to their last byte.
fn fits(method: &'static Method, args: &[u8]) -> bool {
    use super::method::Kind;
    let mut r = Reader::new(args);
    let mut bit = 0;
    for arg in method.args {
        if arg.kind == Kind::Bit {
            bit += 1;
            if bit == 1 && r.u8().is_none() {
                return false;
            }
            continue;
        }
        bit = 0;
        let there = match arg.kind {
            Kind::Octet => r.u8().is_some(),
            Kind::Short => r.u16().is_some(),
            Kind::Long => r.u32().is_some(),
            Kind::LongLong => r.u64().is_some(),
            Kind::Text => r.short().is_some_and(|t| std::str::from_utf8(t).is_ok()),
            Kind::LongText => r.long().is_some(),
            Kind::Table => r.long().is_some_and(table::is_table),
            Kind::Bit => true,
        };
        if !there {
            return false;
        }
    }
    r.is_empty()
}

fn is_whole(bytes: &[u8], frame: Frame) -> bool {
    bytes.get(HEADER + frame.size as usize) == Some(&END)
}

/// Who says the frames at the front of `bytes`: known from the first method that only one side
/// says.
fn sender(bytes: &[u8]) -> Option<Role> {
    let mut rest = bytes;
    for _ in 0..LOOK_AT {
        let frame = Frame::read(rest)?;
        if !frame.is_plausible() {
            return None;
        }
        match frame.kind {
            METHOD => {
                let Found::Whole(method) = first_method(rest, frame) else { return None };
                match method.from {
                    Says::Client => return Some(Role::Client),
                    Says::Server => return Some(Role::Server),
                    Says::Both => {}
                }
            }
            CONTENT if !content::is_header(rest.get(HEADER..)?) => return None,
            _ if !is_whole(rest, frame) => return None,
            _ => {}
        }
        rest = rest.get(frame.size as usize + AROUND..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_OK: &[u8] = b"\x01\0\x01\0\0\0\x08\0\x14\0\x0b\0\0\0\0\xce";
    const ACK: &[u8] = b"\x01\0\x01\0\0\0\x0d\0\x3c\0\x50\0\0\0\0\0\0\0\x01\0\xce";

    fn judge(bytes: &[u8]) -> Verdict {
        probe(bytes, Transport::Tcp)
    }

    #[test]
    fn headers_and_methods_tell_who_speaks() {
        assert_eq!(judge(b"AMQP\0\0\x09\x01"), Verdict::Likely(Role::Client));
        assert_eq!(judge(b"AMQP\0\0"), Verdict::NeedMore);
        assert_eq!(judge(b"AMQP\0\x01\0\0"), Verdict::No, "1.0 is another protocol");
        assert_eq!(judge(OPEN_OK), Verdict::Match(Role::Server));
        assert_eq!(judge(ACK), Verdict::No, "both sides may say it");
        assert_eq!(judge(&[ACK, OPEN_OK].concat()), Verdict::Match(Role::Server));
        assert_eq!(judge(&[b"\x08\0\0\0\0\0\0\xce", OPEN_OK].concat()), Verdict::Match(Role::Server));
        for n in 1..OPEN_OK.len() {
            assert_eq!(judge(&OPEN_OK[..n]), Verdict::NeedMore, "{n}");
        }
        assert_eq!(judge(&[1; 4096]), Verdict::No);
        assert_eq!(judge(b"\x01\0\0\xff\xff\xff\xff\0\x0a\0\x0a"), Verdict::No);
    }

    #[test]
    fn the_next_method_is_found() {
        let bytes = [b"rest of a body\x01\x01\xce", OPEN_OK, ACK].concat();
        assert_eq!(resync(&bytes, Role::Server), Some(17));
        assert_eq!(resync(&bytes, Role::Client), Some(17 + OPEN_OK.len()));
        assert_eq!(resync(b"nothing \x01 here", Role::Client), None);
    }
}
