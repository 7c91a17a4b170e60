//! Packets of an SCTP association: chunks of every kind, in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::Recorder;
use remora_dissect::{Engine, FlowIds, Limits};
use remora_model::{CaptureSource, Timestamp};

// Each step is a byte that says who sends, a length, and the chunks of a packet.
fuzz_target!(|data: &[u8]| {
    let limits = Limits { segments: 16, flow_bytes: 1 << 12, message_bytes: 1 << 10, ..Limits::default() };
    let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
    let mut found = Recorder::default();
    let (mut rest, mut now) = (data, 0);
    while let [who, len, after @ ..] = rest {
        let (chunks, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        now += 1_000_000;
        let packet = packet(who & 1 == 0, chunks);
        engine.packet(Timestamp(now), &packet, packet.len() as u32, &mut found);
        assert!(engine.stats().bytes < 1 << 20);
    }
    engine.finish(&mut found);
    assert_eq!(engine.stats().bytes, 0);
});

/// An IPv4 packet with those chunks between ports 40000 and 3868.
fn packet(from_client: bool, chunks: &[u8]) -> Vec<u8> {
    let total = (32 + chunks.len() as u16).to_be_bytes();
    let mut p = vec![0x45, 0, total[0], total[1], 0, 1, 0, 0, 64, 132, 0, 0];
    let (hosts, ports) = ([[10, 0, 0, 1], [10, 0, 0, 2]], [[0x9c, 0x40], [0x0f, 0x1c]]);
    let (a, b) = if from_client { (0, 1) } else { (1, 0) };
    p.extend_from_slice(&hosts[a]);
    p.extend_from_slice(&hosts[b]);
    p.extend_from_slice(&ports[a]);
    p.extend_from_slice(&ports[b]);
    p.extend_from_slice(&[0; 8]);
    p.extend_from_slice(chunks);
    p
}
