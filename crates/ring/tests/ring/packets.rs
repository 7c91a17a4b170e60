//! What goes in comes out, within the limits.
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::common::*;
use remora_ring::{
    Direction, ExportOptions, FlowSelection, Flows, KeyLogError, Packet, Payload, Ring, RingConfig,
    RingError, Shed, Window,
};

#[test]
fn packets_of_two_threads_come_out_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 8 << 20)).unwrap();
    let (a, b) = (ring.interface("node", ""), ring.interface("node lo", "loopback"));
    let (mut one, mut two) = (ring.feed(), ring.feed());
    for n in 0..3_000_u64 {
        let ts = 1_000_000 + n as i64;
        if n / 100 % 2 == 0 {
            push(&mut one, a, ts, &udp((n % 7) as u16, false, n, 100));
        } else {
            push(&mut two, b, ts, &udp((n % 7) as u16, true, n, 300));
        }
    }
    drop((one, two));
    assert!(ring.sync(PATIENCE));
    let (section, report) = export(&ring, ExportOptions::default());
    assert!(section.packets.iter().map(|p| p.number).eq(0..3_000));
    assert_eq!(section.interfaces, ["node", "node lo"]);
    assert!(section.packets.iter().all(|p| p.interface == (p.number / 100 % 2) as u32));
    assert!(section.packets.iter().all(|p| p.options == [(2, vec![2, 0, 0, 0])]));
    assert_eq!((report.disordered, report.span), (0, Some((1_000_000, 1_002_999))));

    let window = Window { from: 1_000_100, until: 1_000_900 };
    let flows = Flows::Only(vec![
        key(3).into(),
        FlowSelection { key: key(5), window: Window { until: 1_000_500, ..Window::ALL } },
    ]);
    let (section, _) = export(&ring, ExportOptions { window, flows, ..ExportOptions::default() });
    let wanted = (100..900).filter(|n| n % 7 == 3 || n % 7 == 5 && *n < 500);
    assert!(section.packets.iter().map(|p| p.number).eq(wanted));

    // Interfaces without packets are not described, but for a file that has no packets at all.
    let window = Window { from: 1_000_100, until: 1_000_200 };
    let (section, _) = export(&ring, ExportOptions { window, ..ExportOptions::default() });
    assert_eq!((section.interfaces, section.packets.len()), (vec!["node lo".to_owned()], 100));
    let flows = Flows::Only(vec![FlowSelection { key: key(5), window: Window { from: 5, until: 6 } }]);
    let (section, _) = export(&ring, ExportOptions { flows, ..ExportOptions::default() });
    assert_eq!((section.interfaces.len(), section.packets.len()), (1, 0));

    let stats = ring.stats();
    assert_eq!((stats.written.packets, stats.held.packets), (3_000, 3_000));
    assert_eq!(stats.span, Some((1_000_000, 1_002_999)));
}

