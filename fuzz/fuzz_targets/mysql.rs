//! Pieces of both streams of a MySQL connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::mysql;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&mysql::ENTRY, data));
