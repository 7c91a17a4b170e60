//! MySQL and MariaDB: the client/server protocol (MySQL Internals, "Client/Server Protocol";
//! MariaDB knowledge base, "Clientserver protocol").
//!
//! - A call is a command with all of its responses: several result sets of one command are one
//!   call, whose rows are added up. The login is a call too (`HANDSHAKE`, without what the server
//!   says first), and so is the request for TLS (`SSLREQUEST`), which hands the connection over to TLS.
//! - Commands that are not answered (`COM_QUIT`, `COM_STMT_CLOSE`, `COM_STMT_SEND_LONG_DATA`) are
//!   whole without a response.
//! - Prepared statements are known by their number as long as the `COM_STMT_PREPARE` was seen.
//!   Bound values are shown as text where the number of parameters and their types are known.
//! - Passwords are never kept: authentication data is not looked at, and passwords in
//!   `CREATE USER` and its kin are replaced.
//! - Rows are read until the payload limit is reached, and only counted off beyond it.
//! - The compressed protocol (zlib and zstd) is undone piece by piece, within the bound of
//!   `Limits::expansion`. A call's bytes are then those of the compressed packets that it
//!   touches.
//! - Whether the server ends rows by EOF or OK packets is seen from the packets, so that it need
//!   not be known from the login.
//! - After `COM_BINLOG_DUMP` the connection carries the replication stream, which is opaque.
//! - Whether an EOF stands behind the definitions of a prepared statement is not seen from the
//!   packets where the login was not: the call is then reported when the server says more.
//! - Where bytes of the client are missing, another database may have been chosen in them: none is
//!   shown until the next choice is seen.
//! - After gaps, and in a connection that was joined in the middle, see `sql::pairing`.

mod client;
mod compression;
mod connection;
mod detect;
mod exchange;
mod packet;
mod packets;
mod parameters;
mod results;
mod server;
mod unsettled;
mod values;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Mysql,
    transports: &[Transport::Tcp],
    ports: &[3306],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Mysql::new()),
};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
