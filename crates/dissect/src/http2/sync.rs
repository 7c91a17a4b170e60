//! Which bytes are HTTP/2, who sent them, and where a frame begins in the middle of a stream.
//!
//! A frame's header has little that only frames have, so one header proves nothing. Frames are
//! followed as far as the bytes go, each counting for what is improbable about it, and a header
//! block with pseudo-headers, which also tells the sender's role, counts most.

use super::frame::{self, HEADER_LEN, Header, PREFACE};
use super::hpack::{Decoder, Field};
use crate::{Role, Verdict};

/// What a chain of frames must count to be believed.
const ENOUGH: u32 = 3;
/// Fields that must be known of a header block for it to be believed alone.
const CLEAR: u32 = 3;
/// Longest frame that is believed in a search. Senders rarely use more than the 16 KiB that
/// everybody has to accept (RFC 9113 section 4.2).
const MAX_LEN: usize = 64 << 10;
/// Frames followed before the chain is believed without looking on.
const MAX_FRAMES: usize = 64;

/// What the frames at the front of some bytes show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// How much the whole frames count; more than one of them.
    weight: u32,
    frames: usize,
    /// The sender's role, from pseudo-headers.
    role: Option<Role>,
    /// What stands where a frame should begin, or in a frame, cannot be.
    broken: bool,
}

/// Follows the frames at the front of `bytes`. `is_open` knows streams that are open: a frame on
/// one of them is not there by chance.
fn follow(bytes: &[u8], is_open: impl Fn(u32) -> bool) -> Chain {
    let mut chain = Chain::default();
    let mut rest = bytes;
    let mut open = None;
    while !rest.is_empty() && chain.frames < MAX_FRAMES {
        let Some(header) = Header::read(rest) else {
            // The length's first byte is the only one that can be judged alone.
            chain.broken = usize::from(rest[0]) << 16 > MAX_LEN;
            break;
        };
        let reserved = rest.get(5).is_some_and(|b| b & 0x80 != 0);
        let fits = header.is_valid()
            && !reserved
            && header.len <= MAX_LEN
            && header.known_flags().is_some_and(|known| header.flags & !known == 0)
            && (header.kind == frame::CONTINUATION) == open.is_some()
            && open.is_none_or(|stream| stream == header.stream);
        if !fits {
            chain.broken = true;
            break;
        }
        if header.stream != 0 && is_open(header.stream) {
            chain.weight += ENOUGH - 1;
        }
        let Some(payload) = rest.get(HEADER_LEN..HEADER_LEN + header.len) else { break };
        let Some(weight) = weigh(header, payload, &mut chain.role) else {
            chain.broken = true;
            break;
        };
        open = match header.kind {
            frame::HEADERS | frame::PUSH_PROMISE | frame::CONTINUATION if !header.has(frame::END_HEADERS) => {
                Some(header.stream)
            }
            _ => None,
        };
        chain.weight += weight;
        chain.frames += 1;
        rest = rest.get(HEADER_LEN + header.len..).unwrap_or_default();
    }
    chain
}

/// How much a whole frame counts; `None` when its payload cannot be.
fn weigh(header: Header, payload: &[u8], role: &mut Option<Role>) -> Option<u32> {
    let code = |at: usize| payload.get(at..).and_then(frame::word);
    match header.kind {
        frame::DATA => {
            let pad = if header.has(frame::PADDED) { usize::from(*payload.first()?) + 1 } else { 0 };
            (pad <= payload.len()).then_some(1)
        }
        frame::HEADERS => {
            let (block, _) = frame::block(header, payload)?;
            if block.is_empty() {
                // Nobody sends that, and zeros in a message of gRPC look like it.
                return None;
            }
            if !header.has(frame::END_HEADERS) {
                return Some(1);
            }
            match sender(block)? {
                // Trailers, or nothing but what the table has.
                (None, _) => Some(1),
                (Some(said), fields) if role.is_none_or(|known| known == said) => {
                    *role = Some(said);
                    Some(if fields >= CLEAR { ENOUGH } else { ENOUGH - 1 })
                }
                _ => None,
            }
        }
        frame::PUSH_PROMISE => {
            let (_, promised) = frame::block(header, payload)?;
            (promised != 0 && promised % 2 == 0 && *role != Some(Role::Client)).then_some(1)
        }
        frame::SETTINGS => payload.chunks(6).all(is_setting).then_some(2),
        frame::RST_STREAM => (code(0)? <= 0xd).then_some(2),
        frame::GOAWAY => (code(0)? < 1 << 31 && code(4)? <= 0xd).then_some(2),
        frame::WINDOW_UPDATE => matches!(code(0)?, 1..=0x7fff_ffff).then_some(2),
        frame::PING => Some(2),
        _ => Some(1),
    }
}

/// A setting that is assigned (RFC 9113 section 6.5.2 and the registry up to 0x9), with a value
/// that it may have, or one reserved for private use by convention of its users (0xf000 and
/// above) or to be ignored (0x?a?a).
fn is_setting(setting: &[u8]) -> bool {
    let &[a, b, v0, v1, v2, v3] = setting else { return false };
    let value = u32::from_be_bytes([v0, v1, v2, v3]);
    match u16::from_be_bytes([a, b]) {
        0x2 | 0x8 | 0x9 => value <= 1,
        0x4 => value < 1 << 31,
        0x5 => (16_384..1 << 24).contains(&value),
        0x1 | 0x3 | 0x6 => true,
        id => id >= 0xf000 || id & 0x0f0f == 0x0a0a,
    }
}

