//! From the capturing threads to the writer: bounded, and never waited for.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::keylog::Secret;
use crate::stats::Count;

/// Secrets that may wait.
const SECRETS: usize = 4_096;
/// Requests that may wait.
const REQUESTS: usize = 256;

/// Something for the writer.
#[derive(Debug)]
pub(crate) enum Item {
    /// Blocks of packets, one after the other.
    Packets(Vec<u8>, Count),
    Secret(Secret),
    /// Answered when everything before it has been written.
    Sync(SyncSender<()>),
    /// The live segment is to be sealed.
    Seal,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    secrets: usize,
    requests: usize,
    spare: Vec<Vec<u8>>,
    closed: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    /// Most bytes of buffers that wait.
    limit: usize,
    batch: usize,
}

impl Queue {
    pub(crate) fn new(limit: usize, batch: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Condvar::new(), limit, batch }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a buffer and leaves an empty one in its place. False when there is no room: the buffer
    /// is emptied, and what was in it is lost.
    pub(crate) fn packets(&self, buffer: &mut Vec<u8>, count: Count) -> bool {
        let mut waiting = self.lock();
        if waiting.closed || waiting.bytes + buffer.len() > self.limit {
            drop(waiting);
            buffer.clear();
            return false;
        }
        let empty = waiting.spare.pop();
        waiting.bytes += buffer.len();
        let full = std::mem::replace(buffer, empty.unwrap_or_default());
        waiting.items.push_back(Item::Packets(full, count));
        drop(waiting);
        self.arrived.notify_one();
        if buffer.capacity() == 0 {
            buffer.reserve_exact(self.batch);
        }
        true
    }

    /// False when there is no room.
    pub(crate) fn secret(&self, secret: Secret) -> bool {
        let mut waiting = self.lock();
        if waiting.closed || waiting.secrets >= SECRETS {
            return false;
        }
        waiting.secrets += 1;
        waiting.items.push_back(Item::Secret(secret));
        self.arrived.notify_one();
        true
    }

    /// False when there is no room, or nobody who would answer.
    pub(crate) fn request(&self, item: Item) -> bool {
        let mut waiting = self.lock();
        if waiting.closed || waiting.requests >= REQUESTS {
            return false;
        }
        waiting.requests += 1;
        waiting.items.push_back(item);
        self.arrived.notify_one();
        true
    }

    /// The next item, `None` after `patience`; `Err` when there will be none any more.
    pub(crate) fn take(&self, patience: Duration) -> Result<Option<Item>, Closed> {
        let deadline = Instant::now() + patience;
        let mut waiting = self.lock();
        loop {
            match waiting.items.pop_front() {
                Some(item) => {
                    match &item {
                        Item::Packets(buffer, _) => waiting.bytes -= buffer.len(),
                        Item::Secret(_) => waiting.secrets -= 1,
                        Item::Sync(_) | Item::Seal => waiting.requests -= 1,
                    }
                    return Ok(Some(item));
                }
                None if waiting.closed => return Err(Closed),
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            waiting = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes a buffer back for further use.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut waiting = self.lock();
        if waiting.spare.len() * self.batch < self.limit / 4 {
            waiting.spare.push(buffer);
        }
    }

    /// What is there is still taken; nothing is added any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }
}

/// The queue is closed and empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed;
