//! Rows to bytes and back: each table of a batch is an Arrow IPC stream, compressed when that is
//! worth it. Within one process rows are handed over as they are.

mod check;
mod decode;
mod encode;

pub use decode::{DecodeError, Decoded, decode};
pub use encode::{EncodeLimits, Encoder, Form, Rows};

pub(crate) use encode::{Encoded, batch_len, message_len};

#[cfg(test)]
mod tests;
