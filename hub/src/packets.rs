//! The packet rings of the agents in this process, out of which packets are exported.

use std::sync::{PoisonError, RwLock};

use remora_ring::Ring;

/// Rings by the name of their node.
#[derive(Default)]
pub struct Packets(RwLock<Vec<(String, Ring)>>);

impl Packets {
    /// Adds the ring of a node's agent.
    pub fn add(&self, node: &str, ring: Ring) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push((node.to_owned(), ring));
    }

    /// The rings that there are.
    pub fn rings(&self) -> Vec<(String, Ring)> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
