//! Two byte streams in arbitrary pieces, with gaps and endings, as one WebSocket connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::ws;

fuzz_target!(|data: &[u8]| remora_fuzz::connection(&ws::ENTRY, data));
