//! RADIUS over UDP: authentication (RFC 2865), accounting (RFC 2866), and changes of authorisation that
//! the server asks for (RFC 5176).
//!
//! - A request and its answer are one call, paired within the flow by identifier and by what can
//!   answer what. A request that is repeated, with the same authenticator, is the same call, whose
//!   times count from its first sending; the answers to the repetitions are dropped with it.
//! - A request without an answer is reported after [`Limits::response_wait`](crate::Limits) without a
//!   repetition, or when its identifier is used anew.
//! - Attributes are shown by name, those of vendors too as far as they are known; what is not text,
//!   number or address is shown in hexadecimal digits.
//! - Secrets are never written down: passwords, challenges and responses of CHAP and MS-CHAP, keys,
//!   and what EAP carries, of which only the method is shown.
//! - `failed` and `client_error` are true for what refuses: Access-Reject, CoA-NAK, Disconnect-NAK.

mod attributes;
mod codes;
mod detect;
mod names;
mod packet;
mod pairing;
mod report;
mod value;
mod vendors;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Radius,
    transports: &[Transport::Udp],
    ports: &[1812, 1813, 3799, 1645, 1646],
    probe: detect::probe,
    resync: |_, _| None,
    start: |_, _| Box::new(pairing::Radius::default()),
};
