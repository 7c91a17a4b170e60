//! Which protocol is this? Decided by content, from both directions; ports are hints at most.

use remora_model::{Protocol, Transport};

use crate::{Dissector, Limits, Role};

/// What a protocol says of the first bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Certainly this protocol, and the sender has this role.
    Match(Role),
    /// Could be; more bytes, or the other direction, will tell. Carries the role that the sender
    /// would have.
    Likely(Role),
    /// Too few bytes to say anything.
    NeedMore,
    /// Certainly not.
    No,
}

/// A protocol's entry in the registry.
pub struct Entry {
    /// The protocol.
    pub protocol: Protocol,
    /// The transports it is looked for on.
    pub transports: &'static [Transport],
    /// Judges the first bytes (for datagrams: one whole datagram) of one direction. Sees at most
    /// [`Limits::detect_bytes`]. Must not say `NeedMore` to that many bytes.
    pub probe: fn(bytes: &[u8], transport: Transport) -> Verdict,
    /// Finds where in `bytes` a message of `role` may begin, to join after a gap or in the middle
    /// of a connection. `None`: not in these bytes.
    pub resync: fn(bytes: &[u8], role: Role) -> Option<usize>,
    /// Makes a dissector for one flow.
    pub start: fn(limits: &Limits, transport: Transport) -> Box<dyn Dissector>,
}

/// Every protocol that is dissected, in order of preference where two claim the same bytes.
pub static REGISTRY: &[Entry] = &[crate::http::ENTRY, crate::dns::ENTRY, crate::redis::ENTRY];
