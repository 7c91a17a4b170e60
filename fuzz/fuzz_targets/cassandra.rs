//! Pieces of both streams of a Cassandra connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::cassandra;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&cassandra::ENTRY, data));
