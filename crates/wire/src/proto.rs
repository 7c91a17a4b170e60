//! Messages, and client and server of the service, made from `proto/remora/wire/v1/ingest.proto`.

#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]

include!("proto/remora.wire.v1.rs");
