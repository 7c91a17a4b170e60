//! Pieces of both streams of a PostgreSQL connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::postgresql;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&postgresql::ENTRY, data));
