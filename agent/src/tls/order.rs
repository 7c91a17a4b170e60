//! Puts records in the order of time for a moment.
//!
//! A record is sent when its call returns. Who writes may be held up before that, and the other end may
//! have read and answered meanwhile: the answer's record comes before the question's. The records tell
//! when their bytes can have been on their way, and a short wait puts them in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use remora_abi::TlsHeader;
use remora_model::Timestamp;

/// How long a record waits for earlier ones.
const WAIT: Duration = Duration::from_millis(30);
/// Bytes that wait at most, with what keeps them in order: beyond that the oldest go on at once.
const MOST: usize = 8 << 20;

/// A record with its place.
struct Waiting {
    ts: Timestamp,
    /// Records of the same time stay in the order in which they came.
    serial: u64,
    header: TlsHeader,
    data: Box<[u8]>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl Waiting {
    fn size(&self) -> usize {
        size_of::<Self>() + self.data.len()
    }

    fn place(&self) -> (Timestamp, u64) {
        (self.ts, self.serial)
    }
}

/// Records that wait.
#[derive(Default)]
pub(super) struct Order {
    waiting: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
    serial: u64,
}

impl Order {
    pub(super) fn put(&mut self, ts: Timestamp, header: &TlsHeader, data: &[u8]) {
        self.serial += 1;
        let waiting = Waiting { ts, serial: self.serial, header: *header, data: data.into() };
        self.bytes += waiting.size();
        self.waiting.push(Reverse(waiting));
    }

    /// The next record whose turn it is at `now`; with `all` the next one in any case.
    pub(super) fn take(&mut self, now: Timestamp, all: bool) -> Option<(Timestamp, TlsHeader, Box<[u8]>)> {
        let Reverse(first) = self.waiting.peek()?;
        if !all && self.bytes <= MOST && first.ts.plus(WAIT) > now {
            return None;
        }
        let Reverse(first) = self.waiting.pop()?;
        self.bytes = self.bytes.saturating_sub(first.size());
        Some((first.ts, first.header, first.data))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_wait_for_earlier_ones_but_not_for_ever() {
        let mut order = Order::default();
        let ms = |n: i64| Timestamp(n * 1_000_000);
        let at = |ts: i64, pos: u64| (ms(ts), TlsHeader { pos, ..TlsHeader::default() });
        for (ts, header) in [at(20, 1), at(10, 2), at(20, 3)] {
            order.put(ts, &header, b"x");
        }
        let mut take = |now: i64, all| order.take(ms(now), all).map(|(_, header, _)| header.pos);
        assert_eq!(take(39, false), None);
        assert_eq!((take(40, false), take(40, false)), (Some(2), None));
        assert_eq!((take(50, false), take(50, false), take(50, true)), (Some(1), Some(3), None));
        order.put(ms(90), &TlsHeader::default(), &vec![0; MOST + 1]);
        assert!(order.take(ms(90), false).is_some() && order.is_empty());
        // Records without data take room as well.
        let most = MOST / size_of::<Waiting>() + 1;
        for _ in 0..most + 2 {
            order.put(ms(90), &TlsHeader::default(), &[]);
        }
        assert_eq!((0..9).filter(|_| order.take(ms(90), false).is_some()).count(), 3);
    }
}
