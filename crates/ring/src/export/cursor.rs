//! The packets of one segment, in the order of time.

use std::io;
use std::net::SocketAddr;

use super::options::{PacketInfo, Payload};
use crate::flow::Headers;
use crate::index::Entry;
use crate::pcapng::read::{Block, PacketBlock};
use crate::read_at::ReadAt;
use crate::recover::Window;

/// Places in a segment that are read side by side: one for each thread that wrote to it.
const WINDOWS: usize = 8;
/// Bytes read ahead at each of them.
const AHEAD: usize = 64 << 10;

/// Parts of a segment in memory.
pub(crate) struct Blocks<'a> {
    source: Box<dyn ReadAt + Send + 'a>,
    windows: Vec<Window>,
    oldest: usize,
    ahead: usize,
}

impl<'a> Blocks<'a> {
    /// `ahead`: bytes that are read at least at each place.
    pub(crate) fn new(source: Box<dyn ReadAt + Send + 'a>, ahead: usize) -> Self {
        Self { source, windows: Vec::new(), oldest: 0, ahead }
    }

    /// The block there; `None` when it cannot be read.
    pub(crate) fn get(&mut self, offset: u32, len: u32) -> io::Result<Option<Block<'_>>> {
        let (at, len) = (u64::from(offset), len as usize);
        let place = match self.windows.iter().position(|w| w.has(at, len)) {
            Some(place) => place,
            None if self.windows.len() < WINDOWS => {
                self.windows.push(Window::default());
                self.windows.len() - 1
            }
            None => {
                self.oldest = (self.oldest + 1) % WINDOWS;
                self.oldest
            }
        };
        let Some(window) = self.windows.get_mut(place) else { return Ok(None) };
        Ok(Block::parse(window.get(&*self.source, at, len, self.ahead)?))
    }
}

/// A packet of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) block: PacketBlock<'a>,
    pub(crate) headers: Option<Headers>,
}

impl<'a> Found<'a> {
    pub(crate) fn info<'b>(&self, interface: &'b str) -> PacketInfo<'b> {
        PacketInfo {
            ts: self.block.ts,
            flow: self.headers.map(|h| h.key),
            from: self.headers.map(|h| SocketAddr::new(h.from.0, h.from.1)),
            interface,
            direction: self.block.direction,
            wire_len: self.block.wire_len,
        }
    }

    /// As much of it as is wanted.
    pub(crate) fn data(&self, payload: Payload) -> &'a [u8] {
        let data = self.block.data;
        match payload {
            Payload::Whole => data,
            Payload::HeadersOnly => {
                let headers = self.headers.map_or(0, |h| h.payload);
                data.get(..headers).unwrap_or(data)
            }
        }
    }
}

/// Walks through chosen packets of a segment.
pub(crate) struct Cursor<'a> {
    blocks: Blocks<'a>,
    entries: Vec<Entry>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(source: Box<dyn ReadAt + Send + 'a>, mut entries: Vec<Entry>, few: bool) -> Self {
        entries.sort_unstable_by_key(|e| (e.ts, e.offset));
        // Of a flow among others, the next packet is rarely near.
        let ahead = if few { 4 << 10 } else { AHEAD };
        Self { blocks: Blocks::new(source, ahead), entries, at: 0 }
    }

    /// The time of the next packet.
    pub(crate) fn peek(&self) -> Option<i64> {
        self.entries.get(self.at).map(|e| e.ts)
    }

    /// Packets that are left.
    pub(crate) fn left(&self) -> u64 {
        self.entries.len().saturating_sub(self.at) as u64
    }

    /// The next packet; `None` when it cannot be read, or there is none.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        let Some(entry) = self.entries.get(self.at) else { return Ok(None) };
        self.at += 1;
        match self.blocks.get(entry.offset, entry.len)? {
            Some(Block::Packet(block)) if block.ts == entry.ts => {
                Ok(Some(Found { block, headers: Headers::parse(block.data) }))
            }
            _ => Ok(None),
        }
    }
}
