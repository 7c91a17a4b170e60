//! Who owns a socket.
//!
//! The kernel's hooks note the process that creates, binds or connects a socket, and accepted
//! sockets inherit their listener's; each packet then carries the process of its local socket.
//! Sockets older than the capture are found in `/proc`. For servers whose workers accept from an
//! inherited listener this names the process that made the listener, until [`Owners::reseed`] has
//! seen the accepted connection in the worker.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use super::{
    KernelError,
    control::lock,
    load::Maps,
    seed::{self, Seed},
};

/// How an owner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerSource {
    /// By a hook, when the socket was made.
    Hook,
    /// In `/proc`.
    Proc,
}

/// A process that owns sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its process (thread group) id.
    pub tgid: u32,
    /// Its name (`comm`, at most 15 bytes).
    pub comm: String,
    /// Cgroup-v2 id; 0 when unknown.
    pub cgroup_id: u64,
    /// How it was found.
    pub source: OwnerSource,
}

/// Finds owners; clones share the tables. Look-ups read maps and `/proc`: ask once per connection.
#[derive(Clone)]
pub struct Owners {
    maps: Option<Arc<Mutex<Maps>>>,
    seed: Arc<RwLock<Seed>>,
}

impl std::fmt::Debug for Owners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owners").finish_non_exhaustive()
    }
}

impl Owners {
    pub(super) fn new(maps: Option<Arc<Mutex<Maps>>>) -> Self {
        Self { maps, seed: Arc::default() }
    }

    /// The process with this id: its name now, or when it used a socket last.
    pub fn process(&self, tgid: u32) -> Option<Owner> {
        if tgid == 0 {
            return None;
        }
        let noted = self.maps.as_ref().and_then(|maps| lock(maps).processes.get(&tgid, 0).ok());
        let living = seed::comm(tgid);
        let source = if noted.is_some() { OwnerSource::Hook } else { OwnerSource::Proc };
        let cgroup_id = noted.map_or(0, |p| p.cgroup_id);
        let comm = living.or_else(|| {
            let bytes = noted?.comm;
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
        })?;
        Some(Owner { tgid, comm, cgroup_id, source })
    }

    /// The owner of the socket with this protocol (IP number) and endpoints, from the last look at
    /// `/proc`: the connection itself, else what listens on the local endpoint. Where several network
    /// namespaces have such a socket, the cgroup decides (0: unknown), and nobody if it cannot.
    pub fn endpoint(
        &self,
        protocol: u8,
        local: SocketAddr,
        remote: SocketAddr,
        cgroup_id: u64,
    ) -> Option<Owner> {
        let tgid = {
            let seed = self.seed.read().unwrap_or_else(PoisonError::into_inner);
            seed.find(protocol, local, remote, cgroup_id)?
        };
        self.process(tgid)
    }

    /// Looks at all sockets in `/proc` again, in every network namespace that a process is in.
    /// Returns how many were found. Costs about a millisecond per hundred processes.
    pub fn reseed(&self) -> Result<usize, KernelError> {
        let new = Seed::read().map_err(|e| KernelError::io("reading /proc", e))?;
        let n = new.len();
        *self.seed.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(n)
    }
}
