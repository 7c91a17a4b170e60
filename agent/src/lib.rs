//! The part of Remora that runs on each node: packets from the kernel, through one engine for each
//! ring, to rows on their way to the hub.
//!
//! ```text
//! ring 0 -> shard 0: owners, engine, rows --\
//! ring 1 -> shard 1: owners, engine, rows ---> queue -> encoder -> spool -> client -> hub
//!       \             coverage, once a second --/
//!        packets as they were captured -> packet ring on disk -> exports
//! ```
//!
//! Nothing on this path waits for what is behind it: a shard that the queue has no room for drops
//! bodies and then rows, the spool gives up its oldest, and all of it is counted and reported as
//! coverage. The application whose traffic is captured is never part of it.

pub mod config;
pub mod coverage;
pub mod ids;
pub mod kernel;
pub mod owners;
pub mod packets;
pub mod shard;
pub mod ship;
pub mod tls;

mod agent;
mod identity;
mod monitor;
mod status;

pub use agent::{Agent, AgentError, AgentSummary};
pub use config::{AgentConfig, Budgets, CaptureOptions, FlushOptions, KernelOptions, RawOptions, TlsOptions};
pub use remora_ring as ring;
pub use remora_wire::Transport;
