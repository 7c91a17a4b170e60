//! JSON: finding values in a text that was sent, and writing messages of other formats as text.

mod scan;
mod write;

pub(crate) use scan::Value;
pub(crate) use write::{Json, uuid};
