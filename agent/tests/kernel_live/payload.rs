//! Every byte comes out of the rings exactly once.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use remora_agent::kernel::{Config, Direction, Tier, tcp_flags};

use crate::{
    addresses::{free_port, loopback4, loopback6},
    capture::{Running, Stream, config, skip, start},
    namespace::Pair,
    traffic::{exchange, pattern, serve},
};

/// Checks both directions of a connection against what was sent.
fn assert_exchange(run: &Running, client: SocketAddr, server: SocketAddr, sent: &[u8], answered: &[u8]) {
    let [up, down] = run.connection(client, server);
    for (stream, expected) in [(&up, sent), (&down, answered)] {
        assert_eq!(stream.bytes(), expected);
        if stream.repeated() > 0 {
            // TCP may really have sent something twice; then the flow table has counted it.
            let mut retransmits = 0;
            run.control
                .flows(|f| {
                    if f.sides.iter().any(|s| s.addr == client) && f.sides.iter().any(|s| s.addr == server) {
                        retransmits += f.sides[0].retransmits + f.sides[1].retransmits;
                    }
                })
                .unwrap();
            assert!(retransmits > 0, "{} bytes were shipped twice", stream.repeated());
        }
        assert_once(stream);
    }
    let rings: std::collections::BTreeSet<_> =
        up.packets.iter().chain(&down.packets).map(|p| p.ring).collect();
    assert_eq!(rings.len(), 1, "a flow stays in one ring");
}

/// SYN and FIN come once, unless TCP repeated them.
fn assert_once(stream: &Stream) {
    let syns = stream.packets.iter().filter(|p| p.tcp_flags & tcp_flags::SYN != 0).count();
    assert_eq!(syns, 1, "{:?}", stream.packets.iter().map(|p| p.line()).collect::<Vec<_>>());
    assert!(
        stream.packets.iter().all(|p| !p.payload.is_empty()
            || p.tcp_flags & (tcp_flags::SYN | tcp_flags::FIN | tcp_flags::RST) != 0)
    );
    assert!(stream.packets.windows(2).all(|w| w[0].time <= w[1].time));
}

#[test]
fn tcp_on_loopback_comes_once_and_whole() {
    let port = free_port();
    let Some(run) = start("tcp_on_loopback_comes_once_and_whole", Tier::Cgroup, config([port])) else {
        return;
    };
    for (server, size) in [
        (loopback4(port), 300),
        (loopback6(port), 300),
        (loopback4(port), 3_000_000),
        (loopback6(port), 700_000),
    ] {
        let (sent, answer) = (pattern(1_000, 1), pattern(size, 2));
        let thread = serve(TcpListener::bind(server).unwrap(), 1, sent.len(), answer.clone());
        let (client, got) = exchange(server, &sent);
        thread.join().unwrap();
        assert_eq!(got, answer);
        assert_exchange(&run, client, server, &sent, &answer);
    }
    let c = run.control.counters().unwrap();
    assert_eq!(c.lost().packets, 0, "{c:?}");
}

#[test]
fn many_connections_come_once_and_whole() {
    let port = free_port();
    // With the programs' log on, which makes them other programs to the verifier.
    let settings = Config { debug_log: true, ..config([port]) };
    let Some(run) = start("many_connections_come_once_and_whole", Tier::Cgroup, settings) else {
        return;
    };
    let server = loopback4(port);
    let (sent, answer) = (pattern(137, 3), pattern(4_321, 4));
    let thread = serve(TcpListener::bind(server).unwrap(), 200, sent.len(), answer.clone());
    let clients: Vec<_> = (0..200).map(|_| exchange(server, &sent).0).collect();
    thread.join().unwrap();
    for client in clients {
        assert_exchange(&run, client, server, &sent, &answer);
    }
}

#[test]
fn curl_is_captured() {
    let port = free_port();
    let Some(run) = start("curl_is_captured", Tier::Cgroup, config([port])) else { return };
    let body = pattern(50_000, 5);
    let listener = TcpListener::bind(loopback4(port)).unwrap();
    let answer =
        [format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    let thread = {
        let answer = answer.clone();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, peer) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(&answer).unwrap();
            (peer, request)
        })
    };
    let out = std::process::Command::new("curl")
        .args(["-s", "-o", "/dev/null", &format!("http://127.0.0.1:{port}/a?b=c")])
        .status();
    match out {
        Ok(status) => assert!(status.success()),
        Err(e) => return skip("curl_is_captured", format!("curl: {e}")),
    }
    let (client, request) = thread.join().unwrap();
    assert!(request.starts_with(b"GET /a?b=c HTTP/1.1\r\n"));
    assert_exchange(&run, client, loopback4(port), &request, &answer);
}

