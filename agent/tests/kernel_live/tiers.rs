//! The lower tiers see the same bytes.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use remora_agent::kernel::{Capture, Config, KernelError, Tier};

use crate::{
    capture::{Running, config, skip},
    namespace::Pair,
    traffic::{exchange, pattern, serve},
};

/// Captures at namespace 1 what crosses its end of the pair and its loopback.
fn sees_every_byte_once(test: &str, tier: Tier) {
    let pair = match Pair::new() {
        Ok(pair) => pair,
        Err(e) => return skip(test, e),
    };
    let settings = Config { tier: Some(tier), ..config([8080, 5353]) };
    let run = match pair.run(1, move || Capture::start(settings)) {
        Ok(capture) => Running::new(capture, |_, _| ()),
        Err(e @ KernelError::Verifier { .. }) => panic!("{e}"),
        Err(e) => return skip(test, e),
    };
    let report = run.control.report();
    assert_eq!(report.tier, tier);
    assert!(!report.limits.is_empty() && !report.kernel.is_empty());
    let places =
        [(0, pair.v4[1]), (0, pair.v6[1]), (1, "127.0.0.1".parse().unwrap()), (1, "::1".parse().unwrap())];
    for (client_side, ip) in places {
        let server = SocketAddr::new(ip, 8080);
        let (sent, answer) = (pattern(30_000, 1), pattern(400_000, 2));
        let listener = pair.run(1, move || TcpListener::bind(server).unwrap());
        let thread = serve(listener, 1, sent.len(), answer.clone());
        let request = sent.clone();
        let (client, got) = pair.run(client_side, move || exchange(server, &request));
        thread.join().unwrap();
        assert_eq!(got, answer);
        let [up, down] = run.connection(client, server);
        assert_eq!((up.bytes(), down.bytes()), (sent, answer));
        for stream in [&up, &down] {
            let syns = stream.packets.iter().filter(|p| p.tcp_flags & 2 != 0).count();
            assert_eq!(syns, 1, "local traffic comes once");
        }
        let rings: std::collections::BTreeSet<_> =
            up.packets.iter().chain(&down.packets).map(|p| p.ring).collect();
        assert_eq!(rings.len(), 1, "a flow stays in one ring");

        let to = SocketAddr::new(ip, 5353);
        let socket = pair.run(1, move || UdpSocket::bind(to).unwrap());
        let from = pair.run(client_side, move || {
            let client = UdpSocket::bind(SocketAddr::new(
                if ip.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap(),
                0,
            ))
            .unwrap();
            client.connect(to).unwrap();
            client.send(b"twelve bytes").unwrap();
            client.local_addr().unwrap()
        });
        socket.recv_from(&mut [0; 99]).unwrap();
        let packets = run.wait_for("the datagram", |all| all.iter().any(|p| p.src == from && p.dst == to));
        let mine: Vec<_> = packets.iter().filter(|p| p.src == from && p.dst == to).collect();
        assert_eq!(mine.len(), 1);
        assert_eq!(mine[0].payload, b"twelve bytes");
    }
    assert_eq!(run.control.counters().unwrap().lost().packets, 0);
}

#[test]
fn tc_sees_every_byte_once() {
    sees_every_byte_once("tc_sees_every_byte_once", Tier::Tc);
}

#[test]
fn af_packet_sees_every_byte_once() {
    sees_every_byte_once("af_packet_sees_every_byte_once", Tier::Packet);
}

#[test]
fn cgroups_are_refused_where_they_cannot_be_chosen() {
    for tier in [Tier::Tc, Tier::Packet] {
        let mut settings = Config { tier: Some(tier), ..config([1]) };
        settings.policy.include_cgroups.insert(1);
        let e = Capture::start(settings).unwrap_err();
        assert!(
            matches!(&e, KernelError::Refused { tier: t, reason } if *t == tier && reason.contains("cgroup")),
            "{e}"
        );
    }
}
