//! The whole agent for real: programs in the kernel, traffic of real clients and servers, and what
//! arrives at a hub in the same process.
//!
//! These tests need root and a kernel with BPF. Where they cannot run they say so on stderr:
//! `SKIPPED: <test>: <reason>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod bulk;
mod hub;
mod namespaces;
mod packets;
mod restart;
mod traffic;
