//! Memcached: the text protocol with its meta commands, and the binary protocol.
//!
//! - Requests and responses are paired in order. What a server need not answer is whole without:
//!   `noreply`, quiet meta commands and quiet operations of the binary protocol, once a later answer
//!   shows that none has come. Where an answer could be that of several quiet requests, it is
//!   reported by itself.
//! - Several keys of one command are one call, with its hits and misses.
//! - Values are kept up to the payload limit and passed over beyond it.
//! - `failed` is true for ERROR, CLIENT_ERROR and SERVER_ERROR and for the statuses of the binary
//!   protocol that mean the same; a miss, or a value that was not stored, is no failure.
//! - What SASL says is never written down, and neither is a value that is stored after the server
//!   has asked for authentication. Until the server has done something for the client, a value that
//!   looks like a name and a password is left out.
//! - A value that comes without its key, as the answer to a request that is not known, is shown alone.
//! - After a gap pairs are made again once the client has been seen to wait for an answer.

mod answer;
mod binary;
mod connection;
mod detect;
mod exchange;
mod line;
mod requests;
mod responses;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Memcached,
    transports: &[Transport::Tcp],
    ports: &[11211],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Memcached::new()),
};

#[cfg(test)]
mod tests;
