//! Names of addresses, learned from DNS answers, each valid from the time it was seen.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use remora_model::Timestamp;

/// Bounds of the index.
#[derive(Clone, Copy, Debug)]
pub struct NameIndexLimits {
    /// Addresses held; the one that was learned first goes when there are more.
    pub addresses: usize,
    /// Names held for each address, the newest ones.
    pub names_per_address: usize,
}

impl Default for NameIndexLimits {
    fn default() -> Self {
        Self { addresses: 65_536, names_per_address: 8 }
    }
}

struct Version {
    from: Timestamp,
    name: Arc<str>,
}

/// Address to name, by time.
///
/// A name counts from the answer that gave it until an answer gives another: connections outlive
/// the time to live of the record that led to them.
pub struct NameIndex {
    limits: NameIndexLimits,
    names: HashMap<IpAddr, Vec<Version>>,
    order: VecDeque<IpAddr>,
    evicted: u64,
}

impl NameIndex {
    /// An empty index.
    pub fn new(limits: NameIndexLimits) -> Self {
        Self { limits, names: HashMap::new(), order: VecDeque::new(), evicted: 0 }
    }

    /// Notes that an answer at `at` gave `name` for `ip`. Loopback, unspecified and multicast
    /// addresses are no one's in particular and are not named.
    pub fn learn(&mut self, ip: IpAddr, name: &str, at: Timestamp) {
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || name.is_empty() || name.len() > 255
        {
            return;
        }
        if !self.names.contains_key(&ip) {
            if self.names.len() >= self.limits.addresses
                && let Some(oldest) = self.order.pop_front()
            {
                self.names.remove(&oldest);
                self.evicted += 1;
            }
            self.order.push_back(ip);
        }
        let versions = self.names.entry(ip).or_default();
        // Answers come nearly in order of time; the place is near the end.
        let i = versions.partition_point(|v| v.from <= at);
        if i > 0 && &*versions[i - 1].name == name {
            return;
        }
        if let Some(next) = versions.get_mut(i)
            && &*next.name == name
        {
            next.from = at;
            return;
        }
        versions.insert(i, Version { from: at, name: name.into() });
        if versions.len() > self.limits.names_per_address {
            versions.remove(0);
        }
    }

    /// The name of `ip` at `at`: the newest one given by then, or else the first one given
    /// afterwards (the answer may arrive a moment after the connection that it led to).
    pub fn name(&self, ip: IpAddr, at: Timestamp) -> Option<&Arc<str>> {
        let versions = self.names.get(&ip)?;
        let i = versions.partition_point(|v| v.from <= at);
        versions.get(i.saturating_sub(1)).map(|v| &v.name)
    }

    /// True when the name of `ip` depends on the time.
    pub fn is_ambiguous(&self, ip: IpAddr) -> bool {
        self.names.get(&ip).is_some_and(|versions| versions.len() > 1)
    }

    /// Addresses held.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// True when nothing was learned yet.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Addresses that were forgotten because the index was full.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn an_address_has_the_name_of_its_time() {
        let mut index = NameIndex::new(NameIndexLimits::default());
        index.learn(ip(1), "old.example", Timestamp(100));
        index.learn(ip(1), "new.example", Timestamp(200));
        index.learn(ip(1), "old.example", Timestamp(150));
        let at = |t| index.name(ip(1), Timestamp(t)).map(|n| n.to_string());
        assert_eq!(at(99).as_deref(), Some("old.example"));
        assert_eq!(at(199).as_deref(), Some("old.example"));
        assert_eq!(at(200).as_deref(), Some("new.example"));
        assert_eq!(index.name(ip(2), Timestamp(1)), None);
    }

    #[test]
    fn loopback_is_nobody() {
        let mut index = NameIndex::new(NameIndexLimits::default());
        index.learn(IpAddr::from([127, 0, 0, 1]), "localhost", Timestamp(1));
        assert!(index.is_empty());
    }

    #[test]
    fn the_index_is_bounded_both_ways() {
        let mut index = NameIndex::new(NameIndexLimits { addresses: 3, names_per_address: 2 });
        for i in 0..10 {
            index.learn(ip(i), "a.example", Timestamp(i64::from(i)));
        }
        assert_eq!((index.len(), index.evicted()), (3, 7));
        for t in 0..10 {
            index.learn(ip(9), &format!("n{t}.example"), Timestamp(100 + t));
        }
        assert_eq!(index.name(ip(9), Timestamp(0)).map(|n| n.to_string()).as_deref(), Some("n8.example"));
    }
}
