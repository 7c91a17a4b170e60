//! The block format (draft-ietf-opsawg-pcapng).

use std::io::Read;

use remora_model::Timestamp;

use super::input::Input;
use super::{FileError, Located, Order};
use crate::packet::LinkType;

/// Block type of a section header, the same in both byte orders.
pub(super) const SECTION_HEADER: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

// Block types (section 4 of the draft).
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;

/// Secrets type of a TLS key log (section 4.7 of the draft).
const TLS_KEY_LOG: u32 = 0x544c_534b;

/// Bytes of key logs between two frames.
const MAX_KEY_LOG: usize = 64 << 20;

// Options of an interface description.
const END_OF_OPTIONS: u16 = 0;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// Interfaces of one section. Far beyond what a capture has.
const MAX_INTERFACES: usize = 4_096;

/// How the frames of an interface look.
#[derive(Clone, Copy)]
struct Interface {
    link: LinkType,
    snaplen: u32,
    /// Units of a time per second.
    units: u64,
    /// Seconds to add to a time.
    offset: i64,
}

impl Interface {
    fn time(&self, high: u32, low: u32) -> Timestamp {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let (secs, rest) = (ticks / self.units, ticks % self.units);
        let nanos = u128::from(rest) * 1_000_000_000 / u128::from(self.units);
        let secs = i64::try_from(secs).unwrap_or(i64::MAX).saturating_add(self.offset);
        Timestamp::from_parts(secs, u32::try_from(nanos).unwrap_or(0))
    }
}

/// The section being read.
#[derive(Default)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// The key logs in front of the current frame.
    pub(super) key_log: Vec<u8>,
}

impl Section {
    /// The next frame.
    pub(super) fn next<R: Read>(&mut self, input: &mut Input<R>) -> Result<Option<Located>, FileError> {
        self.key_log.clear();
        loop {
            input.release();
            let head = input.peek(12)?;
            if head.is_empty() {
                return Ok(None);
            }
            if head.len() < 12 {
                return Err(FileError::Truncated { offset: input.offset() });
            }
            // A new section may have another byte order; its third word tells.
            if head.starts_with(&SECTION_HEADER) {
                self.order = match head[8..] {
                    [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                    [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                    _ => return Err(input.corrupt("a section header without its byte-order magic")),
                };
            }
            let kind = self.order.u32(head, 0).unwrap_or_default();
            let len = usize::try_from(self.order.u32(head, 4).unwrap_or_default()).unwrap_or(usize::MAX);
            if len < 12 || !len.is_multiple_of(4) {
                return Err(input.corrupt("a block with an impossible length"));
            }
            let order = self.order;
            let block = input.take(len)?;
            if order.u32(block, len - 4).and_then(|n| usize::try_from(n).ok()) != Some(len) {
                return Err(input.corrupt("a block whose two lengths differ"));
            }
            match self.block(kind, &block[..len - 4]) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(reason) => return Err(input.corrupt(reason)),
            }
        }
    }

    /// Reads one block, given without its second length.
    fn block(&mut self, kind: u32, block: &[u8]) -> Result<Option<Located>, &'static str> {
        match kind {
            SECTION => {
                self.interfaces.clear();
                // Versions other than 1.0 to 1.2 do not exist; a reader must not guess at them.
                match self.order.u16(block, 12) {
                    Some(1) => Ok(None),
                    _ => Err("a section of an unknown major version"),
                }
            }
            INTERFACE => {
                let interface = self.interface(block).ok_or("an interface description that is too short")?;
                if self.interfaces.len() >= MAX_INTERFACES {
                    return Err("more than 4096 interfaces in one section");
                }
                self.interfaces.push(interface);
                Ok(None)
            }
            ENHANCED_PACKET => {
                let id = self.order.u32(block, 8).ok_or(SHORT)?;
                self.packet(block, usize::try_from(id).unwrap_or(usize::MAX)).map(Some)
            }
            // The obsolete packet block has a drop count beside a shorter interface number.
            OLD_PACKET => {
                let id = self.order.u16(block, 8).ok_or(SHORT)?;
                self.packet(block, usize::from(id)).map(Some)
            }
            SIMPLE_PACKET => {
                let wire_len = self.order.u32(block, 8).ok_or(SHORT)?;
                let interface = self.interfaces.first().ok_or(NO_INTERFACE)?;
                let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
                let captured = usize::try_from(wire_len.min(snaplen)).unwrap_or(usize::MAX);
                // What does not fit into the block is padding that is not there.
                let end = captured.saturating_add(12).min(block.len());
                Ok(Some(Located { ts: None, link: interface.link, wire_len, bytes: 12..end }))
            }
            DECRYPTION_SECRETS => {
                let len = self.order.u32(block, 12).map_or(usize::MAX, |n| n as usize);
                let text = len.checked_add(16).and_then(|end| block.get(16..end));
                let text = text.ok_or("secrets that are longer than their block")?;
                if self.order.u32(block, 8) != Some(TLS_KEY_LOG) {
                    return Ok(None);
                }
                if self.key_log.len() + text.len() > MAX_KEY_LOG {
                    return Err("more than 64 MiB of secrets without a packet between them");
                }
                self.key_log.extend_from_slice(text);
                self.key_log.push(b'\n');
                Ok(None)
            }
            // Names, statistics, journal entries and whatever the future brings.
            _ => Ok(None),
        }
    }

    fn packet(&self, block: &[u8], id: usize) -> Result<Located, &'static str> {
        let field = |at| self.order.u32(block, at).ok_or(SHORT);
        let (high, low, len, wire_len) = (field(12)?, field(16)?, field(20)?, field(24)?);
        let interface = self.interfaces.get(id).ok_or(NO_INTERFACE)?;
        let end = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(28);
        if end > block.len() {
            return Err("a packet longer than its block");
        }
        Ok(Located { ts: Some(interface.time(high, low)), link: interface.link, wire_len, bytes: 28..end })
    }

    fn interface(&self, block: &[u8]) -> Option<Interface> {
        let mut interface = Interface {
            link: LinkType(u32::from(self.order.u16(block, 8)?)),
            snaplen: self.order.u32(block, 12)?,
            units: 1_000_000,
            offset: 0,
        };
        let mut at = 16;
        // Options end with the block where the end marker is left out.
        while let (Some(code), Some(len)) = (self.order.u16(block, at), self.order.u16(block, at + 2)) {
            let value = block.get(at + 4..at + 4 + usize::from(len)).unwrap_or_default();
            match (code, value) {
                (END_OF_OPTIONS, _) => break,
                (IF_TSRESOL, &[resolution, ..]) => interface.units = units(resolution),
                (IF_TSOFFSET, value) if value.len() >= 8 => {
                    let (a, b) = (self.order.u32(value, 0)?, self.order.u32(value, 4)?);
                    let (high, low) = if self.order == Order::Big { (a, b) } else { (b, a) };
                    interface.offset = (u64::from(high) << 32 | u64::from(low)).cast_signed();
                }
                _ => {}
            }
            at += 4 + usize::from(len).next_multiple_of(4);
        }
        Some(interface)
    }
}

const SHORT: &str = "a packet block that is too short";
const NO_INTERFACE: &str = "a packet of an interface that the section does not describe";

/// Units per second of a time resolution: a power of ten, or of two where the top bit is set.
/// Finer ones than 64 bits can count are taken as the finest.
fn units(resolution: u8) -> u64 {
    let exponent = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 {
        10_u64.saturating_pow(exponent)
    } else {
        1_u64.checked_shl(exponent).unwrap_or(u64::MAX)
    }
}
