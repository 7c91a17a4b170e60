//! What is on disk, in order.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use crate::index::Builder;
use crate::segment::{Sealed, on_disk};
use crate::stats::Count;

/// All segments, oldest first. Only the writer changes it.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) sealed: VecDeque<Arc<Sealed>>,
    pub(crate) live: Option<LiveView>,
}

/// The segment that is written to, as readers see it: up to where everything has been written.
#[derive(Clone, Debug)]
pub(crate) struct LiveView {
    pub(crate) path: PathBuf,
    /// A reader that keeps it makes the writer go on with a copy.
    pub(crate) builder: Arc<Builder>,
}

impl Shelf {
    pub(crate) fn disk_bytes(&self) -> u64 {
        let live = self
            .live
            .as_ref()
            .map_or(0, |live| on_disk(live.builder.head.segment_len) + on_disk(live.builder.encoded_len()));
        live + self.sealed.iter().map(|s| s.disk_bytes()).sum::<u64>()
    }

    pub(crate) fn segments(&self) -> usize {
        self.sealed.len() + usize::from(self.live.is_some())
    }

    pub(crate) fn held(&self) -> Count {
        let mut held = Count::default();
        for s in &self.sealed {
            held.add(Count { packets: s.packets, bytes: s.bytes });
        }
        if let Some(live) = &self.live {
            held.add(Count { packets: live.builder.head.packets, bytes: live.builder.head.bytes });
        }
        held
    }

    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        let live = self.live.as_ref().map(|live| &live.builder.head);
        let live = live.filter(|head| head.packets > 0).map(|head| (head.first_ts, head.last_ts));
        let sealed = self.sealed.iter().filter(|s| s.packets > 0).map(|s| (s.first_ts, s.last_ts));
        sealed.chain(live).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }
}
