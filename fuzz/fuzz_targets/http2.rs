//! Two byte streams in arbitrary pieces, with gaps and endings, as one HTTP/2 connection: nothing
//! may panic, memory stays bounded, and nothing is open in the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, http, http2};
use remora_model::Transport;

fuzz_target!(|data: &[u8]| {
    // Each event: what happens and to whom, a length, and for data its bytes.
    let Some((&first, mut rest)) = data.split_first() else { return };
    let limits = Limits {
        payload: 1 << (first % 13),
        pending: 1 + usize::from(first >> 5),
        header_list: 1 << (first % 11),
        header_table: 1 << (first % 12),
        message_bytes: 2 << 10,
        ..Limits::default()
    };
    // Some begin with HTTP/1, from which they may be upgraded.
    let entry = if first & 0b10000 == 0 { &http2::ENTRY } else { &http::ENTRY };
    let mut flow = Harness::with(entry, Transport::Tcp, limits, Recorder::default());
    let mut now = 0;
    while let Some((&[kind, len], tail)) = rest.split_first_chunk::<2>() {
        let role = if kind & 1 == 0 { Role::Client } else { Role::Server };
        let len = usize::from(len);
        now += i64::from(kind >> 4);
        flow.at(now);
        match kind & 0b1110 {
            0b1110 => {
                flow.gap(role, 1 + len as u64);
                rest = tail;
            }
            0b1100 => {
                now += 20_000_000;
                flow.at(now).tick();
                rest = tail;
            }
            _ => {
                let (bytes, tail) = tail.split_at(len.min(tail.len()));
                (http2::ENTRY.probe)(bytes, Transport::Tcp);
                (http2::ENTRY.resync)(bytes, role);
                flow.send(role, bytes);
                rest = tail;
            }
        }
        assert!(flow.dissector().memory() < 256 << 10);
    }
    flow.close(match first & 3 {
        0 => Ending::Closed,
        1 => Ending::Reset,
        _ => Ending::Lost,
    });
    assert!(!flow.dissector().is_busy());
});
