//! What is lost or cut is counted, and nothing else is lost.

use std::net::TcpListener;

use remora_agent::kernel::{Capture, Config, Reason, Tier, packet_flags};

use crate::{
    addresses::{free_port, loopback4},
    capture::{Running, config, start},
    traffic::{exchange, pattern, serve},
};

#[test]
fn a_full_ring_is_counted() {
    const TEST: &str = "a_full_ring_is_counted";
    let port = free_port();
    let settings = || Config { ring_bytes: 1, rings: 1, tier: Some(Tier::Cgroup), ..config([port]) };
    let Some(probe) = start(TEST, Tier::Cgroup, settings()) else { return };
    drop(probe);
    // Nobody reads meanwhile.
    let mut capture = Capture::start(settings()).unwrap();
    let server = loopback4(port);
    let thread = serve(TcpListener::bind(server).unwrap(), 1, 10, pattern(2_000_000, 1));
    exchange(server, &[0; 10]);
    thread.join().unwrap();
    let c = capture.control().counters().unwrap();
    let (captured, full) = (c.get(Reason::Captured), c.get(Reason::RingFull));
    assert!(captured.packets > 0 && full.packets > 0, "{c:?}");
    assert!(captured.bytes + full.bytes > 2_000_000, "{c:?}");
    assert_eq!(c.lost(), full);
    let mut reader = capture.take_readers().pop().unwrap();
    let mut bytes = 0;
    let n = reader.drain(usize::MAX, |p| bytes += u64::from(p.wire_len));
    assert_eq!((n as u64, bytes), (captured.packets, captured.bytes), "what was counted is there");
    assert!(capture.take_readers().is_empty());
}

#[test]
fn the_snap_length_cuts_and_counts() {
    const TEST: &str = "the_snap_length_cuts_and_counts";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, Config { snaplen: 200, ..config([port]) }) else { return };
    let server = loopback4(port);
    let thread = serve(TcpListener::bind(server).unwrap(), 1, 40, pattern(100_000, 1));
    let (client, _) = exchange(server, &pattern(40, 2));
    thread.join().unwrap();
    let of = |run: &Running| -> Vec<_> {
        run.packets().into_iter().filter(|p| p.src == server && p.dst == client).collect()
    };
    run.wait_for("the FIN", |_| of(&run).iter().any(|p| p.tcp_flags & 1 != 0));
    let mut cut = 0;
    for p in of(&run) {
        assert_eq!(p.captured, (p.wire_len as usize).min(200), "{}", p.line());
        assert_eq!(p.flags & packet_flags::TRUNCATED != 0, p.wire_len > 200);
        cut += u64::from(p.wire_len) - p.captured as u64;
    }
    assert!(cut > 90_000);
    assert_eq!(run.control.counters().unwrap().get(Reason::Truncated).bytes, cut);
}

#[test]
fn settings_out_of_range_are_refused() {
    for (config, word) in [
        (Config { snaplen: 1, ..Config::default() }, "snap length"),
        (Config { rings: 1_000, ..Config::default() }, "rings"),
        (Config { ring_bytes: u32::MAX, ..Config::default() }, "ring"),
    ] {
        let e = Capture::start(config).unwrap_err().to_string();
        assert!(e.contains(word), "{e}");
    }
}
