//! ICMP (RFC 792 and later ones) and ICMPv6 (RFC 4443, RFC 4861 and others).
//!
//! - A request and its reply are one call, paired by identifier and sequence number; so are the other
//!   exchanges that have such numbers (timestamps, extended echo, node information, home agent
//!   discovery). A request that stays without a reply for
//!   [`Limits::response_wait`](crate::Limits::response_wait) has `incomplete = no_response`, a reply whose
//!   request was not seen `no_request`. A request that is seen again before its reply is the same call.
//! - Requests to a group are answered by others, in other flows: they are whole without a reply.
//! - Every other message is a call without a response. Errors have `failed`, and name the packet that
//!   caused them: its addresses, ports and protocol, as far as the message quotes it. A redirect is no
//!   failure.
//! - `src` is the sender of the request, of the lone message, and of the request that a lone reply
//!   answers. A flow is a pair of addresses, so that both of them may ask in it.

mod message;
mod pairing;
mod report;
mod types;
mod word;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;
use crate::{Role, Verdict};

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Icmp,
    transports: &[Transport::Icmp],
    ports: &[],
    probe,
    resync: |_, _| None,
    start: |_, _| Box::new(pairing::Icmp::new()),
};

/// The IP header has said what it is; who asks, the type says. Types of both versions do not contradict
/// each other in that.
fn probe(bytes: &[u8], _: Transport) -> Verdict {
    match bytes.first() {
        Some(&kind) if types::is_reply(kind) => Verdict::Match(Role::Server),
        Some(_) => Verdict::Match(Role::Client),
        None => Verdict::No,
    }
}

#[cfg(test)]
mod tests;
