//! Attaching and detaching under load.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::go::build;
use crate::hub::{Hub, free_port, start};
use crate::memory::{NODE_SERVER, run};
use crate::programs::{Running, hooked, lacks, listens, nginx, site};

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

/// Asks a server again and again until it is told to stop; the number of runs of curl that have failed.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: JoinHandle<usize>,
}

impl Load {
    fn on(port: u16) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
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
        Self { stop, asked, thread }
    }

    fn count(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_servers_do_not_notice() {
    let test = "busy_servers_do_not_notice";
    if lacks(test, &["curl", "go", "nginx", "node", "openssl"]) {
        return;
    }
    let dir = site();
    let hub = Hub::default();
    let ports = [free_port(), free_port(), free_port()];
    let go = build(dir.path(), "-s -w");
    let mut go = Command::new(go);
    go.args(["serve", &ports[2].to_string()]).current_dir(dir.path()).stderr(Stdio::null());
    let mut servers = vec![
        nginx(dir.path(), ports[0]),
        run("node", &["-e", NODE_SERVER], ports[1], dir.path()),
        Running(go.spawn().unwrap()),
    ];
    for port in ports {
        listens(&hub, port).await;
    }
    let loads = ports.map(Load::on);
    let times = std::env::var("REMORA_TLS_TURNS").ok().and_then(|n| n.parse().ok()).unwrap_or(TIMES);
    let mut skipped = false;
    for turn in 0..times {
        let hub = Hub::default();
        let agent =
            start(test, &ports, hub.transport(), |config| config.tls.keep_system_libraries = turn % 2 == 0);
        let Some(agent) = agent else {
            skipped = true;
            break;
        };
        for server in &servers {
            hooked(&hub, &agent, server.pid()).await;
        }
        assert!(held() > 0);
        let before = loads.each_ref().map(Load::count);
        let serves = |_: &Hub| loads.iter().zip(before).all(|(load, before)| load.count() > before);
        hub.until("they serve on", serves).await;
        agent.shutdown(Duration::from_secs(30)).await;
        assert_eq!(held(), 0, "probes, programs or maps are left");
    }
    let before = loads.each_ref().map(Load::count);
    hub.until("they serve on", |_| loads.iter().zip(before).all(|(l, before)| l.count() > before + 50)).await;
    let asked: u64 = loads.iter().map(Load::count).sum();
    let failed = loads.map(Load::end);
    if !skipped {
        eprintln!("{times} times attached and detached in {asked} requests");
        assert_eq!(failed, [0; 3], "requests to nginx, node or Go have failed");
        let ended = servers.iter_mut().filter_map(|s| s.0.try_wait().unwrap()).count();
        assert_eq!(ended, 0, "servers have ended");
    }
}
