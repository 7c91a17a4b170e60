//! PostgreSQL: frontend/backend protocol 3 (PostgreSQL documentation, chapter "Frontend/Backend
//! Protocol"), as PostgreSQL, CockroachDB, poolers and their kin speak it.
//!
//! - A call is a statement: a simple Query message, or in the extended protocol what leads up to
//!   one Execute (Parse, Bind, Describe and it). What is prepared without being executed is a call
//!   of its own (`PARSE`, `DESCRIBE`, ...), as are the login (`STARTUP`), a request for encryption
//!   (`SSLREQUEST`, `GSSENCREQUEST`), a `CANCELREQUEST`, a `FUNCTIONCALL` and what a server sends
//!   unasked (`NOTIFICATION`, and an `ERROR` that ends the connection).
//! - Sync, Flush and ReadyForQuery belong to no call of the extended protocol. A simple Query of
//!   several statements is one call: the command is the first one's, rows are added up.
//! - After an error in a pipeline the server skips everything up to the next Sync: those
//!   statements have `failed` set and say that they were not executed.
//! - Statement text is known by name as long as the Parse was seen; bound values are shown as
//!   text, binary ones where their type was described.
//! - Passwords are never kept: authentication messages are not looked at, the secrets of
//!   cancellation neither, and passwords in `ALTER ROLE` and its kin are replaced.
//! - Results are read until the payload limit is reached, and only counted off beyond it.
//! - After `SSLRequest` was accepted, the connection is handed over to TLS. A stream of replication is
//!   opaque.
//! - Bytes missing inside a message leave the order intact. After other gaps, and in a connection
//!   that was joined in the middle, see `sql::pairing`.

mod client;
mod connection;
mod detect;
mod exchange;
mod message;
mod orphan;
mod server;
mod values;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Postgresql,
    transports: &[Transport::Tcp],
    ports: &[5432],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Postgresql::new()),
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
