//! Frames in the middle of a connection: where one begins, and whether bytes are frames at all.

use super::frame::{self, Front, Header};
use crate::{Role, Verdict};

/// Evidence, in bits, that leaves no doubt.
const ENOUGH: u32 = 48;
/// Evidence of a header: of 2^16 values of its first two bytes about 2^11 are valid in a chain.
const HEADER: u32 = 5;
/// Frames that are needed, whatever they say.
const FRAMES: u32 = 3;
/// Bytes of a payload that are looked at.
const LOOK: usize = 256;
/// Detection waits for so many bytes before it says no.
const WAIT: usize = 2 << 10;

/// What following the frames at the front of some bytes has shown.
#[derive(Clone, Copy, Debug, Default)]
struct Chain {
    weight: u32,
    frames: u32,
    /// Who sends like that: clients mask and servers do not (RFC 6455 section 5.1).
    role: Option<Role>,
    /// Something is no frame.
    broken: bool,
}

impl Chain {
    fn is_enough(&self) -> bool {
        !self.broken && self.weight >= ENOUGH && self.frames >= FRAMES
    }
}

/// Follows frames from the front of `bytes`.
fn follow(bytes: &[u8]) -> Chain {
    let mut chain = Chain::default();
    let (mut at, mut open) = (0_usize, None);
    while chain.weight < ENOUGH || chain.frames < FRAMES {
        let header = match Header::read(bytes.get(at..).unwrap_or_default()) {
            Front::Is(header) => header,
            Front::Needs(_) => return chain,
            Front::Bad => return Chain { broken: true, ..chain },
        };
        let role = if header.mask.is_some() { Role::Client } else { Role::Server };
        let begins = matches!(header.opcode, frame::TEXT | frame::BINARY);
        // In the middle of a message only its next frame or a control frame may come.
        let continues = header.opcode == frame::CONTINUATION;
        let fits = match open {
            None => !continues,
            Some(open) => header.is_control() || begins != open,
        };
        // Zeros would be empty frames without end.
        let odd = !header.is_minimal() || (header.len == 0 && !header.is_control() && !header.fin);
        if !fits || odd || *chain.role.get_or_insert(role) != role {
            return Chain { broken: true, ..chain };
        }
        if !header.is_control() {
            open = Some(!header.fin);
        }
        let start = at + header.size;
        let Some(end) = usize::try_from(header.len).ok().and_then(|n| start.checked_add(n)) else {
            return chain;
        };
        let payload = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
        let Some(weight) = weigh(header, payload, end <= bytes.len()) else {
            return Chain { broken: true, ..chain };
        };
        chain.weight += weight;
        if end > bytes.len() {
            return chain;
        }
        chain.frames += 1;
        at = end;
    }
    chain
}

/// What a payload says in favour of its frame; `None` when it speaks against it.
fn weigh(header: Header, payload: &[u8], whole: bool) -> Option<u32> {
    let mut room = [0; LOOK];
    let n = payload.len().min(LOOK);
    let shown = room.get_mut(..n)?;
    shown.copy_from_slice(payload.get(..n)?);
    frame::unmask(shown, header.mask, 0);
    let shown = &*shown;
    let text = |bytes: &[u8]| {
        let valid = match std::str::from_utf8(bytes) {
            Ok(_) => true,
            // Cut in the middle of a character.
            Err(e) => e.error_len().is_none() && (n < payload.len() || !whole || !header.fin),
        };
        valid && !bytes.iter().any(|&b| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r') || b == 0x7f)
    };
    match header.opcode {
        frame::TEXT if header.len == 0 => Some(0),
        frame::TEXT if header.rsv1 => Some(HEADER),
        // About one bit for each byte that could as well be no text.
        frame::TEXT => text(shown).then_some(HEADER + shown.len().min(16) as u32),
        frame::CLOSE => match *shown {
            [] if header.len == 0 => Some(HEADER),
            [a, b, ref reason @ ..] => {
                let code = u16::from_be_bytes([a, b]);
                ((1_000..5_000).contains(&code) && text(reason)).then_some(HEADER + 4)
            }
            _ if whole => None,
            _ => Some(0),
        },
        // Empty frames are rare, and zeros are not.
        _ if header.len == 0 && !header.is_control() => Some(0),
        _ => Some(HEADER),
    }
}

/// Where in `bytes` a frame of `role`, or of anybody, begins.
pub(super) fn find(bytes: &[u8], role: Option<Role>) -> Option<usize> {
    (0..bytes.len()).find(|&at| {
        let chain = bytes.get(at..).map(follow).unwrap_or_default();
        chain.is_enough() && (role.is_none() || chain.role == role)
    })
}

/// Judges the first bytes of one direction of a connection whose handshake was not seen.
pub(super) fn probe(bytes: &[u8]) -> Verdict {
    let chain = follow(bytes);
    match chain.role {
        _ if chain.broken => Verdict::No,
        Some(role) if chain.is_enough() => Verdict::Match(role),
        _ if bytes.len() < WAIT => Verdict::NeedMore,
        _ => Verdict::No,
    }
}
