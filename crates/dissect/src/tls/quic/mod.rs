//! The beginning of QUIC connections: Initial packets, which hide the TLS handshake from nobody.
//!
//! Versions 1 (RFC 9000), 2 (RFC 9369) and the drafts from 29 on. A call is a ClientHello, which may
//! take several packets, with the ServerHello. Everything after the Initial packets is encrypted with
//! keys that are not derived here, and is passed over.

mod connection;
mod crypto;
mod initial;
mod packet;

pub(super) use connection::Quic;

use crate::{Role, Verdict};
use packet::{Kind, Long};

/// Judges a datagram. An Initial packet that opens with the key that is derived from it leaves no
/// doubt; neither does a version negotiation that names a known version.
pub(super) fn probe(bytes: &[u8]) -> Verdict {
    let Some(long) = Long::parse(bytes) else { return Verdict::No };
    match (long.kind, long.version) {
        (Kind::VersionNegotiation, _) => Verdict::Match(Role::Server),
        (Kind::Initial(sealed), Some(version)) => {
            let keys = initial::Initial::new(version, &long.destination);
            let opens =
                keys.is_some_and(|mut keys| keys.open(Role::Client, &sealed, &mut Vec::new()).is_some());
            if opens { Verdict::Match(Role::Client) } else { Verdict::No }
        }
        _ => Verdict::No,
    }
}
