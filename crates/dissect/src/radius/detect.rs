//! Is this RADIUS? There is no magic number, so that everything has to fit: code, length, and each
//! attribute down to the last byte.

use remora_model::Transport;

use super::packet::{self, HEADER, LONGEST};
use super::{attributes, codes, value};
use crate::{Role, Verdict};

/// Attributes with the length of their type that are taken as proof.
const ENOUGH: usize = 2;

/// Judges one datagram.
pub(super) fn probe(bytes: &[u8], _: Transport) -> Verdict {
    let Some((header, rest)) = packet::header(bytes) else { return Verdict::No };
    let length = usize::from(header.length);
    if length > LONGEST || length != bytes.len() || codes::name(header.code).is_none() {
        return Verdict::No;
    }
    let request = codes::is_request(header.code);
    let role = if request { Role::Client } else { Role::Server };
    let mut known = 0;
    for attribute in packet::attributes(rest) {
        let Ok((number, bytes)) = attribute else { return Verdict::No };
        match attributes::find(number) {
            Some((_, kind)) if value::fits(kind, bytes.len()) && !bytes.is_empty() => known += 1,
            Some(_) => return Verdict::No,
            None => {}
        }
    }
    match known {
        // A bare answer is its header alone; the authenticator of any packet is as good as random.
        0 if request || length > HEADER || !varied(&header.authenticator) => Verdict::No,
        _ if !varied(&header.authenticator) && header.code != 1 => Verdict::No,
        ENOUGH.. => Verdict::Match(role),
        _ => Verdict::Likely(role),
    }
}

/// True for 16 bytes that could be the outcome of a hash.
fn varied(bytes: &[u8; 16]) -> bool {
    let same = |b: &&u8| bytes.iter().filter(|c| c == b).count() > 6;
    !bytes.iter().any(|b| same(&b))
}
