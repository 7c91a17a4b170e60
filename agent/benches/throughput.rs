//! CPU time per call of one shard, stage by stage: packets in, column batches out; no kernel and no
//! network. `cargo bench -p remora-agent`, with `-- --calls N` for another number of calls (under
//! valgrind, which counts instructions, a few thousand are enough).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a measurement")]
#![expect(unsafe_code, reason = "the CPU time of a thread is a system call")]

use std::time::Duration;

use remora_agent::FlushOptions;
use remora_agent::ids::{CallIds, RunId};
use remora_agent::kernel::{Direction, PacketRecord};
use remora_agent::owners::{Cgroups, FlowOwners, Processes};
use remora_agent::packets::Tap;
use remora_agent::ring::{Ring, RingConfig};
use remora_agent::shard::{Exchange, Shard, ShardParts};
use remora_agent::ship::Shipper;
use remora_dissect::engine::{Engine, FlowIds};
use remora_dissect::packet::{self, LinkType};
use remora_dissect::{Limits, Problem, Sink};
use remora_model::{Call, CaptureSource, FlowRow, Timestamp};
use remora_wire::{Spool, SpoolConfig};

const CLIENTS: u16 = 64;

/// Calls between two looks at whether rows are to be handed over.
const TURN: u32 = 256;

/// What `wrk` asks and nginx answers in `cargo xtask bench capture`.
const LOAD: [&str; 2] = [
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n",
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 08:05:35 GMT\r\n\
     Content-Type: application/json\r\nContent-Length: 150\r\nConnection: keep-alive\r\n\r\n",
];

/// What services ask each other.
const SERVICE: [&str; 2] = [
    "GET /api/items/123456?page=7 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\n\
     Accept: application/json\r\nX-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n\
     traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\nETag: \"abc\"\r\n\
     Cache-Control: no-cache\r\nVary: Accept\r\nContent-Length: 488\r\n\r\n",
];

/// User and system time of this thread, or of the process.
fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap())
}

