//! curl asks, python answers.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use remora_model::Table;

use crate::hub::{Hub, Row, free_port, start};

/// A server that is gone when dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn serve(prefix: &[&str], address: &str, port: u16, dir: &std::path::Path) -> Server {
    let port = port.to_string();
    let mut words = prefix.to_vec();
    words.extend(["python3", "-m", "http.server", "--bind", address, &port]);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    Server(command.spawn().unwrap())
}

fn ask(prefix: &[&str], url: &str) -> bool {
    let mut words = prefix.to_vec();
    words.extend(["curl", "-s", "-o", "/dev/null", "--max-time", "10", url]);
    Command::new(words[0]).args(&words[1..]).status().unwrap().success()
}

fn check(row: &Row, path: &str, status: &str) {
    let at = |name: &str| row.get(name).map_or("(null)", String::as_str);
    assert_eq!(at("method"), "GET");
    assert_eq!(at("path"), path);
    assert_eq!(at("status_code"), status, "{row:#?}");
    assert_eq!(at("protocol"), "http");
    assert_eq!(at("node_name"), "test-node");
    assert_eq!(at("capture_source"), "ebpf");
    assert_eq!(at("src.process"), "curl", "{row:#?}");
    assert!(at("dst.process").starts_with("python3"), "{row:#?}");
    assert!(at("src.cgroup").starts_with('/') && at("dst.cgroup").starts_with('/'), "{row:#?}");
    assert!(at("elapsed_time").parse::<i64>().unwrap() >= 0);
    assert!(at("id").parse::<i64>().unwrap() < 1 << 53);
    assert_eq!(row.get("incomplete"), None, "{row:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_loopback_arrive_with_their_owners() {
    let test = "calls_on_loopback_arrive_with_their_owners";
    if !has("curl") || !has("python3") {
        eprintln!("SKIPPED: {test}: curl or python3 is missing");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("page"), "a page\n".repeat(2_000)).unwrap();
    let (hub, port) = (Hub::default(), free_port());
    let Some(agent) = start(test, &[port], hub.transport(), |_| {}) else { return };
    let server = serve(&[], "127.0.0.1", port, dir.path());
    hub.until("the server listens", |_| TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    for i in 0..20 {
        assert!(ask(&[], &format!("http://127.0.0.1:{port}/page?n={i}")));
        assert!(ask(&[], &format!("http://127.0.0.1:{port}/missing-{i}")));
    }
    hub.until("all calls arrive", |h| h.calls(port).len() >= 40).await;
    hub.until("flows are closed", |h| {
        h.rows(Table::Flows).iter().filter(|r| r.get("conn_state").is_some_and(|s| s == "closed")).count()
            >= 40
    })
    .await;
    let calls = hub.calls(port);
    assert_eq!(calls.len(), 40);
    let urls: BTreeSet<&String> = calls.iter().filter_map(|r| r.get("url")).collect();
    assert_eq!(urls.len(), 40);
    for row in &calls {
        let (path, status) = (row["path"].clone(), if row["path"] == "/page" { "200" } else { "404" });
        check(row, &path, status);
        assert_eq!(row["dst.pid"], server.0.id().to_string());
        if status == "200" {
            assert_eq!(row["response_body_size"], "14000");
            assert!(row["response.body"].starts_with("a page\na page\n"));
        }
    }
    let ids: BTreeSet<&String> = calls.iter().map(|r| &r["id"]).collect();
    assert_eq!(ids.len(), 40);
    hub.until("coverage arrives", |h| {
        h.rows(Table::Coverage).iter().any(|r| r["stage"] == "captured" && r["count"] != "0")
    })
    .await;
    hub.until("the status arrives", |h| h.status().is_some_and(|s| s["capture"]["rings"].is_number())).await;
    let summary = agent.shutdown(Duration::from_secs(30)).await;
    assert!(summary.delivered, "{summary:?}");
    assert_eq!(hub.calls(port).len(), 40, "the end of the agent invents no calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_between_namespaces_arrive_once() {
    let test = "calls_between_namespaces_arrive_once";
    if !has("curl") || !has("python3") {
        eprintln!("SKIPPED: {test}: curl or python3 is missing");
        return;
    }
    let names = Namespaces::new();
    let names = match names {
        Ok(names) => names,
        Err(reason) => {
            eprintln!("SKIPPED: {test}: {reason}");
            return;
        }
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("page"), "x").unwrap();
    let (hub, port) = (Hub::default(), free_port());
    let Some(agent) = start(test, &[port], hub.transport(), |_| {}) else { return };
    for (address, host) in [("10.214.0.1", "10.214.0.1"), ("fd00:5eee::1", "[fd00:5eee::1]")] {
        let before = hub.calls(port).len();
        let server = serve(&["ip", "netns", "exec", &names.0[0]], address, port, dir.path());
        let client = ["ip", "netns", "exec", &names.0[1]];
        let url = |i: usize| format!("http://{host}:{port}/page?n={i}");
        hub.until("the server listens", |_| ask(&client, &url(1_000))).await;
        for i in 0..10 {
            assert!(ask(&client, &url(i)));
        }
        let good = |r: &Row| r.get("url").is_some_and(|u| u != "/page?n=1000");
        hub.until("all calls arrive", |h| h.calls(port)[before..].iter().filter(|r| good(r)).count() >= 10)
            .await;
        let calls = hub.calls(port);
        let calls: Vec<&Row> = calls[before..].iter().filter(|r| good(r)).collect();
        assert_eq!(calls.len(), 10);
        for row in calls {
            check(row, "/page", "200");
            assert_eq!(row["dst.ip"], address);
        }
        drop(server);
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
}

/// Two network namespaces joined by a veth pair, gone when dropped.
struct Namespaces([String; 2]);

impl Namespaces {
    fn new() -> Result<Self, String> {
        let names = ["a", "b"].map(|side| format!("remora-agent-{side}{}", std::process::id()));
        let this = Self(names);
        let [a, b] = &this.0;
        for args in [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add veth0 netns {a} type veth peer name veth0 netns {b}"),
            format!("-n {a} addr add 10.214.0.1/24 dev veth0"),
            format!("-n {b} addr add 10.214.0.2/24 dev veth0"),
            format!("-n {a} addr add fd00:5eee::1/64 dev veth0 nodad"),
            format!("-n {b} addr add fd00:5eee::2/64 dev veth0 nodad"),
            format!("-n {a} link set veth0 up"),
            format!("-n {b} link set veth0 up"),
        ] {
            let out = Command::new("ip").args(args.split(' ')).output().map_err(|e| format!("ip: {e}"))?;
            if !out.status.success() {
                return Err(format!("ip {args}: {}", String::from_utf8_lossy(&out.stderr).trim()));
            }
        }
        Ok(this)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}
