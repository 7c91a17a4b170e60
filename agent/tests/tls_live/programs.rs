//! Servers and clients with TLS, and what they need.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use remora_agent::Agent;
use remora_model::Table;

use crate::hub::{Hub, Row};

/// A process that is gone when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Servers with several processes end the others only when they are asked.
        _ = Command::new("kill").arg(self.pid().to_string()).status();
        let patience = Instant::now() + Duration::from_secs(5);
        while Instant::now() < patience && self.0.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

pub(crate) fn has(program: &str) -> bool {
    which(program).is_some()
}

/// Says that a test cannot run for want of programs.
pub(crate) fn lacks(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|p| !has(p)).collect();
    if !missing.is_empty() {
        eprintln!("SKIPPED: {test}: {missing:?} are not installed");
    }
    !missing.is_empty()
}

/// Whom the certificate names.
const NAMES: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1";

/// A directory with a certificate, its key, and a page.
pub(crate) fn site() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args([
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            NAMES,
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let mut page = String::new();
    for i in 0..2_000 {
        writeln!(page, "line {i} of a page").unwrap();
    }
    std::fs::write(dir.path().join("page"), page).unwrap();
    dir
}

/// A file of `len` bytes that no other name has.
pub(crate) fn big(dir: &Path, name: &str, len: usize) -> String {
    let mut text = String::with_capacity(len + 32);
    let mut i = 0_u64;
    while text.len() < len {
        i = i.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, "{name} {i:016x}").unwrap();
    }
    text.truncate(len);
    std::fs::write(dir.join(name), &text).unwrap();
    sha256(&dir.join(name))
}

