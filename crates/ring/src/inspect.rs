//! Reading a segment and its index from memory, whatever they are.

use crate::export::Cursor;
use crate::index::{Builder, Entries, read_head, read_list};
use crate::pcapng::write::{self, Meta};
use crate::recover;

/// What was read of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The index was whole and of this segment; otherwise one was made from the segment.
    pub index_used: bool,
    /// Bytes of the segment that are described by the index.
    pub whole: u64,
    /// Packets that could be read.
    pub packets: u64,
    /// Packets that the index names and that are not there.
    pub damaged: u64,
    /// Blocks with secrets.
    pub secrets: u64,
    /// The packets in the order of time, as blocks.
    pub blocks: Vec<u8>,
}

/// Reads a segment by its index, as an export does.
pub fn inspect(segment: &[u8], index: &[u8]) -> Inspection {
    let len = index.len() as u64;
    // Reading memory does not fail.
    let head = read_head(&index, len).ok().flatten().filter(|h| h.segment_len == segment.len() as u64);
    let list = read_list(&index, len).ok().flatten();
    let (builder, index_used) = match (head, list) {
        (Some(head), Some(list)) => (Builder::read(head, list), true),
        _ => (recover::scan(&segment, segment.len() as u64).unwrap_or_default(), false),
    };
    let entries: Vec<_> = Entries::new(&builder.head, &builder.list).collect();
    let mut inspection = Inspection {
        index_used,
        whole: builder.head.segment_len,
        secrets: builder.head.secrets.len() as u64,
        ..Inspection::default()
    };
    let mut cursor = Cursor::new(Box::new(segment), entries, false);
    while cursor.peek().is_some() {
        match cursor.next() {
            Ok(Some(packet)) => {
                let block = packet.block;
                let meta = Meta {
                    interface: block.interface,
                    ts: block.ts,
                    wire_len: block.wire_len,
                    direction: block.direction,
                };
                write::packet(&mut inspection.blocks, &meta, block.data, "");
                inspection.packets += 1;
            }
            _ => inspection.damaged += 1,
        }
    }
    inspection
}
