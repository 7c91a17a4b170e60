//! NATS: the client protocol, with headers and JetStream.
//!
//! - A published message is a call without response that is whole, unless it asks for a reply on a
//!   subject that the same connection has subscribed to: then the reply is its response. JetStream's
//!   API, and publishing into a stream, are such requests.
//! - A message that the server delivers is a call that the server began; what the client publishes
//!   on the message's reply subject is the client's part of it: the reply of a service, or the
//!   acknowledgement of JetStream. One that is not replied to within `Limits::response_wait` is
//!   whole without, if the client has gone on since, or closed: else its reply may not have been captured.
//! - PING and PONG are one call, of either side. In verbose mode `+OK`, or the `-ERR` that stands in
//!   its place, is the response of CONNECT, PUB, SUB and UNSUB; else these are whole without one.
//!   INFO is a call of the server alone, and so is an `-ERR` that no request is known for.
//! - `failed` is true for `-ERR`, for the status 503 (no responders), for other statuses but 404 and
//!   408, with which a fetch ends that found less than it asked for, for errors in JetStream's
//!   answers and for what a consumer refuses with `-NAK` or `+TERM`.
//! - Secrets are never written down: `pass`, `auth_token`, `jwt` and `sig` of CONNECT.
//! - When the server offers TLS and the client begins it, the rest of the connection is TLS's.
//! - Payloads beyond the limit are passed over, not held. Bytes missing inside a payload leave the
//!   order intact. After other gaps the next message is looked for, and `+OK` and PONG are not paired
//!   any more, because they do not say what they answer.

mod connection;
mod detect;
mod jetstream;
mod line;
mod message;
mod options;
mod report;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry. 4222 is the port that nats-server listens on by default.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Nats,
    transports: &[Transport::Tcp],
    ports: &[4222],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Nats::new()),
};