/// Who sends such a header block, where it says so, and how many of its fields are known. `None`
/// when no header block of HTTP is like that.
fn sender(block: &[u8]) -> Option<(Option<Role>, u32)> {
    let mut decoder = Decoder::new();
    decoder.forget();
    let (mut role, mut good, mut regular, mut fields) = (None, true, false, 0);
    let decoded = decoder.decode(block, MAX_LEN, |Field { name, value }| {
        let Some(name) = name else { return };
        fields += 1;
        let Some((b':', pseudo)) = name.split_first().map(|(first, rest)| (*first, rest)) else {
            good &= !name.is_empty() && name.iter().all(|&b| is_name(b));
            regular = true;
            return;
        };
        let says = match pseudo {
            b"status" => Role::Server,
            b"method" | b"scheme" | b"path" | b"authority" | b"protocol" => Role::Client,
            _ => return good = false,
        };
        good &= !regular && role.is_none_or(|known| known == says);
        good &= value.is_none_or(|value| match pseudo {
            b"status" => value.len() == 3 && value.iter().all(u8::is_ascii_digit),
            b"method" => !value.is_empty() && value.iter().all(|&b| is_name(b.to_ascii_lowercase())),
            _ => value.iter().all(|&b| b > b' ' && b != 0x7f),
        });
        role = Some(says);
    });
    (decoded.is_ok() && good).then_some((role, fields))
}

/// A token in lower case (RFC 9113 section 8.2.1).
fn is_name(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Judges the first bytes of a direction.
pub(super) fn probe(bytes: &[u8]) -> Verdict {
    let seen = bytes.get(..PREFACE.len()).unwrap_or(bytes);
    if PREFACE.starts_with(seen) {
        // Nothing else begins with `PRI * HTTP/2`.
        return match seen.len() {
            24 => Verdict::Match(Role::Client),
            12.. => Verdict::Likely(Role::Client),
            _ => Verdict::NeedMore,
        };
    }
    let chain = follow(bytes, |_| false);
    if chain.broken {
        return Verdict::No;
    }
    let server = is_settings(bytes);
    match (chain.role, chain.weight) {
        (Some(role), ENOUGH..) => Verdict::Match(role),
        (Some(role), _) => Verdict::Likely(role),
        // A server's first frame, or a client's second, where its preface was not seen; an empty one
        // alone also begins other protocols' messages. The other direction tells.
        (None, _) if server && bytes.len() >= HEADER_LEN => Verdict::Likely(Role::Server),
        _ if bytes.len() < WAIT => Verdict::NeedMore,
        _ => Verdict::No,
    }
}

/// Bytes after which a direction that shows no role is not waited for: below every setting of
/// `Limits::detect_bytes` that makes sense.
const WAIT: usize = 1 << 10;

/// True for the front of a SETTINGS frame that is no acknowledgement: how a server begins.
pub(super) fn is_settings(bytes: &[u8]) -> bool {
    Header::read(bytes)
        .is_some_and(|h| h.kind == frame::SETTINGS && h.is_valid() && h.flags == 0 && h.len <= 6 * 64)
}

/// How far behind a doubtful beginning a certain one is looked for.
const AHEAD: usize = 16 << 10;

/// Where a frame begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There.
    At(usize),
    /// More bytes will tell whether it is there; not before.
    Perhaps(usize),
    /// Not in these bytes.
    Nowhere,
}

/// Looks for the first frame of `role` in the middle of its stream.
pub(super) fn find(role: Role, bytes: &[u8], is_open: impl Fn(u32) -> bool) -> Found {
    let mut perhaps = None;
    for at in 0..bytes.len() {
        let rest = &bytes[at..];
        if role == Role::Client && rest.starts_with(PREFACE) {
            return Found::At(at);
        }
        // Most offsets end here: the fourth byte is a type that is known.
        if rest.get(3).is_some_and(|&kind| kind > frame::CONTINUATION) {
            continue;
        }
        if perhaps.is_some_and(|first| at > first + AHEAD) {
            break;
        }
        let chain = follow(rest, &is_open);
        if chain.broken || chain.role.is_some_and(|said| said != role) {
            continue;
        }
        if chain.weight >= ENOUGH {
            return Found::At(at);
        }
        perhaps.get_or_insert(at);
    }
    perhaps.map_or(Found::Nowhere, Found::Perhaps)
}

/// Where to begin in the middle of the stream of `role`: at frames that leave no doubt, and where
/// there are none at the front, so that nothing is passed over that more bytes may explain.
pub(super) fn enter(role: Role, bytes: &[u8]) -> usize {
    if find(role, bytes, |_| false) == Found::At(0) {
        return 0;
    }
    let certain = (0..bytes.len()).find(|&at| {
        let rest = &bytes[at..];
        let kind = rest.get(3).copied();
        let begins = kind == Some(frame::HEADERS) && {
            let chain = follow(rest, |_| false);
            !chain.broken && chain.role == Some(role) && chain.weight >= ENOUGH
        };
        begins || (role == Role::Client && rest.starts_with(PREFACE))
    });
    certain.unwrap_or(0)
}
