//! Plaintext that a capture has from the libraries at the ends of a connection, beside the packets
//! that carry it encrypted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::file::CaptureFile;
use remora_dissect::{Limits, Plaintext, Problem};
use remora_model::{CaptureSource, Endpoint, Timestamp};
use support::Kept;

const ASK: &[u8] = b"GET /plain?n=1 HTTP/1.1\r\nHost: shop.example\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world";

struct Lab {
    engine: Engine,
    kept: Kept,
    ends: [Endpoint; 2],
    frames: Vec<(Timestamp, Vec<u8>, remora_dissect::LinkType)>,
    now: Timestamp,
}

impl Lab {
    /// The first connection of a capture of TLS 1.3, of which nothing has been seen yet.
    fn new() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/tlsx/tls13.pcap");
        let bytes = std::fs::read(path).unwrap();
        let mut file = CaptureFile::new(bytes.as_slice()).unwrap();
        let mut frames = Vec::new();
        let fresh = || Engine::new(Limits::default(), CaptureSource::Ebpf, FlowIds::new(1, 1));
        let (mut engine, mut kept) = (fresh(), Kept::default());
        while let Ok(Some(f)) = file.next_frame() {
            let before = kept.packets.len();
            engine.frame(f.ts, f.link, f.bytes, f.wire_len, &mut kept);
            if kept.packets.get(before).is_some_and(|(flow, _)| *flow == 1) {
                frames.push((f.ts, f.bytes.to_vec(), f.link));
            }
        }
        engine.finish(&mut kept);
        let row = &kept.flows[&1];
        assert_eq!(row.l7, ["tlsx"], "sealed without help");
        let (ends, now) = ([row.client, row.server], frames[0].0);
        Self { engine: fresh(), kept: Kept::default(), ends, frames, now }
    }

    fn frames(&mut self, range: std::ops::Range<usize>) {
        for (ts, bytes, link) in &self.frames[range] {
            self.engine.frame(*ts, *link, bytes, u32::try_from(bytes.len()).unwrap(), &mut self.kept);
            self.now = *ts;
        }
    }

    /// A piece of what end `from` sends, watched at end `at`.
    fn piece(&mut self, from: usize, at: usize, pos: u64, len: usize, bytes: &[u8]) {
        let piece = Plaintext {
            conn: 70 + at as u64,
            from: self.ends[from],
            to: self.ends[1 - from],
            at_sender: from == at,
            pos,
            len: len as u64,
            bytes,
            fresh: true,
            method: "nested_io",
            doubtful: false,
        };
        self.engine.plaintext(self.now, &piece, &mut self.kept);
    }

    fn exchange(&mut self, at: usize) {
        self.piece(0, at, 0, ASK.len(), ASK);
        self.piece(1, at, 0, ANSWER.len(), ANSWER);
    }

    fn calls(&self, protocol: &str) -> Vec<&String> {
        let name = format!("protocol: {protocol},");
        self.kept.calls.iter().filter(|c| c.contains(&name)).collect()
    }
}

#[test]
fn whichever_comes_first_there_is_one_set_of_calls() {
    let count = Lab::new().frames.len();
    for split in 0..=count {
        let mut lab = Lab::new();
        lab.frames(0..split);
        lab.exchange(0);
        lab.frames(split..count);
        lab.engine.finish(&mut lab.kept);
        let http = lab.calls("Http");
        assert_eq!(http.len(), 1, "after {split} packets: {:#?}", lab.kept.calls);
        let method = format!("Text({:?})", b"nested_io");
        for part in ["tls: true", "source: EbpfTls", "flow: FlowId(1)", "incomplete: None", &method] {
            assert!(http[0].contains(part), "after {split} packets: {part}: {}", http[0]);
        }
        let shakes = lab.calls("Tlsx");
        assert_eq!(shakes.len(), 1, "after {split} packets");
        assert!(
            shakes[0].contains("flow: FlowId(1)") && shakes[0].contains("source: Ebpf,"),
            "{}",
            shakes[0]
        );
        assert_eq!(lab.kept.flows.len(), 1);
        assert_eq!(lab.kept.flows[&1].l7, ["tlsx", "http"], "after {split} packets");
        assert_eq!(lab.kept.flows[&1].client, lab.ends[0]);
        assert_eq!(lab.kept.calls.len(), 2, "{:#?}", lab.kept.calls);
    }
}

