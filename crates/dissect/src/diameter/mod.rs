//! Diameter (RFC 6733) over TCP and SCTP.
//!
//! - A request and its answer are one call, paired by hop-by-hop identifier and command. Both peers
//!   ask: the one that asks is the client of the call, whoever opened the connection.
//! - AVPs are shown by name, those of groups indented under them. Names are those of the IETF and of
//!   3GPP; what is not text, number, address or time is shown in hexadecimal digits.
//! - Secrets are never written down: passwords, what CHAP, EAP and Digest exchange, keys, and
//!   authentication vectors.
//! - `failed` is true when the answer has the error bit or a result code of 3000 or more.

mod connection;
mod detect;
mod dictionary;
mod header;
mod message;
mod names;
mod report;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry. Dissectors made for another transport than TCP take each call of
/// [`data`](crate::Dissector::data) for one message, such as the user data of an SCTP DATA chunk.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Diameter,
    transports: &[Transport::Tcp, Transport::Sctp],
    ports: &[3868],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, transport| Box::new(connection::Diameter::new(transport)),
};
