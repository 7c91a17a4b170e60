//! A capture whose packets are collected.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use remora_agent::kernel::{
    Capture, Config, Control, Direction, PacketRecord, Stopper, Tier, Wake, packet_flags, tcp_flags,
};

/// Longest wait for something that must come; only a failure takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A captured packet with its headers read.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    pub(crate) protocol: u8,
    pub(crate) seq: u32,
    pub(crate) tcp_flags: u8,
    pub(crate) payload: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) captured: usize,
    pub(crate) direction: Direction,
    pub(crate) ring: usize,
    pub(crate) tgid: u32,
    pub(crate) cgroup_id: u64,
    pub(crate) flow_id: u32,
    pub(crate) flags: u8,
    pub(crate) time: i64,
}

pub(crate) struct Running {
    pub(crate) capture: Option<Capture>,
    pub(crate) control: Control,
    packets: Arc<Mutex<Vec<Packet>>>,
    threads: Vec<(Stopper, JoinHandle<()>)>,
}

/// Says that a test did not run, in the form that the test runner counts.
pub(crate) fn skip(test: &str, reason: impl std::fmt::Display) {
    // Not eprintln, which the harness keeps to itself when a test passes.
    let line = format!("SKIPPED: {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// The settings of a test: traffic of this process is captured, that of other processes is not.
pub(crate) fn config(ports: impl IntoIterator<Item = u16>) -> Config {
    let mut config = Config { own_process: None, ring_bytes: 8 << 20, ..Config::default() };
    config.policy.include_ports = ports.into_iter().collect();
    config
}

/// Starts a capture of a tier, or says why the test is skipped.
pub(crate) fn start(test: &str, tier: Tier, config: Config) -> Option<Running> {
    let config = Config { tier: Some(tier), ..config };
    if !std::fs::read_to_string("/proc/self/status").unwrap().contains("CapEff:\t000001ff") {
        skip(test, "not root");
        return None;
    }
    match Capture::start(config) {
        Ok(capture) => Some(Running::new(capture, |_, _| ())),
        Err(e @ remora_agent::kernel::KernelError::Verifier { .. }) => panic!("{e}"),
        Err(e) => {
            skip(test, e);
            None
        }
    }
}

impl Running {
    /// Reads all rings; `hook` sees every record before it is kept.
    pub(crate) fn new(
        mut capture: Capture,
        hook: impl Fn(&Control, &PacketRecord<'_>) + Clone + Send + 'static,
    ) -> Self {
        let packets = Arc::new(Mutex::new(Vec::new()));
        let control = capture.control();
        let threads = capture
            .take_readers()
            .into_iter()
            .map(|mut reader| {
                let (packets, control, hook) = (Arc::clone(&packets), control.clone(), hook.clone());
                let stopper = reader.stopper().unwrap();
                let thread = std::thread::spawn(move || {
                    loop {
                        let ring = reader.index();
                        let n = reader.drain(512, |p| {
                            hook(&control, &p);
                            packets.lock().unwrap().push(read(&p, ring));
                        });
                        assert_eq!(reader.malformed(), 0);
                        if n < 512 && reader.wait(Duration::from_millis(5)).unwrap() == Wake::Stopped {
                            break;
                        }
                    }
                });
                (stopper, thread)
            })
            .collect();
        Self { capture: Some(capture), control, packets, threads }
    }

    pub(crate) fn packets(&self) -> Vec<Packet> {
        self.packets.lock().unwrap().clone()
    }

    /// Waits until the packets so far satisfy `done`, and returns them.
    pub(crate) fn wait_for(&self, what: &str, done: impl Fn(&[Packet]) -> bool) -> Vec<Packet> {
        let end = Instant::now() + PATIENCE;
        loop {
            let packets = self.packets();
            if done(&packets) {
                return packets;
            }
            if Instant::now() > end {
                let lines: Vec<_> = packets.iter().rev().take(20).map(Packet::line).collect();
                panic!(
                    "waited in vain for {what}; {} packets, the last:\n{}\n{:?}",
                    packets.len(),
                    lines.join("\n"),
                    self.control.counters()
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Both directions of a TCP connection, waited for until both FINs are there.
    pub(crate) fn connection(&self, client: SocketAddr, server: SocketAddr) -> [Stream; 2] {
        let of = |packets: &[Packet], a: SocketAddr, b: SocketAddr| Stream::new(packets, a, b);
        let packets = self.wait_for("the end of a connection", |packets| {
            let (c, s) = (of(packets, client, server), of(packets, server, client));
            let whole = |s: &Stream| s.fin.is_some_and(|fin| s.end() == Some(fin));
            whole(&c) && whole(&s)
        });
        [of(&packets, client, server), of(&packets, server, client)]
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.capture.take();
        for (stopper, thread) in self.threads.drain(..) {
            stopper.stop().unwrap();
            if thread.join().is_err() && !std::thread::panicking() {
                panic!("a reader thread panicked");
            }
        }
    }
}

impl Packet {
    pub(crate) fn line(&self) -> String {
        format!(
            "{} > {} proto {} flags {:#x} seq {} payload {} wire {} captured {} {:?} ring {} tgid {}",
            self.src,
            self.dst,
            self.protocol,
            self.tcp_flags,
            self.seq,
            self.payload.len(),
            self.wire_len,
            self.captured,
            self.direction,
            self.ring,
            self.tgid
        )
    }
}

/// Reads the headers by hand, so that the offsets of the record are checked too.
fn read(p: &PacketRecord<'_>, ring: usize) -> Packet {
    let d = p.data;
    let ip = |at: usize| -> IpAddr {
        if p.ip_version == 4 {
            <[u8; 4]>::try_from(&d[at..at + 4]).unwrap().into()
        } else {
            <[u8; 16]>::try_from(&d[at..at + 16]).unwrap().into()
        }
    };
    assert_eq!(d[0] >> 4, p.ip_version);
    let (src, dst) = if p.ip_version == 4 { (ip(12), ip(16)) } else { (ip(8), ip(24)) };
    let l4 = usize::from(p.l4_offset);
    let port = |at: usize| u16::from_be_bytes([d[at], d[at + 1]]);
    let with_ports = matches!(p.protocol, 6 | 17) && p.flags & packet_flags::NO_L4 == 0;
    let (sport, dport) = if with_ports { (port(l4), port(l4 + 2)) } else { (0, 0) };
    let is_tcp = p.protocol == 6 && with_ports;
    let seq = if is_tcp { u32::from_be_bytes(d[l4 + 4..l4 + 8].try_into().unwrap()) } else { 0 };
    if p.flags & packet_flags::TRUNCATED == 0 {
        assert_eq!(d.len(), p.wire_len as usize, "an uncut record has its exact length");
    }
    Packet {
        src: SocketAddr::new(src, sport),
        dst: SocketAddr::new(dst, dport),
        protocol: p.protocol,
        seq,
        tcp_flags: if is_tcp { d[l4 + 13] } else { 0 },
        payload: d[usize::from(p.payload_offset).min(d.len())..].to_vec(),
        wire_len: p.wire_len,
        captured: d.len(),
        direction: p.direction,
        ring,
        tgid: p.tgid,
        cgroup_id: p.cgroup_id,
        flow_id: p.flow_id,
        flags: p.flags,
        time: p.time.nanos(),
    }
}

/// One direction of a TCP connection, put together from its packets.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Start and bytes of each segment with payload, by relative sequence number.
    pub(crate) segments: Vec<(u32, Vec<u8>)>,
    /// Relative sequence number of the FIN.
    pub(crate) fin: Option<u32>,
    pub(crate) packets: Vec<Packet>,
}

impl Stream {
    pub(crate) fn new(packets: &[Packet], src: SocketAddr, dst: SocketAddr) -> Self {
        let packets: Vec<_> =
            packets.iter().filter(|p| p.src == src && p.dst == dst && p.protocol == 6).cloned().collect();
        let syn = packets.iter().find(|p| p.tcp_flags & tcp_flags::SYN != 0).map(|p| p.seq.wrapping_add(1));
        let mut stream = Self { segments: Vec::new(), fin: None, packets };
        let Some(start) = syn else { return stream };
        for p in &stream.packets {
            let at = p.seq.wrapping_sub(start);
            if p.tcp_flags & tcp_flags::FIN != 0 {
                stream.fin = Some(at + u32::try_from(p.payload.len()).unwrap());
            }
            if !p.payload.is_empty() {
                stream.segments.push((at, p.payload.clone()));
            }
        }
        stream
    }

    /// How far the bytes reach without a gap.
    fn end(&self) -> Option<u32> {
        let mut by_start: BTreeMap<u32, usize> = BTreeMap::new();
        for (at, bytes) in &self.segments {
            let len = by_start.entry(*at).or_default();
            *len = (*len).max(bytes.len());
        }
        let mut end = 0;
        for (at, len) in by_start {
            if at > end {
                return None;
            }
            end = end.max(at + u32::try_from(len).unwrap());
        }
        Some(end)
    }

    /// The bytes, which must all be there.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; self.end().expect("no gap") as usize];
        for (at, bytes) in &self.segments {
            let at = *at as usize;
            out[at..at + bytes.len()].copy_from_slice(bytes);
        }
        out
    }

    /// Bytes that came more than once.
    pub(crate) fn repeated(&self) -> usize {
        let sum: usize = self.segments.iter().map(|(_, b)| b.len()).sum();
        sum - self.bytes().len()
    }
}
