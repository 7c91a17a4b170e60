//! Settings of a hub.

use std::net::SocketAddr;
use std::path::PathBuf;

use remora_store::{Error as StoreError, StoreConfig};
use remora_wire::{Limits as WireLimits, SecurityError, ServerSecurity, Token};
use thiserror::Error;

use crate::identity::NameIndexLimits;

/// Settings of a hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Where MCP and REST are served.
    pub listen: SocketAddr,
    /// Where agents of other processes connect; `None` when the only agent is in this process.
    pub ingest_listen: Option<SocketAddr>,
    /// How agents prove who they are.
    pub ingest_security: ServerSecurity,
    /// File with the token that askers show. Needed unless `listen` is on loopback.
    pub token_file: Option<PathBuf>,
    /// Web origins besides loopback ones that may ask.
    pub allowed_origins: Vec<String>,
    /// `/ready` waits until an agent has reported: for a hub whose agent is in the same process.
    pub needs_agent: bool,
    /// Show credentials in headers and cookies.
    pub reveal_secrets: bool,
    /// Settings of the store.
    pub store: StoreConfig,
    /// Bounds of what agents may send.
    pub wire: WireLimits,
    /// Bounds of the names learned from DNS.
    pub names: NameIndexLimits,
}

impl HubConfig {
    /// Defaults: loopback only, no agents from outside, data in `dir`.
    pub fn new(listen: SocketAddr, dir: impl Into<PathBuf>) -> Self {
        Self {
            listen,
            ingest_listen: None,
            ingest_security: ServerSecurity::default(),
            token_file: None,
            allowed_origins: Vec::new(),
            needs_agent: false,
            reveal_secrets: false,
            store: StoreConfig::new(dir),
            wire: WireLimits::default(),
            names: NameIndexLimits::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), HubError> {
        if !self.listen.ip().is_loopback() && self.token_file.is_none() {
            return Err(HubError::Open(self.listen));
        }
        Ok(())
    }

    pub(crate) fn token(&self) -> Result<Option<Token>, HubError> {
        Ok(self.token_file.as_deref().map(Token::from_file).transpose()?)
    }
}

/// Why a hub cannot run.
#[derive(Debug, Error)]
pub enum HubError {
    /// It would serve the traffic to the network without asking who is there.
    #[error(
        "{0} can be reached from other machines: give --token-file with a secret (openssl rand -hex 32 > FILE), or listen on 127.0.0.1"
    )]
    Open(SocketAddr),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The token or the agents' security settings are unusable.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
