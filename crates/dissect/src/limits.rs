//! Budgets: every amount that outside data could make grow.

use std::time::Duration;

use remora_model::Protocol;

use crate::{BodyPolicy, Schemas};

/// Bounds for one engine. An agent has one engine per shard and divides the totals among them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of payload kept per direction of a call (`--payload-limit`).
    pub payload: usize,
    /// Which bodies are kept, by content type.
    pub bodies: BodyPolicy,
    /// Bytes of one incomplete message that may wait to be understood.
    pub message_bytes: usize,
    /// Bytes of a direction that protocol detection looks at.
    pub detect_bytes: usize,
    /// Flows held at once.
    pub flows: usize,
    /// Out-of-order bytes held per direction of a flow.
    pub flow_bytes: usize,
    /// Bytes held by all flows together: reassembly, half-read messages, open requests.
    pub total_bytes: usize,
    /// Out-of-order pieces held per direction of a flow.
    pub segments: usize,
    /// Requests without a response held per flow.
    pub pending: usize,
    /// Bytes of header fields, compressed or not, read of one HTTP/2 message; the rest is left out.
    pub header_list: usize,
    /// Bytes of the HPACK table kept per direction of an HTTP/2 connection, counted as RFC 7541
    /// section 4.1 does. Peers that agree on a larger one have headers marked unknown.
    pub header_table: usize,
    /// IP datagrams being put together at once.
    pub fragments: usize,
    /// Tunnels that are opened around one packet. Capture files only: where packets are captured live,
    /// they are seen outside of tunnels as well.
    pub tunnels: usize,
    /// Report each flow whose protocol was not recognised as one call, with its first bytes.
    pub unknown_entries: bool,
    /// How far a decoded body may exceed its encoded size.
    pub expansion: usize,
    /// A hole in a stream is given up once the other data has waited this long.
    pub gap_wait: Duration,
    /// A request is reported without its response after this long in silence (datagrams).
    pub response_wait: Duration,
    /// A flow without packets for this long is over.
    pub idle: Duration,
    /// How often a changing flow writes a row.
    pub flow_interval: Duration,
    /// Ports whose protocol is known: what is sent to and from them is not judged by content.
    pub pins: Vec<(u16, Protocol)>,
    /// Descriptions of gRPC's messages. Engines whose limits are clones share what they learn.
    pub schemas: Schemas,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload: 64 << 10,
            bodies: BodyPolicy::default(),
            message_bytes: 1 << 20,
            detect_bytes: 4 << 10,
            flows: 65_536,
            flow_bytes: 4 << 20,
            total_bytes: 128 << 20,
            segments: 1_024,
            pending: 1_024,
            header_list: 256 << 10,
            header_table: 64 << 10,
            fragments: 1_024,
            tunnels: 4,
            unknown_entries: true,
            expansion: 100,
            gap_wait: Duration::from_secs(1),
            response_wait: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            flow_interval: Duration::from_secs(5),
            pins: Vec::new(),
            schemas: Schemas::default(),
        }
    }
}
