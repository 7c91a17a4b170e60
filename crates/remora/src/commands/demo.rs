//! Sample traffic for `remora up --demo`: a small shop and its client on loopback, each a process
//! of its own, so that what is seen has two sides. Nothing leaves the machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

/// Pause between two rounds of the client.
const PACE: Duration = Duration::from_millis(500);
/// Nothing here waits longer for the other side.
const PATIENCE: Duration = Duration::from_secs(5);

/// The two processes; they end when this is dropped.
pub struct Demo {
    _shop: Child,
    _client: Child,
}

impl Demo {
    /// Starts the shop and a client that visits it.
    pub async fn start() -> Result<Self> {
        let program = std::env::current_exe().context("cannot find my own program")?;
        let spawn = |role: &str, arguments: &[String]| {
            Command::new(&program)
                .args(["demo-traffic", role])
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("cannot start the sample traffic")
        };
        let mut shop = spawn("shop", &[])?;
        let stdout = shop.stdout.take().context("the sample shop has no output")?;
        let mut line = String::new();
        let mut reader = tokio::io::BufReader::new(stdout);
        tokio::time::timeout(PATIENCE, tokio::io::AsyncBufReadExt::read_line(&mut reader, &mut line))
            .await
            .context("the sample shop does not start")??;
        let ports: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if ports.len() != 3 {
            bail!("the sample shop does not say where it listens");
        }
        let client = spawn("client", &ports)?;
        Ok(Self { _shop: shop, _client: client })
    }
}

/// The hidden subcommand that each process runs. Returns when the parent is gone (its end of our
/// stdin is closed).
pub fn run(role: &str, ports: &[u16]) -> Result<()> {
    // The name by which the process is seen; a failure only makes it less pretty.
    _ = std::fs::write("/proc/self/comm", format!("demo-{role}"));
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    });
    match (role, ports) {
        ("shop", []) => shop(),
        ("client", &[http, redis, dns]) => client(http, redis, dns),
        _ => bail!("demo-traffic is started by: remora up --demo"),
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn shop() -> Result<()> {
    let http = TcpListener::bind(local(0))?;
    let redis = TcpListener::bind(local(0))?;
    let dns = UdpSocket::bind(local(0))?;
    let ports = (http.local_addr()?.port(), redis.local_addr()?.port(), dns.local_addr()?.port());
    crate::output::text(&format!("{} {} {}\n", ports.0, ports.1, ports.2))?;
    std::thread::spawn(move || accept(&redis, serve_redis));
    std::thread::spawn(move || serve_dns(&dns));
    accept(&http, serve_http);
    Ok(())
}

fn accept(listener: &TcpListener, serve: fn(TcpStream) -> std::io::Result<()>) {
    for stream in listener.incoming().flatten() {
        // A client that goes away in the middle is nothing to speak of.
        std::thread::spawn(move || serve(stream));
    }
}

fn serve_http(stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; std::cmp::min(length, 1 << 16)];
        reader.read_exact(&mut body)?;
        let (status, body) = answer(
            request.split_whitespace().next().unwrap_or_default(),
            request.split_whitespace().nth(1).unwrap_or_default(),
        );
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}

fn answer(method: &str, path: &str) -> (&'static str, &'static str) {
    match (method, path) {
        ("GET", "/api/products?limit=2") => ("200 OK", r#"[{"id":1,"name":"lamp"},{"id":2,"name":"chair"}]"#),
        ("POST", "/api/orders") => ("201 Created", r#"{"order":42}"#),
        ("GET", "/api/orders/42") => ("200 OK", r#"{"order":42,"state":"packed"}"#),
        ("POST", "/api/checkout") => {
            std::thread::sleep(Duration::from_millis(120));
            ("500 Internal Server Error", r#"{"error":"payment provider timed out"}"#)
        }
        _ => ("404 Not Found", r#"{"error":"no such thing"}"#),
    }
}

fn serve_redis(stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let parts: usize = line.trim().trim_start_matches('*').parse().unwrap_or(0);
        let mut words = Vec::new();
        for _ in 0..parts.min(8) {
            let (mut length, mut word) = (String::new(), String::new());
            reader.read_line(&mut length)?;
            reader.read_line(&mut word)?;
            words.push(word.trim().to_owned());
        }
        let reply = match words.first().map(String::as_str) {
            Some("SET") => "+OK\r\n",
            Some("GET") => "$6\r\npacked\r\n",
            Some("INCR") => "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
            _ => "-ERR unknown command\r\n",
        };
        writer.write_all(reply.as_bytes())?;
        line.clear();
    }
    Ok(())
}

/// Answers every A query with an address of the documentation range (RFC 5737), and names below
/// `missing.` with NXDOMAIN.
fn serve_dns(socket: &UdpSocket) {
    let mut buffer = [0; 512];
    while let Ok((n, from)) = socket.recv_from(&mut buffer) {
        let Some(query) = buffer.get(..n).filter(|q| q.len() > 12) else { continue };
        let missing = query[12..].starts_with(b"\x07missing");
        let mut reply = query.to_vec();
        // QR, RD and RA; the response code in the low bits (RFC 1035 section 4.1.1).
        reply[2..4].copy_from_slice(&[0x81, if missing { 0x83 } else { 0x80 }]);
        if !missing {
            reply[7] = 1;
            // A pointer to the question's name, type A, class IN, 60 seconds, 4 bytes.
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 10]);
        }
        if socket.send_to(&reply, from).is_err() {
            return;
        }
    }
}

fn client(http: u16, redis: u16, dns: u16) -> Result<()> {
    loop {
        // A round that fails is tried again: the shop may be slow to start.
        _ = round(http, redis, dns);
        std::thread::sleep(PACE);
    }
}

fn round(http: u16, redis: u16, dns: u16) -> Result<()> {
    for name in ["payments.example", "missing.example"] {
        resolve(name, dns)?;
    }
    let connection = TcpStream::connect(local(http))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    for (method, path, body) in [
        ("GET", "/api/products?limit=2", ""),
        ("POST", "/api/orders", r#"{"product":1,"count":2}"#),
        ("GET", "/api/orders/42", ""),
        ("GET", "/api/orders/43", ""),
        ("POST", "/api/checkout", r#"{"order":42}"#),
    ] {
        write!(
            writer,
            "{method} {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: demo-client\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("Content-Length:") {
                length = value.trim().parse::<usize>()?;
            }
        }
        std::io::copy(&mut (&mut reader).take(length as u64), &mut std::io::sink())?;
    }
    let connection = TcpStream::connect(local(redis))?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut writer = connection.try_clone()?;
    let mut reader = BufReader::new(connection);
    for words in [&["SET", "order:42", "packed"][..], &["GET", "order:42"], &["INCR", "order:42"]] {
        let mut command = format!("*{}\r\n", words.len());
        for word in words {
            command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        writer.write_all(command.as_bytes())?;
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.starts_with('$') {
            reader.read_line(&mut line)?;
        }
    }
    Ok(())
}

fn resolve(name: &str, port: u16) -> Result<()> {
    let socket = UdpSocket::bind(local(0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    // An id that changes, recursion desired, one question.
    let id = std::process::id() as u16
        ^ std::time::SystemTime::now().elapsed().map_or(7, |d| d.subsec_nanos() as u16);
    let mut query = vec![(id >> 8) as u8, id as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    socket.send_to(&query, local(port))?;
    socket.recv(&mut [0; 512])?;
    Ok(())
}
