//! What protects the records of each side at this moment, and what will.

use super::decrypt::{Opener, Schedule, Suite};
use super::handshake::Handshake;
use super::names;
use super::secrets::{Label, Secrets};
use crate::{Problem, Role};

/// Protection of one side's records.
#[derive(Default)]
pub(super) enum Protection {
    /// None yet.
    #[default]
    Clear,
    /// It can be removed.
    Open(Box<Opener>),
    /// It cannot be removed, or not any more.
    Sealed(Problem),
}

impl Protection {
    pub(super) fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    pub(super) fn memory(&self) -> usize {
        /// What the key schedules of a cipher and a MAC take.
        const CIPHER: usize = 1_024;

        if let Self::Open(_) = self { size_of::<Opener>() + CIPHER } else { 0 }
    }
}

/// Keys of TLS 1.3 for one stage of a side.
pub(super) fn tls13(handshake: &Handshake, secrets: &Secrets, label: Label) -> Protection {
    let (Some(hello), Some(server)) = (&handshake.hello, &handshake.server) else {
        return Protection::Sealed(Problem::NoSecrets);
    };
    let Some(suite) = Suite::from_id(server.suite) else {
        return Protection::Sealed(unreadable(secrets, &hello.random, Problem::UnknownCipher));
    };
    let opener = secrets.get(&hello.random, label).and_then(|secret| Opener::tls13(suite, secret));
    opener.map_or_else(|| Protection::Sealed(missing(secrets)), |o| Protection::Open(Box::new(o)))
}

/// Keys up to TLS 1.2 of a side.
pub(super) fn tls12(role: Role, handshake: &Handshake, secrets: &Secrets) -> Protection {
    let (Some(hello), Some(server)) = (&handshake.hello, &handshake.server) else {
        return Protection::Sealed(missing(secrets));
    };
    // SSL 3.0 makes its keys in another way.
    let suite = Suite::from_id(server.suite).filter(|_| server.negotiated() >= 0x0301);
    let Some(suite) = suite else {
        return Protection::Sealed(unreadable(secrets, &hello.random, Problem::UnknownCipher));
    };
    let Some(master) = secrets.get(&hello.random, Label::Master) else {
        return Protection::Sealed(missing(secrets));
    };
    let schedule = Schedule {
        suite,
        version: server.negotiated(),
        master,
        client_random: &hello.random,
        server_random: &server.random,
        encrypt_then_mac: server.encrypt_then_mac,
    };
    Opener::tls12(role, &schedule)
        .map_or(Protection::Sealed(Problem::UnknownCipher), |o| Protection::Open(Box::new(o)))
}

/// Keys of early data: its suite is that of the earlier session, which is not named, but is one of
/// those offered. Gives one for each that fits the secret.
pub(super) fn early(handshake: &Handshake, secrets: &Secrets) -> Vec<Opener> {
    /// The suites of TLS 1.3 (RFC 8446 appendix B.4) and as many to come.
    const MAX_SUITES: usize = 8;

    let Some(hello) = &handshake.hello else { return Vec::new() };
    let Some(secret) = secrets.get(&hello.random, Label::ClientEarly) else { return Vec::new() };
    let is_tls13 = |id: &u16| names::suite(*id).is_some_and(|n| !n.contains("_WITH_"));
    let suites = hello.suites.iter().copied().filter(is_tls13).filter_map(Suite::from_id);
    suites.filter_map(|suite| Opener::tls13(suite, secret)).take(MAX_SUITES).collect()
}

/// Why there is no secret.
pub(super) fn missing(secrets: &Secrets) -> Problem {
    if secrets.is_empty() { Problem::Encrypted } else { Problem::NoSecrets }
}

/// `why` matters only where there are secrets of the connection.
fn unreadable(secrets: &Secrets, random: &[u8; 32], why: Problem) -> Problem {
    if secrets.knows(random) { why } else { missing(secrets) }
}