/// An IPv4 TCP segment of client `n`; its numbers are filled in later.
fn segment(n: u16, from_client: bool, payload: &[u8]) -> Vec<u8> {
    let (client, server) = (([10, 0, 0, 1], 20_000 + n), ([10, 0, 0, 2], 80));
    let (src, dst) = if from_client { (client, server) } else { (server, client) };
    let len = u16::try_from(40 + payload.len()).unwrap();
    let mut p = vec![0x45, 0];
    p.extend_from_slice(&len.to_be_bytes());
    p.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
    p.extend_from_slice(&src.0);
    p.extend_from_slice(&dst.0);
    p.extend_from_slice(&src.1.to_be_bytes());
    p.extend_from_slice(&dst.1.to_be_bytes());
    p.extend_from_slice(&[0; 8]);
    p.extend_from_slice(&[0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
    p.extend_from_slice(payload);
    p
}

fn record(data: &[u8], time: i64, client: u16, from_client: bool) -> PacketRecord<'_> {
    PacketRecord {
        time: Timestamp(time),
        data,
        wire_len: u32::try_from(data.len()).unwrap(),
        ip_version: 4,
        protocol: 6,
        direction: Direction::Egress,
        flags: if from_client { 0 } else { 4 },
        l4_offset: 20,
        payload_offset: 40,
        ifindex: 1,
        cgroup_id: 1,
        tgid: if from_client { 1 } else { 2 },
        netns: 0,
        flow_id: u32::from(client) + 1,
    }
}

/// Keep-alive connections on which the same call is made over and over.
struct Traffic {
    /// For each client its request, its response, and how far both have come.
    clients: Vec<([Vec<u8>; 2], [u32; 2])>,
    payload: [u32; 2],
    calls: u32,
}

impl Traffic {
    fn new(heads: [&str; 2]) -> Self {
        let mut response = heads[1].as_bytes().to_vec();
        let body = if heads == LOAD { 150 } else { 488 };
        response.extend(
            b"{\"id\":123456,\"name\":\"a thing\",\"tags\":[\"a\",\"b\"]} ".iter().cycle().take(body),
        );
        let payload = [heads[0].len(), response.len()].map(|n| u32::try_from(n).unwrap());
        let packets = |n| [segment(n, true, heads[0].as_bytes()), segment(n, false, &response)];
        Self { clients: (0..CLIENTS).map(|n| (packets(n), [1, 1])).collect(), payload, calls: 0 }
    }

    /// Bytes of payload of one call.
    fn bytes(&self) -> u32 {
        self.payload[0] + self.payload[1]
    }

    /// Makes some calls; their packets go to `f`.
    fn make(&mut self, calls: u32, mut f: impl FnMut(&PacketRecord<'_>)) {
        for _ in 0..calls {
            let n = u16::try_from(self.calls % u32::from(CLIENTS)).unwrap();
            let (packets, next) = &mut self.clients[usize::from(n)];
            let time = 1_700_000_000_000_000_000 + i64::from(self.calls) * 10_000;
            for dir in [0, 1] {
                packets[dir][24..28].copy_from_slice(&next[dir].to_be_bytes());
                packets[dir][28..32].copy_from_slice(&next[1 - dir].to_be_bytes());
                f(&record(&packets[dir], time + dir as i64 * 5_000, n, dir == 0));
                next[dir] = next[dir].wrapping_add(self.payload[dir]);
            }
            self.calls += 1;
        }
    }
}

#[derive(Default)]
struct Count(u32);

impl Sink for Count {
    fn call(&mut self, call: &Call<'_>) {
        self.0 += u32::from(call.incomplete.is_none());
    }
    fn flow(&mut self, _: &FlowRow<'_>) {}
    fn problem(&mut self, problem: Problem, _: u64) {
        assert_eq!(problem, Problem::Unsynced);
    }
}

/// Headers only.
fn parse(traffic: &mut Traffic, calls: u32) {
    let mut bytes = 0;
    traffic.make(calls, |p| {
        let view = packet::parse(LinkType::RAW, p.data, p.wire_len).unwrap();
        bytes += view.ip.payload.len();
    });
    assert!(bytes > 0);
}

/// Everything up to calls.
fn dissect(traffic: &mut Traffic, calls: u32) {
    let mut engine = Engine::new(Limits::default(), CaptureSource::Ebpf, FlowIds::new(0, 1));
    let mut sink = Count::default();
    traffic.make(calls, |p| engine.packet(p.time, p.data, p.wire_len, &mut sink));
    engine.finish(&mut sink);
    assert_eq!(sink.0, calls);
}

/// Everything up to columns, handed over as the agent does.
fn rows(traffic: &mut Traffic, calls: u32) {
    rows_with(traffic, calls, None);
}

/// The same, with the packets kept on disk.
fn kept(traffic: &mut Traffic, calls: u32) {
    let dir = tempfile::tempdir().unwrap();
    let ring = open_ring(dir.path());
    rows_with(traffic, calls, Some(Tap::new(&ring, "bench")));
    settle(&ring, calls);
}

/// Packets to disk and nothing else.
fn packets(traffic: &mut Traffic, calls: u32) {
    let dir = tempfile::tempdir().unwrap();
    let ring = open_ring(dir.path());
    let mut tap = Tap::new(&ring, "bench");
    traffic.make(calls, |p| tap.packet(p));
    drop(tap);
    settle(&ring, calls);
}

fn open_ring(dir: &std::path::Path) -> Ring {
    // Room for all that waits: what is shed costs nothing and would make a good figure.
    Ring::open(&RingConfig { queue_bytes: 1 << 30, flow_bytes: u64::MAX, ..RingConfig::new(dir.to_owned()) })
        .unwrap()
}

fn settle(ring: &Ring, calls: u32) {
    assert!(ring.sync(Duration::from_secs(600)));
    assert_eq!(ring.stats().written.packets, 2 * u64::from(calls));
}

fn rows_with(traffic: &mut Traffic, calls: u32, tap: Option<Tap>) {
    let spool = Spool::open(&SpoolConfig { memory_bytes: 64 << 20, ..SpoolConfig::default() });
    let (queue, shipper) = Shipper::start(spool, remora_wire::Form::Plain, 256 << 20).unwrap();
    let mut shard = Shard::new(ShardParts {
        index: 0,
        shards: 1,
        node: "bench".to_owned(),
        limits: Limits::default(),
        source: CaptureSource::Ebpf,
        ids: CallIds::new(RunId::random()),
        first_flow: 0,
        owners: FlowOwners::new(None, 4_096, Default::default()),
        processes: Processes::new(None, Cgroups::new(None)),
        only: [].into(),
        flush: FlushOptions::default(),
        queue,
        exchange: Exchange::new(1, 1_024).remove(0),
        plaintext: None,
        table: None,
        tap,
        shunt: None,
    });
    let report = shard.report();
    let mut left = calls;
    while left > 0 {
        let some = left.min(TURN);
        traffic.make(some, |p| shard.packet(p));
        shard.turn(false);
        left -= some;
    }
    shard.finish();
    drop(shard);
    shipper.join();
    assert_eq!(report.read().calls, u64::from(calls));
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test` runs benches without this flag, to see that they build.
    if !args.iter().any(|a| a == "--bench") {
        return;
    }
    let after = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let calls: u32 = after("--calls").map_or(1_000_000, |n| n.parse().expect("--calls takes a number"));
    let only = after("--stage");
    type Stage = fn(&mut Traffic, u32);
    let stages: [(&str, Stage); 5] = [
        ("headers", parse),
        ("calls", dissect),
        ("rows", rows),
        ("rows and packets", kept),
        ("packets alone", packets),
    ];
    for (name, heads) in [("load", LOAD), ("service", SERVICE)] {
        for (stage, run) in stages.iter().filter(|(stage, _)| only.is_none_or(|only| only == stage)) {
            let mut traffic = Traffic::new(heads);
            let clocks = [libc::CLOCK_THREAD_CPUTIME_ID, libc::CLOCK_PROCESS_CPUTIME_ID];
            let begin = clocks.map(cpu_time);
            run(&mut traffic, calls);
            let [mut each, mut all] = [0.0; 2];
            for (to, (clock, begin)) in [&mut each, &mut all].into_iter().zip(clocks.into_iter().zip(begin)) {
                *to = (cpu_time(clock) - begin).as_secs_f64() / f64::from(calls);
            }
            eprintln!(
                "{name}, up to {stage}: {:.3} us/call (other threads {:.3}), {:.0} calls/s, {:.0} MB/s",
                each * 1e6,
                (all - each) * 1e6,
                1.0 / each,
                f64::from(traffic.bytes()) / each / 1e6
            );
        }
    }
}
