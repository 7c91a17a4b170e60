//! A few small captures made into a large one: copy after copy, each between other hosts and later
//! than the one before, so that its connections are new ones. Ports, and all that is said, stay.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write as _};
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use remora_dissect::file::CaptureFile;
use remora_dissect::packet::{self, LinkType, Transport};
use remora_dissect::{Engine, Sink};
use remora_model::Timestamp;

/// Time between two copies.
const PAUSE_NS: i64 = 20_000_000;

/// Magic number of a pcap file with nanoseconds, and the link type whose frames are IP packets
/// (<https://www.tcpdump.org/linktypes.html>).
const MAGIC: u32 = 0xa1b2_3c4d;
const RAW: u32 = 101;

/// The captures by protocol, which is the name of the directory that they lie in.
pub(crate) fn protocols() -> BTreeMap<String, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for parent in [root.clone(), root.join("deepflow")] {
        for protocol in entries(&parent).into_iter().filter(|p| p.is_dir() && !p.ends_with("deepflow")) {
            let name = protocol.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let captures = entries(&protocol).into_iter();
            let captures = captures.filter(|p| p.extension().is_some_and(|e| e == "pcap" || e == "pcapng"));
            found.entry(name).or_default().extend(captures);
        }
    }
    found.retain(|_, files| !files.is_empty());
    found
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
        .map(|e| e.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// An IP packet of a capture.
struct Packet {
    /// Which of the captures: the same address is another host in another one.
    file: usize,
    ts: i64,
    wire_len: u32,
    bytes: Vec<u8>,
}

/// A capture in memory, with the places of its packets.
pub(crate) struct Capture {
    bytes: Vec<u8>,
    packets: Vec<(Timestamp, u32, Range<usize>)>,
    /// Packets of the first copies that make up the beginning.
    head: usize,
    connections: u64,
}

impl Capture {
    /// Copies of `files`, until there are `least` bytes, and a beginning of `head` bytes.
    pub(crate) fn multiplied(files: &[PathBuf], least: usize, head: usize) -> Self {
        let mut pattern = Vec::new();
        let mut connections = BTreeSet::new();
        let mut from = 0;
        for (i, file) in files.iter().enumerate() {
            let packets = read(file, i, &mut connections);
            let first = packets.iter().map(|p| p.ts).min().unwrap_or(0);
            let last = packets.iter().map(|p| p.ts).max().unwrap_or(0);
            pattern.extend(packets.into_iter().map(|p| Packet { ts: from + p.ts - first, ..p }));
            from += last - first + PAUSE_NS;
        }
        let mut hosts: BTreeMap<(usize, IpAddr), u8> = BTreeMap::new();
        let mut all = Self { bytes: Vec::new(), packets: Vec::new(), head: 0, connections: 0 };
        let begin = 1_700_000_000_000_000_000_i64;
        for copy in 0_u32.. {
            for p in &pattern {
                let start = all.bytes.len();
                all.bytes.extend_from_slice(&p.bytes);
                rename(&mut all.bytes[start..], copy, |ip| host(&mut hosts, p.file, ip));
                let ts = Timestamp(begin + i64::from(copy) * from + p.ts);
                all.packets.push((ts, p.wire_len, start..all.bytes.len()));
            }
            all.connections += connections.len() as u64;
            if copy == 0 || all.bytes.len() <= head {
                all.head = all.packets.len();
            }
            if all.bytes.len() >= least || pattern.is_empty() || copy == 0x00ff_ffff {
                return all;
            }
        }
        all
    }

    pub(crate) fn run(&self, engine: &mut Engine, sink: &mut dyn Sink) {
        self.run_first(self.packets.len(), engine, sink);
    }

    pub(crate) fn run_head(&self, engine: &mut Engine, sink: &mut dyn Sink) {
        self.run_first(self.head, engine, sink);
    }

    fn run_first(&self, n: usize, engine: &mut Engine, sink: &mut dyn Sink) {
        for (ts, wire_len, range) in &self.packets[..n] {
            engine.packet(*ts, &self.bytes[range.clone()], *wire_len, sink);
        }
        engine.finish(sink);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn packets(&self) -> usize {
        self.packets.len()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }

    /// Writes it, and its beginning, as files of `dir`.
    pub(crate) fn write(&self, dir: &Path, name: &str) {
        for (file, n) in
            [(format!("{name}.pcap"), self.packets.len()), (format!("{name}-head.pcap"), self.head)]
        {
            let path = dir.join(file);
            let file = std::fs::File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let mut out = BufWriter::new(file);
            let version = [2_u16, 4].map(u16::to_le_bytes).concat();
            out.write_all(&MAGIC.to_le_bytes()).unwrap();
            out.write_all(&version).unwrap();
            out.write_all(&[0, 0, 1 << 18, RAW].map(u32::to_le_bytes).concat()).unwrap();
            for (ts, wire_len, range) in &self.packets[..n] {
                let len = range.len() as u32;
                let time = [(ts.0 / 1_000_000_000) as u32, (ts.0 % 1_000_000_000) as u32];
                out.write_all(&[time[0], time[1], len, *wire_len].map(u32::to_le_bytes).concat()).unwrap();
                out.write_all(&self.bytes[range.clone()]).unwrap();
            }
            out.flush().unwrap();
        }
    }
}

/// The IP packets of a file, without what came before IP in their frames.
fn read(path: &Path, file: usize, connections: &mut BTreeSet<(usize, [(IpAddr, u16); 2])>) -> Vec<Packet> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut packets = Vec::new();
    let Ok(mut frames) = CaptureFile::new(&bytes[..]) else { return packets };
    while let Ok(Some(f)) = frames.next_frame() {
        let Ok(view) = packet::parse(f.link, f.bytes, f.wire_len) else { continue };
        // The same packet without its link layer, which is not told how long it is.
        let same = |from: &usize| {
            f.bytes.get(*from..).is_some_and(|rest| {
                packet::parse(LinkType::RAW, rest, f.wire_len - *from as u32).is_ok_and(|raw| {
                    raw.ip.payload.as_ptr() == view.ip.payload.as_ptr() && raw.ip.src == view.ip.src
                })
            })
        };
        let Some(from) = (0..64).find(same) else { continue };
        let ports = match view.transport {
            Some(Transport::Tcp(t)) => [t.src_port, t.dst_port],
            Some(Transport::Udp(u)) => [u.src_port, u.dst_port],
            _ => [0, 0],
        };
        let mut ends = [(view.ip.src, ports[0]), (view.ip.dst, ports[1])];
        ends.sort_unstable();
        connections.insert((file, ends));
        packets.push(Packet {
            file,
            ts: f.ts.0,
            wire_len: f.wire_len - from as u32,
            bytes: f.bytes[from..].to_vec(),
        });
    }
    packets
}

/// The number of a host, below the first byte of multicast addresses.
fn host(hosts: &mut BTreeMap<(usize, IpAddr), u8>, file: usize, ip: IpAddr) -> u8 {
    let next = (hosts.len() % 200) as u8;
    *hosts.entry((file, ip)).or_insert(next)
}

/// Gives the hosts of an IP packet the addresses that they have in that copy. Checksums are left:
/// neither Remora nor tshark minds them.
fn rename(packet: &mut [u8], copy: u32, mut host: impl FnMut(IpAddr) -> u8) {
    let [_, a, b, c] = copy.to_be_bytes();
    match packet.first().map(|b| b >> 4) {
        Some(4) => {
            for at in [12, 16] {
                let Some(&old) = packet.get(at..).and_then(|p| p.first_chunk::<4>()) else { return };
                packet[at..at + 4].copy_from_slice(&[16 + host(IpAddr::from(old)), a, b, c]);
            }
        }
        Some(6) => {
            for at in [8, 24] {
                let Some(&old) = packet.get(at..).and_then(|p| p.first_chunk::<16>()) else { return };
                let new = [0xfd, host(IpAddr::from(old)), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, a, b, c];
                packet[at..at + 16].copy_from_slice(&new);
            }
        }
        _ => {}
    }
}
