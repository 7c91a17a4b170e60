//! Arbitrary bytes as frames of every link type: nothing may panic, and what is found must lie
//! inside the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::packet::{self, LinkType};

fuzz_target!(|data: &[u8]| {
    let Some((&[link, a, b], frame)) = data.split_first_chunk::<3>() else { return };
    let wire_len = u32::from(u16::from_be_bytes([a, b])).max(frame.len() as u32);
    for link in [LinkType::ALL[usize::from(link) % LinkType::ALL.len()], LinkType(u32::from(link))] {
        let _ = packet::parse(link, frame, wire_len);
    }
});
