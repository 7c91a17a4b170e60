//! Topic aliases of MQTT 5 (section 3.3.2.3.4), of one direction.

use crate::{Context, Problem};

/// Aliases that are remembered, and bytes of a topic that are.
const MAX_ALIASES: usize = 256;
const MAX_TOPIC: usize = 1 << 10;

/// Topics by their aliases.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    topics: Vec<(u16, Vec<u8>)>,
    bytes: usize,
}

impl Aliases {
    pub(super) fn get(&self, alias: u16) -> Option<&[u8]> {
        self.topics.iter().find(|t| t.0 == alias).map(|t| t.1.as_slice())
    }

    /// The alias stands for the topic from now on.
    pub(super) fn set(&mut self, alias: u16, topic: &[u8], cx: &mut Context<'_>) {
        let known = self.topics.iter().position(|t| t.0 == alias);
        if topic.len() > MAX_TOPIC || known.is_none() && self.topics.len() >= MAX_ALIASES {
            if let Some(i) = known {
                self.topics.swap_remove(i);
            }
            return cx.problem(Problem::StateLimit, topic.len() as u64);
        }
        let i = known.unwrap_or_else(|| {
            self.topics.push((alias, Vec::new()));
            self.topics.len() - 1
        });
        if let Some((_, text)) = self.topics.get_mut(i) {
            self.bytes = self.bytes.saturating_sub(text.capacity());
            text.clear();
            text.extend_from_slice(topic);
            self.bytes += text.capacity();
        }
    }

    /// What they stood for is not known any more.
    pub(super) fn clear(&mut self) {
        self.topics.clear();
        self.bytes = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.bytes + self.topics.capacity() * size_of::<(u16, Vec<u8>)>()
    }
}
