//! Who is behind an address: names for both sides of every call and flow.
//!
//! Processes, containers and cgroups come from the agent, which can see them. The hub adds what
//! needs a wider view: the names that DNS answers on the wire gave to addresses, each during the
//! time for which it was given.

mod enrich;
mod names;

pub use enrich::Identity;
pub use names::{NameIndex, NameIndexLimits};
