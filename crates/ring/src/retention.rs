//! Deleting the oldest segments.

use std::io;

use crate::ring::Shared;
use crate::segment::Sealed;
use crate::stats::Count;

/// The block that a file may be short of when its length is rounded, for a segment and its index, and
/// for an index that is being written.
const SLACK: u64 = 3 * 4_096;

impl Shared {
    /// Deletes segments until `extra` bytes may be written.
    pub(crate) fn make_room(&self, extra: u64, new_segment: bool) -> io::Result<()> {
        loop {
            let oldest = {
                let shelf = self.shelf();
                let fits = shelf.disk_bytes() + extra + SLACK <= self.config.budget;
                let few = shelf.segments() + usize::from(new_segment) <= self.config.max_segments;
                if fits && few {
                    return Ok(());
                }
                shelf.sealed.front().cloned()
            };
            let Some(oldest) = oldest else {
                return Err(io::Error::other("the budget has no room for what is to be written"));
            };
            self.delete(&oldest)?;
            self.stats().evicted.add(Count { packets: oldest.packets, bytes: oldest.bytes });
        }
    }

    /// Deletes segments whose newest packet is from before `until`.
    pub(crate) fn expire(&self, until: i64) -> io::Result<()> {
        loop {
            let oldest = self.shelf().sealed.front().filter(|s| s.last_ts < until).cloned();
            let Some(oldest) = oldest else { return Ok(()) };
            self.delete(&oldest)?;
            self.stats().expired.add(Count { packets: oldest.packets, bytes: oldest.bytes });
        }
    }

    /// Deletes the oldest segment. It counts until it is gone, so that the budget holds in any case.
    fn delete(&self, oldest: &Sealed) -> io::Result<()> {
        oldest.delete()?;
        self.shelf().sealed.pop_front();
        Ok(())
    }
}
