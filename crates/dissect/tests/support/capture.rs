//! Captures as lists of packets that can be left out, cut, repeated and put in another order.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use remora_dissect::file::CaptureFile;
use remora_dissect::packet::{self, LinkType, Transport};
use remora_dissect::{Engine, FlowIds, Limits, Sink};
use remora_model::{CaptureSource, Endpoint, Timestamp};

use super::packets::{FIN, RST, SYN, tcp};

/// A packet of a capture.
#[derive(Clone)]
pub struct Packet {
    pub ts: Timestamp,
    pub link: LinkType,
    pub wire_len: u32,
    pub bytes: Vec<u8>,
    /// What it carries, if that is a whole TCP segment.
    pub segment: Option<Segment>,
}

/// A TCP segment.
#[derive(Clone)]
pub struct Segment {
    pub src: Endpoint,
    pub dst: Endpoint,
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub payload: Vec<u8>,
}

impl Segment {
    /// The stream that it is part of.
    pub fn stream(&self) -> (Endpoint, Endpoint) {
        (self.src, self.dst)
    }

    /// It begins or ends a connection.
    pub fn is_control(&self) -> bool {
        self.flags & (SYN | FIN | RST) != 0
    }
}

impl Packet {
    fn new(ts: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32) -> Self {
        let segment = packet::parse(link, bytes, wire_len).ok().and_then(|view| match view.transport {
            Some(Transport::Tcp(t)) if t.payload.len() == t.payload_len as usize => Some(Segment {
                src: Endpoint { ip: view.ip.src, port: t.src_port },
                dst: Endpoint { ip: view.ip.dst, port: t.dst_port },
                seq: t.seq,
                ack: t.ack,
                flags: t.flags.0,
                payload: t.payload.to_vec(),
            }),
            _ => None,
        });
        Self { ts, link, wire_len, bytes: bytes.to_vec(), segment }
    }

    /// A packet that carries `segment`.
    pub fn of(ts: Timestamp, segment: Segment) -> Self {
        let s = &segment;
        let bytes = tcp(s.src, s.dst, s.seq, s.ack, s.flags, &s.payload);
        let wire_len = u32::try_from(bytes.len()).unwrap();
        Self { ts, link: LinkType::RAW, wire_len, bytes, segment: Some(segment) }
    }
}

/// The packets of a capture file, up to the first fault of the file.
pub fn read(file: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    let Ok(mut file) = CaptureFile::new(file) else { return packets };
    while let Ok(Some(f)) = file.next_frame() {
        packets.push(Packet::new(f.ts, f.link, f.bytes, f.wire_len));
    }
    packets
}

/// The same without segments that bring no byte of their stream that was not there before: what is
/// left tells each byte once, so that a byte that is left out is really missing.
pub fn without_repetitions(packets: &[Packet]) -> Vec<Packet> {
    let mut seen: BTreeMap<(Endpoint, Endpoint), Vec<(i64, i64)>> = BTreeMap::new();
    let mut base: BTreeMap<(Endpoint, Endpoint), u32> = BTreeMap::new();
    let mut datagrams = BTreeSet::new();
    let mut kept = Vec::new();
    for p in packets {
        let Some(s) = &p.segment else {
            // Of a datagram that is there twice the second would be as good as the first.
            if datagrams.insert(p.bytes.as_slice()) {
                kept.push(p.clone());
            }
            continue;
        };
        if s.flags & SYN != 0 {
            base.remove(&s.stream());
            seen.remove(&s.stream());
        }
        if s.payload.is_empty() {
            kept.push(p.clone());
            continue;
        }
        let base = *base.entry(s.stream()).or_insert(s.seq);
        let start = i64::from(s.seq.wrapping_sub(base).cast_signed());
        let end = start + s.payload.len() as i64;
        let ranges = seen.entry(s.stream()).or_default();
        if !ranges.iter().any(|&(a, b)| a < end && start < b) {
            // Streams arrive in order, mostly: the last range grows.
            match ranges.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => ranges.push((start, end)),
            }
            kept.push(p.clone());
        }
    }
    kept
}

/// Gives the packets to an engine of their own. In the end it must hold nothing.
pub fn run<'a>(packets: impl IntoIterator<Item = &'a Packet>, limits: Limits, sink: &mut dyn Sink) {
    let mut engine = Engine::new(limits, CaptureSource::File, FlowIds::new(1, 1));
    for p in packets {
        engine.frame(p.ts, p.link, &p.bytes, p.wire_len, sink);
    }
    engine.finish(sink);
    let stats = engine.stats();
    assert_eq!((stats.flows, stats.bytes, stats.fragments), (0, 0, 0), "nothing is held in the end");
}

/// Every capture below `tests/corpus`, and below the directory that the environment variable
/// `REMORA_CORPUS` names.
pub fn all() -> Vec<PathBuf> {
    let mut files = Vec::new();
    below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"), &mut files);
    assert!(files.len() >= 60, "the corpus is there: {}", files.len());
    if let Some(dir) = std::env::var_os("REMORA_CORPUS") {
        below(Path::new(&dir), &mut files);
    }
    files.sort();
    files
}

fn below(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, files);
        } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng") {
            files.push(path);
        }
    }
}
