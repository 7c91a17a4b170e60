//! Pieces of both streams of an MQTT connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::mqtt;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&mqtt::ENTRY, data));
