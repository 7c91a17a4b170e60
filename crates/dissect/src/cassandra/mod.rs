//! Cassandra's native protocol (CQL), versions 3 to 5.
//!
//! - Requests and responses are paired by their stream id. Events, which nobody asked for, are
//!   calls without a request that lack nothing.
//! - Bodies compressed with lz4 or snappy (versions 3 and 4) and the frames of version 5, with their
//!   checksums and lz4, are undone within bounds.
//! - The text of a prepared statement is shown with each execution, as long as its preparation was
//!   seen on the same connection; so are the names and types of its columns.
//! - Rows are text, with the names of the columns in the first line, up to the payload limit; their
//!   number is exact.
//! - `failed` is true for ERROR. Credentials, and passwords in statements, are never written down.
//! - In version 5 a frame whose checksum is wrong is passed over.

mod codes;
mod connection;
mod detect;
mod engine;
mod exchange;
mod frames;
mod message;
mod report;
mod result;
mod types;
mod wire;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Cassandra,
    transports: &[Transport::Tcp],
    ports: &[9042, 9142],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Cassandra::new()),
};

#[cfg(test)]
mod tests;
