//! The hub: takes rows from agents, names who is behind them, keeps them, and answers questions
//! over MCP and REST.

pub mod config;
pub mod http;
pub mod identity;
pub mod ingest;
pub mod mcp;
pub mod packets;
pub mod query;

use std::net::SocketAddr;
use std::sync::Arc;

use remora_store::Store;
use remora_wire::{IngestServer, MemoryConnector};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{HubConfig, HubError};

use crate::identity::Identity;
use crate::ingest::{Agents, Ingest};
use crate::query::Query;

/// A running hub.
pub struct Hub {
    query: Arc<Query>,
    store: Store,
    ingest: IngestServer<Ingest>,
    address: SocketAddr,
    ingest_address: Option<SocketAddr>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Hub {
    /// Opens the store and listens.
    ///
    /// # Errors
    /// When the store cannot be opened, an address is taken, or the settings would let anybody on
    /// the network read the traffic.
    pub async fn start(config: HubConfig) -> Result<Self, HubError> {
        config.check()?;
        let store = Store::open(config.store.clone())?;
        let identity = Arc::new(Identity::new(config.names));
        let agents = Arc::new(Agents::default());
        let query =
            Query::new(store.clone(), Arc::clone(&agents), Arc::clone(&identity), config.reveal_secrets);
        let query = Arc::new(query.with_agent_needed(config.needs_agent));
        let ingest = IngestServer::new(Ingest::new(store.clone(), identity, agents), config.wire.clone());
        let listen = |address| async move {
            TcpListener::bind(address).await.map_err(|source| HubError::Listen { address, source })
        };

        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let listener = listen(config.listen).await?;
        let address =
            listener.local_addr().map_err(|source| HubError::Listen { address: config.listen, source })?;
        let guard = http::Guard::new(address, config.token()?, config.allowed_origins.clone());
        let router = http::router(Arc::clone(&query), guard, shutdown.clone());
        let stop = shutdown.clone();
        tasks.spawn(async move {
            let serve = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            if let Err(e) = serve.await {
                tracing::error!(error = %e, "the HTTP server ended");
            }
        });

        let mut ingest_address = None;
        if let Some(at) = config.ingest_listen {
            let listener = listen(at).await?;
            ingest_address = listener.local_addr().ok();
            let (server, security, stop) = (ingest.clone(), config.ingest_security.clone(), shutdown.clone());
            tasks.spawn(async move {
                if let Err(e) = server.serve(listener, security, stop.cancelled_owned()).await {
                    tracing::error!(error = %e, "the ingest server ended");
                }
            });
        }
        Ok(Self { query, store, ingest, address, ingest_address, shutdown, tasks })
    }

    /// Where MCP and REST are served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where agents of other processes connect, if anywhere.
    pub fn ingest_address(&self) -> Option<SocketAddr> {
        self.ingest_address
    }

    /// A way in for an agent in the same process.
    pub fn connector(&self) -> MemoryConnector {
        self.ingest.serve_in_process(self.shutdown.clone().cancelled_owned())
    }

    /// Takes the packet ring of an agent in the same process, for exports.
    pub fn add_packets(&self, node: &str, ring: remora_ring::Ring) {
        self.query.packets.add(node, ring);
    }

    /// The questions that it answers.
    pub fn query(&self) -> &Arc<Query> {
        &self.query
    }

    /// Seals what is in memory now, so that agents get their acknowledgements at once.
    ///
    /// # Errors
    /// When the store cannot write; it tries again by itself.
    pub async fn flush(&self) -> Result<(), HubError> {
        Ok(self.store.flush().await?)
    }

    /// Seals what is in memory, ends the servers, then seals what came in between. Agents that are
    /// still there have had their acknowledgements for the greater part by then.
    ///
    /// # Errors
    /// When the last rows could not be made durable; agents that are still there resend them.
    pub async fn stop(mut self) -> Result<(), HubError> {
        if let Err(e) = self.store.flush().await {
            tracing::warn!(error = %e, "agents will resend what could not be sealed");
        }
        self.shutdown.cancel();
        let grace = std::time::Duration::from_secs(5);
        let ended =
            tokio::time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            self.tasks.abort_all();
        }
        Ok(self.store.close().await?)
    }
}
