//! The agent's end: carries a spool to the hub, for as long as it takes.

mod backoff;
mod session;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::backoff::Backoff;
pub use self::session::SessionError;
use crate::security::Target;
use crate::{ClientSecurity, Form, MemoryConnector, SecurityError, Spool};

/// How to reach the hub.
#[derive(Clone, Debug)]
pub enum Transport {
    /// In the same process.
    Memory(MemoryConnector),
    /// Over TCP: `http://host:port` or `https://host:port`.
    Tcp {
        /// The hub's address.
        url: String,
        /// How to prove ourselves and check the hub.
        security: ClientSecurity,
    },
}

impl Transport {
    /// The form in which batches are best kept for it.
    pub fn form(&self) -> Form {
        match self {
            Self::Memory(_) => Form::Handed,
            Self::Tcp { url, security } if Target::new(url, security).is_ok_and(|t| t.local) => Form::Plain,
            Self::Tcp { .. } => Form::Compressed,
        }
    }

    /// Finds out whether the settings can be used at all, before anything depends on them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), SecurityError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Tcp { url, security } => Target::new(url, security).map(|_| ()),
        }
    }
}

/// Who the agent says it is, and how patient it is.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Names the agent for as long as its data directory lives.
    pub agent_id: String,
    /// Name of the node.
    pub node: String,
    /// This run of the agent.
    pub run_id: u64,
    /// Version of the agent's software.
    pub version: String,
    /// First wait after a failure; doubled each time, up to `max_backoff`, and shortened at random
    /// by up to a half so that agents do not come back all at once.
    pub min_backoff: Duration,
    /// Longest wait.
    pub max_backoff: Duration,
    /// Connecting and the hub's first answer must succeed within this time.
    pub connect_timeout: Duration,
    /// The status is sent when it changes and at least this often, which also tells the hub that
    /// the agent lives.
    pub status_interval: Duration,
}

impl ClientConfig {
    /// Defaults for an agent of that name.
    pub fn new(agent_id: &str, node: &str) -> Self {
        Self {
            agent_id: agent_id.to_owned(),
            node: node.to_owned(),
            run_id: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            min_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            status_interval: Duration::from_secs(5),
        }
    }
}

/// What is known of the connection to the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// True while a hub has welcomed us.
    pub connected: bool,
    /// Streams that were welcomed.
    pub connects: u64,
    /// Streams that ended or never came about.
    pub failures: u64,
    /// Why the last one did.
    pub last_error: Option<String>,
    /// Batches sent, repetitions included.
    pub sent_batches: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Bytes in flight.
    pub in_flight: u64,
}

/// Carries a spool to the hub in the background.
#[derive(Debug)]
pub struct Client {
    spool: Spool,
    stop: watch::Sender<bool>,
    status: watch::Sender<String>,
    stats: Arc<Mutex<ClientStats>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Client {
    /// Starts to carry `spool` over `transport`, on the current tokio runtime. Failures are retried
    /// for ever; [`stats`](Self::stats) tells of them.
    pub fn start(config: ClientConfig, transport: Transport, spool: Spool) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (status, statuses) = watch::channel(String::new());
        let stats = Arc::new(Mutex::new(ClientStats::default()));
        let worker =
            Worker { config, transport, spool: spool.clone(), stopping, statuses, stats: Arc::clone(&stats) };
        let task = tokio::spawn(worker.run());
        Self { spool, stop, status, stats, task: Mutex::new(Some(task)) }
    }

    /// Replaces the agent's account of itself, a JSON object.
    pub fn set_status(&self, json: String) {
        self.status.send_replace(json);
    }

    /// What is known of the connection.
    pub fn stats(&self) -> ClientStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits, up to `patience`, until the hub has acknowledged everything in the spool, and stops.
    /// True when it has. What is left stays in the spool: close that afterwards.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        let drained = async {
            loop {
                let changed = self.spool.changed();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if self.spool.is_empty() {
                    return;
                }
                changed.await;
            }
        };
        let empty = tokio::time::timeout(patience, drained).await.is_ok();
        _ = self.stop.send(true);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut task) = task
            && tokio::time::timeout(Duration::from_secs(1), &mut task).await.is_err()
        {
            task.abort();
        }
        empty
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

struct Worker {
    config: ClientConfig,
    transport: Transport,
    spool: Spool,
    stopping: watch::Receiver<bool>,
    statuses: watch::Receiver<String>,
    stats: Arc<Mutex<ClientStats>>,
}

impl Worker {
    async fn run(self) {
        let mut backoff = Backoff::new(self.config.min_backoff, self.config.max_backoff);
        let mut stopping = self.stopping.clone();
        loop {
            let outcome = tokio::select! {
                outcome = self.session() => outcome,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            let was_connected = self.with_stats(|s| {
                s.failures += 1;
                s.in_flight = 0;
                s.last_error = Some(outcome.to_string());
                std::mem::take(&mut s.connected)
            });
            if was_connected {
                backoff.reset();
            }
            let wait = if outcome.is_final() { backoff.longest() } else { backoff.next() };
            tracing::warn!(error = %outcome, retry_in = ?wait, "not connected to the hub");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn with_stats<T>(&self, change: impl FnOnce(&mut ClientStats) -> T) -> T {
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
