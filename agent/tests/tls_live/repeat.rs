//! Attaching and detaching under load.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};
use crate::programs::{hooked, lacks, listens, nginx, site};

/// Times that the agent comes and goes, unless the environment variable `REMORA_TLS_TURNS` sets another
/// number.
const TIMES: usize = 5;

/// Probes and programs that this process has in the kernel: both are gone when their descriptors are
/// closed.
fn held() -> usize {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_held = |e: &std::fs::DirEntry| {
        let target = std::fs::read_link(e.path()).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        target.contains("perf_event") || target.contains("bpf-prog") || target.contains("bpf-map")
    };
    fds.filter(is_held).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_server_does_not_notice() {
    let test = "a_busy_server_does_not_notice";
    if lacks(test, &["curl", "nginx", "openssl"]) {
        return;
    }
    let dir = site();
    let (hub, port) = (Hub::default(), free_port());
    let server = nginx(dir.path(), port);
    listens(&hub, port).await;
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU64::new(0));
    let (until, count) = (Arc::clone(&stop), Arc::clone(&asked));
    let load = std::thread::spawn(move || {
        let mut failed = 0;
        while !until.load(Ordering::Relaxed) {
            let url = format!("https://127.0.0.1:{port}/page?[1-50]");
            let mut curl = Command::new("curl");
            curl.args(["-skf", "--http1.1", "--max-time", "20", "-o", "/dev/null", &url]);
            let ok = curl.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success();
            failed += usize::from(!ok);
            count.fetch_add(50, Ordering::Relaxed);
        }
        failed
    });
    let times = std::env::var("REMORA_TLS_TURNS").ok().and_then(|n| n.parse().ok()).unwrap_or(TIMES);
    for turn in 0..times {
        let hub = Hub::default();
        let Some(agent) =
            start(test, &[port], hub.transport(), |config| config.tls.keep_system_libraries = turn % 2 == 0)
        else {
            stop.store(true, Ordering::Relaxed);
            load.join().unwrap();
            return;
        };
        hooked(&hub, &agent, server.pid()).await;
        assert!(held() > 0);
        let before = asked.load(Ordering::Relaxed);
        hub.until("it serves on", |_| asked.load(Ordering::Relaxed) > before).await;
        agent.shutdown(Duration::from_secs(30)).await;
        assert_eq!(held(), 0, "probes, programs or maps are left");
    }
    let before = asked.load(Ordering::Relaxed);
    hub.until("it serves on", |_| asked.load(Ordering::Relaxed) > before + 50).await;
    stop.store(true, Ordering::Relaxed);
    assert_eq!(load.join().unwrap(), 0, "requests have failed");
}
