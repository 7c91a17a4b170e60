//! DNS (RFC 1035 and its many extensions) over UDP and TCP, mDNS and LLMNR included.
//!
//! - A query and its response are one call, paired within the flow by id and question; answers
//!   may come in any order. A query that is repeated before its answer is the same call, whose
//!   times count from its first sending; the answers to the repetitions are dropped with it.
//! - A query that stays without an answer is a call with `incomplete = no_response`: after
//!   [`Limits::response_wait`](crate::Limits::response_wait) without a repetition over UDP, at the end
//!   of the connection over TCP. A response whose query was not seen has `no_request`.
//! - In flows to a multicast group, and between two ports 5353 (mDNS), nobody answers in the same
//!   flow: every message there is a call of its own and is whole.
//! - A zone transfer (AXFR, IXFR) over TCP is one call with all its messages.
//! - `failed` is true for every response code but NOERROR, so for NXDOMAIN too.
//! - `dns_answers` has the answer section alone, as `dig +nosplit` prints it but without the final
//!   dot of names.
//! - A message that is damaged gives what can be read in front of the damage, and is counted. When
//!   question or answers are concerned, the call has `incomplete = truncated`.

mod cursor;
mod detect;
mod encoding;
mod message;
mod name;
mod pairing;
mod rdata;
mod report;
mod svcb;
#[cfg(test)]
mod testing;
mod transfer;
mod types;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Dns,
    transports: &[Transport::Udp, Transport::Tcp],
    ports: &[53, 5353],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, transport| Box::new(pairing::Dns::new(transport)),
};
