//! LDAP, RADIUS, Diameter and SMTP as they were recorded: however the bytes are split the calls are the
//! same, joined anywhere nothing is invented, gaps join nothing that does not belong together, no
//! damage does harm, and tshark has found the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod properties;
mod tshark;
