//! What the tests share: packets, and what an export holds.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use remora_ring::{
    Direction, ExportOptions, ExportReport, Feed, FlowKey, InterfaceId, Packet, Ring, RingConfig,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(dir: &Path, budget: u64) -> RingConfig {
    RingConfig {
        budget,
        segment_bytes: budget / 8,
        max_age: None,
        flow_bytes: u64::MAX,
        retry: Duration::ZERO,
        ..RingConfig::new(dir.to_owned())
    }
}

/// An IPv4 packet of UDP from port `1000 + flow` to port 53, or back, with a number and a filling.
pub(crate) fn udp(flow: u16, back: bool, number: u64, filling: usize) -> Vec<u8> {
    let client = ([10, 0, 0, 1], 1_000 + flow);
    let server = ([10, 0, 0, 2], 53);
    let ((src, sport), (dst, dport)) = if back { (server, client) } else { (client, server) };
    let len = u16::try_from(36 + filling).unwrap();
    let mut p = vec![0x45, 0];
    p.extend(len.to_be_bytes());
    p.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    p.extend(src);
    p.extend(dst);
    for n in [sport, dport, len - 20, 0] {
        p.extend(n.to_be_bytes());
    }
    p.extend(number.to_be_bytes());
    p.resize(usize::from(len), number as u8);
    let sum = p[..20].chunks(2).map(|b| u32::from(u16::from_be_bytes([b[0], b[1]]))).sum::<u32>();
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    p[10..12].copy_from_slice(&sum.to_be_bytes());
    p
}

pub(crate) fn key(flow: u16) -> FlowKey {
    let client: SocketAddr = ([10, 0, 0, 1], 1_000 + flow).into();
    FlowKey::new(17, client, ([10, 0, 0, 2], 53).into())
}

pub(crate) fn push(feed: &mut Feed, interface: InterfaceId, ts: i64, data: &[u8]) {
    let wire_len = u32::try_from(data.len()).unwrap();
    feed.packet(&Packet { ts, interface, direction: Direction::Out, wire_len, data });
}

/// A packet of an export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) ts: i64,
    pub(crate) number: u64,
    pub(crate) flow: u16,
    pub(crate) interface: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
}

/// All blocks of a section, taken apart by rules of their own.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) kinds: Vec<u32>,
    pub(crate) interfaces: Vec<String>,
    pub(crate) secrets: String,
    pub(crate) packets: Vec<Seen>,
    pub(crate) names: Vec<u8>,
}

fn options(mut b: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut out = Vec::new();
    while b.len() >= 4 {
        let (code, len) = (u16::from_le_bytes([b[0], b[1]]), usize::from(u16::from_le_bytes([b[2], b[3]])));
        if code == 0 {
            break;
        }
        out.push((code, b[4..4 + len].to_vec()));
        b = &b[4 + len.next_multiple_of(4)..];
    }
    out
}

pub(crate) fn section(mut bytes: &[u8]) -> Section {
    let mut section = Section::default();
    while !bytes.is_empty() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (kind, len) = (word(0), word(4) as usize);
        assert_eq!(word(len - 4) as usize, len);
        let body = &bytes[8..len - 4];
        section.kinds.push(kind);
        match kind {
            1 => {
                let options = options(&body[8..]);
                assert!(options.contains(&(9, vec![9])), "nanoseconds");
                let name = options.iter().find(|o| o.0 == 2).map(|o| o.1.clone()).unwrap_or_default();
                section.interfaces.push(String::from_utf8(name).unwrap());
            }
            4 => section.names.extend_from_slice(body),
            6 => {
                let captured = word(20) as usize;
                let data = body[20..20 + captured].to_vec();
                let whole = data.len() >= 36;
                let port = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
                section.packets.push(Seen {
                    ts: i64::from(word(12)) << 32 | i64::from(word(16)),
                    number: if whole { u64::from_be_bytes(data[28..36].try_into().unwrap()) } else { 0 },
                    flow: if whole { port(20).max(port(22)) - 1_000 } else { 0 },
                    interface: word(8),
                    options: options(&body[20 + captured.next_multiple_of(4)..]),
                    data,
                });
            }
            10 => {
                let len = word(12) as usize;
                section.secrets.push_str(std::str::from_utf8(&body[8..8 + len]).unwrap());
            }
            _ => assert_eq!(kind, 0x0A0D_0D0A),
        }
        bytes = &bytes[len..];
    }
    assert_eq!(section.kinds.first(), Some(&0x0A0D_0D0A));
    section
}

pub(crate) fn export(ring: &Ring, options: ExportOptions) -> (Section, ExportReport) {
    let mut bytes = Vec::new();
    let report = ring.export(options).write_to(&mut bytes).unwrap();
    assert_eq!(report.file_bytes, bytes.len() as u64);
    let section = section(&bytes);
    assert_eq!(report.packets, section.packets.len() as u64);
    (section, report)
}

/// Bytes of all files in a directory.
pub(crate) fn disk_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().filter_map(|e| e.ok()?.metadata().ok());
    files.map(|m| m.len()).sum()
}

pub(crate) fn files(dir: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut files: Vec<_> = paths.filter(|p| p.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}
