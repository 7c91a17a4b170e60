//! What the parts of a flow need to know of it and of the engine while they work.

use remora_model::{CaptureSource, Endpoint, FlowId, Transport};

use crate::dissector::{Context, Tally, Times};
use crate::tls::Secrets;
use crate::{Limits, Problem, Sink, detect::Entry};

/// Borrowed for the time of one packet.
pub(crate) struct Env<'a> {
    pub(super) flow: FlowId,
    pub(super) transport: Transport,
    /// Sender of direction 0, sender of direction 1.
    pub(super) ends: [Endpoint; 2],
    pub(super) source: CaptureSource,
    pub(super) limits: &'a Limits,
    /// What is read is the plaintext of TLS.
    pub(super) tls: bool,
    pub(super) registry: &'static [Entry],
    pub(super) within: Within<'a>,
    pub(super) sink: &'a mut dyn Sink,
    /// The flow's count of bytes that were never captured.
    pub(super) missing: &'a mut i64,
}

/// What dissectors that carry other protocols need to know.
#[derive(Clone, Copy)]
pub(crate) struct Within<'a> {
    /// Secrets of TLS connections.
    pub(crate) secrets: &'a Secrets,
    /// In how many connections of TLS this one is.
    pub(crate) depth: u8,
}

impl<'a> Env<'a> {
    /// For the plaintext of the connection that `cx` is about. Direction 0 is that of its client.
    pub(crate) fn inside(cx: &'a mut Context<'_>, missing: &'a mut i64) -> Self {
        Self {
            flow: cx.flow,
            transport: Transport::Tcp,
            ends: [cx.client, cx.server],
            source: cx.source,
            limits: cx.limits,
            tls: true,
            registry: cx.registry,
            within: Within { depth: cx.within.depth.saturating_add(1), ..cx.within },
            sink: &mut *cx.sink,
            missing,
        }
    }
}

impl Env<'_> {
    /// What a dissector may know, where the client sends in direction `client`.
    pub(super) fn context<'c>(&'c mut self, client: usize, pos: u64, times: Times<'c>) -> Context<'c> {
        Context {
            flow: self.flow,
            transport: self.transport,
            client: self.ends[client],
            server: self.ends[1 - client],
            source: self.source,
            limits: self.limits,
            tls: self.tls,
            pos,
            registry: self.registry,
            within: self.within,
            tally: Tally::default(),
            times,
            sink: &mut *self.sink,
        }
    }

    pub(super) fn problem(&mut self, problem: Problem, bytes: u64) {
        self.sink.problem(problem, bytes);
    }
}

/// A count as the model's columns hold it.
pub(super) fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
