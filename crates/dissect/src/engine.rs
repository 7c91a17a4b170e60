//! From packets to flows, streams, dissectors and calls.

use remora_model::{CaptureSource, FlowId, Timestamp};

use crate::{Limits, Sink, packet::LinkType};

/// Names for the flows of one engine: an arithmetic sequence, so that several engines of a node
/// (one per shard) never give the same name.
#[derive(Clone, Copy, Debug)]
pub struct FlowIds {
    next: i64,
    step: i64,
}

impl FlowIds {
    /// `first`, `first + step`, `first + 2 * step`, ... For shard `k` of `n`: `base + k` and `n`.
    pub const fn new(first: i64, step: i64) -> Self {
        Self { next: first, step }
    }

    fn take(&mut self) -> FlowId {
        let id = FlowId(self.next);
        self.next = self.next.wrapping_add(self.step);
        id
    }
}

/// What an engine holds at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Packets given to it since it was made.
    pub packets: u64,
    /// Flows in the table.
    pub flows: usize,
    /// IP datagrams being put together.
    pub fragments: usize,
    /// Bytes held against [`Limits::total_bytes`].
    pub bytes: usize,
}

/// Part of a stream that nobody wants to see: the capture may leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shunt {
    /// The flow.
    pub flow: FlowId,
    /// Who sends the unwanted bytes.
    pub from: remora_model::Endpoint,
    /// Who receives them.
    pub to: remora_model::Endpoint,
    /// Sequence number of the first byte that is wanted again.
    pub until: u32,
}

/// Puts packets together and has them dissected. One engine serves one shard of the flows: all
/// packets of a flow must go to the same engine. It reads no clock: time is what the packets and
/// [`tick`](Self::tick) say.
pub struct Engine {
    limits: Limits,
    source: CaptureSource,
    ids: FlowIds,
}

impl Engine {
    /// An engine without flows.
    pub fn new(limits: Limits, source: CaptureSource, ids: FlowIds) -> Self {
        Self { limits, source, ids }
    }

    /// Takes a frame of a capture file or a packet socket. `wire_len` is its length before a
    /// snaplen cut it.
    pub fn frame(&mut self, ts: Timestamp, link: LinkType, bytes: &[u8], wire_len: u32, sink: &mut dyn Sink) {
        let _ = (ts, link, bytes, wire_len, sink, &self.limits, self.source, self.ids.take());
    }

    /// Takes an IPv4 or IPv6 packet (which one, its first nibble says). `wire_len` is its length
    /// before a snaplen cut it; it stands in for the length in the header of a GSO super-packet.
    pub fn packet(&mut self, ts: Timestamp, ip: &[u8], wire_len: u32, sink: &mut dyn Sink) {
        self.frame(ts, LinkType::RAW, ip, wire_len, sink);
    }

    /// Says what time it is in the capture when no packets do: gives up holes that have waited
    /// too long, closes idle flows, writes rows of changed flows. Wanted about once a second on
    /// live traffic; a reader of files need not call it.
    pub fn tick(&mut self, now: Timestamp, sink: &mut dyn Sink) {
        let _ = (now, sink);
    }

    /// The capture is over: delivers what is held and ends every flow. The engine is empty
    /// afterwards and may be used again.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let _ = sink;
    }

    /// What it holds at this moment.
    pub fn stats(&self) -> EngineStats {
        EngineStats::default()
    }
}
