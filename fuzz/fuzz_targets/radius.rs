//! Packets of both sides, damaged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::radius::ENTRY;

fuzz_target!(|data: &[u8]| remora_fuzz::datagrams(&ENTRY, data));
