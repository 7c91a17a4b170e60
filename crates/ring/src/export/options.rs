//! What is to be exported, and what came of it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::flow::FlowKey;
use crate::pcapng::Direction;

/// A span of time, nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// From here on.
    pub from: i64,
    /// Up to before this.
    pub until: i64,
}

impl Window {
    /// All times.
    pub const ALL: Self = Self { from: i64::MIN, until: i64::MAX };

    /// True when the time lies in it.
    pub fn has(&self, ts: i64) -> bool {
        self.from <= ts && ts < self.until
    }
}

/// A flow, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowSelection {
    /// Which flow.
    pub key: FlowKey,
    /// When: ports are used again by other connections.
    pub window: Window,
}

impl From<FlowKey> for FlowSelection {
    fn from(key: FlowKey) -> Self {
        Self { key, window: Window::ALL }
    }
}

/// Which packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Flows {
    /// All of them.
    #[default]
    All,
    /// Those of some flows, with the fragments of their datagrams. Of the secrets, those of
    /// connections whose ClientHello is in the ring.
    Only(Vec<FlowSelection>),
}

/// How much of each packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// As much as was captured.
    #[default]
    Whole,
    /// The headers up to those of the transport.
    HeadersOnly,
}

/// What is known of a packet when its comment is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketInfo<'a> {
    /// When it was captured, nanoseconds since 1970.
    pub ts: i64,
    /// Its flow; of later fragments without ports.
    pub flow: Option<FlowKey>,
    /// Who sent it, if it is an IP packet.
    pub from: Option<SocketAddr>,
    /// The name of the interface.
    pub interface: &'a str,
    /// Which way it went there.
    pub direction: Direction,
    /// Bytes on the wire.
    pub wire_len: u32,
}

/// Writes the comment of a packet into the text, which is empty; what stays empty is no comment.
pub type Comment = Box<dyn FnMut(&PacketInfo<'_>, &mut String) + Send>;

/// What is to be exported.
pub struct ExportOptions {
    /// Packets of this time.
    pub window: Window,
    /// Of these flows.
    pub flows: Flows,
    /// With the secrets of TLS that the ring holds.
    pub secrets: bool,
    /// Names of addresses, for whoever reads the file.
    pub names: Vec<(IpAddr, String)>,
    /// How much of each packet.
    pub payload: Payload,
    /// The export ends with the packet that reaches this many bytes.
    pub max_bytes: u64,
    /// Gives packets comments.
    pub comment: Option<Comment>,
    /// What the section names as the program that wrote it.
    pub application: String,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            window: Window::ALL,
            flows: Flows::All,
            secrets: true,
            names: Vec::new(),
            payload: Payload::Whole,
            max_bytes: u64::MAX,
            comment: None,
            application: concat!("Remora ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl std::fmt::Debug for ExportOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportOptions")
            .field("window", &self.window)
            .field("flows", &self.flows)
            .field("secrets", &self.secrets)
            .field("names", &self.names.len())
            .field("payload", &self.payload)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// What an export gave, and what it could not give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Packets.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Bytes of the section.
    pub file_bytes: u64,
    /// Secrets.
    pub secrets: u64,
    /// Times of the first and the last packet.
    pub span: Option<(i64, i64)>,
    /// Segments that were deleted before they were read.
    pub gone_segments: u64,
    /// Packets that they had, of whatever flow.
    pub gone_packets: u64,
    /// Packets that could not be read.
    pub damaged_packets: u64,
    /// Packets that come after later ones: more segments than are merged at once overlap.
    pub disordered: u64,
    /// It ended because of its size.
    pub truncated: bool,
    /// The last fault in reading the ring.
    pub last_error: Option<String>,
}

impl ExportReport {
    pub(super) fn packet(&mut self, ts: i64, bytes: usize, late: bool) {
        self.packets += 1;
        self.bytes += bytes as u64;
        self.disordered += u64::from(late);
        let (first, last) = self.span.unwrap_or((ts, ts));
        self.span = Some((first.min(ts), last.max(ts)));
    }

    pub(super) fn fault(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.last_error = Some(error.to_string());
        }
    }

    pub(super) fn gone(&mut self, error: &io::Error, packets: u64) {
        self.fault(error);
        self.gone_segments += 1;
        self.gone_packets += packets;
    }
}
