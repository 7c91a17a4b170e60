//! Messages, datagrams and pieces of a stream of a DNS flow, damaged and with gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::{Ending, Limits, Role, dns};
use remora_model::Transport;

// Each step is a byte that says what happens, a length, and that many bytes.
fuzz_target!(|data: &[u8]| {
    let Some((first, mut rest)) = data.split_first() else { return };
    let transport = if first & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let limits = Limits { payload: 1 << (first >> 4), pending: 4, ..Limits::default() };
    let mut h = Harness::with(&dns::ENTRY, transport, limits, Recorder::default());
    while let [what, len, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        (dns::ENTRY.probe)(bytes, transport);
        let role = if what & 1 == 0 { Role::Client } else { Role::Server };
        match what >> 1 & 7 {
            0 if transport == Transport::Tcp => {
                h.gap(role, u64::from(*len));
            }
            1 => {
                h.at(i64::from(*len) * 1_000_000).tick();
            }
            2 if transport == Transport::Tcp => {
                h.send(role, &u16::from(*len).to_be_bytes()).send(role, bytes);
            }
            _ => {
                h.send(role, bytes);
            }
        }
    }
    h.close(Ending::Lost);
    assert!(!h.dissector().is_busy());
});
