//! TCP byte streams out of segments.
//!
//! An [`Assembler`] handles one direction of one connection. It hands in-order bytes on without
//! copying them and keeps only what came too early.

mod assembler;
mod seq;

pub use assembler::{Assembler, Bounds, Reach, Receiver, Seen, Segment};
pub use seq::Seq;

#[cfg(test)]
mod tests;
