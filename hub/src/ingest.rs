//! What agents send: named, stored, and acknowledged once it is durable.

mod agents;

use std::sync::Arc;

use remora_model::Table;
use remora_store::{Error as StoreError, SourceId, Store};
use remora_wire::{IncomingBatch, IngestHandler, Refusal, Source};
use tokio::sync::watch;

pub use agents::Agents;

use crate::identity::Identity;

/// Puts what arrives into the store.
pub struct Ingest {
    store: Store,
    identity: Arc<Identity>,
    agents: Arc<Agents>,
}

impl Ingest {
    /// Stores into `store`; `agents` learns who is there.
    pub fn new(store: Store, identity: Arc<Identity>, agents: Arc<Agents>) -> Self {
        Self { store, identity, agents }
    }
}

fn source_id(source: &Source) -> SourceId {
    SourceId::new(source.agent_id.clone(), source.spool.to_string())
}

impl IngestHandler for Ingest {
    async fn connect(&self, source: &Source) -> Result<watch::Receiver<u64>, Refusal> {
        let id = source_id(source);
        let mut durable = self.store.durable();
        let current = durable.borrow_and_update().get(&id).copied().unwrap_or(0);
        let (tx, rx) = watch::channel(current);
        self.agents.connected_now(source);
        tokio::spawn(async move {
            // Ends when the stream is gone (nobody holds the receiver) or the store is closed.
            loop {
                tokio::select! {
                    () = tx.closed() => return,
                    changed = durable.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        let now = durable.borrow_and_update().get(&id).copied().unwrap_or(0);
                        tx.send_if_modified(|v| {
                            let risen = now > *v;
                            *v = now.max(*v);
                            risen
                        });
                    }
                }
            }
        });
        Ok(rx)
    }

    async fn batch(&self, source: &Source, batch: IncomingBatch) -> Result<(), Refusal> {
        let IncomingBatch { seq, lost_before, mut tables, wire_bytes, unknown_columns, rejected } = batch;
        self.agents.count(source, wire_bytes, lost_before, unknown_columns, &rejected);
        let covers = tables.iter().any(|t| t.table == Table::Coverage);
        self.identity.enrich(&mut tables).map_err(|e| Refusal::never(format!("batch {seq}: {e}")))?;
        match self.store.append(&source_id(source), seq, tables).await {
            Ok(_) => {
                if covers {
                    self.agents.covered(source);
                }
                Ok(())
            }
            Err(e @ StoreError::Overloaded { .. }) => Err(Refusal::later(e.to_string())),
            Err(e) => {
                tracing::error!(agent = source.agent_id, seq, error = %e, "a batch could not be stored");
                Err(Refusal::later(e.to_string()))
            }
        }
    }

    async fn status(&self, source: &Source, status: serde_json::Value) {
        self.agents.status(source, status);
    }

    async fn disconnect(&self, source: &Source, why: &str) {
        tracing::info!(agent = source.agent_id, node = source.node, why, "agent disconnected");
        self.agents.disconnected(source, why);
    }
}
