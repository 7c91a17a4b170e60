//! Pieces of both streams of a Kafka connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::kafka;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&kafka::ENTRY, data));
