//! What the policy leaves out does not come, and is counted.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use remora_agent::kernel::{Reason, ShuntUntil, Tier, TierError};

use crate::{
    addresses::{free_port, loopback4, loopback6},
    capture::{Running, Stream, config, skip, start},
    traffic::{exchange, pattern, serve},
};

/// Sends one datagram and receives it, so that it has passed every hook.
fn datagram(to: SocketAddr) -> SocketAddr {
    let server = UdpSocket::bind(to).unwrap();
    let client = UdpSocket::bind(SocketAddr::new(to.ip(), 0)).unwrap();
    client.send_to(b"hello", to).unwrap();
    server.recv_from(&mut [0; 9]).unwrap();
    client.local_addr().unwrap()
}

/// Sends to each address, in order; only some may come, which the last, always captured, tells.
fn assert_captured(run: &Running, probes: &[(SocketAddr, bool)], marker: SocketAddr) {
    let sources: Vec<_> = probes.iter().map(|(to, _)| datagram(*to)).collect();
    let end = datagram(marker);
    let packets = run.wait_for("the last datagram", |all| all.iter().any(|p| p.src == end));
    for ((to, expected), src) in probes.iter().zip(sources) {
        let n = packets.iter().filter(|p| p.src == src && p.dst == *to).count();
        assert_eq!(n, usize::from(*expected), "{src} > {to}");
    }
}

#[test]
fn ports_and_ranges_are_left_out_and_come_back() {
    const TEST: &str = "ports_and_ranges_are_left_out_and_come_back";
    let [a, b, marker] = [free_port(), free_port(), free_port()];
    let mut settings = config([a, b, marker]);
    // One ring, so that the marker comes after all the rest.
    settings.rings = 1;
    let Some(run) = start(TEST, Tier::Cgroup, settings) else { return };
    let marker = loopback4(marker);
    assert_captured(
        &run,
        &[(loopback4(a), true), (loopback4(b), true), (loopback4(free_port()), false)],
        marker,
    );

    run.control.update_policy(|p| p.exclude_ports.extend([b])).unwrap();
    let before = run.control.counters().unwrap();
    assert_captured(&run, &[(loopback4(a), true), (loopback4(b), false)], marker);
    let since = run.control.counters().unwrap().since(&before);
    assert!(since.get(Reason::Policy).packets >= 1, "{since:?}");

    run.control.update_policy(|p| p.exclude_ports.clear()).unwrap();
    assert_captured(&run, &[(loopback4(b), true), (loopback6(b), true)], marker);

    run.control
        .update_policy(|p| {
            p.exclude_cidrs.insert("::1/128".parse().unwrap());
            p.exclude_cidrs.insert("127.9.0.0/16".parse().unwrap());
        })
        .unwrap();
    let elsewhere = "127.9.1.1".parse().unwrap();
    assert_captured(
        &run,
        &[(loopback4(b), true), (loopback6(b), false), (SocketAddr::new(elsewhere, b), false)],
        marker,
    );

    run.control
        .update_policy(|p| {
            p.exclude_cidrs.clear();
            p.include_cidrs.insert("127.0.0.0/24".parse().unwrap());
        })
        .unwrap();
    assert_captured(
        &run,
        &[(loopback4(b), true), (loopback6(b), false), (SocketAddr::new(elsewhere, b), false)],
        marker,
    );
    assert_eq!(run.control.policy().include_cidrs.len(), 1);
}

#[test]
fn endpoints_of_the_own_process_are_captured_when_another_has_them() {
    const TEST: &str = "endpoints_of_the_own_process_are_captured_when_another_has_them";
    let (port, from) = (free_port(), free_port());
    let ask = format!("read line && exec curl -s --local-port {from} http://127.0.0.1:{port}/");
    let asker = || Command::new("sh").args(["-c", &ask]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let (Ok(own), Ok(other)) = (asker(), asker()) else { return skip(TEST, "sh cannot be started") };
    let server = loopback4(port);
    let listener = TcpListener::bind(server).unwrap();
    // The server closes first, so that the client's port is free at once.
    let thread = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let n = stream.read(&mut [0; 4096]).unwrap();
            assert!(n > 0);
            stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap();
        }
    });
    let settings = remora_agent::kernel::Config { own_process: Some(own.id()), ..config([port]) };
    let Some(run) = start(TEST, Tier::Cgroup, settings) else { return };
    let other_id = other.id();
    for mut child in [own, other] {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        assert!(child.wait().unwrap().success());
    }
    thread.join().unwrap();
    let [up, down] = run.connection(loopback4(from), server);
    assert!(up.bytes().starts_with(b"GET / ") && down.bytes().starts_with(b"HTTP/1.0 204"));
    assert!(up.packets.iter().all(|p| p.tgid == other_id));
}

#[test]
fn the_own_process_is_left_out() {
    const TEST: &str = "the_own_process_is_left_out";
    let port = free_port();
    let settings = remora_agent::kernel::Config { own_process: Some(std::process::id()), ..config([port]) };
    let Some(run) = start(TEST, Tier::Cgroup, settings) else { return };
    datagram(loopback4(port));
    let c = run.control.counters().unwrap();
    // Other tests of this process add to it.
    assert!(c.get(Reason::Own).packets >= 1, "{c:?}");
    assert_eq!(c.get(Reason::Captured).packets, 0, "{c:?}");
    assert!(run.packets().is_empty());
}

