//! AMQP 0-9-1, as RabbitMQ and what is compatible with it speak it; 0-9 and 0-8 where they agree
//! with it. AMQP 1.0 is another protocol, and is not dissected.
//!
//! - A method and its answer are one call, paired on their channel in order. A method that has no
//!   answer (`basic.publish`, `basic.ack`, anything with `no-wait`) is whole without one, and so is
//!   what the server sends by itself: `basic.deliver`, `basic.return`, `basic.cancel`. Heartbeats
//!   are calls too.
//! - Where the server asks and the client answers (`channel.close`, `connection.close`), the call
//!   begins with what the server said.
//! - The first calls of a connection are `connection.start`, which answers the protocol header, and
//!   `connection.start-ok`, the login, which is answered by `connection.tune`, by
//!   `connection.secure` or by the refusal.
//! - After `confirm.select` a publish is answered by the `basic.ack` or `basic.nack` that names its
//!   number. One that answers several is the response of each.
//! - When the server closes a channel or a connection because of a method that is open, that is the
//!   method's answer. Every close with a code other than 200, `basic.return` and `basic.nack` of
//!   the server make a call fail.
//! - A delivery has the queue of its consumer, where the consumer's beginning was seen.
//! - Secrets are never written down: of an authentication only mechanism and user are kept.
//! - Bodies beyond the payload limit are passed over, not held; sizes stay exact. Bytes missing
//!   inside a body leave the order intact. After other gaps the next method is looked for, the
//!   rest of contents in between is counted as unsynced, and publishes are no longer paired with
//!   confirms, because their numbers are not known any more.

mod connection;
mod content;
mod detect;
mod message;
mod method;
mod report;
mod table;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry. 5672 is AMQP's port with IANA.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Amqp,
    transports: &[Transport::Tcp],
    ports: &[5672],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Amqp::new()),
};
