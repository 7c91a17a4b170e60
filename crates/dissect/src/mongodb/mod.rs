//! MongoDB's wire protocol: OP_MSG, what is compressed in OP_COMPRESSED, and the messages of
//! servers before 5.1 (OP_QUERY, OP_REPLY, OP_INSERT, OP_UPDATE, OP_DELETE, OP_GET_MORE,
//! OP_KILL_CURSORS).
//!
//! - A request and its reply are one call, paired by `responseTo`. Requests that are not answered
//!   (`moreToCome`, the old writes) are whole without. The further replies of an exhaust stream,
//!   each of which answers the reply before it, are calls of their own that carry what was asked
//!   and no request.
//! - Bodies are shown as relaxed Extended JSON (v2), sequences of documents under their name, the
//!   old messages under the names of the commands that replaced them.
//! - What is beyond the payload limit is passed over, not held: what comes behind it, as `ok` and
//!   errors behind a batch, is read all the same. Compressed messages are held whole up to
//!   [`Limits::message_bytes`](crate::Limits::message_bytes) and undone within the same bound.
//! - `failed` is true when `ok` is not 1 and when there are write errors or write concern errors.
//! - Payloads of SASL, passwords, and the credentials of users are never written down.
//! - Bytes missing inside a message leave the order intact, because its length is known.

mod bson;
mod codes;
mod connection;
mod detect;
mod engine;
mod extended;
mod message;
mod reader;
mod report;
mod wire;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Mongodb,
    transports: &[Transport::Tcp],
    ports: &[27017, 27018, 27019],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Mongo::new()),
};

#[cfg(test)]
mod tests;
