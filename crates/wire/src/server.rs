//! The hub's end: takes streams, hands batches to a handler.

mod registry;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::Stream;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};

use self::registry::Registry;
use self::session::Endpoint;
use crate::proto::ingest_server::IngestServer as Service;
use crate::security::ServerAuth;
use crate::{IncomingBatch, Limits, MemoryConnector, ServerSecurity, Source};

/// Bytes of one stream, and of one connection, that HTTP/2 lets an agent send ahead of the reader.
/// A window below the size of a batch would make every batch wait for round trips.
const WINDOW_BYTES: u32 = 4 << 20;

/// How often, and how long to wait for the answer, an idle connection is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

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
    /// Batches that agents gave up, seen as holes in the numbers of one opening of a spool.
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
    /// The listener has no address.
    #[error("ingest listener: {0}")]
    Listener(std::io::Error),
    /// The HTTP/2 server failed.
    #[error("ingest server: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Counters behind [`ServerStats`].
#[derive(Debug, Default)]
struct Counters {
    agents: AtomicU64,
    refused: AtomicU64,
    batches: AtomicU64,
    bytes: AtomicU64,
    duplicates: AtomicU64,
    lost: AtomicU64,
    rejected_tables: AtomicU64,
    unknown_columns: AtomicU64,
}

impl Counters {
    fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// The ingest service. Clones share everything.
pub struct IngestServer<H> {
    inner: Arc<Inner<H>>,
}

struct Inner<H> {
    handler: H,
    limits: Limits,
    counters: Counters,
    registry: Registry,
}

impl<H> Clone for IngestServer<H> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<H> std::fmt::Debug for IngestServer<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IngestServer").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

impl<H: IngestHandler> IngestServer<H> {
    /// A service that hands everything to `handler`.
    pub fn new(handler: H, limits: Limits) -> Self {
        let registry = Registry::new(limits.spools);
        Self { inner: Arc::new(Inner { handler, limits, counters: Counters::default(), registry }) }
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.inner.handler
    }

    /// What was counted so far.
    pub fn stats(&self) -> ServerStats {
        let c = &self.inner.counters;
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        ServerStats {
            agents: get(&c.agents),
            refused: get(&c.refused),
            batches: get(&c.batches),
            bytes: get(&c.bytes),
            duplicates: get(&c.duplicates),
            lost: get(&c.lost),
            rejected_tables: get(&c.rejected_tables),
            unknown_columns: get(&c.unknown_columns),
        }
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
        let address = listener.local_addr().map_err(ServeError::Listener)?;
        let auth = ServerAuth::new(&security, address)?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let mut server = builder();
        if let Some(tls) = auth.tls()? {
            server = server.tls_config(tls)?;
        }
        self.run(server, incoming, Some(auth), shutdown).await
    }

    /// Serves agents of the same process: they connect through the returned connector, with
    /// neither port nor token. Runs on the current tokio runtime until `shutdown` is ready.
    pub fn serve_in_process(&self, shutdown: impl Future<Output = ()> + Send + 'static) -> MemoryConnector {
        let (connector, listener) = crate::memory::pair();
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.run(builder(), listener.into_stream(), None, shutdown).await {
                tracing::error!(%error, "ingest within the process has stopped");
            }
        });
        connector
    }

    async fn run<S, IO>(
        &self,
        mut server: Server,
        incoming: S,
        auth: Option<ServerAuth>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ServeError>
    where
        S: Stream<Item = std::io::Result<IO>> + Send,
        IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let (stop, stopping) = watch::channel(false);
        let endpoint = Endpoint::new(Arc::clone(&self.inner), auth.map(Arc::new), stopping);
        let service = Service::new(endpoint).max_decoding_message_size(self.inner.limits.message);
        let told = async move {
            shutdown.await;
            // Sessions end by themselves now, which lets the server finish.
            _ = stop.send(true);
        };
        Ok(server.add_service(service).serve_with_incoming_shutdown(incoming, told).await?)
    }
}

fn builder() -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_frame_size(1 << 20)
        .max_concurrent_streams(8)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
}
