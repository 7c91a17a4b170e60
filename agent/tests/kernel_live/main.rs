//! The kernel side for real: programs attached, traffic on loopback and between network namespaces,
//! and what comes out of the rings compared with what was sent, byte for byte.
//!
//! These tests need root and a kernel with BPF. Where they cannot run they say so on stderr:
//! `SKIPPED: <test>: <reason>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod addresses;
mod capture;
mod namespace;
mod traffic;

mod counters;
mod flows;
mod owners;
mod payload;
mod policy;
mod tiers;