pub(crate) fn sha256(path: &Path) -> String {
    let out = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(out.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

pub(crate) fn nginx(dir: &Path, port: u16) -> Running {
    let d = dir.display();
    let conf = format!(
        "daemon off; worker_processes 2; pid {d}/pid; error_log {d}/error.log; user root;\n\
         events {{}}\n\
         http {{ access_log off; keepalive_requests 100000; client_body_temp_path {d}; proxy_temp_path {d};\n\
         fastcgi_temp_path {d}; uwsgi_temp_path {d}; scgi_temp_path {d};\n\
         server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {d}/cert.pem; ssl_certificate_key {d}/key.pem;\n\
         location / {{ root {d}; }} }} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), conf).unwrap();
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(dir)
        .arg("-c")
        .arg(dir.join("nginx.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// A server that answers each POST with the hash of its body, in one thread for each connection.
const SERVER: &str = r#"
import sys, ssl, hashlib, http.server, socketserver
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def answer(self, body):
        self.send_response(200); self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/plain"); self.end_headers(); self.wfile.write(body)
    def do_GET(self): self.answer(b"you asked for " + self.path.encode())
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())
class S(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128
s = S(("127.0.0.1", int(sys.argv[1])), H)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain("cert.pem", "key.pem")
s.socket = c.wrap_socket(s.socket, server_side=True, do_handshake_on_connect=False)
s.serve_forever()
"#;

pub(crate) fn python_server(dir: &Path, port: u16) -> Running {
    let mut command = Command::new("python3");
    command
        .args(["-c", SERVER, &port.to_string()])
        .current_dir(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

/// A client that does what it is told on its input, a line each: `get PATH` or `post SIZE` on its
/// connection. It answers with its own port, the path, and the hash of what it has sent.
const CLIENT: &str = r#"
import sys, ssl, hashlib, os, http.client
c = ssl._create_unverified_context()
h = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=c)
h.connect()
port = h.sock.getsockname()[1]
print("connected", port, flush=True)
for line in sys.stdin:
    what, arg = line.split()
    if what == "get":
        h.request("GET", arg); path = arg; mine = "-"
    else:
        body = os.urandom(int(arg) // 2 + 1).hex()[:int(arg)].encode()
        mine = hashlib.sha256(body).hexdigest(); path = "/" + mine
        h.request("POST", path, body, {"Content-Type": "text/plain"})
    r = h.getresponse(); got = r.read()
    assert what == "get" or got.decode() == mine
    print("done", port, path, mine, flush=True)
"#;

pub(crate) struct Client {
    child: Running,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) port: String,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", CLIENT, &port.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut client = Self { child: Running(child), input, output, port: String::new() };
        client.port = client.line()[1].clone();
        client
    }

    fn line(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// Sends a command; returns the path asked for, and the hash of the body sent.
    pub(crate) fn ask(&mut self, what: &str) -> (String, String) {
        writeln!(self.input.as_mut().unwrap(), "{what}").unwrap();
        let line = self.line();
        assert_eq!(line.first().map(String::as_str), Some("done"), "{what}");
        (line[2].clone(), line[3].clone())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Closes its connection and waits for it to end.
    pub(crate) fn close(mut self) {
        drop(self.input.take());
        assert!(self.child.0.wait().unwrap().success());
    }
}

/// Asks with curl for all of `paths` on one connection; returns curl's own port.
pub(crate) fn curl(port: u16, paths: &[String]) -> String {
    let mut command = Command::new("curl");
    command.args(["-sk", "--http1.1", "--max-time", "60", "-w", "%{local_port}\\n"]);
    for path in paths {
        command.args(["-o", "/dev/null", &format!("https://127.0.0.1:{port}{path}")]);
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    let ports: std::collections::BTreeSet<&str> = text.lines().collect();
    assert_eq!(ports.len(), 1, "one connection: {text}");
    ports.into_iter().next().unwrap().to_owned()
}

/// The calls of a protocol on a server's port.
pub(crate) fn of(hub: &Hub, port: u16, protocol: &str) -> Vec<Row> {
    hub.calls(port).into_iter().filter(|r| r["protocol"] == protocol).collect()
}

pub(crate) fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).map_or("(null)", String::as_str)
}

pub(crate) async fn listens(hub: &Hub, port: u16) {
    hub.until("the server listens", |_| TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
}

/// Waits until a process is read.
pub(crate) async fn hooked(hub: &Hub, agent: &Agent, pid: u32) {
    hub.until(&format!("process {pid} is probed"), |_| agent.tls().iter().any(|s| s.pid == pid && s.hooked))
        .await;
}

/// Waits until the status says that the trial of a library is over, well.
pub(crate) async fn checked(hub: &Hub, agent: &Agent, pid: u32, library: &str) {
    let is_it = |s: &remora_agent::tls::TlsStatus| s.pid == pid && s.library == Some(library);
    hub.until(&format!("{library} in process {pid} is believed"), |_| {
        agent.tls().iter().any(|s| is_it(s) && s.hooked && s.checked == Some(true))
    })
    .await;
}

/// Waits until there are no fewer than `count` calls in plaintext.
pub(crate) async fn calls(hub: &Hub, port: u16, protocol: &str, count: usize) -> Vec<Row> {
    let mut seen = 0;
    hub.until(&format!("{count} calls of {protocol} arrive"), |h| {
        let now = of(h, port, protocol).len();
        if now != seen {
            eprintln!("{now} calls of {count}");
        }
        seen = now;
        now >= count
    })
    .await;
    of(hub, port, protocol)
}

/// What every call in plaintext has.
pub(crate) fn check(row: &Row, client_port: &str, methods: &[&str]) {
    assert_eq!(text(row, "tls"), "true", "{row:#?}");
    assert_eq!(text(row, "capture_source"), "ebpf_tls", "{row:#?}");
    assert_eq!(text(row, "src.ip"), "127.0.0.1", "{row:#?}");
    assert_eq!(text(row, "dst.ip"), "127.0.0.1", "{row:#?}");
    assert_eq!(text(row, "src.port"), client_port, "{row:#?}");
    assert_eq!(row.get("incomplete"), None, "{row:#?}");
    assert!(methods.contains(&text(row, "corr_method")), "{row:#?}");
}

/// The handshake of a connection is one entry, and its flow is one flow; both are those of its calls.
pub(crate) fn linked(hub: &Hub, port: u16, calls: &[Row]) {
    let flows: std::collections::BTreeSet<&str> = calls.iter().map(|r| text(r, "flow_id")).collect();
    let shakes = of(hub, port, "tlsx");
    let shaken: Vec<&str> = shakes.iter().map(|r| text(r, "flow_id")).collect();
    for flow in &flows {
        assert_eq!(shaken.iter().filter(|f| *f == flow).count(), 1, "handshakes of flow {flow}: {shakes:#?}");
    }
    let port = port.to_string();
    let rows = hub.rows(Table::Flows);
    let named: std::collections::BTreeSet<&str> =
        rows.iter().filter(|r| r.get("dst.port") == Some(&port)).map(|r| text(r, "flow_id")).collect();
    assert!(flows.is_subset(&named), "{flows:?} {named:?}");
}

/// Absolute path of a program.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}
