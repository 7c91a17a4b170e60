//! The way of plaintext from the reader of the TLS ring to the shards that have the flows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use remora_model::{Endpoint, Timestamp};

use crate::kernel::Waker;

/// Pieces that may wait for a shard.
const PIECES: usize = 8_192;

/// A piece of plaintext, as its probe saw it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) ts: Timestamp,
    /// Name of the connection.
    pub(crate) conn: u64,
    pub(crate) at_sender: bool,
    pub(crate) pos: u64,
    pub(crate) len: u64,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) fresh: bool,
    pub(crate) tgid: u32,
    pub(crate) cgroup_id: u64,
}

/// What a shard is sent.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// Plaintext.
    Data {
        piece: Piece,
        from: Endpoint,
        to: Endpoint,
        scope: u32,
        /// Name of the flow's entry in the kernel's table; 0 without one.
        flow: u32,
        method: &'static str,
        doubtful: bool,
    },
    /// A connection is over.
    End { ts: Timestamp, scope: u32, conn: u64, ends: [Endpoint; 2] },
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes that wait.
    bytes: AtomicUsize,
    lost: AtomicU64,
    lost_bytes: AtomicU64,
}

/// How much plaintext found no room at the shards.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refused(Arc<Counts>);

impl Refused {
    /// Pieces and their bytes.
    pub(crate) fn read(&self) -> (u64, u64) {
        (self.0.lost.load(Ordering::Relaxed), self.0.lost_bytes.load(Ordering::Relaxed))
    }
}

/// The reader's side.
#[derive(Debug)]
pub(crate) struct Outlet {
    shards: Vec<(SyncSender<Parcel>, Option<Waker>, bool)>,
    counts: Arc<Counts>,
    most: usize,
}

/// A shard's side of the way on which plaintext of TLS comes to it.
#[derive(Debug)]
pub struct Inbox {
    parcels: Receiver<Parcel>,
    counts: Arc<Counts>,
}

/// Boxes for as many shards as there are wakers, in which `most` bytes may wait in all.
pub(crate) fn boxes(wakers: Vec<Waker>, most: usize) -> (Outlet, Vec<Inbox>, Refused) {
    let counts = Arc::new(Counts::default());
    let (mut shards, mut inboxes) = (Vec::new(), Vec::new());
    for waker in wakers {
        let (sender, parcels) = mpsc::sync_channel(PIECES);
        shards.push((sender, Some(waker), false));
        inboxes.push(Inbox { parcels, counts: Arc::clone(&counts) });
    }
    let refused = Refused(Arc::clone(&counts));
    (Outlet { shards, counts, most }, inboxes, refused)
}

impl Outlet {
    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Sends to a shard; what finds no room is counted, and shows as a gap there.
    pub(crate) fn send(&mut self, shard: usize, parcel: Parcel, size: usize) {
        let Some((sender, _, told)) = self.shards.get_mut(shard) else { return };
        let room = self.counts.bytes.load(Ordering::Relaxed).saturating_add(size) <= self.most;
        self.counts.bytes.fetch_add(size, Ordering::Relaxed);
        if room && sender.try_send(parcel).is_ok() {
            *told = true;
        } else {
            self.counts.bytes.fetch_sub(size, Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            self.counts.lost_bytes.fetch_add(size as u64, Ordering::Relaxed);
        }
    }

    /// Wakes the shards that were sent something.
    pub(crate) fn flush(&mut self) {
        for (_, waker, told) in &mut self.shards {
            if std::mem::take(told)
                && let Some(waker) = waker
                && let Err(error) = waker.wake()
            {
                tracing::debug!(%error, "a shard cannot be woken");
            }
        }
    }
}

impl Inbox {
    /// The next parcel.
    pub(crate) fn take(&self) -> Option<Parcel> {
        let parcel = self.parcels.try_recv().ok()?;
        if let Parcel::Data { piece, .. } = &parcel {
            self.counts.bytes.fetch_sub(piece.bytes.len(), Ordering::Relaxed);
        }
        Some(parcel)
    }
}
