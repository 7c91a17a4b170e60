//! Pieces of both streams of an AMQP connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::amqp;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&amqp::ENTRY, data));