#[test]
fn tcp_between_namespaces_comes_once_and_whole() {
    const TEST: &str = "tcp_between_namespaces_comes_once_and_whole";
    let Some(run) = start(TEST, Tier::Cgroup, config([8080])) else { return };
    let pair = match Pair::new() {
        Ok(pair) => pair,
        Err(e) => return skip(TEST, e),
    };
    for server in [pair.v4[1], pair.v6[1]] {
        let server = SocketAddr::new(server, 8080);
        let (sent, answer) = (pattern(100_000, 6), pattern(900_000, 7));
        let listener = pair.run(1, move || TcpListener::bind(server).unwrap());
        let thread = serve(listener, 1, sent.len(), answer.clone());
        let request = sent.clone();
        let (client, got) = pair.run(0, move || exchange(server, &request));
        thread.join().unwrap();
        assert_eq!(got, answer);
        assert_exchange(&run, client, server, &sent, &answer);
    }
}

#[test]
fn udp_comes_once_and_whole() {
    const TEST: &str = "udp_comes_once_and_whole";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, config([port])) else { return };
    let pair = match Pair::new() {
        Ok(pair) => pair,
        Err(e) => return skip(TEST, e),
    };
    let here = [loopback4(port), loopback6(port)].map(|addr| {
        let server = UdpSocket::bind(addr).unwrap();
        let client = UdpSocket::bind(SocketAddr::new(addr.ip(), 0)).unwrap();
        (client, server)
    });
    let there = [pair.v4, pair.v6].map(|[a, b]| {
        let server = pair.run(1, move || UdpSocket::bind((b, port)).unwrap());
        let client = pair.run(0, move || UdpSocket::bind((a, 0)).unwrap());
        (client, server)
    });
    for (client, server) in here.into_iter().chain(there) {
        let (from, to) = (client.local_addr().unwrap(), server.local_addr().unwrap());
        server.set_read_timeout(Some(crate::capture::PATIENCE)).unwrap();
        // The largest are longer than any MTU: they must come whole all the same.
        let sizes = [0usize, 1, 100, 1_400, 9_000, 60_000];
        let sent: Vec<_> = sizes.iter().map(|n| pattern(*n, u32::try_from(*n).unwrap())).collect();
        let mut buffer = vec![0; 65_536];
        for datagram in &sent {
            client.send_to(datagram, to).unwrap();
            let (n, peer) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((n, peer), (datagram.len(), from));
            server.send_to(&buffer[..n.min(10)], from).unwrap();
        }
        let got = run.wait_for("the datagrams", |all| {
            let n = |a: SocketAddr, b: SocketAddr| all.iter().filter(|p| p.src == a && p.dst == b).count();
            n(from, to) >= sizes.len() && n(to, from) >= sizes.len()
        });
        let got: Vec<_> = got.into_iter().filter(|p| p.src == from && p.dst == to).collect();
        let payloads: Vec<_> = got.iter().map(|p| p.payload.clone()).collect();
        assert_eq!(payloads, sent);
        assert!(got.iter().all(|p| p.direction == Direction::Egress), "local traffic is taken at its sender");
    }
}

#[test]
fn equal_loopback_flows_of_two_namespaces_are_told_apart() {
    const TEST: &str = "equal_loopback_flows_of_two_namespaces_are_told_apart";
    let port = 7_777;
    let Some(run) = start(TEST, Tier::Cgroup, config([port])) else { return };
    if run.control.report().limits.iter().any(|l| l.contains("6.15")) {
        return skip(TEST, "the kernel is older than 6.15");
    }
    let pair = match Pair::new() {
        Ok(pair) => pair,
        Err(e) => return skip(TEST, e),
    };
    for side in 0..2 {
        pair.run(side, move || {
            let server = UdpSocket::bind(loopback4(port)).unwrap();
            let client = UdpSocket::bind(loopback4(port + 1)).unwrap();
            client.send_to(&[1, 2, 3], loopback4(port)).unwrap();
            server.recv_from(&mut [0; 8]).unwrap();
        });
    }
    let packets = run.wait_for("both datagrams", |all| all.len() >= 2);
    assert_eq!(packets.len(), 2);
    assert_ne!(packets[0].flow_id, packets[1].flow_id);
}
