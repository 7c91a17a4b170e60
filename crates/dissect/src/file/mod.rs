//! Reads capture files: pcap and pcapng, frame by frame.
//!
//! The reader is our own rather than that of the crate `pcap-file`, which reads all options of a
//! block before it gives the frame out, so that a comment with a bad byte in it costs the frame;
//! which does not tell a file that ends inside a record from one that ends; and which takes 8 MB
//! per open file. Reading takes four block types and one option.
//!
//! Nothing is allocated by a length in the file: a record longer than [`MAX_RECORD`] is a fault,
//! and the buffer grows only as bytes really arrive.

mod input;
mod pcap;
mod pcapng;

use std::io::Read;

use remora_model::Timestamp;

use crate::packet::LinkType;
use input::Input;

/// The longest record that is read. Wireshark's own limit for frames of ordinary link types is
/// 256 KiB, and that of the largest ones 128 MiB.
pub const MAX_RECORD: usize = 16 << 20;

/// One captured frame. It borrows from the reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When it was captured. Where the file does not say (simple packet blocks), the time of the
    /// frame before it.
    pub ts: Timestamp,
    /// How its bytes begin.
    pub link: LinkType,
    /// Its length on the wire; more than `bytes.len()` where a snaplen cut it.
    pub wire_len: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// TLS secrets that stand in the file between the frame before and this one, as a key log; empty
    /// nearly always. They may be needed from this frame on.
    pub key_log: &'a [u8],
}

/// Why a capture file cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The reader failed.
    #[error("cannot read the capture: {0}")]
    Io(#[from] std::io::Error),
    /// Neither pcap nor pcapng.
    #[error("not a pcap or pcapng file (it begins with {0:02x?}); compressed files must be unpacked first")]
    UnknownFormat(Vec<u8>),
    /// The file ends in the middle of a record.
    #[error("the file is truncated: it ends inside the record that begins at byte {offset}")]
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

enum Format {
    Pcap(pcap::Header),
    PcapNg(pcapng::Section),
}

/// A capture file, read frame by frame.
pub struct CaptureFile<R> {
    input: Input<R>,
    format: Format,
    last: Timestamp,
    over: bool,
}

/// A frame whose bytes lie at the front of the input.
struct Located {
    ts: Option<Timestamp>,
    link: LinkType,
    wire_len: u32,
    /// Where its bytes lie in the record.
    bytes: std::ops::Range<usize>,
}

impl<R: Read> CaptureFile<R> {
    /// Reads the beginning of a file. The reader needs no buffer of its own.
    pub fn new(reader: R) -> Result<Self, FileError> {
        let mut input = Input::new(reader);
        let magic = input.peek(4)?;
        let Some(&magic) = magic.first_chunk::<4>() else {
            return Err(FileError::UnknownFormat(magic.to_vec()));
        };
        let format = if magic == pcapng::SECTION_HEADER {
            Format::PcapNg(pcapng::Section::default())
        } else {
            Format::Pcap(pcap::Header::read(magic, &mut input)?)
        };
        Ok(Self { input, format, last: Timestamp(0), over: false })
    }

    /// The next frame; `None` at the end. An error is final: every frame before the fault has
    /// been returned, and `None` follows.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, FileError> {
        if self.over {
            return Ok(None);
        }
        self.input.release();
        let found = match &mut self.format {
            Format::Pcap(header) => header.next(&mut self.input),
            Format::PcapNg(section) => section.next(&mut self.input),
        };
        match found {
            Ok(Some(Located { ts, link, wire_len, bytes })) => {
                self.last = ts.unwrap_or(self.last);
                let bytes = self.input.record().get(bytes).unwrap_or_default();
                // A length below that of the captured bytes is what some writers leave at 0.
                let wire_len = wire_len.max(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                let key_log = match &self.format {
                    Format::Pcap(_) => &[][..],
                    Format::PcapNg(section) => &section.key_log,
                };
                Ok(Some(Frame { ts: self.last, link, wire_len, bytes, key_log }))
            }
            Ok(None) => {
                self.over = true;
                Ok(None)
            }
            Err(e) => {
                self.over = true;
                Err(e)
            }
        }
    }

    /// Bytes of the file read so far, to show progress.
    pub fn offset(&self) -> u64 {
        self.input.offset()
    }
}

/// The byte order of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let &b = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u16::from_le_bytes(b) } else { u16::from_be_bytes(b) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let &b = bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) })
    }
}

#[cfg(test)]
mod tests;
