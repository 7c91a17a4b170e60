//! One library after the other.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{
    Client, big, calls, check, curl, hooked, lacks, linked, listens, nginx, of, python_server, sha256, site,
    text,
};

const MIB: u32 = 1 << 20;

/// OpenSSL in a client that is gone before anybody can look, and in a server with several processes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_and_nginx() {
    let test = "curl_and_nginx";
    if lacks(test, &["curl", "nginx", "openssl", "sha256sum"]) {
        return;
    }
    let dir = site();
    let hash = big(dir.path(), "big", 5_000_000);
    let page = sha256(&dir.path().join("page"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 * MIB;
        config.tls.call_budget = Some(8 * MIB);
    });
    let Some(agent) = agent else { return };
    let server = nginx(dir.path(), port);
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let paths: Vec<String> =
        (0..20).map(|i| if i % 10 == 9 { format!("/big?{i}") } else { format!("/page?{i}") }).collect();
    let client = curl(port, &paths);
    let rows = calls(&hub, port, "http", 20).await;
    let urls: BTreeSet<&str> = rows.iter().map(|r| text(r, "url")).collect();
    assert_eq!(urls, paths.iter().map(String::as_str).collect());
    for row in &rows {
        check(row, &client, &["nested_io", "descriptor"]);
        let wanted = if text(row, "path") == "/big" { &hash } else { &page };
        assert_eq!(text(row, "response_body_sha256"), wanted, "{row:#?}");
        assert_eq!(text(row, "src.process"), "curl", "{row:#?}");
        assert_eq!(text(row, "dst.process"), "nginx", "{row:#?}");
    }
    hub.until("the handshake arrives", |h| !of(h, port, "tlsx").is_empty()).await;
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    assert_eq!(rows.len(), 20, "each call is told once");
    linked(&hub, port, &rows);
}

/// The functions with `_ex`, from many threads and connections at once, in both directions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_with_many_connections() {
    let test = "python_with_many_connections";
    if lacks(test, &["python3", "openssl"]) {
        return;
    }
    let dir = site();
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 * MIB;
        config.tls.call_budget = Some(8 * MIB);
    });
    let Some(agent) = agent else { return };
    let server = python_server(dir.path(), port);
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let mut threads = Vec::new();
    for n in 0..12_usize {
        threads.push(std::thread::spawn(move || {
            let mut client = Client::connect(port);
            let mut sent = Vec::new();
            for i in 0..10_usize {
                let size = if i == 5 && n < 2 { 5_000_000 } else { 100 + n * 1_111 + i * 5_555 };
                let (path, hash) = client.ask(&format!("post {size}"));
                sent.push((client.port.clone(), path, hash));
            }
            client.close();
            sent
        }));
    }
    let sent: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    let rows = calls(&hub, port, "http", sent.len()).await;
    let odd: Vec<_> = rows.iter().filter(|r| r.contains_key("incomplete")).collect();
    assert!(odd.is_empty(), "{odd:#?} {:#?}", hub.status());
    assert_eq!(rows.len(), sent.len());
    for (client, path, hash) in &sent {
        let row =
            rows.iter().find(|r| text(r, "path") == path).unwrap_or_else(|| panic!("no call for {path}"));
        check(row, client, &["nested_io"]);
        assert_eq!(text(row, "request_body_sha256"), hash, "{row:#?}");
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    assert_eq!(rows.len(), sent.len(), "each call is told once");
    linked(&hub, port, &rows);
}

/// GnuTLS, in a client that is gone before anybody can look; the server is not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wget_with_gnutls() {
    let test = "wget_with_gnutls";
    if lacks(test, &["wget", "nginx", "openssl", "sha256sum"]) {
        return;
    }
    let dir = site();
    let hash = big(dir.path(), "big", 2_000_000);
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        config.tls.only_processes = vec!["wget".to_owned()];
        config.tls.ring_bytes = 64 * MIB;
    });
    let Some(agent) = agent else { return };
    let server = nginx(dir.path(), port);
    listens(&hub, port).await;
    hooked(&hub, &agent, server.pid()).await;
    let mut wget = std::process::Command::new("wget");
    wget.args(["-q", "--no-check-certificate", "-O", "/dev/null"]);
    wget.args((0..5).map(|i| format!("https://127.0.0.1:{port}/big?{i}")));
    assert!(wget.status().unwrap().success());
    for row in calls(&hub, port, "http", 5).await {
        let client = text(&row, "src.port").to_owned();
        check(&row, &client, &["nested_io", "descriptor"]);
        assert_eq!(text(&row, "response_body_sha256"), hash, "{row:#?}");
        assert_eq!(text(&row, "src.process"), "wget", "{row:#?}");
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    assert_eq!(rows.len(), 5, "each call is told once");
    linked(&hub, port, &rows);
}
