//! Connections with equal addresses and ports in two network namespaces.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::hub::{Hub, free_port, start};

/// A network namespace with a server in a cgroup of its own; all gone when dropped.
struct Place {
    name: String,
    cgroup: PathBuf,
    server: Option<Child>,
}

impl Place {
    fn new(side: &str, port: u16) -> Result<Self, String> {
        let name = format!("remora-equal-{side}{}", std::process::id());
        let mounts = fs::read_to_string("/proc/self/mounts").map_err(|e| e.to_string())?;
        let root = mounts.lines().find_map(|l| l.split(' ').nth(1).filter(|_| l.contains(" cgroup2 ")));
        let cgroup = PathBuf::from(root.ok_or("no cgroup v2")?).join(&name);
        let mut this = Self { name, cgroup, server: None };
        fs::create_dir(&this.cgroup).map_err(|e| format!("{}: {e}", this.cgroup.display()))?;
        ip(&["netns", "add", &this.name])?;
        ip(&["-n", &this.name, "link", "set", "lo", "up"])?;
        // The socket belongs to the cgroup in which it is made.
        let script = format!(
            "echo $$ > {}/cgroup.procs && exec ip netns exec {} python3 -m http.server --bind 127.0.0.1 {port}",
            this.cgroup.display(),
            this.name
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdout(Stdio::null()).stderr(Stdio::null());
        this.server = Some(command.spawn().map_err(|e| format!("sh: {e}"))?);
        Ok(this)
    }

    fn server(&self) -> String {
        self.server.as_ref().unwrap().id().to_string()
    }

    /// Starts a client that comes from `from`.
    fn ask(&self, from: u16, url: &str) -> Child {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "curl", "-s", "-o", "/dev/null"]);
        command.args(["--max-time", "10", "--local-port", &from.to_string(), url]);
        command.spawn().unwrap()
    }

    fn listens(&self, url: &str) -> bool {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "curl", "-s", "-o", "/dev/null", url]);
        command.status().unwrap().success()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            _ = server.kill();
            _ = server.wait();
        }
        _ = ip(&["netns", "delete", &self.name]);
        _ = fs::remove_dir(&self.cgroup);
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let out = Command::new("ip").args(arguments).output().map_err(|e| format!("ip: {e}"))?;
    if out.status.success() {
        Ok(())
    } else {
        Err(format!("ip {arguments:?}: {}", String::from_utf8_lossy(&out.stderr).trim()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_connections_of_two_namespaces_keep_their_owners() {
    let test = "equal_connections_of_two_namespaces_keep_their_owners";
    let (hub, port, from) = (Hub::default(), free_port(), free_port());
    // Both servers listen before the capture begins: their owners are found in /proc.
    let places = match Place::new("a", port).and_then(|a| Ok([a, Place::new("b", port)?])) {
        Ok(places) => places,
        Err(reason) => {
            eprintln!("SKIPPED: {test}: {reason}");
            return;
        }
    };
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    for place in &places {
        hub.until("the server listens", |_| place.listens(&url("listening"))).await;
    }
    let Some(agent) = start(test, &[port], hub.transport(), |_| {}) else { return };
    if let Some(why) = agent.control().report().limits.iter().find(|l| l.contains("mixed up")) {
        eprintln!("SKIPPED: {test}: {why}");
        return;
    }
    let mut clients = [0, 1].map(|side| places[side].ask(from, &url(&format!("side-{side}"))));
    let pids = clients.each_ref().map(|c| c.id().to_string());
    for client in &mut clients {
        assert!(client.wait().unwrap().success());
    }
    hub.until("both calls arrive", |h| {
        h.calls(port).iter().filter(|r| r.get("path").is_some_and(|p| p.starts_with("/side-"))).count() >= 2
    })
    .await;
    let calls = hub.calls(port);
    for side in [0, 1] {
        let path = format!("/side-{side}");
        let mine: Vec<_> = calls.iter().filter(|r| r.get("path") == Some(&path)).collect();
        let [row] = mine[..] else { panic!("{mine:#?}") };
        assert_eq!(row["src.port"], from.to_string(), "{row:#?}");
        assert_eq!(row.get("src.pid"), Some(&pids[side]), "{row:#?}");
        assert_eq!(row.get("dst.pid"), Some(&places[side].server()), "{row:#?}");
        let cgroup = format!("/{}", places[side].name);
        assert!(row.get("dst.cgroup").is_some_and(|c| c.ends_with(&cgroup)), "{row:#?}");
    }
    assert!(agent.shutdown(Duration::from_secs(30)).await.delivered);
}
