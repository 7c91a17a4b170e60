//! The ring on real disks. `disk_full` needs root to mount a small file system, `wireshark` needs tshark
//! and capinfos; where they cannot run they say so on stderr: `SKIPPED: <test>: <reason>`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod common;
mod disk_full;
mod kill;
mod packets;
mod property;
mod seeds;
mod wireshark;