#[test]
fn a_connection_that_is_watched_at_both_ends_is_read_at_one() {
    let mut lab = Lab::new();
    lab.piece(0, 0, 0, ASK.len(), ASK);
    lab.piece(0, 1, 0, ASK.len(), ASK);
    lab.piece(1, 1, 0, ANSWER.len(), ANSWER);
    lab.piece(1, 0, 0, ANSWER.len(), ANSWER);
    lab.engine.finish(&mut lab.kept);
    assert_eq!(lab.calls("Http").len(), 1);
    let twice = (ASK.len() + ANSWER.len()) as u64;
    assert_eq!(lab.kept.problems[&Problem::PlaintextTwice], (2, twice));
}

#[test]
fn what_was_not_copied_is_a_gap_of_known_length() {
    let mut lab = Lab::new();
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\nfirst bytes";
    let whole = head.len() - 11 + 5_000;
    lab.piece(0, 0, 0, ASK.len(), ASK);
    lab.piece(1, 0, 0, whole, head);
    // A record was lost whole, and one of the next request comes.
    lab.piece(0, 0, ASK.len() as u64, ASK.len(), ASK);
    lab.piece(1, 0, whole as u64, ANSWER.len(), ANSWER);
    lab.engine.finish(&mut lab.kept);
    let http = lab.calls("Http");
    assert_eq!(http.len(), 2, "{http:#?}");
    assert!(http[0].contains("incomplete: Some(Gap)") && http[1].contains("incomplete: None"), "{http:#?}");
}

#[test]
fn a_guess_gives_way_to_a_protocol_in_clear() {
    let mut lab = Lab::new();
    let guess = |lab: &mut Lab| {
        let piece = Plaintext {
            conn: 7,
            from: lab.ends[0],
            to: lab.ends[1],
            at_sender: true,
            pos: 0,
            len: ASK.len() as u64,
            bytes: ASK,
            fresh: false,
            method: "adjacent_io",
            doubtful: true,
        };
        lab.engine.plaintext(lab.now, &piece, &mut lab.kept);
    };
    // Nothing speaks against it.
    lab.frames(0..lab.frames.len());
    guess(&mut lab);
    lab.engine.finish(&mut lab.kept);
    assert_eq!(lab.calls("Http").len(), 1);
    // A request in clear does.
    let mut lab = Lab::new();
    lab.ends = [support::packets::client(), support::packets::server()];
    let packet = support::packets::tcp(
        lab.ends[0],
        lab.ends[1],
        101,
        501,
        support::packets::ACK,
        b"GET /clear HTTP/1.1\r\n\r\n",
    );
    lab.engine.packet(lab.now, &packet, u32::try_from(packet.len()).unwrap(), &mut lab.kept);
    guess(&mut lab);
    lab.engine.finish(&mut lab.kept);
    assert_eq!(lab.kept.problem_count(Problem::PlaintextTwice), 1);
    assert!(lab.kept.calls.iter().all(|c| !c.contains("/plain")), "{:#?}", lab.kept.calls);
}

#[test]
fn the_end_of_the_library_ends_the_plaintext() {
    let mut lab = Lab::new();
    lab.piece(0, 1, 0, ASK.len(), ASK);
    let head = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end";
    lab.piece(1, 1, 0, head.len(), head);
    assert_eq!(lab.calls("Http").len(), 0);
    let ends = lab.ends;
    lab.engine.plaintext_end(lab.now, 70, ends, &mut lab.kept);
    assert_eq!(lab.calls("Http").len(), 0, "another connection's end");
    lab.engine.plaintext_end(lab.now, 71, ends, &mut lab.kept);
    let http = lab.calls("Http");
    assert_eq!(http.len(), 1);
    assert!(http[0].contains("incomplete: None"), "{}", http[0]);
}
