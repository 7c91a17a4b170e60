//! What is known of one direction of a connection.

use super::hpack::Decoder;
use super::stream::Place;
use crate::Problem;

/// A DATA frame being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub(super) stream: u32,
    /// Bytes of payload to come.
    pub(super) left: u64,
    /// How many of them are padding, at the end.
    pub(super) padding: u64,
    /// The length of the padding has not been read.
    pub(super) padded: bool,
    pub(super) end: bool,
}

/// What one direction is at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum State {
    /// Nothing was shown yet.
    #[default]
    Start,
    /// Between frames, or in one that is read when it is whole.
    Frame,
    Data(Data),
    /// In a frame of which the rest says nothing: bytes to come.
    Pass(u64),
    /// Looking for the next frame, for that reason. Counts the bytes it passed over.
    Lost(Problem, u64),
}

/// A header block that is spread over several frames.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    /// The stream it is on; 0 while there is none.
    pub(super) stream: u32,
    /// The stream that it promises; 0 if it is no promise.
    pub(super) promised: u32,
    pub(super) end_stream: bool,
    /// It is too large to be kept.
    pub(super) too_large: bool,
    pub(super) place: Place,
}

/// A buffer for header blocks beyond this is given back.
pub(super) const KEEP_BLOCK: usize = 16 << 10;

impl Block {
    pub(super) fn start(&mut self, stream: u32, promised: u32, end_stream: bool, place: Place) {
        self.bytes.clear();
        *self = Self {
            bytes: std::mem::take(&mut self.bytes),
            stream,
            promised,
            end_stream,
            too_large: false,
            place,
        };
    }

    /// There is none any more.
    pub(super) fn clear(&mut self) {
        self.start(0, 0, false, Place::default());
    }
}

#[derive(Debug)]
pub(super) struct Direction {
    pub(super) state: State,
    /// Offset in the stream of the first byte that was not taken.
    pub(super) pos: u64,
    /// What was asked not to be shown.
    pub(super) skip: Option<u64>,
    /// A frame was shown in part.
    pub(super) half: bool,
    pub(super) decoder: Decoder,
    pub(super) block: Block,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            state: State::default(),
            pos: 0,
            skip: None,
            half: false,
            decoder: Decoder::new(),
            block: Block::default(),
        }
    }
}
