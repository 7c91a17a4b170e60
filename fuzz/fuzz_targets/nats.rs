//! Pieces of both streams of a NATS connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::nats;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&nats::ENTRY, data));
