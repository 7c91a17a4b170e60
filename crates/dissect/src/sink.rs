//! Where results go.

use remora_model::{Call, CloseReason, Endpoint, FlowId, FlowRow, Timestamp, Transport};

use crate::Problem;

/// Which flow is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowName {
    /// Its id in calls and rows.
    pub id: FlowId,
    /// What it is made of.
    pub transport: Transport,
    /// Its ends, the lower one first.
    pub ends: [Endpoint; 2],
    /// What the addresses are part of, see [`Engine::set_scope`](crate::Engine::set_scope).
    pub scope: u32,
    /// The capture's name for it, see [`Engine::set_tag`](crate::Engine::set_tag); 0 without one.
    pub tag: u32,
}

/// What a capture has counted of one side of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountedSide {
    /// Packets sent.
    pub packets: u64,
    /// IP bytes sent.
    pub bytes: u64,
    /// Union of the TCP flag bits.
    pub tcp_flags: u8,
}

/// What a capture has counted of a flow since the tag was given: all packets, also those that the
/// engine did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// By sender, in the order of [`FlowName::ends`].
    pub sent: [CountedSide; 2],
    /// The newest packet.
    pub last_seen: Option<Timestamp>,
    /// Microseconds from the SYN to the ACK that completed the handshake.
    pub handshake_us: Option<i64>,
    /// TCP segments that did not advance the stream. Where the engine has seen all segments its
    /// own count is better: it tells repetition from reordering.
    pub retransmits: u64,
    /// Segments with payload were left out.
    pub shunted: bool,
}

/// Receives what the engine finds, in the order in which it is found.
pub trait Sink {
    /// A finished call. It borrows from the dissector: copy what is to be kept.
    fn call(&mut self, call: &Call<'_>);

    /// A flow's state.
    fn flow(&mut self, flow: &FlowRow<'_>);

    /// Something that was not understood or not kept; `bytes` is how much it concerned.
    fn problem(&mut self, problem: Problem, bytes: u64);

    /// The packet that the engine was given belongs to this flow, and nothing has come of it yet.
    /// `sender` is the index in [`FlowName::ends`] of who sent it.
    fn packet_of(&mut self, _flow: &FlowName, _sender: usize) {}

    /// What the capture has counted of the flow under its present tag, if it counts by itself and
    /// still has the numbers. Asked before rows of flows that have a tag: at most once for each row
    /// and second, never for each packet.
    fn counted(&mut self, _flow: &FlowName) -> Option<Counted> {
        None
    }

    /// The engine has forgotten the flow: neither calls nor rows of it will come. `why` is how it
    /// ended; after [`CloseReason::Idle`] and [`CloseReason::Evicted`] the same connection may come
    /// back as a new flow, whose counts must begin anew.
    fn gone(&mut self, _flow: &FlowName, _why: CloseReason) {}
}
