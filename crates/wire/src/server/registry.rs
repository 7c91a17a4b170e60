//! Which spools are being served, and how far each has come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedMutexGuard, watch};

use crate::SpoolId;

/// Remembers the position of every spool for as long as the process lives, so that what an agent
/// resends before it is durable is recognised.
#[derive(Debug)]
pub(super) struct Registry {
    slots: Mutex<HashMap<SpoolId, Arc<Slot>>>,
    capacity: usize,
}

#[derive(Debug)]
pub(super) struct Slot {
    /// Held by the session that serves the spool.
    position: Arc<tokio::sync::Mutex<Position>>,
    /// Counts the sessions that wanted it. The newest has the right to it, older ones make way.
    newest: watch::Sender<u64>,
}

/// How far a spool has come.
#[derive(Debug, Default)]
pub(super) struct Position {
    /// The highest number handed to the handler.
    pub(super) received: u64,
    /// The highest number that is durable, as last heard.
    pub(super) durable: u64,
}

/// The right to serve a spool.
pub(super) struct Lease {
    pub(super) position: OwnedMutexGuard<Position>,
    pub(super) turn: Turn,
}

/// Tells when a newer session wants the spool.
pub(super) struct Turn {
    slot: Arc<Slot>,
    number: u64,
}

impl Turn {
    pub(super) async fn is_over(&self) {
        // The sender is in the slot that is held here, so this does not fail.
        _ = self.slot.newest.subscribe().wait_for(|newest| *newest > self.number).await;
    }
}

impl Registry {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Mutex::new(HashMap::new()), capacity }
    }

    /// Takes over a spool from whoever serves it. `None` when too many spools are remembered that
    /// must not be forgotten yet.
    pub(super) async fn lease(&self, id: SpoolId) -> Option<Lease> {
        let slot = self.slot(id)?;
        let mut number = 0;
        slot.newest.send_modify(|newest| {
            *newest += 1;
            number = *newest;
        });
        let position = Arc::clone(&slot.position).lock_owned().await;
        Some(Lease { position, turn: Turn { slot, number } })
    }

    fn slot(&self, id: SpoolId) -> Option<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&id) {
            return Some(Arc::clone(slot));
        }
        if slots.len() >= self.capacity {
            // A spool of which everything is durable loses nothing when it is forgotten.
            slots.retain(|_, s| {
                Arc::strong_count(s) > 1 || s.position.try_lock().is_ok_and(|p| p.received > p.durable)
            });
        }
        if slots.len() >= self.capacity {
            return None;
        }
        let slot = Arc::new(Slot { position: Arc::default(), newest: watch::Sender::new(0) });
        slots.insert(id, Arc::clone(&slot));
        Some(slot)
    }
}
