//! What is known of channels: whether publishes are confirmed, and who consumes from what.

use crate::messaging::Arena;
use crate::{Context, Problem};

/// Consumers of one connection that are remembered.
const MAX_CONSUMERS: usize = 256;

/// Bytes of a consumer's tag and queue that are remembered; both have at most 255.
const CONSUMER_BYTES: usize = 510;

/// A consumer, and the queue that it reads.
#[derive(Debug, Default)]
struct Consumer {
    channel: u16,
    /// Tag and queue, one behind the other.
    text: Arena,
    tag: usize,
}

impl Consumer {
    fn is(&self, channel: u16, tag: &[u8]) -> bool {
        self.channel == channel && self.text.text().get(..self.tag) == Some(tag)
    }
}

/// What becomes of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Publish {
    /// It is confirmed by this number.
    Confirmed(u64),
    /// It is not answered.
    Alone,
    /// One of both.
    Unknown,
}

/// What is known of all channels of a connection.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// The beginning of the connection was seen, and so are all channels.
    all: bool,
    /// Channels of which that is known, where it is not of all.
    opened: Vec<u16>,
    /// Channels whose publishes are confirmed, with the number of the next publish.
    confirmed: Vec<(u16, u64)>,
    /// Channels that the server has closed, which the client is to acknowledge.
    closed: Vec<u16>,
    consumers: Vec<Consumer>,
}

impl Channels {
    /// Nothing was said on any channel yet.
    pub(super) fn begin(&mut self) {
        self.all = true;
    }

    /// The channel is opened.
    pub(super) fn open(&mut self, channel: u16, cx: &mut Context<'_>) {
        self.closed.retain(|c| *c != channel);
        if !self.all && !self.opened.contains(&channel) {
            note(&mut self.opened, channel, cx);
        }
    }

    /// Publishes on the channel are confirmed from now on.
    pub(super) fn confirm(&mut self, channel: u16, cx: &mut Context<'_>) {
        if self.confirmed.iter().any(|c| c.0 == channel) {
            return;
        }
        if self.confirmed.len() >= cx.limits.pending {
            cx.problem(Problem::StateLimit, 0);
        } else {
            self.confirmed.push((channel, 1));
        }
    }

    /// What becomes of the next publish on the channel.
    pub(super) fn publish(&mut self, channel: u16) -> Publish {
        match self.confirmed.iter_mut().find(|c| c.0 == channel) {
            Some((_, next)) => {
                let number = *next;
                *next = next.saturating_add(1);
                Publish::Confirmed(number)
            }
            None if self.all || self.opened.contains(&channel) => Publish::Alone,
            None => Publish::Unknown,
        }
    }

    /// Methods of the client were missed: the numbers of publishes are not known any more, nor whether they
    /// have any.
    pub(super) fn lose_count(&mut self) {
        self.all = false;
        self.opened.clear();
        self.confirmed.clear();
        // The client's part in the end of a channel may be among what is missing.
        self.closed.clear();
    }

    /// The server has closed the channel, which was told.
    pub(super) fn note_closed(&mut self, channel: u16, cx: &mut Context<'_>) {
        note(&mut self.closed, channel, cx);
    }

    /// True when [`note_closed`](Self::note_closed) was said of the channel, which it forgets.
    pub(super) fn take_closed(&mut self, channel: u16) -> bool {
        let at = self.closed.iter().position(|c| *c == channel);
        at.map(|at| self.closed.swap_remove(at)).is_some()
    }

    /// A consumer begins.
    pub(super) fn consume(&mut self, channel: u16, tag: &[u8], queue: &[u8], cx: &mut Context<'_>) {
        self.cancel(channel, tag);
        if self.consumers.len() >= MAX_CONSUMERS {
            return cx.problem(Problem::StateLimit, 0);
        }
        let mut text = Arena::default();
        text.begin(CONSUMER_BYTES);
        text.push(tag);
        text.push(queue);
        self.consumers.push(Consumer { channel, text, tag: tag.len() });
    }

    /// A consumer ends.
    pub(super) fn cancel(&mut self, channel: u16, tag: &[u8]) {
        self.consumers.retain(|c| !c.is(channel, tag));
    }

    /// The queue that a consumer reads, where its beginning was seen.
    pub(super) fn queue(&self, channel: u16, tag: &[u8]) -> Option<&[u8]> {
        let consumer = self.consumers.iter().find(|c| c.is(channel, tag))?;
        consumer.text.text().get(consumer.tag..).filter(|queue| !queue.is_empty())
    }

    /// The channel is closed; 0 stands for all of them.
    pub(super) fn close(&mut self, channel: u16) {
        self.opened.retain(|c| channel != 0 && *c != channel);
        self.confirmed.retain(|c| channel != 0 && c.0 != channel);
        self.consumers.retain(|c| channel != 0 && c.channel != channel);
    }

    pub(super) fn memory(&self) -> usize {
        let texts: usize = self.consumers.iter().map(|c| c.text.memory()).sum();
        texts
            + self.consumers.capacity() * size_of::<Consumer>()
            + self.confirmed.capacity() * size_of::<(u16, u64)>()
            + (self.opened.capacity() + self.closed.capacity()) * size_of::<u16>()
    }
}

fn note(channels: &mut Vec<u16>, channel: u16, cx: &mut Context<'_>) {
    if channels.len() >= cx.limits.pending {
        cx.problem(Problem::StateLimit, 0);
    } else {
        channels.push(channel);
    }
}
