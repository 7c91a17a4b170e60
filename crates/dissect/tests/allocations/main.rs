//! A connection with small messages costs no allocation per call, whatever the protocol.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

#[path = "../support/counting.rs"]
mod counting;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/http2.rs"]
mod wire;

mod databases;
mod directory;
mod engine;
mod messages;
mod messaging;
mod network;
mod web;
