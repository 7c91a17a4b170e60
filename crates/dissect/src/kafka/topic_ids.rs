//! Names of topics by their ids, as Metadata and CreateTopics have told them on a connection.

use std::collections::HashMap;

/// Ids that are remembered. When there are more, all are forgotten: clients ask for the metadata of
/// the topics that they use again and again.
const MAX_IDS: usize = 1_024;

/// What is known of the ids on one connection.
#[derive(Debug, Default)]
pub(super) struct TopicIds {
    names: HashMap<[u8; 16], Box<[u8]>>,
    bytes: usize,
}

impl TopicIds {
    /// An id and the name that stands beside it. Answers how many ids had to be forgotten for it.
    pub(super) fn learn(&mut self, id: [u8; 16], name: &[u8]) -> usize {
        if id == [0; 16] || name.is_empty() || self.names.get(&id).is_some_and(|n| **n == *name) {
            return 0;
        }
        let mut forgotten = 0;
        if self.names.len() >= MAX_IDS {
            forgotten = self.names.len();
            self.names.clear();
            self.bytes = 0;
        }
        self.bytes += name.len();
        if let Some(old) = self.names.insert(id, name.into()) {
            self.bytes -= old.len();
        }
        forgotten
    }

    pub(super) fn name(&self, id: &[u8; 16]) -> Option<&[u8]> {
        self.names.get(id).map(AsRef::as_ref)
    }

    pub(super) fn memory(&self) -> usize {
        self.names.capacity() * size_of::<([u8; 16], Box<[u8]>)>() + self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_learnt_changed_and_bounded() {
        let mut ids = TopicIds::default();
        let id = |n: u32| {
            let mut id = [7; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            id
        };
        ids.learn([0; 16], b"nobody");
        ids.learn(id(1), b"orders");
        assert_eq!(
            (ids.name(&id(1)), ids.name(&id(2)), ids.name(&[0; 16])),
            (Some(&b"orders"[..]), None, None)
        );
        ids.learn(id(1), b"payments");
        assert_eq!((ids.name(&id(1)), ids.bytes), (Some(&b"payments"[..]), 8));
        let forgotten: usize = (0..3_000).map(|n| ids.learn(id(n), b"topic")).sum();
        assert_eq!(forgotten, 2 * MAX_IDS);
        assert!(ids.names.len() <= MAX_IDS && ids.name(&id(2_999)).is_some());
    }
}
