//! The blocks of pcapng that the ring is made of (draft-ietf-opsawg-pcapng), always little-endian.
//!
//! Every block is `type u32, length u32, body, length u32`; the length counts the whole block and is a
//! multiple of four. Options are `code u16, length u16, value` padded to four, ended by code 0.
//!
//! | block | type | body |
//! |---|---|---|
//! | section header | 0x0A0D0D0A | magic 0x1A2B3C4D, version 1.0 (u16, u16), section length i64 (-1: unknown), options |
//! | interface | 1 | link type u16, u16, snaplen u32, options |
//! | name resolution | 4 | records (type u16, length u16, value), ended by type 0, options |
//! | packet (enhanced) | 6 | interface u32, time u32 (high), u32 (low), captured u32, original u32, bytes, options |
//! | decryption secrets | 10 | type u32, length u32, bytes, options |

pub(crate) mod read;
pub(crate) mod write;

/// Section header.
pub(crate) const SECTION: u32 = 0x0A0D_0D0A;
/// Interface description.
pub(crate) const INTERFACE: u32 = 1;
/// Name resolution.
pub(crate) const NAMES: u32 = 4;
/// Enhanced packet.
pub(crate) const PACKET: u32 = 6;
/// Decryption secrets.
pub(crate) const SECRETS: u32 = 10;

/// The byte-order magic of a section.
pub(crate) const MAGIC: u32 = 0x1A2B_3C4D;
/// Secrets in the form of a TLS key log ("TLSK").
pub(crate) const TLS_KEY_LOG: u32 = 0x544C_534B;

/// Packets begin with their IPv4 or IPv6 header (LINKTYPE_RAW).
pub const LINKTYPE_RAW: u16 = 101;

/// Most bytes of a packet: what Wireshark takes (WTAP_MAX_PACKET_SIZE_STANDARD, wiretap/wtap.h).
pub const MAX_PACKET: u32 = 262_144;

/// Bytes of a packet block beside the packet: head (28), flags (12), length (4), padding (up to 3).
pub(crate) const PACKET_OVERHEAD: usize = 48;

/// Longest block that is read.
pub(crate) const MAX_BLOCK: u32 = MAX_PACKET + (72 << 10);

pub(crate) mod option {
    pub(crate) const END: u16 = 0;
    pub(crate) const COMMENT: u16 = 1;
    /// Section: operating system.
    pub(crate) const SECTION_OS: u16 = 3;
    /// Section: program that wrote it.
    pub(crate) const SECTION_APPLICATION: u16 = 4;
    pub(crate) const INTERFACE_NAME: u16 = 2;
    pub(crate) const INTERFACE_DESCRIPTION: u16 = 3;
    /// Resolution of times: 9 for nanoseconds.
    pub(crate) const INTERFACE_RESOLUTION: u16 = 9;
    /// Packet: bits 0 and 1 are the direction.
    pub(crate) const PACKET_FLAGS: u16 = 2;
}

/// Which way a packet went where it was captured (bits 0 and 1 of `epb_flags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Not known.
    #[default]
    Unknown,
    /// Into the host or up to a socket.
    In,
    /// From a socket or out of the host.
    Out,
}

impl Direction {
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::In => 1,
            Self::Out => 2,
        }
    }

    pub(crate) fn from_bits(bits: u32) -> Self {
        match bits & 3 {
            1 => Self::In,
            2 => Self::Out,
            _ => Self::Unknown,
        }
    }
}

/// A multiple of four that is not below `n`.
pub(crate) const fn padded(n: usize) -> usize {
    n.next_multiple_of(4)
}

#[cfg(test)]
mod tests;
