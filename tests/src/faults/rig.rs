//! A hub, an agent and a load.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::answer::{self, Row};
use super::load::{Load, Made, Manner};
use super::process::Process;
use super::tally::{self, Blind};
use super::wait_until;

/// Longest that a start may take: loading programs into the kernel on a busy machine is slow.
const START: Duration = Duration::from_secs(60);
/// Longest that an agent may take to end: it waits 8 s for the hub.
const END: Duration = Duration::from_secs(40);
/// Longest until everything captured is at the hub and durable.
pub const SETTLE: Duration = Duration::from_secs(40);

/// All that a test of faults starts. Its processes end with it.
pub struct Rig {
    /// Traffic; only this is captured.
    pub load: Load,
    hub: Option<Process>,
    agent: Option<Process>,
    /// Where the hub answers.
    pub address: SocketAddr,
    ingest: SocketAddr,
    hub_dir: PathBuf,
    agent_dir: PathBuf,
    agent_options: Vec<String>,
    dir: TempDir,
}

impl Rig {
    /// Starts a hub, then an agent with these options besides the usual, and no load yet.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start(agent_options: &[&str]) -> Result<Self> {
        Self::start_in(None, None, agent_options)
    }

    /// The same with the hub's or the agent's data in given directories.
    ///
    /// # Errors
    /// When something does not start.
    pub fn start_in(
        hub_dir: Option<&Path>,
        agent_dir: Option<&Path>,
        agent_options: &[&str],
    ) -> Result<Self> {
        let dir = TempDir::with_prefix("remora-faults-")?;
        let (address, ingest) = (free_address()?, free_address()?);
        let mut rig = Self {
            load: Load::new()?,
            hub: None,
            agent: None,
            address,
            ingest,
            hub_dir: hub_dir.map_or_else(|| dir.path().join("hub"), Path::to_owned),
            agent_dir: agent_dir.map_or_else(|| dir.path().join("agent"), Path::to_owned),
            agent_options: agent_options.iter().map(|o| (*o).to_owned()).collect(),
            dir,
        };
        rig.start_hub()?;
        rig.start_agent()?;
        Ok(rig)
    }

    /// Starts the usual clients: connections that are kept and such that are not.
    pub fn start_load(&mut self) {
        let pause = |ms| Duration::from_millis(ms);
        for body in [200, 5_000] {
            self.load.add(Manner { keep_alive: true, pause: pause(4), body });
            self.load.add(Manner { keep_alive: false, pause: pause(15), body });
        }
    }

    /// Starts the hub and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_hub(&mut self) -> Result<()> {
        self.launch_hub()?;
        let hub = self.address;
        wait_until("a hub that is ready", START, || {
            let (status, body) = answer::get(hub, "/ready")?;
            Ok(if status == 200 { Ok(()) } else { Err(body) })
        })
        .with_context(|| self.logs())
    }

    /// Starts the hub and waits until it answers, ready or not.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_hub_unready(&mut self) -> Result<()> {
        self.launch_hub()?;
        let hub = self.address;
        wait_until("a hub that answers", START, || Ok(Ok(answer::get(hub, "/health")?)))
            .with_context(|| self.logs())?;
        Ok(())
    }

    fn launch_hub(&mut self) -> Result<()> {
        ensure!(self.hub.is_none(), "the hub runs already");
        let args = [
            "hub".to_owned(),
            format!("--listen={}", self.address),
            format!("--ingest-listen={}", self.ingest),
            format!("--data-dir={}", self.hub_dir.display()),
        ];
        self.hub = Some(Process::start(&args, &self.dir.path().join("hub.log"))?);
        Ok(())
    }

    /// Starts the agent and waits until it captures.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_agent(&mut self) -> Result<()> {
        ensure!(self.agent.is_none(), "the agent runs already");
        let mut args = vec![
            "agent".to_owned(),
            format!("--hub=http://{}", self.ingest),
            format!("--data-dir={}", self.agent_dir.display()),
            format!("--port={}", self.load.port()),
            "--node-name=faulty".to_owned(),
        ];
        args.extend(self.agent_options.iter().cloned());
        let mut agent = Process::start(&args, &self.dir.path().join("agent.log"))?;
        let capturing = agent.wait_for_log("capturing", START);
        self.agent = Some(agent);
        capturing.with_context(|| self.logs())
    }

    /// `kill -9` of the hub.
    ///
    /// # Errors
    /// When it was not running any more.
    pub fn kill_hub(&mut self) -> Result<()> {
        self.hub.take().context("no hub")?.kill()
    }

    /// SIGTERM to the hub; waits for its end, which must be a good one.
    ///
    /// # Errors
    /// When it was not running any more, or does not end well.
    pub fn stop_hub(&mut self) -> Result<()> {
        let status = self.hub.take().context("no hub")?.terminate(END)?;
        ensure!(status.success(), "the hub ended with {status}; {}", self.logs());
        Ok(())
    }

    /// `kill -9` of the agent.
    ///
    /// # Errors
    /// When it was not running any more.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.agent.take().context("no agent")?.kill()
    }

    /// SIGTERM to the agent; waits for its end, which must be a good one.
    ///
    /// # Errors
    /// When it was not running any more, or does not end well.
    pub fn stop_agent(&mut self) -> Result<()> {
        let status = self.agent.take().context("no agent")?.terminate(END)?;
        ensure!(status.success(), "the agent ended with {status}; {}", self.logs());
        Ok(())
    }

    /// Sends the agent a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal_agent(&self, name: &str) -> Result<()> {
        self.agent.as_ref().context("no agent")?.signal(name)
    }

    /// Waits until the hub has every call made outside of `blind`, and gives its rows.
    ///
    /// # Errors
    /// When something stays missing.
    pub fn arrived(&self, made: &[Made], blind: &[Blind]) -> Result<Vec<Row>> {
        wait_until("every call at the hub", SETTLE, || {
            let rows = answer::calls(self.address)?;
            let missing = tally::missing(made, &rows, blind).len();
            Ok(if missing == 0 {
                Ok(rows)
            } else {
                let error = tally::exactly_once(made, &rows, blind).err();
                Err(error.map(|e| format!("{e:#}")).unwrap_or_default())
            })
        })
        .with_context(|| self.logs())
    }

    /// Waits until the status is as `look` wants it.
    ///
    /// # Errors
    /// When it does not get so; the status is in the error.
    pub fn status_when(&self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        wait_until(what, SETTLE, || {
            let status = answer::status(self.address)?;
            Ok(if look(&status) { Ok(status) } else { Err(status.to_string()) })
        })
        .with_context(|| self.logs())
    }

    /// Ends the agent, waits until the hub has made everything durable, kills the hub and starts
    /// it again: what it has then, it has on disk. Checks that nothing there is damaged.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn settle(&mut self) -> Result<Vec<Row>> {
        if self.agent.is_some() {
            self.stop_agent()?;
        }
        self.status_when("everything durable", |s| s["store"]["open_rows"] == 0)?;
        let before = answer::calls(self.address)?.len();
        self.kill_hub()?;
        self.start_hub()?;
        let status = answer::status(self.address)?;
        let store = &status["store"];
        for fault in ["damaged_segments", "missing_segments"] {
            ensure!(store[fault] == 0, "{fault}: {store}");
        }
        let rows = answer::calls(self.address)?;
        ensure!(rows.len() == before, "{before} calls were durable, {} are left", rows.len());
        Ok(rows)
    }

    /// The ends of the logs.
    pub fn logs(&self) -> String {
        let log = |name: &str| {
            let text = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        };
        format!("hub.log:\n{}\nagent.log:\n{}", log("hub.log"), log("agent.log"))
    }
}

/// An address on which nobody listens at the moment.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
