//! rustls: its own streams on threads, and tokio-rustls. The program is the example `rustls_peer`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{
    Running, big, calls, check, checked, curl, hooked, lacks, linked, listens, of, sha256, site, text,
};

/// Where cargo puts the example: `cargo test -p remora-agent` builds it, with `--test tls_live` alone it does not.
fn program() -> Option<PathBuf> {
    let here = std::env::current_exe().unwrap();
    let path = here.parent()?.parent()?.join("examples/rustls_peer");
    path.is_file().then_some(path)
}

fn ask(program: &Path, way: &str, port: u16, paths: &[String]) -> String {
    let out = Command::new(program).args([way, "ask", &port.to_string()]).args(paths).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

async fn serves(test: &str, way: &str) {
    if lacks(test, &["curl", "openssl", "sha256sum"]) {
        return;
    }
    let Some(program) = program() else {
        eprintln!("SKIPPED: {test}: cargo build -p remora-agent --example rustls_peer");
        return;
    };
    let dir = site();
    let hash = big(dir.path(), "big", 3_000_000);
    let page = sha256(&dir.path().join("page"));
    let (hub, port) = (Hub::default(), free_port());
    let agent = start(test, &[port], hub.transport(), |config| {
        config.capture.reading.bodies = "*=hash".parse().unwrap();
        // On a busy machine the reader comes late.
        config.tls.ring_bytes = 64 << 20;
        config.tls.only_processes = vec!["rustls_peer".to_owned()];
    });
    let Some(agent) = agent else { return };
    let mut command = Command::new(&program);
    command.args([way, "serve", &port.to_string()]).current_dir(dir.path());
    let server = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
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
    let mut asked: Vec<_> = clients.into_iter().map(|c| c.join().unwrap()).collect();
    calls(&hub, port, "http", 30).await;
    // The same program as client: both ends are watched.
    for n in 0..3 {
        let paths: Vec<String> = (0..5).map(|i| format!("/page?client.{n}.{i}")).collect();
        asked.push((ask(&program, way, port, &paths), paths));
    }
    calls(&hub, port, "http", 45).await;
    checked(&hub, &agent, server.pid(), "rustls").await;
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
    let rows = of(&hub, port, "http");
    for (client, paths) in &asked {
        for path in paths {
            let Some(row) = rows.iter().find(|r| text(r, "url") == path) else {
                let names = ["url", "src.port", "incomplete", "response_body_size", "corr_method"];
                let all: Vec<_> = rows.iter().map(|r| names.map(|name| text(r, name))).collect();
                panic!("no call for {path}: {all:#?}");
            };
            check(row, client, &["adjacent_io"]);
            let wanted = if path.starts_with("/big") { &hash } else { &page };
            assert_eq!(text(row, "response_body_sha256"), wanted, "{row:#?}");
        }
    }
    let urls: BTreeSet<&str> = rows.iter().map(|r| text(r, "url")).collect();
    assert_eq!((rows.len(), urls.len()), (45, 45), "each call is told once");
    linked(&hub, port, &rows);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rustls_on_threads() {
    serves("rustls_on_threads", "threads").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rustls_with_tokio() {
    serves("rustls_with_tokio", "tokio").await;
}
