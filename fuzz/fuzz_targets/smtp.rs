//! Pieces of both streams of a connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::smtp::ENTRY;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&ENTRY, data));
