//! What every protocol of the registry must withstand, whatever the protocol: lengths and counts
//! that lie, structures without end inside one another, bytes that mean nothing. Nothing panics,
//! what is held stays bounded, and no memory is asked for because the wire said so.
//!
//! A new protocol is covered as soon as its entry is in the registry and its captures lie below
//! `tests/corpus`.
#![allow(clippy::unwrap_used, clippy::expect_used, unsafe_code)]

#[path = "support/capture.rs"]
mod capture;
#[path = "support/mutate.rs"]
mod mutate;
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;

use mutate::Random;
use remora_dissect::detect::{Entry, REGISTRY};
use remora_dissect::harness::Harness;
use remora_dissect::packet::{self, Transport as Carried};
use remora_dissect::{Ending, Limits, Problem, Role, Sink, Verdict};
use remora_model::{Call, Endpoint, FlowRow, Transport};
use support::packets;

/// Bytes of one conversation that are tried.
const INPUT: usize = 16 << 10;

/// Bytes that may be asked for on account of one conversation: several buffers of the payload limit
/// and the windows of decompressors, which their formats bound (8 MiB for the zstd of HTTP, RFC 9659;
/// 16 MiB for Brotli, RFC 7932).
const MEMORY: i64 = 40 << 20;

/// Conversations of each protocol and changes of each that are tried.
const CONVERSATIONS: usize = 24;
const CHANGES: usize = if cfg!(debug_assertions) { 40 } else { 400 };

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

fn change(bytes: i64) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

struct Weighing;

