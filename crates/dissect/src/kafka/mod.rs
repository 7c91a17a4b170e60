//! Kafka's own protocol, as brokers since 0.8 and what is compatible with them speak it.
//!
//! - A request and its response are one call, paired by correlation id. Produce with `acks = 0`
//!   has no response and is whole without.
//! - Every API is known by name. The messages of those that clients and administrators use are
//!   described in tables, version by version ([`schema`]), and shown as JSON under the names that
//!   brokers log; of the others, which brokers send each other, the header is shown. A version
//!   newer than the tables is shown by its header as well.
//! - Records are shown in all formats (magic 0, 1 and 2) and compressions (gzip, snappy, lz4, zstd)
//!   with keys, values, headers and timestamps, up to the payload limit. What is beyond it is passed
//!   over, not held; numbers of records and error codes behind it are exact all the same.
//! - `failed` is true when any error code in a response is not 0; the first of them is reported.
//! - Topics that messages name by id get the name that Metadata or CreateTopics has given them on
//!   the same connection, and else the id, as Kafka writes it.
//! - Secrets are never written down: SASL exchanges, salted passwords, values of secret settings.
//!   The tokens that follow SaslHandshake version 0 without any header are counted as opaque.
//! - Bytes missing inside a message leave the order intact, because its length is known. After
//!   other gaps a request has to prove itself by decoding to its end, and a response by the
//!   correlation id of an open request and by decoding to its end, with nothing or another response
//!   behind it, or records in it; a response to a request that was not seen is a call of its
//!   own only in a stream that is known to stand at the beginning of a message.

mod api;
mod connection;
mod detect;
mod error;
mod header;
mod message;
mod names;
mod records;
mod report;
mod schema;
mod token;
mod topic_ids;
mod walk;
mod wire;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Kafka,
    transports: &[Transport::Tcp],
    ports: &[9092],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Kafka::new()),
};
