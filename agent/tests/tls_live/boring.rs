//! BoringSSL in programs without symbols: its functions are found by a guess, and believed once their calls
//! look right. grpcio carries the encrypted bytes to the library itself, Envoy lets it read and write.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{
    Running, big, calls, check, checked, curl, hooked, lacks, linked, listens, of, sha256, site, text,
};

/// The interpreter that has what `tests/requirements.txt` names, with `module` in it.
fn python(test: &str, module: &str) -> Option<PathBuf> {
    let path = std::env::var_os("REMORA_PYTHON").map(PathBuf::from).filter(|path| path.is_file());
    let has = |path: &PathBuf| {
        let mut import = Command::new(path);
        import.args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status().unwrap().success()
    };
    let path = path.filter(has);
    if path.is_none() {
        eprintln!("SKIPPED: {test}: REMORA_PYTHON does not name a Python with {module}");
    }
    path
}

/// Another certificate for the same name, in the form that BoringSSL looks at.
fn certify(dir: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}

const GRPC_SERVER: &str = r#"
import sys, hashlib, grpc
from concurrent import futures
open("/proc/self/comm", "w").write("grpc-server")
def answer(request, context):
    return context.peer().split(":")[-1].encode() + b" " + hashlib.sha256(request).hexdigest().encode() + b" " + request
class Any(grpc.GenericRpcHandler):
    def service(self, details): return grpc.unary_unary_rpc_method_handler(answer)
s = grpc.server(futures.ThreadPoolExecutor(8), handlers=(Any(),), options=[("grpc.max_receive_message_length", -1)])
pair = (open("key.pem", "rb").read(), open("cert.pem", "rb").read())
s.add_secure_port("127.0.0.1:" + sys.argv[1], grpc.ssl_server_credentials([pair])); s.start(); s.wait_for_termination()
"#;

/// Prints the method and its own port of each call.
const GRPC_CLIENT: &str = r#"
import sys, hashlib, threading, grpc
open("/proc/self/comm", "w").write("grpc-client")
trust = grpc.ssl_channel_credentials(open("cert.pem", "rb").read())
options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
def ask(n):
    with grpc.secure_channel("localhost:" + sys.argv[1], trust, options) as channel:
        for i in range(5):
            body = b"%d.%d " % (n, i) * (300000 if i == 3 else 20)
            method = "/remora.Test/Call%d_%d" % (n, i)
            port, digest, back = channel.unary_unary(method)(body).split(b" ", 2)
            assert back == body and digest.decode() == hashlib.sha256(body).hexdigest()
            sys.stdout.write("%s %s\n" % (method, port.decode())); sys.stdout.flush()
threads = [threading.Thread(target=ask, args=(n,)) for n in range(int(sys.argv[2]))]
[t.start() for t in threads]; [t.join() for t in threads]
"#;

async fn grpc(test: &str, watched: &[&str]) {
    if lacks(test, &["openssl"]) {
        return;
    }
    let Some(python) = python(test, "grpc") else { return };
    let dir = site();
    certify(dir.path());
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.call_budget = Some(8 << 20);
        config.tls.only_processes = watched.iter().map(|&name| name.to_owned()).collect();
    });
    let Some(agent) = agent else { return };
    let mut command = Command::new(&python);
    command.args(["-c", GRPC_SERVER, &port.to_string()]).current_dir(dir.path());
    let server = Running(command.stdout(Stdio::null()).spawn().unwrap());
    listens(&hub, port).await;
    hooked_boring(&hub, &agent, server.pid()).await;
    let mut command = Command::new(&python);
    command.args(["-c", GRPC_CLIENT, &port.to_string(), "4"]).current_dir(dir.path());
    let out = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let told = String::from_utf8(out.stdout).unwrap();
    let rows = calls(&hub, port, "grpc", 20).await;
    for line in told.lines() {
        let (method, client) = line.split_once(' ').unwrap();
        let row =
            rows.iter().find(|r| text(r, "path") == method).unwrap_or_else(|| panic!("{method}: {rows:#?}"));
        check(row, client, &["adjacent_io", "nested_io"]);
    }
    checked(&hub, &agent, server.pid(), "BoringSSL").await;
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "grpc");
    assert_eq!(rows.len(), 20, "each call is told once");
    linked(&hub, port, &rows);
}

/// The process may use OpenSSL as well.
async fn hooked_boring(hub: &Hub, agent: &remora_agent::Agent, pid: u32) {
    let is_it = |s: &remora_agent::tls::TlsStatus| s.pid == pid && s.library == Some("BoringSSL") && s.hooked;
    hub.until(&format!("BoringSSL in process {pid} is probed"), |_| agent.tls().iter().any(is_it)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_as_server() {
    grpc("grpcio_as_server", &["grpc-server"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_as_client() {
    grpc("grpcio_as_client", &["grpc-client"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcio_at_both_ends() {
    grpc("grpcio_at_both_ends", &[]).await;
}

/// Envoy answers by itself, from files.
const ENVOY: &str = r#"
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: PORT } }
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_certificates:
            - { certificate_chain: { filename: cert.pem }, private_key: { filename: key.pem } }
      filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: it
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            max_direct_response_body_size_bytes: 8000000
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - { match: { path: /page }, direct_response: { status: 200, body: { filename: page } } }
              - { match: { path: /big }, direct_response: { status: 200, body: { filename: big } } }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy() {
    let test = "envoy";
    if lacks(test, &["curl", "openssl", "sha256sum"]) {
        return;
    }
    let Some(python) = python(test, "envoy") else { return };
    let found = Command::new(python).args(["-c", "import envoy; print(envoy.__path__[0])"]).output().unwrap();
    let program = Path::new(String::from_utf8(found.stdout).unwrap().trim()).join("_bin/envoy");
    let dir = site();
    let hash = big(dir.path(), "big", 3_000_000);
    let page = sha256(&dir.path().join("page"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.call_budget = Some(8 << 20);
        config.tls.only_processes = vec!["envoy".to_owned()];
    });
    let Some(agent) = agent else { return };
    std::fs::write(dir.path().join("envoy.yaml"), ENVOY.replace("PORT", &port.to_string())).unwrap();
    let mut command = Command::new(program);
    command.args(["-c", "envoy.yaml", "--concurrency", "2", "-l", "warn", "--disable-hot-restart"]);
    let server = Running(command.current_dir(dir.path()).stdout(Stdio::null()).spawn().unwrap());
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let clients: Vec<_> = (0..6)
        .map(|n| {
            std::thread::spawn(move || {
                let path = |i| if i == 3 { format!("/big?{n}.{i}") } else { format!("/page?{n}.{i}") };
                let paths: Vec<String> = (0..5).map(path).collect();
                (curl(port, &paths), paths)
            })
        })
        .collect();
    let asked: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    let rows = calls(&hub, port, "http", 30).await;
    for (client, paths) in &asked {
        for path in paths {
            let row = rows.iter().find(|r| text(r, "url") == path).unwrap();
            check(row, client, &["nested_io"]);
            let wanted = if path.starts_with("/big") { &hash } else { &page };
            assert_eq!(text(row, "response_body_sha256"), wanted, "{row:#?}");
        }
    }
    checked(&hub, &agent, server.pid(), "BoringSSL").await;
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    assert_eq!(rows.len(), 30, "each call is told once");
    linked(&hub, port, &rows);
}
