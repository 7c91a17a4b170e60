//! Packets name the process of their local socket.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Command, Stdio},
};

use remora_agent::kernel::{OwnerSource, Tier};

use crate::{
    addresses::{free_port, loopback4, loopback6},
    capture::{config, skip, start},
    traffic::{exchange, pattern, serve},
};

const TCP: u8 = 6;

#[test]
fn both_ends_of_a_connection_have_their_process() {
    const TEST: &str = "both_ends_of_a_connection_have_their_process";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, config([port])) else { return };
    let server = loopback4(port);
    let thread = {
        let listener = TcpListener::bind(server).unwrap();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, peer) = listener.accept().unwrap();
            let n = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.0 204 No Content\r\n\r\n").unwrap();
            (peer, n)
        })
    };
    let child = Command::new("curl").args(["-s", &format!("http://127.0.0.1:{port}/")]).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return skip(TEST, format!("curl: {e}")),
    };
    let pid = child.id();
    assert!(child.wait().unwrap().success());
    let (client, _) = thread.join().unwrap();
    let [up, down] = run.connection(client, server);
    assert!(up.packets.iter().all(|p| p.tgid == pid), "the client's packets name curl");
    assert!(down.packets.iter().all(|p| p.tgid == std::process::id()), "the server's name this process");
    // curl is gone, its name is not.
    let owner = run.control.owners().process(pid).unwrap();
    assert_eq!((owner.comm.as_str(), owner.source), ("curl", OwnerSource::Hook));
    assert_eq!(run.control.owners().process(0), None);
}

#[test]
fn sockets_older_than_the_capture_have_an_owner() {
    const TEST: &str = "sockets_older_than_the_capture_have_an_owner";
    let addrs: [SocketAddr; 2] = [loopback4(free_port()), loopback6(free_port())];
    let listeners = addrs.map(|a| TcpListener::bind(a).unwrap());
    let old_udp = UdpSocket::bind(loopback4(0)).unwrap();
    let udp_addr = old_udp.local_addr().unwrap();
    let Some(run) = start(TEST, Tier::Cgroup, config(addrs.map(|a| a.port()))) else { return };
    for (listener, server) in listeners.into_iter().zip(addrs) {
        let thread = serve(listener, 1, 10, pattern(100, 1));
        let (client, _) = exchange(server, &[0; 10]);
        thread.join().unwrap();
        let [up, _] = run.connection(client, server);
        assert!(up.packets.iter().all(|p| p.tgid == std::process::id()), "the client is new");
        let owner = run.control.owners().endpoint(TCP, server, client, 0).unwrap();
        assert_eq!(owner.tgid, std::process::id());
    }
    let owner = run.control.owners().endpoint(17, udp_addr, loopback4(9), 0).unwrap();
    assert_eq!(owner.tgid, std::process::id());
    assert_eq!(run.control.owners().endpoint(17, loopback4(1), loopback4(9), 0), None);
}

#[test]
fn udp_sockets_have_an_owner() {
    const TEST: &str = "udp_sockets_have_an_owner";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, config([port])) else { return };
    let server = UdpSocket::bind(loopback4(port)).unwrap();
    let script = format!(
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
                          s.sendto(b'x', ('127.0.0.1', {port})); s.recv(9)"
    );
    let child = Command::new("python3").args(["-c", &script]).stdin(Stdio::null()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return skip(TEST, format!("python3: {e}")),
    };
    let (_, peer) = server.recv_from(&mut [0; 9]).unwrap();
    server.send_to(b"y", peer).unwrap();
    assert!(child.wait().unwrap().success());
    let packets = run.wait_for("both datagrams", |all| all.len() >= 2);
    assert_eq!((packets[0].src, packets[0].tgid), (peer, child.id()));
    assert_eq!((packets[1].dst, packets[1].tgid), (peer, std::process::id()));
}

#[test]
fn a_process_has_its_own_name_whichever_thread_asks() {
    const TEST: &str = "a_process_has_its_own_name_whichever_thread_asks";
    let port = free_port();
    let Some(run) = start(TEST, Tier::Cgroup, config([port])) else { return };
    let server = UdpSocket::bind(loopback4(port)).unwrap();
    // The socket is made and used in a thread that has named itself (prctl(2), PR_SET_NAME).
    let script = format!(
        "import ctypes, socket, threading\n\
         def ask():\n\
         \x20   ctypes.CDLL(None).prctl(15, b'some-thread', 0, 0, 0)\n\
         \x20   s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
         \x20   s.connect(('127.0.0.1', {port}))\n\
         \x20   s.send(open('/proc/thread-self/comm', 'rb').read())\n\
         t = threading.Thread(target=ask); t.start(); t.join()\n"
    );
    let child = Command::new("python3").args(["-c", &script]).stdin(Stdio::null()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => return skip(TEST, format!("python3: {e}")),
    };
    let mut said = [0; 99];
    let (len, _) = server.recv_from(&mut said).unwrap();
    assert_eq!(&said[..len], b"some-thread\n");
    assert!(child.wait().unwrap().success());
    let owner = run.control.owners().process(child.id()).unwrap();
    let limits = &run.control.report().limits;
    if limits.iter().any(|l| l.contains("one of its threads")) {
        return skip(TEST, limits.join("; "));
    }
    assert!(owner.comm.starts_with("python3"), "{owner:?}");
}
