//! Pieces of both streams of a MySQL connection, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, mysql};
use remora_model::Transport;

// Each step is a byte that says what happens, a length, and that many bytes.
fuzz_target!(|data: &[u8]| {
    let Some((first, mut rest)) = data.split_first() else { return };
    let limits = Limits { payload: 1 << (first >> 4), pending: 4, flow_bytes: 1 << 12, ..Limits::default() };
    let mut h = Harness::with(&mysql::ENTRY, Transport::Tcp, limits, Recorder::default());
    while let [what, len, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        (mysql::ENTRY.probe)(bytes, Transport::Tcp);
        let role = if what & 1 == 0 { Role::Client } else { Role::Server };
        if what >> 1 & 7 == 0 {
            h.gap(role, u64::from(*len));
        } else {
            h.send(role, bytes);
        }
    }
    h.close(Ending::Lost);
    assert!(!h.dissector().is_busy());
    assert!(h.dissector().memory() < 1 << 20);
});
