//! What the fuzz targets of dissectors share.

use remora_dissect::detect::Entry;
use remora_dissect::harness::{Harness, Recorder};
use remora_dissect::tls::Secrets;
use remora_dissect::{Ending, Limits, Role};
use remora_model::Transport;

/// Memory that a dissector may hold after its flow has ended.
const HELD: usize = 1 << 20;

/// Pieces of both streams of a connection, damaged and with gaps.
///
/// The first byte sets the payload limit (its upper half is the power of two); each step after it
/// is a byte that says what happens, a length, and that many bytes: bit 0 of what happens is the
/// sender (0 the client), and where bits 1 to 3 are 0 the bytes are missing.
pub fn connection(entry: &Entry, data: &[u8]) {
    run(entry, Transport::Tcp, data);
}

/// The same steps as datagrams.
pub fn datagrams(entry: &Entry, data: &[u8]) {
    run(entry, Transport::Udp, data);
}

/// The same steps over a transport.
pub fn run(entry: &Entry, transport: Transport, data: &[u8]) {
    run_with(entry, transport, Secrets::default(), data);
}

/// The same steps, with secrets of TLS.
pub fn run_with(entry: &Entry, transport: Transport, secrets: Secrets, data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let limits = Limits { payload: 1 << (first >> 4), pending: 4, flow_bytes: 1 << 12, ..Limits::default() };
    let mut h = Harness::with(entry, transport, limits, Recorder::default());
    h.set_secrets(secrets);
    let mut now = 0;
    while let [what, len, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*len).min(after.len()));
        rest = after;
        (entry.probe)(bytes, transport);
        let role = if what & 1 == 0 { Role::Client } else { Role::Server };
        let at = (entry.resync)(bytes, role);
        assert!(at.is_none_or(|at| at <= bytes.len()));
        now += i64::from(what >> 4) * 100_000;
        h.at(now);
        if what >> 1 & 7 == 0 && transport == Transport::Tcp {
            h.gap(role, u64::from(*len));
        } else {
            h.send(role, bytes);
        }
        h.tick();
    }
    h.close(Ending::Lost);
    assert!(!h.dissector().is_busy());
    assert!(h.dissector().memory() < HELD);
}
