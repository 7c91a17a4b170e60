//! Calls per second through one shard: packets in, encoded batches out, no kernel and no network.
//! `cargo bench -p remora-agent`
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a measurement")]

use std::time::{Duration, Instant};

use remora_agent::FlushOptions;
use remora_agent::ids::{CallIds, RunId};
use remora_agent::kernel::{Direction, PacketRecord};
use remora_agent::owners::{Cgroups, FlowOwners, Processes};
use remora_agent::shard::{Exchange, Shard, ShardParts};
use remora_agent::ship::Shipper;
use remora_dissect::Limits;
use remora_model::{CaptureSource, Timestamp};
use remora_wire::{Spool, SpoolConfig};

const CALLS: u32 = 400_000;
const CLIENTS: u16 = 64;

const REQUEST: &str = "GET /api/items/123456?page=7 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench/1.0\r\n\
                       Accept: application/json\r\nX-Request-Id: 4bf92f3577b34da6a3ce929d0e0e4736\r\n\r\n";

fn response() -> Vec<u8> {
    let body = "{\"id\":123456,\"name\":\"a thing\",\"price\":12.5,\"tags\":[\"a\",\"b\"]}".repeat(8);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\nETag: \"abc\"\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// An IPv4 TCP segment on a keep-alive connection of client `n`.
fn segment(n: u16, from_client: bool, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
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
    p.extend_from_slice(&seq.to_be_bytes());
    p.extend_from_slice(&ack.to_be_bytes());
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
        tgid: if from_client { 1 } else { std::process::id() },
        netns: 0,
        flow_id: u32::from(client) + 1,
    }
}

fn main() {
    // `cargo test` runs benches without this flag, to see that they build.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let response = response();
    for compress in [false, true] {
        let spool = Spool::open(&SpoolConfig { memory_bytes: 64 << 20, ..SpoolConfig::default() });
        let (queue, shipper) = Shipper::start(spool.clone(), compress, 256 << 20).unwrap();
        let mut exchange = Exchange::new(1, 1_024);
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
            exchange: exchange.remove(0),
            shunt: None,
        });
        let begin = Instant::now();
        let mut busy = Duration::ZERO;
        let mut seqs = vec![(1_u32, 1_u32); usize::from(CLIENTS)];
        let report = shard.report();
        // Building the packets is not what is measured.
        for round in 0..CALLS / 1_000 {
            let mut packets = Vec::with_capacity(2_000);
            for i in 0..1_000_u32 {
                let client = u16::try_from((round * 1_000 + i) % u32::from(CLIENTS)).unwrap();
                let (up, down) = &mut seqs[usize::from(client)];
                let time = 1_700_000_000_000_000_000 + i64::from(round * 1_000 + i) * 10_000;
                packets.push((time, client, true, segment(client, true, *up, *down, REQUEST.as_bytes())));
                *up = up.wrapping_add(REQUEST.len() as u32);
                packets.push((time + 5_000, client, false, segment(client, false, *down, *up, &response)));
                *down = down.wrapping_add(response.len() as u32);
            }
            let at = Instant::now();
            for (time, client, from_client, data) in &packets {
                shard.packet(&record(data, *time, *client, *from_client));
            }
            shard.turn(false);
            busy += at.elapsed();
        }
        shard.finish();
        drop(shard);
        shipper.join();
        assert_eq!(report.read().calls, u64::from(CALLS));
        eprintln!(
            "compress {compress}: shard {:.0} calls/s ({:.2} us/call), with encoding {:.0} calls/s; dropped {:?}",
            f64::from(CALLS) / busy.as_secs_f64(),
            busy.as_secs_f64() * 1e6 / f64::from(CALLS),
            f64::from(CALLS) / begin.elapsed().as_secs_f64(),
            shipper.stats().dropped_rows,
        );
    }
}
