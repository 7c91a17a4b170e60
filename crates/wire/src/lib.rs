//! How rows travel from agents to the hub.
//!
//! An agent puts its batches into a [`Spool`], which numbers them and keeps them, in memory and
//! beyond a budget on disk, until the hub has acknowledged them. A [`Client`] carries the spool
//! over one gRPC stream to an [`IngestServer`], which hands the decoded batches to an
//! [`IngestHandler`] in order and without repetitions, and passes back what the handler declares
//! durable. The rules of the conversation stand in `proto/remora/wire/v1/ingest.proto`.
//!
//! Both ends treat the other as untrusted: sizes, counts and schemas are checked, and what does
//! not fit gives an error that names it.

pub mod client;
pub mod codec;
pub mod limits;
pub mod memory;
pub mod proto;
pub mod security;
pub mod server;
pub mod source;
pub mod spool;

/// Version of the conversation; both ends must speak the same.
pub const PROTOCOL_VERSION: u32 = 1;

pub use client::{Client, ClientConfig, ClientStats, Transport};
pub use codec::{EncodeLimits, Encoder, Form, Rows};
pub use limits::Limits;
pub use memory::{MemoryConnector, MemoryListener};
pub use security::{ClientSecurity, SecurityError, ServerSecurity, Token};
pub use server::{IngestHandler, IngestServer, Refusal, ServeError, ServerStats};
pub use source::{IncomingBatch, Source, SpoolId};
pub use spool::{Spool, SpoolConfig, SpoolStats};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
