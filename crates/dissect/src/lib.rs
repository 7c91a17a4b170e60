//! Packets in, calls out: a library with no I/O, no clock and no async.
//!
//! The path of a packet: [`packet`] finds addresses and payload in a frame, [`engine`] assigns it
//! to a flow and puts the byte streams in order ([`tcp`]), a [`Dissector`] found by content
//! ([`detect`]) reads messages from the streams and hands [`Call`](remora_model::Call)s to a
//! [`Sink`].
//!
//! Invariants: nothing here panics on any input, allocates by a length it read from the wire,
//! recurses without a bound, or asks what time it is. The same bytes give the same calls however
//! they were split. What could not be understood is counted with a reason ([`Problem`]), and what
//! was understood is kept.

pub mod amqp;
pub mod bodies;
pub mod cassandra;
mod compression;
pub mod detect;
pub mod diameter;
pub mod dissector;
pub mod dns;
pub mod engine;
mod fields;
pub mod file;
mod framed;
mod gql;
mod grpc;
pub mod harness;
pub mod http;
pub mod http2;
pub mod icmp;
mod json;
mod jsonrpc;
pub mod kafka;
mod kept;
pub mod ldap;
pub mod limits;
pub mod memcached;
mod messaging;
pub mod mongodb;
pub mod mqtt;
pub mod mysql;
pub mod nats;
pub mod packet;
pub mod postgresql;
pub mod problem;
pub mod radius;
pub mod redis;
mod sctp;
mod seen;
pub mod sink;
pub mod smtp;
mod sql;
pub mod tcp;
mod texts;
pub mod tls;
pub mod ws;

pub use bodies::{BadBodyPolicy, BodyAction, BodyPolicy};
pub use detect::Verdict;
pub use dissector::{Context, Dissector, Ending, Role, Taken};
pub use engine::{Engine, EngineStats, FlowIds, Plaintext};
pub use grpc::{SchemaError, Schemas};
pub use limits::Limits;
pub use packet::LinkType;
pub use problem::Problem;
pub use sink::{Counted, CountedSide, FlowName, Sink};
