//! CPU time of keeping a packet, in the thread that captures and in the one that writes, and the time it
//! takes to find one connection in a full ring. `cargo bench -p remora-ring`; `-- --gib N` for a ring of
//! another size than 1 GiB, `-- --dir DIR` for another disk than that of temporary files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a measurement")]
#![expect(unsafe_code, reason = "the CPU time of a thread is a system call")]

use std::time::{Duration, Instant};

use remora_ring::{Direction, ExportOptions, FlowKey, Flows, Packet, Ring, RingConfig};

const PATIENCE: Duration = Duration::from_secs(3_600);

fn cpu_time(clock: libc::clockid_t) -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is valid for writing.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).unwrap())
}

/// TCP over IPv4, of which `flow` sets the client's address and port.
fn packet(len: usize) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend(u16::try_from(len).unwrap().to_be_bytes());
    p.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 0, 10, 1, 0, 1, 0, 0, 0, 80]);
    p.resize(len, 7);
    p[32] = 0x50;
    p
}

fn set_flow(p: &mut [u8], flow: u32) {
    p[13..16].copy_from_slice(&(flow >> 8).to_be_bytes()[1..]);
    p[20..22].copy_from_slice(&(1_024 + (flow & 0xFF) as u16).to_be_bytes());
}

fn key(flow: u32) -> FlowKey {
    let ip = std::net::Ipv4Addr::from(0x0A00_0000 | flow >> 8);
    FlowKey::new(6, (ip, 1_024 + (flow & 0xFF) as u16).into(), ([10, 1, 0, 1], 80).into())
}

fn config(dir: &std::path::Path, budget: u64) -> RingConfig {
    // Room for what waits: what is shed costs nothing and would make a good figure.
    RingConfig { budget, queue_bytes: 64 << 20, max_age: None, ..RingConfig::new(dir.to_owned()) }
}

/// A million packets, as fast as the writer takes them.
fn keep(dir: &std::path::Path, len: usize) {
    const PACKETS: u32 = 1_000_000;
    let ring = Ring::open(&config(dir, 256 << 20)).unwrap();
    let interface = ring.interface("bench", "");
    let mut feed = ring.feed();
    let mut p = packet(len);
    let clocks = [libc::CLOCK_THREAD_CPUTIME_ID, libc::CLOCK_PROCESS_CPUTIME_ID];
    let begin = clocks.map(cpu_time);
    let began = Instant::now();
    for n in 0..PACKETS {
        set_flow(&mut p, n % 1_000);
        let wire_len = u32::try_from(len).unwrap();
        feed.packet(&Packet { ts: i64::from(n), interface, direction: Direction::Out, wire_len, data: &p });
        if n % (16_000_000 / wire_len) == 0 {
            feed.flush();
            assert!(ring.sync(PATIENCE));
        }
    }
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let [own, all] =
        [0, 1].map(|i| (cpu_time(clocks[i]) - begin[i]).as_secs_f64() * 1e9 / f64::from(PACKETS));
    let rate = f64::from(PACKETS) / began.elapsed().as_secs_f64();
    let stats = ring.stats();
    assert_eq!(stats.written.packets, u64::from(PACKETS));
    eprintln!(
        "packets of {len} bytes: {own:.0} ns in the capturing thread, {:.0} ns in the writer, {:.2} M packets/s",
        all - own,
        rate / 1e6
    );
}

/// One connection of many, and everything, out of a full ring.
fn find(dir: &std::path::Path, gib: u64) {
    let ring = Ring::open(&config(dir, gib << 30)).unwrap();
    let interface = ring.interface("bench", "");
    let mut feed = ring.feed();
    let mut p = packet(1_000);
    let mut n = 0_u32;
    while ring.stats().evicted.packets == 0 {
        for _ in 0..20_000 {
            // Connections of a hundred packets, a thousand at a time.
            set_flow(&mut p, n / 100_000 * 1_000 + n % 1_000);
            feed.packet(&Packet {
                ts: i64::from(n),
                interface,
                direction: Direction::Out,
                wire_len: 1_000,
                data: &p,
            });
            n += 1;
        }
        feed.flush();
        assert!(ring.sync(PATIENCE));
    }
    let wanted = n / 2 / 100_000 * 1_000 + 7;
    for (name, flows) in
        [("one connection", Flows::Only(vec![key(wanted).into()])), ("everything", Flows::All)]
    {
        let began = Instant::now();
        let mut export = ring.export(ExportOptions { flows, ..ExportOptions::default() });
        let mut first = None;
        let mut bytes = 0;
        while let Some(chunk) = export.next() {
            bytes += chunk.len();
            if export.report().packets > 0 && first.is_none() {
                first = Some(began.elapsed());
            }
        }
        eprintln!(
            "{name} of {} packets in {} segments: {} packets, the first after {:.1} ms, {} MB after {:.0} ms",
            ring.stats().held.packets,
            ring.stats().segments,
            export.report().packets,
            first.unwrap_or_default().as_secs_f64() * 1e3,
            bytes >> 20,
            began.elapsed().as_secs_f64() * 1e3
        );
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo test` runs benches without this flag, to see that they build.
    if !args.iter().any(|a| a == "--bench") {
        return;
    }
    let after = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let gib = after("--gib").map_or(1, |n| n.parse().expect("--gib takes a number"));
    let base = after("--dir").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base).unwrap();
    for len in [100, 1_000, 8_000] {
        keep(&dir.path().join(len.to_string()), len);
    }
    find(&dir.path().join("full"), gib);
}
