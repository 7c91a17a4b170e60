//! Arbitrary bytes as frames of every link type, with and without tunnels: nothing may panic, and what is
//! found must lie inside the frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::packet::{self, LinkType, Transport};

fuzz_target!(|data: &[u8]| {
    let Some((&[link, a, b], frame)) = data.split_first_chunk::<3>() else { return };
    let wire_len = u32::from(u16::from_be_bytes([a, b])).max(frame.len() as u32);
    for link in [LinkType::ALL[usize::from(link) % LinkType::ALL.len()], LinkType(u32::from(link))] {
        for levels in [0, 4] {
            check(link, frame, wire_len, levels);
        }
    }
});

fn check(link: LinkType, frame: &[u8], wire_len: u32, levels: usize) {
    let Ok((view, around)) = packet::parse_inside(link, frame, wire_len, levels) else { return };
    assert!(around <= wire_len && (around == 0 || levels > 0));
    let within = |part: &[u8]| part.is_empty() || frame.as_ptr_range().contains(&part.as_ptr());
    assert!(within(view.ip.payload) && view.ip.payload.len() <= view.ip.payload_len as usize);
    assert!(view.ip.payload_len < view.ip.wire_len);
    let (payload, len) = match view.transport {
        Some(Transport::Tcp(t)) => (t.payload, t.payload_len),
        Some(Transport::Udp(u)) => (u.payload, u.payload_len),
        Some(Transport::Sctp(s)) => (s.chunks, s.chunks_len),
        Some(Transport::Icmp(i)) => {
            assert!(within(i.message) && i.message.len() <= i.len as usize);
            return;
        }
        None => return,
    };
    assert!(within(payload) && payload.len() <= len as usize && len < view.ip.payload_len);
}
