//! A call: one request with its response, or what was seen of them.

use std::net::IpAddr;

use crate::{FieldId, Protocol, Timestamp, Transport, ValueRef};

/// One side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Address; IPv4-mapped IPv6 is stored as IPv4.
    pub ip: IpAddr,
    /// Port, 0 where the transport has none.
    pub port: u16,
}

/// Names a call for as long as retention keeps it. Below 2^53, so that it survives JSON readers
/// that hold numbers as doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub i64);

/// Names a flow within one node; below 2^53 like [`CallId`]. Calls and flow rows share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowId(pub i64);

/// Where the bytes of a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CaptureSource {
    /// Packets seen by programs in the kernel (`cgroup_skb`, tcx or tc).
    Ebpf,
    /// Plaintext seen by probes on a TLS library.
    EbpfTls,
    /// Packets read from an `AF_PACKET` socket.
    AfPacket,
    /// Packets read from a capture file.
    File,
}

impl CaptureSource {
    /// The value of the field `capture_source`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::EbpfTls => "ebpf_tls",
            Self::AfPacket => "af_packet",
            Self::File => "file",
        }
    }
}

/// Why a call is not whole. The first reason that applied is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Incomplete {
    /// The request was seen and its response never was.
    NoResponse,
    /// A response was seen whose request was not.
    NoRequest,
    /// Bytes inside the call are missing from the capture.
    Gap,
    /// The connection or the capture ended before the message did.
    Truncated,
    /// The connection was reset before the message ended.
    Reset,
}

impl Incomplete {
    /// The value of the field `incomplete`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoResponse => "no_response",
            Self::NoRequest => "no_request",
            Self::Gap => "gap",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
        }
    }
}

/// A call as a dissector hands it over: it borrows from the dissector's buffers and is copied
/// once, into columns.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The protocol it was spoken in.
    pub protocol: Protocol,
    /// What carried it.
    pub transport: Transport,
    /// The connection it belongs to.
    pub flow: FlowId,
    /// The side that asked.
    pub client: Endpoint,
    /// The side that answered.
    pub server: Endpoint,
    /// Time of the request's first byte, or of the response's where the request was not seen.
    pub ts: Timestamp,
    /// Microseconds from the request's last byte to the response's first byte; 0 where the
    /// response began before the request had ended.
    pub elapsed_us: Option<i64>,
    /// Microseconds from the request's first byte to the response's last byte.
    pub ttlb_us: Option<i64>,
    /// Bytes of the request on the wire, framing included.
    pub request_bytes: Option<i64>,
    /// Bytes of the response on the wire, framing included.
    pub response_bytes: Option<i64>,
    /// Position of the request's first byte in the client's stream, counted from the first byte
    /// that was seen of it.
    pub request_pos: Option<i64>,
    /// The same for the response in the server's stream.
    pub response_pos: Option<i64>,
    /// True when the protocol itself says that the call failed.
    pub failed: bool,
    /// True when the protocol blames the client.
    pub client_error: bool,
    /// Why it is not whole, if it is not.
    pub incomplete: Option<Incomplete>,
    /// It travelled in TLS, and this is its plaintext.
    pub tls: bool,
    /// Where the bytes came from.
    pub source: CaptureSource,
    /// The protocol's own fields, each at most once, in any order. Absent fields are left out.
    pub fields: &'a [(FieldId, ValueRef<'a>)],
}
