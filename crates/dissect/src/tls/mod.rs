//! TLS: handshakes as calls, over TCP and in QUIC, and the plaintext of connections whose secrets are
//! known. SSL 3.0 to TLS 1.3 (RFC 6101, RFC 2246, RFC 4346, RFC 5246, RFC 8446).
//!
//! - A call is a ClientHello with the ServerHello that answers it, and what else of the handshake is
//!   in clear. It is reported when the handshake is complete, or has come to nothing.
//! - `failed` is true when a fatal alert ended the handshake, `client_error` when the server's alert
//!   blames something that the client has sent. In TLS 1.3 most alerts are encrypted: one from the
//!   client in the place of its last message is known by its length, and called `encrypted`.
//! - Without secrets everything after the handshake is skipped, and counted as encrypted.
//! - With secrets ([`Secrets`]) records are opened, and the plaintext goes through detection like any
//!   other stream: what is found in it has `tls` set, and positions in the plaintext. What the
//!   handshake says under encryption is shown as well.
//! - Early data is read when the server has taken it, and left out when it has not.
//! - After bytes are missing, the number of the next record is searched for: the key log may be
//!   complete where the capture is not.
//! - QUIC: see [`quic`].

mod certificate;
mod connection;
mod cursor;
mod decrypt;
mod der;
mod detect;
mod fingerprint;
mod handshake;
mod hello;
mod keys;
mod messages;
mod names;
mod plain;
mod quic;
mod record;
mod secrets;

use remora_model::{Protocol, Transport};

pub use secrets::{KeyLogRead, Secrets};

use crate::Dissector;
use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Tlsx,
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[443, 853, 8443],
    probe: |bytes, transport| match transport {
        Transport::Udp => quic::probe(bytes),
        _ => detect::probe(bytes, transport),
    },
    resync: detect::resync,
    start: |_, transport| match transport {
        Transport::Udp => Box::new(quic::Quic::new()) as Box<dyn Dissector>,
        _ => Box::new(connection::Tls::new()),
    },
};
