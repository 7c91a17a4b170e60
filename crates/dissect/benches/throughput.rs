//! How fast the engine alone is. Prints; asserts only that everything arrived:
//! `cargo bench -p remora-dissect`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use remora_dissect::detect::Entry;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::{Context, Dissector, Ending, Limits, Role, Taken, Verdict};
use remora_model::{CaptureSource, Endpoint, Protocol, Timestamp, Transport};
use support::Kept;
use support::packets::{ACK, SYN, client, server, tcp};

/// Takes everything.
struct Sponge;

impl Dissector for Sponge {
    fn data(&mut self, _: Role, bytes: &[u8], _: &mut Context<'_>) -> Taken {
        Taken::Bytes(bytes.len())
    }
    fn gap(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}
    fn skipped(&mut self, _: Role, _: u64, _: &mut Context<'_>) {}
    fn end(&mut self, _: Role, _: &[u8], _: Ending, _: &mut Context<'_>) {}
    fn is_busy(&self) -> bool {
        false
    }
    fn memory(&self) -> usize {
        0
    }
}

static SPONGE: &[Entry] = &[Entry {
    protocol: Protocol::Http,
    transports: &[Transport::Tcp],
    ports: &[],
    probe: |_, _| Verdict::Match(Role::Client),
    resync: |_, _| Some(0),
    start: |_, _| Box::new(Sponge),
}];

fn main() {
    // `cargo test` runs benches without this flag, to see that they build.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    for (flows, size) in [(1_u16, 1_448_usize), (1_000, 1_448), (1_000, 100)] {
        let mut engine =
            Engine::with_registry(Limits::default(), CaptureSource::File, FlowIds::new(1, 1), SPONGE);
        let mut kept = Kept::default();
        let from = |port: u16| Endpoint { port: 10_000 + port, ..client() };
        let mut packets: Vec<Vec<u8>> =
            (0..flows).map(|p| tcp(from(p), server(), 1, 1, ACK, &vec![b'x'; size])).collect();
        let mut now = Timestamp(1_000_000_000_000);
        for p in 0..flows {
            let syn = tcp(from(p), server(), 0, 0, SYN, b"");
            engine.packet(now, &syn, syn.len() as u32, &mut kept);
        }
        let rounds = 2_000_000 / usize::from(flows);
        let start = Instant::now();
        let mut seq = 1_u32;
        for _ in 0..rounds {
            for p in &mut packets {
                p[24..28].copy_from_slice(&seq.to_be_bytes());
                now = Timestamp(now.0 + 1_000);
                engine.packet(now, p, p.len() as u32, &mut kept);
            }
            seq = seq.wrapping_add(size as u32);
        }
        let took = start.elapsed().as_secs_f64();
        engine.finish(&mut kept);
        let n = rounds * usize::from(flows);
        assert!(kept.problems.is_empty(), "{:?}", kept.problems);
        println!(
            "{flows} flows, {size} bytes per packet: {:.0} MB/s, {:.0} ns per packet",
            (n * size) as f64 / took / 1e6,
            took * 1e9 / n as f64
        );
    }
}
