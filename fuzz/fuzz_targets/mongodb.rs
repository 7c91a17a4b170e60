//! Pieces of both streams of a MongoDB connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::mongodb;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&mongodb::ENTRY, data));
