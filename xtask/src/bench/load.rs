//! The load: a server with one process, and wrk, over keep-alive connections on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::process::{Background, free_port};
use crate::run::Run;

/// Connections that wrk keeps open.
pub(super) const CONNECTIONS: u32 = 32;

/// Bytes of the JSON document that is served.
pub(super) const BODY_BYTES: usize = 150;

/// A server that gives one small JSON document under every path.
#[derive(Debug)]
pub(super) struct Server {
    process: Background,
    /// `http` or `https`.
    scheme: &'static str,
    /// Where the load goes.
    pub(super) port: u16,
    /// The same server for probes, so that they can be told from the load.
    pub(super) probe_port: u16,
}

impl Server {
    /// Starts nginx with its files in `dir`.
    pub(super) fn start(dir: &Path) -> Result<Self> {
        Self::nginx(dir, "http", "")
    }

    /// Starts nginx with TLS, with `cert.pem` and `key.pem` in `dir`.
    pub(super) fn start_tls(dir: &Path) -> Result<Self> {
        Self::nginx(dir, "https", " ssl")
    }

    fn nginx(dir: &Path, scheme: &'static str, listen: &str) -> Result<Self> {
        let (port, probe_port) = (free_port()?, free_port()?);
        let config = dir.join("nginx.conf");
        std::fs::write(&config, configuration(dir, [port, probe_port], listen))?;
        let nginx = Run::new("nginx").arg("-p").arg(dir).arg("-c").arg(&config);
        Self::run(&nginx, "nginx", dir, scheme, [port, probe_port])
    }

    /// Starts a server that listens on both `ports`, the second of them for probes.
    pub(super) fn run(
        command: &Run,
        name: &str,
        dir: &Path,
        scheme: &'static str,
        ports: [u16; 2],
    ) -> Result<Self> {
        let mut process = Background::start(command, name, dir)?;
        let up = |port: &u16| TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).is_ok();
        process.wait_until(Duration::from_secs(10), |_| ports.iter().all(up))?;
        let [port, probe_port] = ports;
        Ok(Self { process, scheme, port, probe_port })
    }

    /// Seconds of CPU that it has used.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        self.process.cpu_seconds()
    }

    /// Runs wrk for a while.
    pub(super) fn load(&self, seconds: u32) -> Result<Load> {
        let out = self.wrk(seconds).output()?;
        parse(&out).with_context(|| format!("cannot read what wrk says: {out}"))
    }

    /// Runs wrk in the background.
    pub(super) fn load_in_background(&self, seconds: u32, dir: &Path) -> Result<Background> {
        Background::start(&self.wrk(seconds), "wrk", dir)
    }

    fn wrk(&self, seconds: u32) -> Run {
        let (connections, duration) = (format!("-c{CONNECTIONS}"), format!("-d{seconds}s"));
        let url = format!("{}://127.0.0.1:{}/bench?n=1", self.scheme, self.port);
        Run::new("wrk").args(["-t1", &connections, &duration, &url])
    }

    pub(super) fn stop(self) -> Result<()> {
        self.process.stop().map(|_| ())
    }
}

/// What wrk did in one turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// Responses that it took whole.
    pub(super) completed: u64,
    pub(super) per_second: f64,
}

/// Reads `1392817 requests in 8.00s, 397.15MB read` and `Requests/sec: 174085.91`.
fn parse(out: &str) -> Option<Load> {
    let completed = out.lines().find_map(|line| {
        let (count, rest) = line.trim().split_once(' ')?;
        if rest.starts_with("requests in ") { count.parse().ok() } else { None }
    })?;
    let per_second = out.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some(Load { completed, per_second })
}

fn configuration(dir: &Path, [port, probe_port]: [u16; 2], listen: &str) -> String {
    let dir = dir.display();
    let certificate = if listen.is_empty() {
        String::new()
    } else {
        format!("ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;")
    };
    let body = body();
    // One process is the one worker. Connections never end, as those of a busy service.
    format!(
        r#"daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 4000000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port}{listen};
        listen 127.0.0.1:{probe_port}{listen};
        {certificate}
        location / {{ default_type application/json; return 200 '{body}'; }}
    }}
}}
"#
    )
}

/// The document.
pub(super) fn body() -> String {
    let head = r#"{"id":4711,"name":"remora","price":12.5,"tags":["a","b"],"note":""#;
    let tail = r#""}"#;
    let fill = BODY_BYTES.saturating_sub(head.len() + tail.len());
    format!("{head}{}{tail}", "x".repeat(fill))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_wrk_are_read() {
        let out = "Running 8s test @ http://127.0.0.1:1/bench\n  1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   181.59us   49.15us   3.45ms   94.04%\n    Req/Sec   174.94k     4.36k  180.14k    75.00%\n  1392817 requests in 8.00s, 397.15MB read\nRequests/sec: 174085.91\nTransfer/sec:     49.64MB\n";
        assert_eq!(parse(out), Some(Load { completed: 1_392_817, per_second: 174_085.91 }));
        assert_eq!(parse("unable to connect to 127.0.0.1:1 Connection refused\n"), None);
    }

    #[test]
    fn the_body_is_json_of_the_stated_size() {
        let body = body();
        assert_eq!(body.len(), BODY_BYTES);
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok());
    }
}
