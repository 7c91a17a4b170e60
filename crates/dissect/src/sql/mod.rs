//! What the SQL protocols share: the text of statements, rows as text, texts of prepared
//! statements, and the pairing of requests with responses that come in order.

pub(crate) mod pairing;
pub(crate) mod reader;
pub(crate) mod report;
pub(crate) mod rows;
pub(crate) mod state;
pub(crate) mod statements;
pub(crate) mod tables;
pub(crate) mod tokens;

/// Bytes kept of a request or response while what waits in a connection holds more than a flow may.
pub(crate) const LITTLE: usize = 128;

/// Buffers larger than this are given back when they are not needed for the moment.
const KEEP_BUFFER: usize = 16 << 10;

/// Empties a buffer that will be used again.
pub(crate) fn reuse(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEEP_BUFFER {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
