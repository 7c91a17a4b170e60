//! The agent's end.

use crate::{ClientSecurity, MemoryConnector};

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

/// Who the agent says it is.
#[derive(Clone, Debug)]
pub struct ClientConfig {}

/// Carries a spool to the hub.
#[derive(Debug)]
pub struct Client {}
