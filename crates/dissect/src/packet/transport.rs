//! Headers of TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792, RFC 4443) and SCTP (RFC 9260).

use super::{be16, be32};
use crate::Problem;

/// IP protocol number of TCP.
pub(crate) const TCP: u8 = 6;
/// IP protocol number of UDP.
pub(crate) const UDP: u8 = 17;
/// IP protocol number of ICMP over IPv4.
pub(crate) const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub(crate) const ICMPV6: u8 = 58;
/// IP protocol number of SCTP.
pub(crate) const SCTP: u8 = 132;

/// What an IP packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport<'a> {
    /// A TCP segment.
    Tcp(TcpSegment<'a>),
    /// A UDP datagram.
    Udp(UdpDatagram<'a>),
    /// A message of ICMP or ICMPv6.
    Icmp(IcmpMessage<'a>),
    /// An SCTP packet.
    Sctp(SctpPacket<'a>),
}

impl Transport<'_> {
    /// Which one it is, and the ports of sender and receiver, 0 where there are none.
    pub fn ports(&self) -> (remora_model::Transport, u16, u16) {
        use remora_model::Transport as Kind;
        match self {
            Self::Tcp(t) => (Kind::Tcp, t.src_port, t.dst_port),
            Self::Udp(u) => (Kind::Udp, u.src_port, u.dst_port),
            Self::Icmp(_) => (Kind::Icmp, 0, 0),
            Self::Sctp(s) => (Kind::Sctp, s.src_port, s.dst_port),
        }
    }
}

/// TCP header flags, FIN = 1 ... CWR = 128.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// The sender has no more to send.
    pub const fn fin(self) -> bool {
        self.0 & 1 != 0
    }
    /// The sequence number is an initial one.
    pub const fn syn(self) -> bool {
        self.0 & 2 != 0
    }
    /// The sender has nothing more to send at the moment.
    pub const fn psh(self) -> bool {
        self.0 & 8 != 0
    }
    /// The connection is void.
    pub const fn rst(self) -> bool {
        self.0 & 4 != 0
    }
    /// The acknowledgement number counts.
    pub const fn ack(self) -> bool {
        self.0 & 16 != 0
    }
}

/// A TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSegment<'a> {
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// Sequence number of the first byte of the payload, or of the SYN where there is one.
    pub seq: u32,
    /// The next sequence number that the sender expects, when `flags.ack()`.
    pub ack: u32,
    /// Flags.
    pub flags: TcpFlags,
    /// Window as it stands in the header, not scaled.
    pub window: u16,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Length of the payload on the wire.
    pub payload_len: u32,
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpDatagram<'a> {
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// Checksum as it stands in the header.
    pub checksum: u16,
    /// Captured payload.
    pub payload: &'a [u8],
    /// Length of the payload on the wire.
    pub payload_len: u32,
}

/// A message of ICMP or ICMPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpMessage<'a> {
    /// The message as captured, its header included.
    pub message: &'a [u8],
    /// Its length on the wire.
    pub len: u32,
}

/// An SCTP packet: the common header, and the chunks as they were captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SctpPacket<'a> {
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// Verification tag: by which the receiver knows the association.
    pub tag: u32,
    /// Checksum as it stands in the header: CRC32c of the packet.
    pub checksum: u32,
    /// Captured chunks.
    pub chunks: &'a [u8],
    /// Length of the chunks on the wire.
    pub chunks_len: u32,
}

/// Reads the payload of an IP packet; `wire_len` is its length on the wire.
pub fn parse(protocol: u8, bytes: &[u8], wire_len: u32) -> Result<Transport<'_>, Problem> {
    match protocol {
        TCP => tcp(bytes, wire_len).map(Transport::Tcp),
        UDP => udp(bytes, wire_len).map(Transport::Udp),
        ICMP | ICMPV6 => icmp(bytes, wire_len).map(Transport::Icmp),
        SCTP => sctp(bytes, wire_len).map(Transport::Sctp),
        _ => Err(Problem::OtherTransport),
    }
}

fn tcp(bytes: &[u8], wire_len: u32) -> Result<TcpSegment<'_>, Problem> {
    let header: &[u8; 20] = bytes.first_chunk().ok_or(Problem::ShortPacket)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    let payload_len = wire_len.checked_sub(header_len as u32).ok_or(Problem::BadPacket)?;
    if header_len < 20 {
        return Err(Problem::BadPacket);
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Ok(TcpSegment {
        src_port: u16::from_be_bytes([header[0], header[1]]),
        dst_port: u16::from_be_bytes([header[2], header[3]]),
        seq: word(4),
        ack: word(8),
        flags: TcpFlags(header[13]),
        window: u16::from_be_bytes([header[14], header[15]]),
        // Options that a snaplen cut off do not make the segment useless.
        payload: bytes.get(header_len..).unwrap_or_default(),
        payload_len,
    })
}

fn udp(bytes: &[u8], wire_len: u32) -> Result<UdpDatagram<'_>, Problem> {
    let (src_port, dst_port) = be16(bytes, 0).zip(be16(bytes, 2)).ok_or(Problem::ShortPacket)?;
    let header: &[u8; 8] = bytes.first_chunk().ok_or(Problem::ShortPacket)?;
    // Zero stands for a datagram that is longer than the field can say (RFC 2675), and for one
    // whose length the network card will fill in.
    let len = match u32::from(u16::from_be_bytes([header[4], header[5]])) {
        0 => wire_len,
        n if n < 8 || n > wire_len => return Err(Problem::BadPacket),
        n => n,
    };
    let payload_len = len.checked_sub(8).ok_or(Problem::BadPacket)?;
    let rest = bytes.get(8..).unwrap_or_default();
    let captured = usize::try_from(payload_len).unwrap_or(usize::MAX).min(rest.len());
    let checksum = u16::from_be_bytes([header[6], header[7]]);
    Ok(UdpDatagram { src_port, dst_port, checksum, payload: &rest[..captured], payload_len })
}

/// Four bytes are what all messages have: type, code and checksum.
fn icmp(bytes: &[u8], wire_len: u32) -> Result<IcmpMessage<'_>, Problem> {
    if bytes.len() < 4 {
        return Err(Problem::ShortPacket);
    }
    Ok(IcmpMessage { message: bytes, len: wire_len })
}

fn sctp(bytes: &[u8], wire_len: u32) -> Result<SctpPacket<'_>, Problem> {
    let (src_port, dst_port) = be16(bytes, 0).zip(be16(bytes, 2)).ok_or(Problem::ShortPacket)?;
    let (tag, checksum) = be32(bytes, 4).zip(be32(bytes, 8)).ok_or(Problem::ShortPacket)?;
    let chunks = bytes.get(12..).unwrap_or_default();
    Ok(SctpPacket { src_port, dst_port, tag, checksum, chunks, chunks_len: wire_len.saturating_sub(12) })
}
