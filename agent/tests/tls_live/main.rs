//! Plaintext of TLS from real programs with real probes: what the agent makes of it, against what the
//! programs say that they have sent.
//!
//! These tests need root and a kernel with uprobes. Where they cannot run they say so on stderr:
//! `SKIPPED: <test>: <reason>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

#[path = "../agent_live/hub.rs"]
mod hub;

mod boring;
mod go;
mod guesses;
mod libraries;
mod matrix;
mod memory;
mod older;
mod programs;
mod repeat;
mod rust;
mod secrets;
