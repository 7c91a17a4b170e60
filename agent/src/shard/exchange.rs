//! Datagrams that arrived in fragments, on their way to the shard that has their flow.
//!
//! Only the first fragment of a datagram has ports, so that the kernel cannot tell the flow of the
//! others and sends all fragments to the first ring. Its shard puts them together and passes the
//! datagram on. All flows but those of TCP are remembered for that; the few fragments that TCP makes
//! stay where they are put together.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use remora_dissect::engine::Datagram;
use remora_model::{Endpoint, Timestamp, Transport};

/// Datagrams that may wait for a shard.
const INBOX: usize = 256;

type Flow = (Transport, Endpoint, Endpoint);
type Parcel = (Timestamp, Box<Datagram>);

#[derive(Debug)]
struct Shared {
    homes: Mutex<HashMap<Flow, usize>>,
    capacity: usize,
    inboxes: Vec<SyncSender<Parcel>>,
}

/// A shard's access to the others.
#[derive(Debug)]
pub struct Exchange {
    shared: Arc<Shared>,
    index: usize,
    inbox: Receiver<Parcel>,
}

/// What became of a datagram.
#[derive(Debug)]
pub(super) enum Route {
    /// It belongs here, or nobody knows where.
    Here(Box<Datagram>),
    /// Another shard has it.
    Sent,
    /// It would belong to a shard that has too much to do.
    Refused(usize),
}

impl Exchange {
    /// One for each of `shards`, which together remember `capacity` flows.
    pub fn new(shards: usize, capacity: usize) -> Vec<Self> {
        let (inboxes, outboxes): (Vec<_>, Vec<_>) = (0..shards).map(|_| mpsc::sync_channel(INBOX)).unzip();
        let shared = Arc::new(Shared { homes: Mutex::default(), capacity: capacity.max(16), inboxes });
        let each = outboxes.into_iter().enumerate();
        each.map(|(index, inbox)| Self { shared: Arc::clone(&shared), index, inbox }).collect()
    }

    /// True when there are other shards.
    pub(super) fn is_needed(&self) -> bool {
        self.shared.inboxes.len() > 1
    }

    /// A flow's packets come to this shard.
    pub(super) fn settle(&self, transport: Transport, a: Endpoint, b: Endpoint) {
        if transport != Transport::Tcp && self.is_needed() {
            let mut homes = self.shared.homes.lock().unwrap_or_else(PoisonError::into_inner);
            // Rather than to keep an order for so rare a use: forget all, and learn anew.
            if homes.len() >= self.shared.capacity {
                homes.clear();
            }
            homes.insert(flow(transport, a, b), self.index);
        }
    }

    /// The flow is over.
    pub(super) fn leave(&self, transport: Transport, a: Endpoint, b: Endpoint) {
        if transport != Transport::Tcp && self.is_needed() {
            self.shared.homes.lock().unwrap_or_else(PoisonError::into_inner).remove(&flow(transport, a, b));
        }
    }

    pub(super) fn route(&self, ts: Timestamp, datagram: Box<Datagram>) -> Route {
        let (transport, from, to) = match datagram.flow() {
            Some(flow) if flow.0 != Transport::Tcp => flow,
            _ => return Route::Here(datagram),
        };
        let home = {
            let homes = self.shared.homes.lock().unwrap_or_else(PoisonError::into_inner);
            homes.get(&flow(transport, from, to)).copied()
        };
        match home.filter(|home| *home != self.index).and_then(|home| self.shared.inboxes.get(home)) {
            None => Route::Here(datagram),
            Some(inbox) => {
                let len = datagram.len();
                if inbox.try_send((ts, datagram)).is_ok() { Route::Sent } else { Route::Refused(len) }
            }
        }
    }

    /// The next datagram that another shard has put together for this one.
    pub(super) fn take(&self) -> Option<Parcel> {
        self.inbox.try_recv().ok()
    }
}

fn flow(transport: Transport, a: Endpoint, b: Endpoint) -> Flow {
    if a <= b { (transport, a, b) } else { (transport, b, a) }
}
