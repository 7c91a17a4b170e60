//! The part of Remora that runs on each node.

pub mod kernel;