/// What the ring held is there again after it is opened anew, with its indexes and without.
#[test]
fn a_restart_finds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 << 20);
    let mut all = Vec::new();
    for run in 0..4 {
        let ring = Ring::open(&config).unwrap();
        assert!(matches!(Ring::open(&config), Err(RingError::Locked(_))));
        let i = ring.interface(&format!("run {run}"), "");
        let mut feed = ring.feed();
        for n in 0..200 {
            all.push(run * 1_000 + n);
            push(&mut feed, i, (run * 1_000 + n) as i64, &udp(1, false, run * 1_000 + n, 50));
        }
        feed.flush();
        ring.secret(&format!("CLIENT_RANDOM {} {}", "ab".repeat(32), "0".repeat(96))).unwrap();
        drop(feed);
        drop(ring);
        match run {
            1 => files(dir.path(), "idx").iter().for_each(|f| std::fs::remove_file(f).unwrap()),
            2 => {
                let index = files(dir.path(), "idx").pop().unwrap();
                let mut bytes = std::fs::read(&index).unwrap();
                bytes[40] ^= 1;
                std::fs::write(&index, bytes).unwrap();
            }
            _ => {}
        }
    }
    let ring = Ring::open(&config).unwrap();
    let (section, report) = export(&ring, ExportOptions::default());
    assert!(section.packets.iter().map(|p| p.number).eq(all));
    assert_eq!(section.interfaces, ["run 0", "run 1", "run 2", "run 3"]);
    assert_eq!((report.secrets, section.secrets.lines().count()), (1, 1));
    for file in files(dir.path(), "pcapng").iter().chain(&files(dir.path(), "idx")) {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// A list that is damaged, or was lost after the ring was opened, is made anew by the reader.
#[test]
fn a_reader_does_without_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 4 << 20)).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    (0..50).for_each(|n| push(&mut feed, i, n as i64, &udp(n as u16 % 3, false, n, 50)));
    feed.flush();
    ring.seal();
    assert!(ring.sync(PATIENCE));
    let index = &files(dir.path(), "idx")[0];
    let whole = std::fs::read(index).unwrap();
    for damage in 0..3 {
        let mut bytes = whole.clone();
        match damage {
            0 => *bytes.last_mut().unwrap() ^= 1,
            1 => bytes.truncate(60),
            _ => bytes.clear(),
        }
        std::fs::write(index, bytes).unwrap();
        let flows = Flows::Only(vec![key(1).into()]);
        let (section, report) = export(&ring, ExportOptions { flows, ..ExportOptions::default() });
        assert!(section.packets.iter().map(|p| p.number).eq((0..50).filter(|n| n % 3 == 1)));
        assert_eq!((report.gone_segments, report.damaged_packets), (0, 0));
    }
}

/// The end of a segment is cut wherever it is torn; what is before it is kept.
#[test]
fn a_torn_end_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4 << 20);
    let ring = Ring::open(&config).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    (0..4).for_each(|n| push(&mut feed, i, n as i64, &udp(1, false, n, 20)));
    feed.flush();
    drop(feed);
    drop(ring);
    let path = &files(dir.path(), "pcapng")[0];
    let whole = std::fs::read(path).unwrap();
    let block = 44 + 56;
    for cut in 1..block {
        std::fs::write(path, &whole[..whole.len() - cut]).unwrap();
        let ring = Ring::open(&config).unwrap();
        let (section, _) = export(&ring, ExportOptions::default());
        assert!(section.packets.iter().map(|p| p.number).eq(0..3));
        let stats = ring.stats();
        assert_eq!((stats.torn, stats.torn_bytes), (1, (block - cut) as u64));
        assert_eq!(stats.reindexed, 1);
    }
    // Zeros, as a file system leaves them after the power has gone.
    let mut zeros = whole.clone();
    zeros.truncate(whole.len() - block);
    zeros.resize(whole.len(), 0);
    std::fs::write(path, &zeros).unwrap();
    assert_eq!(Ring::open(&config).unwrap().stats().held.packets, 3);
    // Nothing at all.
    std::fs::write(path, b"no segment").unwrap();
    let ring = Ring::open(&config).unwrap();
    assert_eq!((ring.stats().unreadable, ring.stats().segments), (1, 0));
    assert!(!path.exists());
}

#[test]
fn a_full_queue_sheds_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let config = RingConfig { queue_bytes: 1, ..config(dir.path(), 4 << 20) };
    let ring = Ring::open(&config).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    for n in 0..20_000 {
        push(&mut feed, i, n as i64, &udp(1, false, n, 1_000));
    }
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let stats = ring.stats();
    let shed = stats.shed(Shed::QueueFull);
    assert_eq!(shed.packets + stats.written.packets, 20_000);
    assert_eq!(shed.bytes + stats.written.bytes, 20_000 * 1_036);
}

