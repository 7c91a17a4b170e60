//! Making the index of a segment anew from its blocks, as far as they are whole.

use std::io;

use hashbrown::HashMap;

use crate::flow::{Headers, client_random};
use crate::index::{Builder, Entry};
use crate::pcapng::read::{Block, Head};
use crate::read_at::ReadAt;

/// Bytes read at once.
const WINDOW: usize = 256 << 10;

/// A part of a source in memory.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: u64,
}

impl Window {
    /// True when it has these bytes.
    pub(crate) fn has(&self, at: u64, len: usize) -> bool {
        at >= self.start && at + len as u64 <= self.start + self.bytes.len() as u64
    }

    /// `len` bytes from `at` on, read with what follows them up to `ahead` bytes; fewer when the
    /// source ends. `len` is bounded by the caller.
    pub(crate) fn get(
        &mut self,
        source: &dyn ReadAt,
        at: u64,
        len: usize,
        ahead: usize,
    ) -> io::Result<&[u8]> {
        if !self.has(at, len) {
            self.bytes.resize(len.max(ahead), 0);
            self.start = at;
            let n = match source.fill(&mut self.bytes, at) {
                Ok(n) => n,
                Err(e) => {
                    self.bytes.clear();
                    return Err(e);
                }
            };
            self.bytes.truncate(n);
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or_default();
        Ok(rest.get(..len).unwrap_or(rest))
    }
}

/// Numbers of flows in a segment.
pub(crate) type Numbers = HashMap<u32, u32>;

/// Reads a segment of `len` bytes up to the first block that is not whole; the index says how far that
/// is. Without a whole section header it has length 0.
pub(crate) fn scan(source: &dyn ReadAt, len: u64) -> io::Result<Builder> {
    let mut builder = Builder::default();
    let mut numbers = Numbers::default();
    let mut window = Window::default();
    let ahead = usize::try_from(len).map_or(WINDOW, |len| len.min(WINDOW));
    let mut at = 0;
    while at < len {
        let Some(head) = Head::parse(window.get(source, at, Head::LEN, ahead)?) else { break };
        let end = at + u64::from(head.len);
        if end > len.min(u64::from(u32::MAX)) {
            break;
        }
        let Some(block) = Block::parse(window.get(source, at, head.len as usize, ahead)?) else { break };
        let offset = u32::try_from(at).unwrap_or(u32::MAX);
        match block {
            // One section, at the beginning.
            Block::Section if at == 0 => {}
            Block::Section => break,
            _ if at == 0 => break,
            Block::Interface { name, description } => builder.head.interfaces.push((name, description)),
            Block::Secrets(_) => builder.head.secrets.push(offset),
            Block::Packet(packet) => {
                if packet.interface as usize >= builder.head.interfaces.len() {
                    break;
                }
                let headers = Headers::parse(packet.data);
                let hash = headers.map_or(0, |h| h.hash());
                let next = u32::try_from(builder.head.flows.len()).unwrap_or(u32::MAX);
                let flow = *numbers.entry(hash).or_insert(next);
                if flow == next {
                    builder.head.flows.push(hash);
                }
                if headers.is_some_and(|h| client_random(&h, packet.data).is_some()) {
                    builder.head.hellos.push((flow, offset));
                }
                let entry = Entry { ts: packet.ts, flow, offset, len: head.len };
                builder.packet(&entry, packet.data.len() as u64);
            }
        }
        at = end;
        builder.head.segment_len = at;
    }
    Ok(builder)
}
