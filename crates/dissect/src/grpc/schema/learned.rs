//! What servers have told about their messages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use hashbrown::HashMap;
use remora_model::Endpoint;

use super::descriptor;
use super::pool::{Pool, Signature};

/// Servers whose descriptions are held; the one that has told nothing for the longest time is
/// forgotten for another one.
const SERVERS: usize = 64;
/// Memory that the descriptions of one server may take, in bytes.
const SERVER_BYTES: usize = 4 << 20;
/// Memory that those of all may take.
const TOTAL_BYTES: usize = 16 << 20;
/// Files of one server that are recognised when they come again.
const FILES: usize = 1 << 10;

/// What one server has told.
#[derive(Debug)]
struct Told {
    server: Endpoint,
    pool: Pool,
    /// Checksums of its files, by checksums of their names.
    files: HashMap<u64, u64>,
}

/// What servers have told, the newest last.
#[derive(Debug, Default)]
pub(super) struct Learned(Vec<Told>);

/// The same for all engines that share it.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Something is there: saves everybody else the lock.
    any: AtomicBool,
    learned: RwLock<Learned>,
}

impl Shared {
    /// See [`Schemas::with`](super::Schemas::with).
    pub(super) fn with<R>(
        &self,
        server: Endpoint,
        service: &[u8],
        method: &[u8],
        use_it: impl FnOnce(&Pool, Signature) -> R,
    ) -> Option<R> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let learned = self.learned.read().unwrap_or_else(PoisonError::into_inner);
        let described = |told: &Told| told.pool.method(service, method);
        let own = learned.0.iter().find(|told| told.server == server && described(told).is_some());
        let told = own.or_else(|| learned.0.iter().rev().find(|told| described(told).is_some()))?;
        Some(use_it(&told.pool, described(told)?))
    }

    /// `server` has sent a `FileDescriptorProto`. False when it could not be kept.
    pub(super) fn learn(&self, server: Endpoint, file: &[u8]) -> bool {
        let mut learned = self.learned.write().unwrap_or_else(PoisonError::into_inner);
        let kept = learned.learn(server, file);
        self.any.store(!learned.0.is_empty(), Ordering::Release);
        kept
    }
}

/// FNV-1a, to recognise a file.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

impl Learned {
    fn learn(&mut self, server: Endpoint, file: &[u8]) -> bool {
        let mut told = match self.0.iter().position(|t| t.server == server) {
            Some(i) => self.0.remove(i),
            None => Told { server, pool: Pool::new(SERVER_BYTES), files: HashMap::new() },
        };
        let mut kept = true;
        if told.is_new(file) && descriptor::add_file(&mut told.pool, file).is_err() {
            // Versions that have gone may fill it: begin anew.
            told.pool = Pool::new(SERVER_BYTES);
            told.files.clear();
            kept = descriptor::add_file(&mut told.pool, file).is_ok();
        }
        self.0.push(told);
        let cost = |all: &[Told]| all.iter().map(|t| t.pool.cost()).sum::<usize>();
        while self.0.len() > SERVERS || (self.0.len() > 1 && cost(&self.0) > TOTAL_BYTES) {
            self.0.remove(0);
        }
        kept
    }
}

impl Told {
    /// True for a file that it has not told before, or that is not what it was.
    fn is_new(&mut self, file: &[u8]) -> bool {
        let name = super::wire::fields(file).find(|(number, _)| *number == 1);
        let name = match name {
            Some((_, super::Value::Bytes(name))) => checksum(name),
            _ => 0,
        };
        if self.files.len() >= FILES {
            self.files.clear();
        }
        self.files.insert(name, checksum(file)) != Some(checksum(file))
    }
}
