//! What the packet ring gives back, against tcpdump and before tshark.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use remora_agent::ring::{ExportOptions, ExportReport, FlowKey, Flows, Ring, RingConfig};
use remora_model::Table;

use crate::hub::{Hub, Row, free_port, start};

/// A process that is told to end when dropped, and waited for.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        _ = self.0.wait();
    }
}

/// nginx with a page, in clear and over TLS.
fn nginx(dir: &Path, [clear, tls]: [u16; 2]) -> Running {
    let key =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let made = Command::new("openssl")
        .args(key)
        .args(["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let root = dir.display();
    let config = format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/errors;\n\
         events {{}}\n\
         http {{ access_log off; client_body_temp_path {root}/t; proxy_temp_path {root}/t; fastcgi_temp_path {root}/t;\n\
         uwsgi_temp_path {root}/t; scgi_temp_path {root}/t; default_type text/plain;\n\
         server {{ listen 127.0.0.1:{clear}; listen 127.0.0.1:{tls} ssl; root {root};\n\
         ssl_certificate cert.pem; ssl_certificate_key key.pem; }} }}\n"
    );
    std::fs::write(dir.join("nginx.conf"), config).unwrap();
    let child = Command::new("nginx").arg("-c").arg(dir.join("nginx.conf")).stderr(Stdio::null()).spawn();
    Running(child.unwrap())
}

/// A recording that has begun.
fn tcpdump(file: &Path, port: u16) -> Running {
    let mut child = Command::new("tcpdump")
        .args(["-i", "lo", "-U", "--immediate-mode", "-s0", "-w"])
        .arg(file)
        .args(["port", &port.to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun =
        BufReader::new(child.stderr.take().unwrap()).lines().any(|l| l.unwrap().contains("listening on"));
    assert!(begun);
    Running(child)
}

fn fields(file: &Path, filter: &str, names: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-o", "tcp.relative_sequence_numbers:FALSE", "-Y", filter, "-T", "fields"]);
    for name in names {
        command.args(["-e", name]);
    }
    let out = command.arg("-r").arg(file).output().unwrap();
    let complaints = String::from_utf8_lossy(&out.stderr).into_owned();
    let complaints: Vec<_> = complaints.lines().filter(|l| !l.starts_with("Running as user")).collect();
    assert!(out.status.success() && complaints.is_empty(), "{complaints:?}");
    String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect()
}

fn curl(url: &str, local_port: u16, key_log: Option<&Path>) -> String {
    let mut command = Command::new("curl");
    command.args(["-sk", "--http1.1", "--max-time", "20", "--local-port", &local_port.to_string(), url]);
    if let Some(file) = key_log {
        command.env("SSLKEYLOGFILE", file);
    }
    let out = command.output().unwrap();
    assert!(out.status.success(), "{url}");
    String::from_utf8(out.stdout).unwrap()
}

fn export(ring: &Ring, file: &Path, ends: [u16; 2]) -> ExportReport {
    let [a, b] = ends.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let flows = Flows::Only(vec![FlowKey::new(6, a, b).into()]);
    let export = ring.export(ExportOptions { flows, ..ExportOptions::default() });
    export.write_to(&mut std::fs::File::create(file).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_has_the_packets_of_a_connection() {
    let test = "an_export_has_the_packets_of_a_connection";
    for tool in ["curl", "nginx", "openssl", "tcpdump", "tshark"] {
        if Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            eprintln!("SKIPPED: {test}: {tool} is not installed");
            return;
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let page = "a line of a page\n".repeat(4_000);
    std::fs::write(dir.path().join("page"), &page).unwrap();
    let (hub, ports) = (Hub::default(), [free_port(), free_port()]);
    let data = dir.path().join("data");
    let agent = start(test, &ports, hub.transport(), |c| {
        c.data_dir = Some(data.clone());
        // The secrets come from the client here.
        c.tls.enabled = false;
    });
    let Some(agent) = agent else { return };
    let _server = nginx(dir.path(), ports);
    let listens = |_: &Hub| ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
    hub.until("the server listens", listens).await;
    let wire = dir.path().join("wire.pcap");
    let recorder = tcpdump(&wire, ports[0]);
    let key_log = dir.path().join("keys");
    let local = [free_port(), free_port(), free_port()];
    assert_eq!(curl(&format!("http://127.0.0.1:{}/page", ports[0]), local[0], None), page);
    assert_eq!(curl(&format!("http://127.0.0.1:{}/page?other", ports[0]), local[1], None), page);
    assert_eq!(curl(&format!("https://127.0.0.1:{}/page", ports[1]), local[2], Some(&key_log)), page);
    for line in std::fs::read_to_string(&key_log).unwrap().lines().filter(|l| !l.starts_with('#')) {
        agent.secret(line).unwrap();
    }

    // The end of a connection is in the ring once it has ended for the hub and the agent has stopped.
    hub.until("the connections have ended", |h| {
        let ended = |row: &Row| row.get("conn_state").is_some_and(|s| s == "closed");
        let ports: BTreeSet<_> = h
            .rows(Table::Flows)
            .iter()
            .filter(|r| ended(r))
            .filter_map(|r| r.get("src.port").cloned())
            .collect();
        local.iter().all(|port| ports.contains(&port.to_string()))
    })
    .await;
    let ended = format!("tcp.port == {} && tcp.flags.fin == 1", local[0]);
    hub.until("tcpdump has them too", |_| fields(&wire, &ended, &["tcp.seq"]).len() == 2).await;
    drop(recorder);
    let status = agent.status();
    assert_eq!(status["packets"]["on"], true, "{status:#}");
    assert!(agent.export(ExportOptions::default()).is_some());
    let summary = agent.shutdown(Duration::from_secs(30)).await;
    assert!(summary.delivered, "{summary:?}");
    let ring = Ring::open(&RingConfig::new(data.join("packets"))).unwrap();

    // Its packets but for bare acknowledgements, each once, as tcpdump saw them.
    let carries = "(tcp.len > 0 || tcp.flags & 7)";
    let file = dir.path().join("one.pcapng");
    export(&ring, &file, [local[0], ports[0]]);
    let columns = ["tcp.srcport", "tcp.dstport", "tcp.seq", "tcp.len", "tcp.flags", "ip.len", "tcp.payload"];
    let wanted = fields(&wire, &format!("tcp.port == {} && {carries}", local[0]), &columns);
    let got = fields(&file, "tcp", &columns);
    assert!(got.len() > 6);
    assert_eq!(got, wanted);
    let answer = fields(&file, "http", &["http.request.method", "http.response.code", "http.content_length"]);
    assert_eq!(answer, ["GET\t\t".to_owned(), format!("\t200\t{}", page.len())]);

    // With its secrets the other one can be read as well.
    let file = dir.path().join("tls.pcapng");
    assert!(export(&ring, &file, [local[2], ports[1]]).secrets > 0);
    assert_eq!(fields(&file, "http.response", &["http.content_length"]), [page.len().to_string()]);
}
