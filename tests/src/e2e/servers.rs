//! Real servers, each with files and a log of its own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use super::{netns, output, wait_for};

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    dir: TempDir,
    /// Where it listens.
    pub port: u16,
}

impl Server {
    /// Starts a program and waits until it listens.
    pub(super) fn start(mut command: Command, dir: TempDir, port: u16) -> Result<Self> {
        let log = std::fs::File::create(dir.path().join("output"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let mut server = Self { child, dir, port };
        wait_for(&format!("{command:?} listens"), || {
            if let Some(status) = server.child.try_wait()? {
                return Ok(Ok(Some(status)));
            }
            Ok(if server.listens()? { Ok(None) } else { Err(server.printed()) })
        })
        .and_then(|ended| match ended {
            None => Ok(()),
            Some(status) => bail!("{command:?} ended with {status}"),
        })
        .with_context(|| server.printed())?;
        Ok(server)
    }

    /// Whether something listens on the port in its namespace, asked without any traffic.
    fn listens(&self) -> Result<bool> {
        // proc_pid_net(5): the local port in hexadecimal, and the state: 0A is TCP_LISTEN, and 07 is what a
        // socket of UDP without a peer has.
        let port = format!(":{:04X}", self.port);
        for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
            let sockets = std::fs::read_to_string(format!("/proc/{}/net/{table}", self.child.id()))?;
            let found = sockets.lines().skip(1).any(|line| {
                let mut words = line.split_whitespace();
                words.nth(1).is_some_and(|w| w.ends_with(&port)) && words.nth(1) == Some(state)
            });
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("output")).unwrap_or_default()
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its process; that of a program started by `ip netns exec` too, which becomes it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The calls in its log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<Vec<Value>> {
        super::objects(&std::fs::read_to_string(self.dir.path().join("calls"))?)
    }

    /// nginx with files of several sizes: `/file/NAME/ID` and `/gzip/NAME/ID` answer with them,
    /// `/missing/ID` with 404, `/broken/ID` with 500, `/post/ID` with 200.
    ///
    /// # Errors
    /// When it does not start.
    pub fn nginx(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-nginx-")?;
        let www = dir.path().join("www");
        std::fs::create_dir(&www)?;
        let line = "Every line of this file is the same, and compresses well.\n";
        for (name, lines) in [("empty", 0), ("small", 1), ("medium", 400), ("large", 4_000)] {
            std::fs::write(www.join(format!("{name}.txt")), line.repeat(lines))?;
        }
        // Nothing but a length: the kernel makes the zeros as they are sent.
        std::fs::File::create(www.join("huge.txt"))?.set_len(1 << 30)?;
        let config = dir.path().join("nginx.conf");
        std::fs::write(&config, nginx_config(dir.path(), addresses, port))?;
        let mut command = netns::command(space, "nginx");
        command.arg("-e").arg(dir.path().join("errors")).arg("-c").arg(config);
        Self::start(command, dir, port)
    }

    /// nginx with TLS 1.2 and 1.3, HTTP/2 and a certificate of its own for `shop.example`, which it
    /// leaves as `certificate.pem` in its directory.
    ///
    /// # Errors
    /// When it does not start.
    pub fn nginx_tls(address: &str, port: u16) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-nginx-")?;
        let mut openssl = Command::new("openssl");
        openssl.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
        ]);
        openssl.args(["-subj", "/O=Example/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example"]);
        openssl.arg("-keyout").arg(dir.path().join("key.pem"));
        output(openssl.arg("-out").arg(dir.path().join("certificate.pem")))?;
        let config = dir.path().join("nginx.conf");
        let d = dir.path().display();
        let text = format!(
            "user root; daemon off; worker_processes 1; pid {d}/pid; error_log {d}/errors; events {{}}\n\
             http {{ access_log off; client_body_temp_path {d}/body; proxy_temp_path {d}/proxy;\n\
             fastcgi_temp_path {d}/fastcgi; uwsgi_temp_path {d}/uwsgi; scgi_temp_path {d}/scgi;\n\
             ssl_certificate {d}/certificate.pem; ssl_certificate_key {d}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;\n\
             server {{ listen {address}:{port} ssl http2; location / {{ return 200 \"hello\"; }} }} }}\n"
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new("nginx");
        command.arg("-e").arg(dir.path().join("errors")).arg("-c").arg(config);
        Self::start(command, dir, port)
    }

