//! What the hooks saw, by what became of it.

use remora_abi::{Counter, Reason};

/// Counters since the start of the capture, one per [`Reason`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    values: [Counter; Reason::COUNT as usize],
}

impl Counters {
    /// Packets and bytes of a reason.
    pub fn get(&self, reason: Reason) -> Counter {
        self.values[reason as usize]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, Counter)> {
        Reason::ALL.into_iter().map(|r| (r, self.get(r)))
    }

    /// Packets that should have been captured and were not.
    pub fn lost(&self) -> Counter {
        let mut sum = Counter::default();
        for (_, c) in self.iter().filter(|(r, _)| r.is_loss()) {
            sum.packets += c.packets;
            sum.bytes += c.bytes;
        }
        sum
    }

    /// Growth since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut out = Self::default();
        for (i, v) in out.values.iter_mut().enumerate() {
            v.packets = self.values[i].packets.saturating_sub(earlier.values[i].packets);
            v.bytes = self.values[i].bytes.saturating_sub(earlier.values[i].bytes);
        }
        out
    }

    pub(super) fn add(&mut self, reason: Reason, c: Counter) {
        let v = &mut self.values[reason as usize];
        v.packets += c.packets;
        v.bytes += c.bytes;
    }
}
