//! What the tests of the engine share: a dissector that writes down what it is shown, a sink that
//! keeps rows and problems, and packets made by hand.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

pub mod conversation;
pub mod lab;
pub mod packets;
pub mod tape;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use remora_dissect::file::{CaptureFile, FileError};
use remora_dissect::tls::Secrets;
use remora_dissect::{Counted, Engine, FlowName, Problem, Sink};
use remora_model::{Call, CloseReason, Endpoint, FlowRow, FlowState, Transport};

/// A flow's newest row, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub transport: Transport,
    pub client: Endpoint,
    pub server: Endpoint,
    pub state: FlowState,
    pub close: Option<CloseReason>,
    pub packets: [i64; 2],
    pub bytes: [i64; 2],
    pub flags: [i64; 2],
    pub rtt_us: Option<i64>,
    pub retransmits: i64,
    pub missing: i64,
    pub l7: Vec<String>,
    pub rows: usize,
}

/// Keeps what the engine finds.
#[derive(Default)]
pub struct Kept {
    pub calls: Vec<String>,
    pub flows: BTreeMap<i64, Row>,
    pub problems: BTreeMap<Problem, (u64, u64)>,
    /// What the capture has counted, by tag.
    pub counted: BTreeMap<u32, Counted>,
    /// How often it was asked.
    pub asked: usize,
    /// The packets by flow and sender.
    pub packets: Vec<(i64, usize)>,
    pub gone: Vec<(FlowName, CloseReason)>,
}

impl Kept {
    pub fn problem_count(&self, problem: Problem) -> u64 {
        self.problems.get(&problem).map_or(0, |&(n, _)| n)
    }
}

impl Sink for Kept {
    fn call(&mut self, call: &Call<'_>) {
        self.calls.push(format!("{call:?}"));
    }
    fn flow(&mut self, row: &FlowRow<'_>) {
        let rows = self.flows.get(&row.flow.0).map_or(0, |r| r.rows) + 1;
        let row_owned = Row {
            transport: row.transport,
            client: row.client,
            server: row.server,
            state: row.state,
            close: row.close_reason,
            packets: [row.client_packets, row.server_packets],
            bytes: [row.client_bytes, row.server_bytes],
            flags: [row.client_tcp_flags, row.server_tcp_flags],
            rtt_us: row.handshake_rtt_us,
            retransmits: row.retransmits,
            missing: row.missing_bytes,
            l7: row.l7.iter().map(|s| (*s).to_owned()).collect(),
            rows,
        };
        self.flows.insert(row.flow.0, row_owned);
    }
    fn problem(&mut self, problem: Problem, bytes: u64) {
        let (n, sum) = self.problems.entry(problem).or_default();
        *n += 1;
        *sum += bytes;
    }
    fn packet_of(&mut self, flow: &FlowName, sender: usize) {
        self.packets.push((flow.id.0, sender));
    }
    fn counted(&mut self, flow: &FlowName) -> Option<Counted> {
        self.asked += 1;
        self.counted.get(&flow.tag).copied()
    }
    fn gone(&mut self, flow: &FlowName, why: CloseReason) {
        self.gone.push((*flow, why));
    }
}

/// Gives a whole capture to an engine. Says how many frames there were, and what was wrong with
/// the file in the end.
pub fn run_bytes(bytes: &[u8], engine: &mut Engine, sink: &mut dyn Sink) -> (u64, Option<FileError>) {
    let mut frames = 0;
    let mut file = match CaptureFile::new(bytes) {
        Ok(file) => file,
        Err(e) => return (0, Some(e)),
    };
    let fault = loop {
        match file.next_frame() {
            Ok(Some(f)) => {
                frames += 1;
                if !f.key_log.is_empty() {
                    engine.set_secrets(secrets(f.key_log));
                }
                engine.frame(f.ts, f.link, f.bytes, f.wire_len, sink);
            }
            Ok(None) => break None,
            Err(e) => break Some(e),
        }
    };
    engine.finish(sink);
    (frames, fault)
}

/// The secrets in a key log.
pub fn secrets(key_log: &[u8]) -> Arc<Secrets> {
    let mut secrets = Secrets::default();
    assert_eq!(secrets.add_key_log(key_log).bad, 0);
    Arc::new(secrets)
}

/// The committed captures.
pub fn corpus() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/deepflow");
    let mut files: Vec<PathBuf> = std::fs::read_dir(root)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"))
        .collect();
    files.sort();
    assert!(files.len() >= 20, "the corpus is there");
    files
}
