//! Where the cells run.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use remora_agent::Agent;
use remora_model::Table;
use tempfile::TempDir;

use super::calls::{self, Wanted};
use super::cell::{Cell, Client, Form, Server};
use super::cells::PEER;
use crate::hub::{Hub, Row};
use crate::programs::{big, has, site, which};

/// Longest wait for anything; only a failure takes this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of a large body.
const BIG: usize = 3_000_000;

/// Ports that nobody listens on, below those that the kernel gives to clients.
pub(super) fn ports(count: usize) -> Vec<u16> {
    let first = 10_000 + u16::try_from(std::process::id() % 20_000).unwrap();
    let is_free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    (first..32_000).chain(10_000..first).filter(is_free).take(count).collect()
}

/// A server that is told to end, and made to.
pub(super) struct Served {
    child: Child,
    errors: PathBuf,
}

impl Served {
    pub(super) fn start(mut command: Command, errors: PathBuf) -> Result<Self, String> {
        let log = std::fs::File::create(&errors).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        Ok(Self { child, errors })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed.
    fn said(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Servers with several processes end the others only when they are asked.
        _ = Command::new("kill").arg(self.pid().to_string()).status();
        let patience = Instant::now() + Duration::from_secs(10);
        while Instant::now() < patience && self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(PAUSE);
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

pub(super) struct Lab {
    dir: TempDir,
    hub: Hub,
    agent: Agent,
    /// Python with packages, else any.
    python: PathBuf,
    /// Whether a module of Python can be imported.
    modules: HashMap<&'static str, bool>,
    built: HashMap<&'static str, PathBuf>,
}

impl Lab {
    pub(super) fn new(hub: Hub, agent: Agent) -> Self {
        let dir = site();
        big(dir.path(), "big", BIG);
        for (name, text) in [
            ("server.js", include_str!("programs/server.js")),
            ("client.js", include_str!("programs/client.js")),
            ("server.py", include_str!("programs/server.py")),
            ("client.py", include_str!("programs/client.py")),
            ("rpc.py", include_str!("programs/rpc.py")),
            ("sql.py", include_str!("programs/sql.py")),
            ("main.go", include_str!("programs/main.go")),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let python = std::env::var_os("REMORA_PYTHON").map(PathBuf::from).filter(|path| path.is_file());
        let python = python.or_else(|| which("python3")).unwrap_or_default();
        Self { dir, hub, agent, python, modules: HashMap::new(), built: HashMap::new() }
    }

    pub(super) fn into_parts(self) -> (Hub, Agent) {
        (self.hub, self.agent)
    }

    /// The calls that have arrived.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.hub.rows(Table::Calls)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Why a cell cannot run on this machine.
    pub(super) fn lacks(&mut self, cell: &Cell) -> Option<String> {
        if let Some(program) = cell.needs.iter().find(|program| !has(program)) {
            return Some(format!("{program} is not installed"));
        }
        if let Server::Lighttpd(module) = cell.server {
            let places = ["/usr/lib/lighttpd", "/usr/lib64/lighttpd", "/usr/local/lib/lighttpd"];
            let there = |place: &&str| Path::new(place).join(format!("mod_{module}.so")).is_file();
            if !places.iter().any(there) {
                return Some(format!("mod_{module} of lighttpd is not installed"));
            }
        }
        for module in cell.modules {
            let python = &self.python;
            let import = || {
                let mut command = Command::new(python);
                command.args(["-c", &format!("import {module}")]).current_dir("/");
                command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
            };
            if !*self.modules.entry(module).or_insert_with(import) {
                return Some(format!("Python has no module {module} (REMORA_PYTHON names another Python)"));
            }
        }
        let forms = match (cell.server, cell.client) {
            (Server::Go(server), Client::Go(client)) => vec![server, client],
            (Server::Go(form), _) | (_, Client::Go(form)) => vec![form],
            _ => Vec::new(),
        };
        for form in forms {
            self.build(form);
        }
        None
    }

    /// Builds the program in Go, once.
    fn build(&mut self, form: Form) {
        if self.built.contains_key(form.program()) {
            return;
        }
        let mut command = Command::new("go");
        command.args(["build", "-o", form.program()]);
        match form {
            Form::Symbols => &mut command,
            Form::Stripped => command.args(["-ldflags", "-s -w"]),
            Form::Movable => command.args(["-ldflags", "-s -w", "-buildmode", "pie"]),
        };
        command.arg("main.go").env("GO111MODULE", "off").env("GOTOOLCHAIN", "local");
        let built = command.current_dir(self.path()).output().unwrap();
        assert!(built.status.success(), "{built:?}");
        let path = self.path().join(form.program());
        self.built.insert(form.program(), path);
    }

    /// A program, run where the site is. One that is not watched goes by another name.
    pub(super) fn command(&self, program: impl AsRef<OsStr>, watched: bool) -> Command {
        let program = PathBuf::from(program.as_ref());
        let path = if program.is_absolute() { program } else { which(program.to_str().unwrap()).unwrap() };
        let path = if watched { path } else { self.peer(&path) };
        let mut command = Command::new(path);
        command.current_dir(self.path());
        command
    }

    fn peer(&self, path: &Path) -> PathBuf {
        let dir = self.path().join(path.file_name().unwrap()).with_extension("peer");
        let link = dir.join(PEER);
        if !link.exists() {
            std::fs::create_dir_all(&dir).unwrap();
            std::os::unix::fs::symlink(path, &link).unwrap();
        }
        link
    }

    pub(super) fn python(&self) -> &Path {
        &self.python
    }

    pub(super) fn go(&self, form: Form) -> PathBuf {
        self.path().join(form.program())
    }

    pub(super) async fn listens(&self, server: &mut Served, port: u16) -> Result<(), String> {
        let patience = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            if ended.is_some() || Instant::now() > patience {
                eprintln!("{ended:?}: {}", server.said());
                return Err("the server does not start".to_owned());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Waits until a process is read in a file whose path contains `library`.
    pub(super) async fn is_read(&self, server: &Served, library: &str) -> Result<(), String> {
        self.process_is_read(server.pid(), library).await
    }

    pub(super) async fn process_is_read(&self, pid: u32, library: &str) -> Result<(), String> {
        // Looking into large files takes a while.
        let patience = Instant::now() + 2 * PATIENCE;
        loop {
            let all = self.agent.tls();
            let mine: Vec<_> = all.iter().filter(|s| s.pid == pid && s.path.contains(library)).collect();
            if mine.iter().any(|s| s.hooked) {
                return Ok(());
            }
            // What cannot be read will not be later.
            let is_final =
                mine.iter().all(|s| s.reason.as_ref().is_some_and(|why| why != "not attached yet"));
            if Instant::now() > patience || (!mine.is_empty() && is_final) {
                let reason = mine.into_iter().find_map(|s| s.reason.clone());
                eprintln!("{:#?}", all.iter().filter(|s| s.pid == pid).collect::<Vec<_>>());
                // Without the file and the place, which differ between machines.
                let words = |why: String| why.rsplit(": ").next().unwrap_or_default().to_owned();
                return Err(reason.map_or_else(|| "no TLS is found in it".to_owned(), words));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits until as many calls as wanted have arrived, or long enough.
    pub(super) async fn arrive(&self, cell: &Cell, port: u16, wanted: &[Wanted]) {
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience {
            if calls::of(&self.rows(), cell, port).len() >= wanted.len() {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Waits for a client's end; what it has printed.
pub(super) async fn finished(child: Child) -> Result<String, String> {
    let pid = child.id();
    let wait = tokio::task::spawn_blocking(move || child.wait_with_output());
    let mut wait = std::pin::pin!(wait);
    let out = match tokio::time::timeout(PATIENCE, &mut wait).await {
        Ok(out) => out,
        Err(_) => {
            _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            wait.await
        }
    };
    let out = out.unwrap().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() {
        let end = said.len().saturating_sub(500);
        let end = said.get(end..).unwrap_or_default();
        eprintln!("{}: {end}{}", out.status, String::from_utf8_lossy(&out.stderr));
        return Err("the client fails".to_owned());
    }
    Ok(said)
}