/// A flow that has had its share leaves room for the others.
#[test]
fn a_flow_gets_no_more_than_its_share() {
    let dir = tempfile::tempdir().unwrap();
    let config = RingConfig { flow_bytes: 10 * 136, ..config(dir.path(), 4 << 20) };
    let ring = Ring::open(&config).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    for n in 0..100 {
        push(&mut feed, i, n as i64, &udp(u16::from(n % 10 == 9), false, n, 100));
    }
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let (section, _) = export(&ring, ExportOptions::default());
    let of = |flow| section.packets.iter().filter(|p| p.flow == flow).map(|p| p.number).collect::<Vec<_>>();
    assert_eq!(of(0), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!(of(1).len(), 10);
    let limited = ring.stats().shed(Shed::FlowLimit);
    assert_eq!((limited.packets, limited.bytes), (80, 80 * 136));
    // Another segment, another share.
    ring.seal();
    push(&mut feed, i, 200, &udp(0, false, 200, 100));
    feed.flush();
    assert!(ring.sync(PATIENCE));
    assert_eq!(ring.stats().written.packets, 21);
}

#[test]
fn long_packets_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let config = RingConfig { snaplen: 100, ..config(dir.path(), 4 << 20) };
    let ring = Ring::open(&config).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    push(&mut feed, i, 5, &udp(1, false, 1, 500));
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let (section, _) = export(&ring, ExportOptions::default());
    assert_eq!(section.packets[0].data, udp(1, false, 1, 500)[..100]);
    assert_eq!((ring.stats().cut.packets, ring.stats().cut.bytes), (1, 436));
}

#[test]
fn old_segments_go_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = RingConfig { max_age: Some(Duration::from_secs(3_600)), ..config(dir.path(), 4 << 20) };
    let ring = Ring::open(&config).unwrap();
    let i = ring.interface("n", "");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_nanos()).unwrap();
    let mut feed = ring.feed();
    for (n, age) in [(1, 7_200), (2, 3_700), (3, 60), (4, 0)] {
        push(&mut feed, i, now - age * 1_000_000_000, &udp(1, false, n, 50));
        feed.flush();
        ring.seal();
    }
    assert!(ring.sync(PATIENCE));
    let (section, _) = export(&ring, ExportOptions::default());
    assert!(section.packets.iter().map(|p| p.number).eq([3, 4]));
    assert_eq!(ring.stats().expired.packets, 2);
    assert_eq!(files(dir.path(), "pcapng").len(), 2);
}

/// Segments that were deleted under an export are told, and nothing else is wrong.
#[test]
fn an_export_tells_what_went_missing_under_it() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 512 << 10)).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    let mut n = 0;
    let mut fill = |feed: &mut remora_ring::Feed, count| {
        for _ in 0..count {
            push(feed, i, n as i64, &udp(1, false, n, 1_000));
            n += 1;
        }
        feed.flush();
        assert!(ring.sync(PATIENCE));
    };
    fill(&mut feed, 300);
    let held = ring.stats().held.packets;
    let mut export = ring.export(ExportOptions::default());
    let mut bytes = export.next().unwrap();
    fill(&mut feed, 2_000);
    for chunk in &mut export {
        bytes.extend(chunk);
    }
    let section = section(&bytes);
    assert!(section.packets.is_sorted());
    let report = export.report();
    assert!(report.gone_segments > 0);
    assert_eq!(report.gone_packets + report.packets, held);
}

#[test]
fn names_comments_and_headers_only() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 4 << 20)).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    push(&mut feed, i, 5, &udp(1, false, 1, 500));
    let no_ip = [0xFF; 40];
    feed.packet(&Packet { ts: 6, interface: i, direction: Direction::Unknown, wire_len: 90, data: &no_ip });
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let options = ExportOptions {
        names: vec![("10.0.0.1".parse().unwrap(), "client".into()), ("::1".parse().unwrap(), "six".into())],
        comment: Some(Box::new(|packet, text| {
            if packet.flow == Some(key(1)) {
                text.push_str(&format!("{} on {}", packet.from.unwrap(), packet.interface));
            }
        })),
        payload: Payload::HeadersOnly,
        ..ExportOptions::default()
    };
    let (section, _) = export(&ring, options);
    assert_eq!(section.kinds, [0x0A0D_0D0A, 4, 1, 6, 6]);
    assert_eq!(section.packets[0].data.len(), 28);
    assert!(section.packets[0].options.contains(&(1, b"10.0.0.1:1001 on n".to_vec())));
    assert_eq!((section.packets[1].data.len(), section.packets[1].options.len()), (0, 0));
    let text = String::from_utf8_lossy(&section.names).into_owned();
    assert!(text.contains("client\0") && text.contains("six\0"));
}