    /// The server of `programs/server.js`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn node(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        Self::script("node", "server.js", include_str!("../../programs/server.js"), space, addresses, port)
    }

    /// The server of `programs/http2-server.js`, which speaks HTTP/2 and gRPC.
    ///
    /// # Errors
    /// When it does not start.
    pub fn http2(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        let source = include_str!("../../programs/http2-server.js");
        Self::script("node", "http2-server.js", source, space, addresses, port)
    }

    /// The server of `programs/server.py`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn python(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        Self::script("python3", "server.py", include_str!("../../programs/server.py"), space, addresses, port)
    }

    fn script(
        program: &str,
        name: &str,
        source: &str,
        space: Option<&str>,
        addresses: &[&str],
        port: u16,
    ) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-server-")?;
        let file = dir.path().join(name);
        std::fs::write(&file, source)?;
        let mut command = netns::command(space, program);
        command.arg(file).arg(dir.path().join("calls")).arg(port.to_string()).args(addresses);
        std::fs::write(dir.path().join("calls"), "")?;
        Self::start(command, dir, port)
    }

    /// redis-server without persistence.
    ///
    /// # Errors
    /// When it does not start.
    pub fn redis(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-redis-")?;
        let mut command = netns::command(space, "redis-server");
        command.args(["--save", "", "--protected-mode", "no", "--port", &port.to_string()]);
        command.arg("--dir").arg(dir.path()).arg("--bind").args(addresses);
        Self::start(command, dir, port)
    }

    /// memcached, over TCP alone.
    ///
    /// # Errors
    /// When it does not start.
    pub fn memcached(space: Option<&str>, address: &str, port: u16) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-memcached-")?;
        let mut command = netns::command(space, "memcached");
        command.args(["-u", "nobody", "-U", "0", "-l", address, "-p", &port.to_string()]);
        Self::start(command, dir, port)
    }

    /// PostgreSQL with an empty database `shop`, to which the user `postgres` is let in without a
    /// password and nobody else.
    ///
    /// # Errors
    /// When it does not start.
    pub fn postgresql(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        let programs = postgresql_programs().context("PostgreSQL is not installed")?;
        let dir = TempDir::with_prefix("remora-postgresql-")?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data)?;
        output(Command::new("chown").args(["postgres", "-R"]).arg(dir.path()))?;
        // It refuses to run as root.
        let as_postgres = |space: Option<&str>, program: &str| {
            let mut command = netns::command(space, "runuser");
            command.args(["-u", "postgres", "--"]).arg(programs.join(program)).arg("-D").arg(&data);
            command.current_dir(dir.path());
            command
        };
        output(as_postgres(None, "initdb").args(["-A", "trust", "-E", "UTF8", "--locale=C"]))?;
        let access = "local all all trust\nhost all postgres all trust\n";
        std::fs::write(data.join("pg_hba.conf"), access)?;
        // A server of one user makes the database; its mode has to be the first argument.
        let mut single = Command::new("runuser")
            .args(["-u", "postgres", "--"])
            .arg(programs.join("postgres"))
            .args(["--single", "-D"])
            .arg(&data)
            .arg("postgres")
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        single.stdin.take().context("no input")?.write_all(b"CREATE DATABASE shop\n")?;
        anyhow::ensure!(single.wait()?.success(), "the database cannot be made");
        let mut command = as_postgres(space, "postgres");
        command.args(["-p", &port.to_string(), "-c", "fsync=off", "-c"]);
        command.arg(format!("listen_addresses={}", addresses.join(",")));
        command.arg("-c").arg(format!("unix_socket_directories={}", dir.path().display()));
        Self::start(command, dir, port)
    }

    /// MariaDB with an empty database `shop`, to which `root` is let in from everywhere.
    ///
    /// # Errors
    /// When it does not start.
    pub fn mariadb(space: Option<&str>, address: &str, port: u16) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-mariadb-")?;
        let data = dir.path().join("data");
        let mut install = Command::new("mariadb-install-db");
        install.args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal"]);
        output(install.arg(format!("--datadir={}", data.display())))?;
        let init = dir.path().join("init.sql");
        std::fs::write(
            &init,
            "CREATE DATABASE shop;\nCREATE USER root@'%';\nGRANT ALL ON *.* TO root@'%';\n",
        )?;
        let mut command = netns::command(space, "mariadbd");
        command.args([
            "--no-defaults",
            "--user=root",
            "--skip-name-resolve",
            "--bind-address",
            address,
            "--port",
        ]);
        command.arg(port.to_string());
        for (option, file) in
            [("datadir", "data"), ("socket", "socket"), ("pid-file", "pid"), ("init-file", "init.sql")]
        {
            command.arg(format!("--{option}={}", dir.path().join(file).display()));
        }
        Self::start(command, dir, port)
    }

    /// dnsmasq that knows a few names under `e2e.example` and asks nobody.
    ///
    /// # Errors
    /// When it does not start.
    pub fn dnsmasq(space: Option<&str>, addresses: &[&str], port: u16) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-dnsmasq-")?;
        let mut config = format!(
            "port={port}\nno-resolv\nno-hosts\nno-daemon\nbind-interfaces\nlocal=/e2e.example/\nlog-queries\n\
             pid-file=\naddress=/www.e2e.example/192.0.2.80\naddress=/www.e2e.example/2001:db8::80\n\
             host-record=real.e2e.example,192.0.2.81\ncname=alias.e2e.example,real.e2e.example\n\
             txt-record=text.e2e.example,some text\nmx-host=mail.e2e.example,real.e2e.example,10\n"
        );
        for address in addresses {
            config.push_str(&format!("listen-address={address}\n"));
        }
        let file = dir.path().join("dnsmasq.conf");
        std::fs::write(&file, config)?;
        let mut command = netns::command(space, "dnsmasq");
        command.arg(format!("--conf-file={}", file.display())).arg("--user=root");
        Self::start(command, dir, port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM lets nginx end its workers.
        _ = output(Command::new("kill").arg(self.child.id().to_string()));
        let ended =
            wait_for("the end of a server", || Ok(self.child.try_wait()?.map(drop).ok_or_else(String::new)));
        if ended.is_err() {
            _ = self.child.kill();
            _ = self.child.wait();
        }
    }
}

