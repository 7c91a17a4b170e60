//! Arbitrary bytes as frames of every link type: nothing may panic, and what is found must lie
//! inside the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::packet::{self, LinkType, Transport};

fuzz_target!(|data: &[u8]| {
    let Some((&[link, a, b], frame)) = data.split_first_chunk::<3>() else { return };
    let wire_len = u32::from(u16::from_be_bytes([a, b])).max(frame.len() as u32);
    for link in [LinkType::ALL[usize::from(link) % LinkType::ALL.len()], LinkType(u32::from(link))] {
        let Ok(view) = packet::parse(link, frame, wire_len) else { continue };
        let within = |part: &[u8]| part.is_empty() || frame.as_ptr_range().contains(&part.as_ptr());
        assert!(within(view.ip.payload) && view.ip.payload.len() <= view.ip.payload_len as usize);
        assert!(view.ip.payload_len < view.ip.wire_len);
        let (payload, len) = match view.transport {
            Some(Transport::Tcp(t)) => (t.payload, t.payload_len),
            Some(Transport::Udp(u)) => (u.payload, u.payload_len),
            None => continue,
        };
        assert!(within(payload) && payload.len() <= len as usize && len < view.ip.payload_len);
    }
});