/// A cgroup for a test, gone when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let root = mounts
            .lines()
            .find_map(|l| l.split(' ').nth(2).filter(|k| *k == "cgroup2").and(l.split(' ').nth(1)))
            .ok_or("cgroup v2 is not mounted")?;
        let path = PathBuf::from(root).join(format!("remora-{}-{name}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    fn id(&self) -> u64 {
        fs::metadata(&self.0).unwrap().ino()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_cgroup_is_chosen_with_what_is_below_it() {
    const TEST: &str = "a_cgroup_is_chosen_with_what_is_below_it";
    let outer = match Cgroup::new("outer") {
        Ok(c) => c,
        Err(e) => return skip(TEST, e),
    };
    let inner = Cgroup({
        let path = outer.0.join("inner");
        fs::create_dir(&path).unwrap();
        path
    });
    let port = free_port();
    let server = loopback4(port);
    let mut settings = config([port]);
    settings.policy.include_cgroups.insert(outer.id());
    let Some(run) = start(TEST, Tier::Cgroup, settings) else { return };
    let (sent, answer) = (pattern(50, 1), pattern(5_000, 2));
    let thread = serve(TcpListener::bind(server).unwrap(), 3, sent.len(), answer.clone());
    // Not in the cgroup: the server's side is not either.
    let (outside, _) = exchange(server, &sent);
    let mut inside = Vec::new();
    for group in [&outer, &inner] {
        let script = format!(
            "echo $$ > {}/cgroup.procs && exec python3 -c \"import socket; \
             s = socket.create_connection(('127.0.0.1', {port})); s.sendall(b'z' * 50); \
             n = 0\nwhile n < 5000: n += len(s.recv(9999))\nprint(s.getsockname()[1])\"",
            group.0.display()
        );
        let out = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        inside.push(loopback4(String::from_utf8_lossy(&out.stdout).trim().parse().unwrap()));
    }
    thread.join().unwrap();
    for (client, group) in inside.into_iter().zip([&outer, &inner]) {
        let [up, down] = run.connection(client, server);
        assert_eq!(up.bytes(), [b'z'; 50]);
        assert_eq!(down.bytes(), answer);
        assert!(up.packets.iter().all(|p| p.cgroup_id == group.id()));
    }
    assert!(Stream::new(&run.packets(), outside, server).packets.is_empty());
    assert!(run.control.counters().unwrap().get(Reason::Policy).packets > 0);
}

#[test]
fn a_shunt_skips_a_part_of_a_stream_and_no_more() {
    const TEST: &str = "a_shunt_skips_a_part_of_a_stream_and_no_more";
    let port = free_port();
    let server = loopback4(port);
    let settings = remora_agent::kernel::Config { tier: Some(Tier::Cgroup), ..config([port]) };
    // Probes what the helper would skip for.
    let Some(probe) = start(TEST, Tier::Cgroup, config([port])) else { return };
    drop(probe);
    let capture = remora_agent::kernel::Capture::start(settings).unwrap();
    let control = capture.control();
    let run = Running::new(capture, |_, _| ());
    let body = pattern(2_000_000, 9);
    let (go, gone) = std::sync::mpsc::channel();
    let thread = {
        let (listener, body) = (TcpListener::bind(server).unwrap(), body.clone());
        std::thread::spawn(move || {
            use std::io::Write;
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&body[..1_000]).unwrap();
            gone.recv().unwrap();
            stream.write_all(&body[1_000..]).unwrap();
        })
    };
    let client = {
        let run = &run;
        let control = &control;
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || exchange(server, &[]));
            let first = run.wait_for("the first bytes", |all| all.iter().any(|p| p.payload.len() == 1_000));
            let p = first.into_iter().find(|p| p.payload.len() == 1_000).unwrap();
            let side = usize::from(p.flags & remora_agent::kernel::packet_flags::FROM_SIDE_1 != 0);
            let until = p.seq.wrapping_add(1_500_000);
            control.shunt_flow(p.flow_id, side, ShuntUntil::Seq(until)).unwrap();
            go.send(()).unwrap();
            let (client, got) = reader.join().unwrap();
            assert_eq!(got, body);
            client
        })
    };
    thread.join().unwrap();
    run.wait_for("the FIN", |all| Stream::new(all, server, client).fin.is_some());
    let down = Stream::new(&run.packets(), server, client);
    for (at, bytes) in &down.segments {
        let at = *at as usize;
        assert_eq!(bytes[..], body[at..at + bytes.len()]);
        assert!(at + bytes.len() <= 1_000 || at + bytes.len() > 1_500_000, "{at} was to be skipped");
    }
    let last = down.segments.iter().map(|(at, b)| *at as usize + b.len()).max();
    assert_eq!(last, Some(body.len()));
    let shunted = control.counters().unwrap().get(Reason::Shunted);
    assert!(shunted.packets > 0 && shunted.bytes > 1_000_000, "{shunted:?}");
    let mut seen = 0;
    control.flows(|f| seen = seen.max(f.sides[0].shunted_bytes + f.sides[1].shunted_bytes)).unwrap();
    assert_eq!(seen, shunted.bytes);
}

#[test]
fn a_tier_has_a_name() {
    for tier in Tier::ALL {
        assert_eq!(tier.name().parse(), Ok(tier));
    }
    assert!("xdp".parse::<Tier>().is_err_and(|e: TierError| e.to_string().contains("af_packet")));
}
