//! Two byte streams in arbitrary pieces, with gaps and endings, as one HTTP connection: nothing
//! may panic, memory stays bounded, and nothing is open in the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, http};
use remora_model::Transport;

fuzz_target!(|data: &[u8]| {
    // Each event: what happens and to whom, a length, and for data its bytes.
    let Some((&first, mut rest)) = data.split_first() else { return };
    let limits = Limits {
        payload: 1 << (first % 13),
        message_bytes: 2 << 10,
        pending: 1 + usize::from(first >> 5),
        ..Limits::default()
    };
    let mut flow = Harness::with(&http::ENTRY, Transport::Tcp, limits, Recorder::default());
    let mut now = 0;
    while let Some((&[kind, len], tail)) = rest.split_first_chunk::<2>() {
        let role = if kind & 1 == 0 { Role::Client } else { Role::Server };
        let len = usize::from(len);
        now += i64::from(kind >> 4);
        flow.at(now);
        if kind & 0b1110 == 0b1110 {
            flow.gap(role, 1 + len as u64);
            rest = tail;
        } else {
            let (bytes, tail) = tail.split_at(len.min(tail.len()));
            flow.send(role, bytes);
            rest = tail;
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
