//! The flow table.

use std::net::TcpListener;

use remora_agent::kernel::{Config, FlowEntry, Tier, tcp_flags};

use crate::{
    addresses::{free_port, loopback4, loopback6},
    capture::{Running, config, start},
    traffic::{exchange, pattern, serve},
};

fn flow(run: &Running, client: std::net::SocketAddr) -> Vec<FlowEntry> {
    let mut found = Vec::new();
    run.control
        .flows(|f| {
            if f.sides.iter().any(|s| s.addr == client) {
                found.push(f);
            }
        })
        .unwrap();
    found
}

#[test]
fn a_connection_is_accounted() {
    const TEST: &str = "a_connection_is_accounted";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, config([port])) else { return };
    for server in [loopback4(port), loopback6(port)] {
        let (sent, answer) = (pattern(1_000, 1), pattern(200_000, 2));
        let thread = serve(TcpListener::bind(server).unwrap(), 1, sent.len(), answer.clone());
        let (client, _) = exchange(server, &sent);
        thread.join().unwrap();
        let [up, down] = run.connection(client, server);
        let found = flow(&run, client);
        assert_eq!(found.len(), 1);
        let f = &found[0];
        assert_eq!(f.id, up.packets[0].flow_id);
        assert_eq!((f.protocol, f.left_out), (6, None));
        let opener = f.opener.expect("the SYN was seen");
        assert_eq!(f.sides[opener].addr, client);
        assert_eq!(f.sides[1 - opener].addr, server);
        let all = tcp_flags::SYN | tcp_flags::ACK | tcp_flags::FIN;
        for (side, stream, len) in
            [(f.sides[opener], up, sent.len()), (f.sides[1 - opener], down, answer.len())]
        {
            let shipped: u64 = stream.packets.iter().map(|p| u64::from(p.wire_len)).sum();
            assert!(side.bytes >= shipped && side.packets >= stream.packets.len() as u64);
            assert!(side.bytes > len as u64);
            assert_eq!(side.tcp_flags & all, all);
            assert_eq!(side.tgid, std::process::id());
            assert_eq!(side.shunted_bytes, 0);
        }
        let rtt = f.handshake_rtt.expect("the handshake was seen");
        assert!(rtt >= f.synack_rtt.unwrap() && rtt.as_secs() < 5, "{rtt:?}");
    }
}

#[test]
fn the_table_is_bounded() {
    const TEST: &str = "the_table_is_bounded";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, Config { flows: 64, ..config([port]) }) else { return };
    let server = loopback4(port);
    let thread = serve(TcpListener::bind(server).unwrap(), 300, 10, pattern(100, 2));
    let clients: Vec<_> = (0..300).map(|_| exchange(server, &[1; 10]).0).collect();
    thread.join().unwrap();
    // Flows that left the table are captured all the same.
    for client in clients {
        let [up, down] = run.connection(client, server);
        assert_eq!((up.bytes(), down.bytes()), (vec![1; 10], pattern(100, 2)));
    }
    let mut n = 0;
    run.control.flows(|_| n += 1).unwrap();
    assert!(n <= 512, "{n} flows in a table of 64 (rounded up per CPU)");
    assert_eq!(run.control.counters().unwrap().lost().packets, 0);
}
