//! A flow: one transport connection, with its counters as of some instant.

use crate::{CaptureSource, Endpoint, FlowId, Timestamp, Transport};

/// Where a flow is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowState {
    /// Opening: a SYN was seen, data was not.
    Open,
    /// Carrying data, or joined after its start.
    InProgress,
    /// Ended.
    Closed,
}

impl FlowState {
    /// The value of the field `conn_state`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in_progress",
            Self::Closed => "closed",
        }
    }
}

/// How a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Both sides sent FIN.
    Fin,
    /// A reset.
    Reset,
    /// Nothing was seen for the idle time-out.
    Idle,
    /// Pushed out of a full table by newer flows.
    Evicted,
    /// A new connection began between the same addresses and ports; the end was not seen.
    Reused,
    /// The capture ended.
    CaptureEnd,
}

impl CloseReason {
    /// The value of the field `close_reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Reused => "reused",
            Self::CaptureEnd => "capture_end",
        }
    }
}

/// The state of a flow at `last_seen`. A flow writes a row when it opens, while it changes (at
/// most one per reporting interval) and when it ends; the newest row of a flow is its state. A row
/// may follow the one that says it ended, when something came late.
///
/// Counts are totals since the flow was first seen, not growth since the row before. Of a connection
/// that is older than the capture they say what crossed since the capture began. Packets are counted
/// once for each direction, as the socket's side of the network stack has them: before segmentation
/// on the way out, after merging on the way in.
#[derive(Clone, Debug)]
pub struct FlowRow<'a> {
    /// Its name.
    pub flow: FlowId,
    /// What it is made of.
    pub transport: Transport,
    /// The side that opened it, or is taken to be the client.
    pub client: Endpoint,
    /// The other side.
    pub server: Endpoint,
    /// Its first packet.
    pub first_seen: Timestamp,
    /// Its newest packet.
    pub last_seen: Timestamp,
    /// Where it is in its life.
    pub state: FlowState,
    /// How it ended, once it has.
    pub close_reason: Option<CloseReason>,
    /// Packets sent by the client.
    pub client_packets: i64,
    /// IP bytes sent by the client.
    pub client_bytes: i64,
    /// Packets sent by the server.
    pub server_packets: i64,
    /// IP bytes sent by the server.
    pub server_bytes: i64,
    /// Microseconds from SYN to the ACK that completes the handshake.
    pub handshake_rtt_us: Option<i64>,
    /// TCP segments that repeated bytes already sent.
    pub retransmits: i64,
    /// Union of the TCP flag bits that the client sent (RFC 9293, FIN = 1 ... CWR = 128).
    pub client_tcp_flags: i64,
    /// The same for the server.
    pub server_tcp_flags: i64,
    /// Payload bytes that were missing when the streams were put together.
    pub missing_bytes: i64,
    /// Names of the application protocols found in it.
    pub l7: &'a [&'a str],
    /// Where the packets came from.
    pub source: CaptureSource,
}
