//! The vocabulary that every part of Remora shares: what a call is, which fields it has, and
//! how it is laid out in Arrow.
//!
//! What needs Arrow (`batch`, `row`, `schema`) is behind the feature `arrow`, so that whoever only
//! wants the vocabulary, such as a dissector or a fuzz target, does not build it.
//!
//! This crate does no I/O and reads no clock. It has one source of names, the catalogue in
//! [`field`]: the Arrow schema, the KFL types, the SQL columns, MCP `list_fields` and the field
//! reference in the documentation are all made from it.

#[cfg(feature = "arrow")]
pub mod batch;
pub mod call;
pub mod coverage;
pub mod field;
pub mod flow;
pub mod protocol;
#[cfg(feature = "arrow")]
pub mod row;
#[cfg(feature = "arrow")]
pub mod schema;
pub mod secret;
pub mod table;
pub mod time;
pub mod value;

#[cfg(feature = "arrow")]
pub use batch::{BatchSet, Side, Sides, TableBatch};
pub use call::{Call, CallId, CaptureSource, Endpoint, FlowId, Incomplete};
pub use coverage::CoverageRow;
pub use field::{FieldDef, FieldId, FieldType, Storage};
pub use flow::{CloseReason, FlowRow, FlowState};
pub use protocol::{Protocol, Transport};
pub use table::Table;
pub use time::Timestamp;
pub use value::{Pairs, Span, ValueRef};