/// A TLS record with the beginning of a ClientHello.
fn hello(flow: u16, random: u8) -> Vec<u8> {
    let mut p = udp(flow, false, 0, 64);
    p[9] = 6;
    p[32] = 0x50;
    p[40..51].copy_from_slice(&[22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]);
    p[51..83].fill(random);
    p
}

/// Who asks for one connection gets its secrets, and those of no other.
#[test]
fn secrets_are_those_of_the_connections() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 4 << 20)).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    let line = |random: u8, label: &str| {
        format!("{label} {} {}", format!("{random:02x}").repeat(32), "0f".repeat(32))
    };
    for n in 1..4 {
        push(&mut feed, i, i64::from(n), &hello(u16::from(n), n));
        feed.flush();
        ring.secret(&line(n, "CLIENT_TRAFFIC_SECRET_0")).unwrap();
        ring.secret(&line(n, "SERVER_TRAFFIC_SECRET_0")).unwrap();
        ring.secret(&line(n, "SERVER_TRAFFIC_SECRET_0")).unwrap();
        ring.seal();
    }
    assert_eq!(ring.secret("nonsense"), Err(KeyLogError::Malformed));
    assert!(ring.sync(PATIENCE));
    let stats = ring.stats();
    assert_eq!((stats.secrets, stats.secrets_malformed, stats.secrets_shed), (6, 1, 0));

    let (all, report) = export(&ring, ExportOptions::default());
    assert_eq!((report.secrets, all.secrets.lines().count()), (6, 6));
    // Before the packets.
    let first = all.kinds.iter().position(|k| *k == 6).unwrap();
    assert!(all.kinds[first..].iter().all(|k| *k == 6));

    let [client, server]: [std::net::SocketAddr; 2] =
        [([10, 0, 0, 1], 1_002).into(), ([10, 0, 0, 2], 53).into()];
    let flows = Flows::Only(vec![remora_ring::FlowKey::new(6, client, server).into()]);
    let one = ExportOptions { flows: flows.clone(), ..ExportOptions::default() };
    let (section, _) = export(&ring, one);
    let wanted = ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"].map(|label| line(2, label));
    assert!(section.secrets.lines().eq(wanted));
    assert_eq!(section.packets.len(), 1);
    // The handshake was before the window.
    let window = Window { from: 3, until: i64::MAX };
    let later = ExportOptions { flows: flows.clone(), window, ..ExportOptions::default() };
    assert_eq!(export(&ring, later).1.secrets, 2);
    let none = ExportOptions { flows, secrets: false, ..ExportOptions::default() };
    assert_eq!(export(&ring, none).0.secrets, "");
}

/// Later fragments have no ports; they come with the first.
#[test]
fn fragments_belong_to_their_flow() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 4 << 20)).unwrap();
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    for flow in 1..4_u16 {
        for (part, place) in [(0_u64, 0x2000_u16), (1, 0x0010)] {
            let mut p = udp(flow, false, u64::from(flow) * 10 + part, 50);
            p[4..6].copy_from_slice(&flow.to_be_bytes());
            p[6..8].copy_from_slice(&place.to_be_bytes());
            // The later one comes first.
            push(&mut feed, i, 100 - part as i64, &p);
        }
    }
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let flows = Flows::Only(vec![key(2).into()]);
    let (section, _) = export(&ring, ExportOptions { flows, ..ExportOptions::default() });
    assert!(section.packets.iter().map(|p| p.number).eq([21, 20]));
}

#[test]
fn an_export_ends_at_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(&config(dir.path(), 4 << 20)).unwrap();
    let (section, report) = export(&ring, ExportOptions::default());
    assert_eq!((section.kinds.len(), report.truncated), (1, false));
    let i = ring.interface("n", "");
    let mut feed = ring.feed();
    (0..100).for_each(|n| push(&mut feed, i, n as i64, &udp(1, false, n, 1_000)));
    feed.flush();
    assert!(ring.sync(PATIENCE));
    let (section, report) = export(&ring, ExportOptions { max_bytes: 10_000, ..ExportOptions::default() });
    assert!(report.truncated && section.packets.len() == 10, "{}", section.packets.len());
    let (_, report) = export(&ring, ExportOptions { max_bytes: 1 << 30, ..ExportOptions::default() });
    assert!(!report.truncated);
}
