//! Pieces of both streams of a Memcached connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::memcached;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&memcached::ENTRY, data));
