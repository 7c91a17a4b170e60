//! Reading the blocks that [`super::write`] makes, from files that may be torn or damaged.

use super::{
    Direction, INTERFACE, LINKTYPE_RAW, MAGIC, MAX_BLOCK, MAX_PACKET, PACKET, SECRETS, SECTION, TLS_KEY_LOG,
    option, padded,
};

/// The first eight bytes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: u32,
    /// Of the whole block.
    pub(crate) len: u32,
}

impl Head {
    pub(crate) const LEN: usize = 8;

    /// `None` when no block of a segment begins like this.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, len) = (u32_at(bytes, 0)?, u32_at(bytes, 4)?);
        let known = matches!(kind, SECTION | INTERFACE | PACKET | SECRETS);
        (known && len.is_multiple_of(4) && (12..=MAX_BLOCK).contains(&len)).then_some(Self { kind, len })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_le_bytes(*b))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u16::from_le_bytes(*b))
}

/// A block as it stands in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    Section,
    Interface {
        name: String,
        description: String,
    },
    Packet(PacketBlock<'a>),
    /// Lines of a key log.
    Secrets(&'a str),
}

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketBlock<'a> {
    pub(crate) interface: u32,
    pub(crate) ts: i64,
    pub(crate) wire_len: u32,
    pub(crate) direction: Direction,
    pub(crate) data: &'a [u8],
}

impl<'a> Block<'a> {
    /// Reads a block that fills `bytes`. `None` when anything about it is wrong.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::parse(bytes)?;
        let len = head.len as usize;
        if len != bytes.len() || u32_at(bytes, len - 4)? != head.len {
            return None;
        }
        let body = bytes.get(Head::LEN..len - 4)?;
        match head.kind {
            SECTION => (u32_at(body, 0)? == MAGIC && u16_at(body, 4)? == 1).then_some(Self::Section),
            INTERFACE => {
                let options = body.get(8..)?;
                let text = |code| Some(String::from_utf8_lossy(find(options, code)?).into_owned());
                // Other link types and resolutions are none of ours.
                (u16_at(body, 0)? == LINKTYPE_RAW && find(options, option::INTERFACE_RESOLUTION)? == [9])
                    .then(|| Self::Interface {
                        name: text(option::INTERFACE_NAME).unwrap_or_default(),
                        description: text(option::INTERFACE_DESCRIPTION).unwrap_or_default(),
                    })
            }
            PACKET => PacketBlock::parse(body).map(Self::Packet),
            _ => {
                let len = usize::try_from(u32_at(body, 4)?).ok()?;
                let lines = body.get(8..)?.get(..len)?;
                (u32_at(body, 0)? == TLS_KEY_LOG).then_some(Self::Secrets(std::str::from_utf8(lines).ok()?))
            }
        }
    }
}

impl<'a> PacketBlock<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let captured = u32_at(body, 12)?;
        if captured > MAX_PACKET {
            return None;
        }
        let captured = usize::try_from(captured).ok()?;
        let rest = body.get(20..)?;
        let data = rest.get(..captured)?;
        let options = rest.get(padded(captured)..)?;
        let ts = u64::from(u32_at(body, 4)?) << 32 | u64::from(u32_at(body, 8)?);
        let flags = find(options, option::PACKET_FLAGS).and_then(|v| u32_at(v, 0)).unwrap_or(0);
        Some(Self {
            interface: u32_at(body, 0)?,
            ts: i64::try_from(ts).ok()?,
            wire_len: u32_at(body, 16)?,
            direction: Direction::from_bits(flags),
            data,
        })
    }
}

/// The value of the first option with that code.
fn find(mut options: &[u8], code: u16) -> Option<&[u8]> {
    loop {
        let (this, len) = (u16_at(options, 0)?, usize::from(u16_at(options, 2)?));
        if this == option::END {
            return None;
        }
        let value = options.get(4..)?.get(..len)?;
        if this == code {
            return Some(value);
        }
        options = options.get(4 + padded(len)..)?;
    }
}
