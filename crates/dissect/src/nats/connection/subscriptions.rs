//! What a connection is subscribed to.

use crate::nats::line;
use crate::{Context, Problem};

/// Bytes of a subscription that are remembered.
const MAX_TEXT: usize = 512;

#[derive(Debug, Default)]
struct Subscription {
    /// Its id, its subject and its queue group, one behind the other.
    text: Vec<u8>,
    sid: usize,
    subject: usize,
}

impl Subscription {
    fn sid(&self) -> &[u8] {
        self.text.get(..self.sid).unwrap_or_default()
    }

    fn subject(&self) -> &[u8] {
        self.text.get(self.sid..self.subject).unwrap_or_default()
    }
}

/// All that are known.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    list: Vec<Subscription>,
    /// Ended ones, whose buffers are used again.
    spare: Vec<Subscription>,
}

impl Subscriptions {
    pub(super) fn add(&mut self, sid: &[u8], subject: &[u8], queue: &[u8], cx: &mut Context<'_>) {
        self.remove(sid);
        let len = sid.len() + subject.len() + queue.len();
        if self.list.len() >= cx.limits.pending.max(1) || len > MAX_TEXT {
            return cx.problem(Problem::StateLimit, len as u64);
        }
        let mut new = self.spare.pop().unwrap_or_default();
        new.text.clear();
        for part in [sid, subject, queue] {
            new.text.extend_from_slice(part);
        }
        (new.sid, new.subject) = (sid.len(), sid.len() + subject.len());
        self.list.push(new);
    }

    pub(super) fn remove(&mut self, sid: &[u8]) {
        if let Some(i) = self.list.iter().position(|s| s.sid() == sid) {
            let old = self.list.swap_remove(i);
            if self.spare.len() < 8 {
                self.spare.push(old);
            }
        }
    }

    /// True when something is subscribed to that wants the subject.
    pub(super) fn want(&self, subject: &[u8]) -> bool {
        self.list.iter().any(|s| line::matches(s.subject(), subject))
    }

    /// The subject and the queue group of a subscription.
    pub(super) fn get(&self, sid: &[u8]) -> Option<(&[u8], &[u8])> {
        let s = self.list.iter().find(|s| s.sid() == sid)?;
        Some((s.subject(), s.text.get(s.subject..).unwrap_or_default()))
    }

    pub(super) fn memory(&self) -> usize {
        let texts: usize = self.list.iter().chain(&self.spare).map(|s| s.text.capacity()).sum();
        texts + (self.list.capacity() + self.spare.capacity()) * size_of::<Subscription>()
    }
}