// SAFETY: every request is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Weighing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        change(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        change(-(layout.size() as i64));
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        change(size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Weighing = Weighing;

struct Nothing;

impl Sink for Nothing {
    fn call(&mut self, _: &Call<'_>) {}
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, _: Problem, _: u64) {}
}

/// What one side says.
type Said = (Role, Vec<u8>);

/// Lets a dissector hear it all, and weighs it.
fn hear(entry: &Entry, transport: Transport, said: &[Said], what: &str) {
    PEAK.set(HELD.get());
    let before = HELD.get();
    let mut flow = Harness::with(entry, transport, Limits::default(), Nothing);
    let mut now = 0;
    for (role, bytes) in said {
        let sample = &bytes[..bytes.len().min(Limits::default().detect_bytes)];
        (entry.probe)(sample, transport);
        (entry.resync)(sample, *role);
        now += 1_000;
        flow.at(now).send(*role, bytes);
        let memory = flow.dissector().memory();
        assert!(memory < 8 << 20, "{} says that it holds {memory}: {what}", entry.protocol.name());
    }
    flow.at(now + 60_000_000).tick();
    flow.close(Ending::Lost);
    assert!(!flow.dissector().is_busy(), "{} is busy in the end: {what}", entry.protocol.name());
    let peak = PEAK.get() - before;
    assert!(peak < MEMORY, "{} took {peak} bytes: {what}", entry.protocol.name());
}

/// The conversations of a capture, as messages or pieces of a stream in the order of arrival.
fn conversations(file: &[u8]) -> Vec<(Transport, Vec<Said>)> {
    let mut found: BTreeMap<[Endpoint; 2], (Transport, Endpoint, Vec<Said>)> = BTreeMap::new();
    for p in capture::read(file) {
        let Ok(view) = packet::parse(p.link, &p.bytes, p.wire_len) else { continue };
        let (transport, ports, payload) = match view.transport {
            Some(Carried::Tcp(t)) => (Transport::Tcp, [t.src_port, t.dst_port], t.payload),
            Some(Carried::Udp(u)) => (Transport::Udp, [u.src_port, u.dst_port], u.payload),
            _ => continue,
        };
        let from = Endpoint { ip: view.ip.src, port: ports[0] };
        let to = Endpoint { ip: view.ip.dst, port: ports[1] };
        let mut key = [from, to];
        key.sort();
        let (_, client, said) = found
            .entry(key)
            .or_insert_with(|| (transport, if from.port >= to.port { from } else { to }, Vec::new()));
        let role = if from == *client { Role::Client } else { Role::Server };
        let size: usize = said.iter().map(|(_, bytes)| bytes.len()).sum();
        if !payload.is_empty() && size + payload.len() <= INPUT {
            said.push((role, payload.to_vec()));
        }
    }
    found
        .into_values()
        .map(|(transport, _, said)| (transport, said))
        .filter(|(_, said)| !said.is_empty())
        .collect()
}

/// Conversations that the entry takes for its own.
fn own(entry: &Entry, all: &[(Transport, Vec<Said>)]) -> Vec<(Transport, Vec<Said>)> {
    let is_own = |(transport, said): &&(Transport, Vec<Said>)| {
        entry.transports.contains(transport)
            && said.iter().any(|(_, bytes)| {
                let sample = &bytes[..bytes.len().min(Limits::default().detect_bytes)];
                matches!((entry.probe)(sample, *transport), Verdict::Match(_))
            })
    };
    all.iter().filter(is_own).take(CONVERSATIONS).cloned().collect()
}

fn everything() -> Vec<(Transport, Vec<Said>)> {
    capture::all().iter().flat_map(|path| conversations(&std::fs::read(path).unwrap())).collect()
}

/// Numbers that lie: somewhere in a real conversation stands the largest that fits, the largest
/// with a sign, nothing, or chance.
#[test]
fn lengths_that_lie_are_harmless() {
    let all = everything();
    for entry in REGISTRY {
        for (n, (transport, said)) in own(entry, &all).into_iter().enumerate() {
            let mut random = Random(n as u64);
            for _ in 0..CHANGES {
                let mut said = said.clone();
                for _ in 0..1 + random.below(3) {
                    let which = random.below(said.len());
                    let bytes = &mut said[which].1;
                    // Lengths stand near the beginning of messages.
                    let near = if random.chance(50) { bytes.len().min(48) } else { bytes.len() };
                    let (at, width) = (random.below(near), [1, 2, 3, 4, 8][random.below(5)]);
                    let lie = match random.below(4) {
                        0 => [0xff; 8],
                        1 => [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                        2 => [0; 8],
                        _ => random.next().to_be_bytes(),
                    };
                    let end = (at + width).min(bytes.len());
                    bytes[at..end].copy_from_slice(&lie[..end - at]);
                }
                hear(entry, transport, &said, "a number that lies");
            }
        }
    }
}

/// Beginnings of structures that are never closed, as the encodings of the protocols have them.
#[test]
fn depths_without_end_are_harmless() {
    let nested: &[&[u8]] = &[
        b"*1\r\n",
        b"%1\r\n+a\r\n",
        b"[",
        b"{\"a\":",
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x30\x80",
        b"\xa0\x80",
        b"\x03\x00\x00\x40\x00\x00\x00\x03a\x00",
        b"F\x7f\xff\xff\xff",
        b"\x00\x00\x00\x01",
        b"(&",
        b"(!(",
        b"\x0a\x7f",
        b"\xff\xff\xff\x0f",
        b"{",
        b"\x01",
        b"a: b\r\n",
        b"1\r\n",
    ];
    let all = everything();
    for entry in REGISTRY {
        // Behind something that the protocol has taken for its own, and alone.
        let first = own(entry, &all).into_iter().next();
        for pattern in nested {
            for &transport in entry.transports {
                let deep: Vec<u8> = pattern.iter().copied().cycle().take(60_000).collect();
                for role in [Role::Client, Role::Server] {
                    let mut said = vec![(role, deep.clone())];
                    hear(entry, transport, &said, "a structure without end");
                    if let Some((of, before)) = first.as_ref().filter(|(of, _)| *of == transport) {
                        said.splice(0..0, before.iter().take(2).cloned());
                        hear(entry, *of, &said, "a structure without end");
                    }
                }
            }
        }
    }
}

/// What belongs to other protocols, and what belongs to none.
#[test]
fn foreign_bytes_are_harmless() {
    let all = everything();
    let few: Vec<_> = all.iter().step_by((all.len() / 60).max(1)).collect();
    for entry in REGISTRY {
        for (transport, said) in &few {
            if entry.transports.contains(transport) {
                hear(entry, *transport, said, "another protocol");
            }
        }
        for &transport in entry.transports {
            let mut random = Random(7);
            for len in [0, 1, 7, 64, 1_000, 60_000] {
                let noise: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
                for bytes in [noise, vec![0; len], vec![0xff; len], vec![b'A'; len], vec![b'\n'; len]] {
                    for role in [Role::Client, Role::Server] {
                        hear(
                            entry,
                            transport,
                            &[(role, bytes.clone()), (role.other(), bytes.clone())],
                            "noise",
                        );
                    }
                }
            }
        }
    }
}