/// Where PostgreSQL's own programs are: Debian keeps them out of the search path.
#[must_use]
pub fn postgresql_programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.filter_map(|v| Some(v.ok()?.path().join("bin"))));
    }
    places.into_iter().find(|dir| dir.join("initdb").is_file() && dir.join("postgres").is_file())
}

/// Writes a program of `programs/` into a directory.
///
/// # Errors
/// When it cannot be written.
pub fn program(dir: &Path, name: &str) -> Result<PathBuf> {
    let source = match name {
        "load.py" => include_str!("../../programs/load.py"),
        "load.js" => include_str!("../../programs/load.js"),
        "http2-load.js" => include_str!("../../programs/http2-load.js"),
        _ => bail!("there is no program {name}"),
    };
    let file = dir.join(name);
    std::fs::write(&file, source)?;
    Ok(file)
}

fn nginx_config(dir: &Path, addresses: &[&str], port: u16) -> String {
    let dir = dir.display();
    let listen: String =
        addresses
            .iter()
            .map(|a| {
                if a.contains(':') {
                    format!("listen [{a}]:{port}; ")
                } else {
                    format!("listen {a}:{port}; ")
                }
            })
            .collect();
    format!(
        r#"user root; daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/errors;
events {{ worker_connections 1024; }}
http {{
  log_format calls escape=json '{{"method":"$request_method","path":"$request_uri","status":$status,'
    '"bytes":$bytes_sent,"body":$body_bytes_sent,"request_bytes":$request_length,"time":$request_time}}';
  access_log {dir}/calls calls;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  default_type text/plain; keepalive_requests 1000000; root {dir}/www;
  server {{
    {listen}
    location /file/ {{ rewrite ^/file/([a-z]+)/ /$1.txt break; }}
    location /gzip/ {{ gzip on; gzip_min_length 1; rewrite ^/gzip/([a-z]+)/ /$1.txt break; gzip_types text/plain; }}
    location /missing/ {{ return 404 "nothing is here\n"; }}
    location /broken/ {{ return 500 "broken\n"; }}
    location /post/ {{ return 200 "taken\n"; }}
  }}
}}
"#
    )
}
