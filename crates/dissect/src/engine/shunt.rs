//! Leaving out bytes that nobody wants before they are copied.
//!
//! The protocol between engine and capture:
//!
//! 1. The capture sets a threshold ([`Engine::set_shunt_threshold`](super::Engine)). When a
//!    dissector skips at least that much, the engine lists a [`Shunt`].
//! 2. The capture takes the list now and then (`Engine::take_shunts`), stops shipping payload of
//!    that direction before `until`, and says so for each (`Engine::shunted`). It goes on
//!    shipping packets with SYN, FIN or RST, those that reach beyond `until`, and all of the other
//!    direction, whose acknowledgements keep the flow alive and move it along.
//! 3. Bytes before `until` that then do not come count as passed, exactly as if they had been seen
//!    and skipped. Without step 2, or beyond `until`, bytes that do not come are missing.
//!
//! A shunt covers at most 2^30 bytes, because sequence numbers wrap; a longer body is offered
//! again piece by piece. A shunt that is not taken costs nothing and is forgotten with its flow.

use remora_model::{Endpoint, FlowId};

/// Part of a stream that nobody wants to see: the capture may leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shunt {
    /// The flow.
    pub flow: FlowId,
    /// Who sends the unwanted bytes.
    pub from: Endpoint,
    /// Who receives them.
    pub to: Endpoint,
    /// Sequence number of the first byte that is wanted again.
    pub until: u32,
}

/// Shunts waiting to be taken; older ones go first when nobody takes them.
pub(super) const MAX_PENDING: usize = 1_024;
