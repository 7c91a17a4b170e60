//! The servers of the matrix.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cell::{Cell, Protocol, Server};
use super::databases;
use super::lab::{Lab, Served};

/// Starts the server of a cell on a port. Those that are of this test's own write to `log`.
pub(super) fn start(lab: &Lab, cell: &Cell, port: u16, log: &Path, watched: bool) -> Result<Served, String> {
    let number = port.to_string();
    let own = |mut command: Command, words: &[&str]| {
        command.args(words).arg(&number).arg(log);
        command
    };
    let command = match cell.server {
        Server::Node => own(lab.command("node", watched), &["server.js"]),
        Server::Python => own(lab.command(lab.python(), watched), &["server.py"]),
        Server::Grpc => own(lab.command(lab.python(), watched), &["rpc.py", "serve"]),
        Server::Go(form) => own(lab.command(lab.go(form), watched), &["serve"]),
        Server::Nginx => nginx(lab, port, watched),
        Server::Lighttpd(module) => lighttpd(lab, port, module, watched),
        Server::Envoy => envoy(lab, port)?,
        Server::GnutlsServ => {
            let mut command = lab.command("gnutls-serv", watched);
            command.args(["--http", "--disable-client-cert", "--x509keyfile", "key.pem"]);
            command.args(["--x509certfile", "cert.pem", "-p", &number]);
            command
        }
        Server::Selfserv => {
            let store = certificates(lab)?;
            let mut command = lab.command("selfserv", watched);
            command.args(["-d", &store, "-n", "remora", "-V", "tls1.2:", "-p", &number]);
            command
        }
        Server::Postgresql => databases::postgresql(lab, port, watched)?,
        Server::Mariadb => databases::mariadb(lab, port, watched)?,
        Server::Redis => databases::redis(lab, port, watched),
    };
    let served = Served::start(command, lab.path().join(format!("errors.{port}")))?;
    if cell.server == Server::Postgresql {
        databases::postgresql_is_ready(lab, port)?;
    }
    Ok(served)
}

fn nginx(lab: &Lab, port: u16, watched: bool) -> Command {
    let d = lab.path().display();
    let conf = format!(
        "daemon off; worker_processes 2; pid {d}/nginx.pid; error_log {d}/nginx.log; user root;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {d}; proxy_temp_path {d}; fastcgi_temp_path {d};\n\
         uwsgi_temp_path {d}; scgi_temp_path {d};\n\
         server {{ listen 127.0.0.1:{port} ssl http2; ssl_certificate {d}/cert.pem;\n\
         ssl_certificate_key {d}/key.pem; location / {{ root {d}; }} }} }}\n"
    );
    let file = lab.path().join("nginx.conf");
    std::fs::write(&file, conf).unwrap();
    let mut command = lab.command("nginx", watched);
    command.arg("-p").arg(lab.path()).arg("-c").arg(file);
    command
}

fn lighttpd(lab: &Lab, port: u16, module: &str, watched: bool) -> Command {
    let d = lab.path().display();
    let conf = format!(
        "server.modules = (\"mod_{module}\")\nserver.document-root = \"{d}\"\nserver.bind = \"127.0.0.1\"\n\
         server.port = {port}\nssl.engine = \"enable\"\nssl.pemfile = \"{d}/cert.pem\"\n\
         ssl.privkey = \"{d}/key.pem\"\nmimetype.assign = (\"\" => \"text/plain\")\n"
    );
    let file = lab.path().join(format!("lighttpd.{module}.conf"));
    std::fs::write(&file, conf).unwrap();
    let mut command = lab.command("lighttpd", watched);
    command.arg("-D").arg("-f").arg(file);
    command
}

/// Envoy by itself: it answers with what it has read from files.
fn envoy(lab: &Lab, port: u16) -> Result<Command, String> {
    let d = lab.path().display();
    let types = "type.googleapis.com/envoy.extensions";
    let conf = format!(
        r#"static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": {types}.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - {{certificate_chain: {{filename: {d}/cert.pem}}, private_key: {{filename: {d}/key.pem}}}}
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {types}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: matrix
          route_config:
            max_direct_response_body_size_bytes: 8000000
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /big}}
                direct_response: {{status: 200, body: {{filename: {d}/big}}}}
              - match: {{prefix: /}}
                direct_response: {{status: 200, body: {{filename: {d}/page}}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": {types}.filters.http.router.v3.Router}}
"#
    );
    let file = lab.path().join("envoy.yaml");
    std::fs::write(&file, conf).unwrap();
    let find = "import envoy, os; print(os.path.join(envoy.__path__[0], '_bin', 'envoy'))";
    let found = Command::new(lab.python()).args(["-c", find]).current_dir("/").output().unwrap();
    let path = String::from_utf8(found.stdout).unwrap();
    let path = PathBuf::from(path.trim());
    if !path.is_file() {
        return Err(format!("there is no {}", path.display()));
    }
    let mut command = lab.command(path, true);
    command.args(["--concurrency", "2", "--disable-hot-restart", "-l", "warning", "-c"]).arg(file);
    Ok(command)
}

/// A store of NSS with the site's certificate.
pub(super) fn certificates(lab: &Lab) -> Result<String, String> {
    let dir = lab.path().join("nss");
    let store = format!("sql:{}", dir.display());
    if dir.exists() {
        return Ok(store);
    }
    std::fs::create_dir(&dir).unwrap();
    let run = |program: &str, words: &[&str]| {
        let mut command = lab.command(program, true);
        let done = command.args(words).stdin(Stdio::null()).output().unwrap();
        if done.status.success() { Ok(()) } else { Err(format!("{command:?}: {done:?}")) }
    };
    run("certutil", &["-N", "-d", &store, "--empty-password"])?;
    let pack = ["pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-name", "remora"];
    run("openssl", &[&pack[..], &["-out", "pair.p12", "-passout", "pass:x"]].concat())?;
    run("pk12util", &["-i", "pair.p12", "-d", &store, "-W", "x"])?;
    Ok(store)
}

/// What a client has to say to choose the protocol, in the words of this test's own clients.
pub(super) fn version(cell: &Cell) -> &'static str {
    if cell.protocol == Protocol::Http2 { "h2" } else { "h1" }
}
